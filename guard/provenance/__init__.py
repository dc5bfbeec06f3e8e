"""Receipts, fingerprints and the export gate."""
