"""Text in, findings out; knows nothing of HTTP."""
