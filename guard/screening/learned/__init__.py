"""Tier 2: one hashed n-gram model with a head per category, in whole numbers, so that every machine scores alike."""
