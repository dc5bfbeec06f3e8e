"""Stores that need a driver: an SQLite file, or Redis."""
