"""The audit chain: what was decided, in an order that cannot be changed without recomputing all that follows."""
