"""The audit chain: what was decided, in an order nobody can edit unseen."""
