"""How API keys are compared and stored: by digest, never in clear."""

from hashlib import sha256


def digest_key(key: str) -> str:
    """Return the lower-case SHA-256 hex digest of ``key``, the form in which configuration and snapshots hold API keys.

    Keys are long random strings, so a plain digest is enough: there is no dictionary to guess them from.
    """
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
