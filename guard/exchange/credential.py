"""How API keys look, and how they are compared and stored: by digest, never in clear.

A key that Guard makes reads ``gk_<id>_<secret><checksum>``: 12 characters of base32 that name it, 32 random bytes in
URL-safe base64 (43 characters), and the CRC-32 of everything before it as 8 hex digits, by which a typing error, or a
scanner that looks for leaked keys, can tell a key from what only looks like one:
``gk_[a-z2-7]{12}_[A-Za-z0-9_-]{43}[0-9a-f]{8}``.

A fast hash is enough for what is stored. Slow ones (bcrypt, scrypt, Argon2) make up for passwords that somebody could
guess; a secret of 256 random bits cannot be guessed at any speed, while a slow hash would cost every request tens of
milliseconds and hand strangers a way to spend them. The salt keeps two stored keys from being compared with each other,
and a table from being made for all of them.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b, sha256
from hmac import compare_digest
from zlib import crc32

PREFIX = "gk_"
SALT_BYTES, SECRET_BYTES = 16, 32
_KEY = re.compile(r"gk_([a-z2-7]{12})_[A-Za-z0-9_-]{43}([0-9a-f]{8})", re.ASCII)


def digest_key(key: str) -> str:
    """Return the lower-case SHA-256 hex digest of ``key``, the form in which configuration and snapshots hold API keys
    that were not made by Guard.

    Keys are long random strings, so a plain digest is enough: there is no dictionary to guess them from.
    """
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(random_bytes: Callable[[int], bytes]) -> str:
    """Return a new key made of ``random_bytes(n)``, which must be fit for secrets."""
    id_ = base64.b32encode(random_bytes(8)).decode().lower()[:12]
    secret = base64.urlsafe_b64encode(random_bytes(SECRET_BYTES)).decode().rstrip("=")
    key = f"{PREFIX}{id_}_{secret}"
    return f"{key}{_checksum(key)}"


def key_id(key: str) -> str | None:
    """Return the id of a key that Guard made; None for any other, and for one that was mistyped or cut short."""
    match = _KEY.fullmatch(key)
    if match is None or not compare_digest(match[2], _checksum(key[:-8])):
        return None
    return match[1]


def ids_in(value: str) -> list[tuple[str, str]]:
    """Return (id, key) of every key that Guard made and that stands in ``value``, in whatever form it is sent."""
    found = ((key_id(match[0]), match[0]) for match in _KEY.finditer(value))
    return [(id_, key) for id_, key in found if id_ is not None]


def hash_key(key: str, salt: bytes) -> bytes:
    """Return what is stored of ``key``: 32 bytes of BLAKE2b (RFC 7693) under ``salt`` of 16."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32, salt=salt, person=b"guard-api-key").digest()


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is known of a key that Guard made, without the key."""

    salt: bytes
    hash: bytes
    expires: float | None = None
    """The instant from which it is refused (epoch seconds); None: never."""
    revoked: bool = False

    def matches(self, key: str) -> bool:
        """Return True if this is ``key``, in a time that does not tell how nearly it is."""
        return compare_digest(hash_key(key, self.salt), self.hash)

    def refused(self, now: float) -> bool:
        """Return True if the key is no longer good at ``now`` (epoch seconds)."""
        return self.revoked or (self.expires is not None and now >= self.expires)


def _checksum(text: str) -> str:
    return f"{crc32(text.encode('ascii', 'replace')):08x}"
