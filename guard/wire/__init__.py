"""API dialects to neutral segments and back: JSON, SSE, request fields, refusal shapes."""
