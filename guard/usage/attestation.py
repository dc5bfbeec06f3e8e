"""An attestation: how many users a licensee had in one past month, stated and signed by whoever answers for it.

Some thresholds look at a single month, the one before a model's release (Llama clause 2, Hunyuan 4, DBRX 3). No count
of today says anything about it, so a person does. The signature is Ed25519 (RFC 8032) over canonical JSON (RFC 8785,
which text and whole numbers reach by sorted names and no spaces), so a changed digit is found, whoever changed it.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any, NamedTuple, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FORMAT = "guard-attestation/1"
MOST_BYTES = 64 * 1024
"""Of a file: statements are short."""
MOST_USERS = 2**53 - 1
"""The largest whole number that every reader of JSON reads alike (RFC 8785)."""
_SIGNED_AS = f"{FORMAT}\n".encode()
"""Goes before what is signed, so that a signature made for anything else is none of an attestation."""
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64


class AttestationError(ValueError):
    """What is no attestation, or none any more; the text says what was found and what is allowed."""


class ForgedError(AttestationError):
    """An attestation whose signature is not that of the key in the file: one of the two was changed."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """The statement. Raises AttestationError for one that cannot be meant."""

    licensee: str
    """Whose users these are: the person or company that the license binds."""
    license: str
    threshold: str
    """The id of the license's threshold: ``mau_700m``."""
    reference_month: str
    """The month it is about (``2024-06``)."""
    users: int
    """Monthly active users of that month, of everything that the license counts."""
    at_most: bool
    """True if there were that many users or fewer; False if there were that many."""
    products: str
    """The products and services whose users are in the number, in words."""
    affiliates: str
    """The companies whose products those are, in words."""
    covers_all: bool
    """True if that is everything that the license counts, by whoever signs; False for a number of some part of it."""
    active_user: str
    """Who was counted as an active user, in words: few licenses define one."""
    statement: str
    """How the number is known, and where its documents are."""
    owner: str
    """Who answers for it."""
    stated: str
    """The day it was stated (``2026-11-22``)."""
    expires: str | None = None
    """The last day on which it is to be relied on; None: what was once is not going to change."""

    def __post_init__(self) -> None:
        for name in ("licensee", "license", "threshold", "products", "affiliates", "active_user", "statement", "owner"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text.strip() or not text.isprintable():
                raise AttestationError(f"{name}: {text!r}; allowed: one line of text")
        if not isinstance(self.users, int) or isinstance(self.users, bool) or not 0 <= self.users <= MOST_USERS:
            raise AttestationError(f"users: {self.users!r}; allowed: a whole number from 0 to {MOST_USERS}")
        for name in ("at_most", "covers_all"):
            if not isinstance(getattr(self, name), bool):
                raise AttestationError(f"{name}: {getattr(self, name)!r}; allowed: true or false")
        if not isinstance(self.reference_month, str) or not _MONTH.fullmatch(self.reference_month):
            raise AttestationError(f"reference_month: {self.reference_month!r}; allowed: YYYY-MM such as 2024-06")
        for name in ("stated", "expires"):
            value = getattr(self, name)
            if (name == "stated" or value is not None) and not _is_day(value):
                raise AttestationError(f"{name}: {value!r}; allowed: YYYY-MM-DD such as 2026-11-22")
        if self.expires is not None and self.expires < self.stated:
            raise AttestationError(f"expires: {self.expires!r}, before it was stated; allowed: {self.stated} or later")

    @property
    def figure(self) -> str:
        """The number in words: ``at most 12,000,000 users``."""
        return f"{'at most ' if self.at_most else ''}{self.users:,} users"

    def canonical(self) -> bytes:
        """Return the statement as the bytes that are signed: equal statements have equal ones."""
        text = json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return _SIGNED_AS + text.encode()

    def has_expired(self, today: date) -> bool:
        """Return True if it is not to be relied on any more on ``today``."""
        return self.expires is not None and today.isoformat() > self.expires

    def exceeds(self, allowed: int) -> bool:
        """Return True if it states more users than ``allowed``: then the license gives no rights, whatever else is not
        in the number.
        """
        return self.users > allowed and not self.at_most

    def shows(self, allowed: int) -> bool:
        """Return True if there were no more users than ``allowed`` by it. A bound above that shows nothing, and neither
        does a number of a part.
        """
        return self.covers_all and self.users <= allowed


class Signed(NamedTuple):
    """An attestation with a signature that holds."""

    attestation: Attestation
    public_key: bytes
    """The 32 bytes of the Ed25519 key."""
    signature: bytes

    @property
    def key(self) -> str:
        """The public key in base64, as ``usage.attestors`` names it."""
        return b64encode(self.public_key).decode()

    def to_json(self) -> str:
        """Return the file's text."""
        document = {
            "format": FORMAT,
            "attestation": asdict(self.attestation),
            "public_key": self.key,
            "signature": b64encode(self.signature).decode(),
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Return the attestation in a file's ``content``, whatever its line breaks and the order of its names.

        Raises AttestationError for what is none, ForgedError where the signature does not hold.
        """
        document = _object(content)
        _names(document, {"format", "attestation", "public_key", "signature"}, "the file")
        if document["format"] != FORMAT:
            raise AttestationError(f"format: {document['format']!r}; allowed: {FORMAT}")
        told, known = document["attestation"], {field.name for field in fields(Attestation)}
        if not isinstance(told, dict):
            raise AttestationError("attestation: not an object; allowed: names and values")
        _names(told, known, "attestation")
        attestation = Attestation(**told)
        public_key = public_key_of(document["public_key"])
        signature = _decoded(document["signature"], _SIGNATURE_BYTES)
        if signature is None:
            raise AttestationError(f"signature: not {_SIGNATURE_BYTES} bytes in base64")
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, attestation.canonical())
        except InvalidSignature:
            raise ForgedError(
                "the signature does not hold: the statement, the key or the signature was changed"
            ) from None
        return cls(attestation, public_key, signature)


def sign(attestation: Attestation, key: Ed25519PrivateKey) -> Signed:
    """Return ``attestation`` signed with ``key``."""
    return Signed(attestation, key.public_key().public_bytes_raw(), key.sign(attestation.canonical()))


def is_public_key(text: str) -> bool:
    """Return True if ``text`` is the base64 of as many bytes as a public key has, and no file's name."""
    return _decoded(text, _KEY_BYTES) is not None


def public_key_of(text: object) -> bytes:
    """Return the 32 bytes of the Ed25519 public key in ``text``: base64 of them, or PEM. Raises AttestationError."""
    raw = _decoded(text, _KEY_BYTES)
    if raw is not None:
        return raw
    try:
        found = load_pem_public_key(text.encode()) if isinstance(text, str) else None
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if isinstance(found, Ed25519PublicKey):
        return found.public_bytes_raw()
    raise AttestationError(f"not an Ed25519 public key; allowed: its {_KEY_BYTES} bytes in base64, or PEM")


def _decoded(text: object, length: int) -> bytes | None:
    """The bytes that ``text`` is in base64, if it is the base64 of that many."""
    try:
        found = b64decode(text.strip(), validate=True) if isinstance(text, str) else b""
    except ValueError:
        return None
    return found if len(found) == length else None


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and _DAY.fullmatch(value) is not None and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _object(content: bytes) -> dict[str, Any]:
    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise AttestationError("a name is there twice; allowed: each once")
        return found

    if len(content) > MOST_BYTES:
        raise AttestationError(f"larger than {MOST_BYTES // 1024} KiB")
    try:
        document = json.loads(content.decode(), object_pairs_hook=each_once)
    except AttestationError:
        raise
    except (ValueError, RecursionError):
        raise AttestationError("not JSON; allowed: a file that `guard usage attest` wrote") from None
    if not isinstance(document, dict):
        raise AttestationError("not an object; allowed: a file that `guard usage attest` wrote")
    return document


def _names(found: Mapping[str, Any], allowed: set[str], what: str) -> None:
    for name in sorted(allowed - found.keys()):
        raise AttestationError(f"{what}: {name} is missing")
    for name in sorted(found.keys() - allowed):
        raise AttestationError(f"{what}: unknown name {name!r}; allowed: {', '.join(sorted(allowed))}")
