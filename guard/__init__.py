"""Guard keeps whoever serves an open-weight model inside that model's license."""

__version__ = "0.1.0"
