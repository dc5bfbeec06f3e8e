"""Clauses as data, model lineage, obligations, and verdicts on the use of outputs."""
