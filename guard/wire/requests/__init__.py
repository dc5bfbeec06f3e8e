"""Requests of each surface to inquiries: typed fields, and a segment for every text that can reach the model."""
