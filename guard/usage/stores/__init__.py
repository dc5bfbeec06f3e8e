"""Ledgers that need a driver, each behind the interface in guard.usage.ledger."""
