"""JSON Web Key Sets (RFC 7517): the public keys of an issuer, chosen by ``kid``."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MIN_RSA = 2048
"""Bits of an RSA key: RFC 7518 3.3 wants no fewer."""


class KeyProblem(Exception):
    """The configured key cannot verify tokens; the text says why and holds no secret."""


class Keys(Protocol):
    """Where a verifier finds its keys, at the moment of a token."""

    def get(self, kid: str | None) -> Any | None:
        """Return the key that a token with the header ``kid`` is verified with, None if there is none."""


class OneKey:
    """The same key for every token."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def get(self, _kid: str | None) -> Any:
        """Return the key."""
        return self._key


class Published(NamedTuple):
    """One entry of a key set and the key made of it."""

    entry: Mapping[str, Any]
    key: jwt.PyJWK


class KeySet:
    """The keys of one document."""

    def __init__(self, published: Mapping[str, Published]) -> None:
        self._published = published

    def get(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with that ``kid``."""
        found = self._published.get(kid) if kid is not None else None
        return found.key if found is not None else None


def parse_key_set(data: bytes, known: Mapping[str, Published] | None = None) -> dict[str, Published]:
    """Return the public signature keys in ``data`` by ``kid``; an entry that is in ``known`` keeps its very key.

    Entries of other uses and kinds, and what is no key, are passed over (RFC 7517 section 5), and so are those that no
    public key set may hold: shared secrets, private keys and RSA keys of fewer than 2048 bits. Raises KeyProblem for
    what is no key set and for one without any key.
    """
    try:
        entries = json.loads(data)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise KeyProblem("not a JSON Web Key Set") from None
    if not isinstance(entries, list):
        raise KeyProblem("not a JSON Web Key Set")
    found: dict[str, Published] = {}
    for entry in entries:
        kid = entry.get("kid") if isinstance(entry, dict) else None
        if not isinstance(kid, str) or entry.get("kty") == "oct" or "d" in entry or entry.get("use", "sig") != "sig":
            continue
        before = known.get(kid) if known is not None else None
        key = before.key if before is not None and before.entry == entry else _key(entry)
        if key is not None:
            found[kid] = Published(entry, key)
    if not found:
        raise KeyProblem("a JSON Web Key Set without a public signature key that has a kid")
    return found


def _key(entry: Mapping[str, Any]) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK.from_dict(dict(entry))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    public = key.key
    return None if isinstance(public, RSAPublicKey) and public.key_size < MIN_RSA else key
