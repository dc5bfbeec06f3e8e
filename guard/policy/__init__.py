"""YAML to an immutable snapshot: load, check, watch."""
