"""Tier 2n: a small transformer that reads a whole prompt. Needs the extra ``neural``; nothing here imports it early."""
