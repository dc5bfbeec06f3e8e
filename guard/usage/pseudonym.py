"""Pseudonyms: who a user is becomes a keyed 64-bit number; the name itself is never kept.

Keyed BLAKE2b (RFC 7693) truncated to 64 bits: without the key nobody can test a guessed name against the ledger or
craft names that collide. With 700 million users the expected number of colliding pairs is 0.013, so a count of
pseudonyms is a count of users. The key must be the same on every replica and for a whole month: another key would
count everybody again, which is why its fingerprint is kept beside the data of every month.
"""

import json
import os
import re
import secrets
import unicodedata
from contextlib import suppress
from hashlib import blake2b
from math import inf, nextafter
from pathlib import Path
from struct import Struct
from typing import NamedTuple, Protocol

MAX_SUBJECT = 512
"""Characters; a longer subject is no identity but somebody's payload."""
KEY_BYTES = 32
_SEPARATOR = "\x1f"
_NUMBER = Struct(">q")
_PLACEHOLDERS = frozenset(
    {
        "",
        "-",  # Envoy, where a header's format names what the connection does not have
        "(null)",  # Apache, for a variable that is not set
        "null", "none", "undefined", "[object object]",  # what scripts make of nobody, or of something else than a name
        "string",  # the OpenAPI pages of a server, where a field has no example
        "anonymous", "anonymoususer", "system:anonymous",  # Spring Security and Django; Kubernetes
        "default_user_id",  # LiteLLM
        "00000000-0000-0000-0000-000000000000",  # the nil UUID (RFC 9562, 5.9)
    }
)  # fmt: skip
"""In lower case: what systems write where they know no user. No word that somebody may be called is among them."""
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\$\{.*?\}|\{[A-Za-z_][A-Za-z_.]*\}", re.DOTALL)
_VARIABLE = re.compile(r"<[A-Za-z_][A-Za-z0-9_. -]*>|%[A-Za-z_][A-Za-z0-9_]*%|%[A-Z_]+\([^()]*\)%|%\(\w+\)s|\$[A-Z_]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_CLAUDE_CODE = re.compile(
    r"user_(?P<device>[0-9a-f]{64})_account_(?P<account>[0-9a-f-]{36})?_session_[0-9a-f-]{36}", re.IGNORECASE
)
_CLAUDE_CODE_LEAST = 123
"""Characters that it matches at the least: without an account."""
_MAX_METADATA = 4096
_HEX_KEY = re.compile(rb"[0-9a-fA-F]{64}\s*")


class PseudonymKeyError(Exception):
    """A key file that cannot be used; the text says where it is, what was found and what is allowed."""


class Term(NamedTuple):
    """When a key is in force, in epoch seconds: ``since`` belongs to it, ``until`` to the next key's term."""

    since: float = -inf
    until: float = inf

    def nearest(self, now: float) -> float:
        """Return ``now``, or the instant of the term that is nearest to it.

        A pseudonym is filed in its own key's term: a request that is identified in one month and answered in the next
        would otherwise bring a pseudonym into a month whose users have another key.
        """
        if self.since <= now < self.until:
            return now
        return self.since if now < self.since else nextafter(self.until, -inf)


ALWAYS = Term()


class Pseudonyms(Protocol):
    """What makes pseudonyms at any instant."""

    def at(self, now: float) -> "Pseudonymizer":
        """Return what makes pseudonyms at ``now`` (epoch seconds)."""

    def fingerprint_of(self, month: str) -> str:
        """Return the fingerprint of the key that the users of ``month`` (``2026-11``) are pseudonyms under."""


class Pseudonymizer:
    """Turns subjects into pseudonyms under one key of 16 to 64 bytes, in force for ``term``.

    Raises ValueError for a key of any other length.
    """

    def __init__(self, key: bytes, term: Term = ALWAYS) -> None:
        if not 16 <= len(key) <= 64:
            raise ValueError(f"pseudonym key of {len(key)} bytes; allowed: 16 to 64")
        self._keyed = blake2b(digest_size=8, key=key, person=b"guard-user")
        self.fingerprint = blake2b(key, digest_size=8, person=b"guard-key").hexdigest()
        """16 hex digits that tell keys apart and reveal nothing of them; kept beside the data."""
        self.term = term

    def at(self, _now: float) -> "Pseudonymizer":
        """Return itself: one key at any instant."""
        return self

    def fingerprint_of(self, _month: str) -> str:
        """Return the one key's fingerprint."""
        return self.fingerprint

    def key(self, namespace: str, subject: str) -> int:
        """Return the pseudonym of ``subject`` as a signed 64-bit integer (SQLite's and Redis' integer type).

        ``namespace`` is who vouches for the subject (an issuer, a tenant): equal subjects of two issuers are two
        users. ``subject`` should come from ``normalize_subject``. Raises ValueError for a namespace with U+001F,
        which separates the two.
        """
        if _SEPARATOR in namespace:
            raise ValueError("namespace contains U+001F, which separates it from the subject")
        digest = self._keyed.copy()
        digest.update(f"{namespace}{_SEPARATOR}{subject}".encode("utf-8", "surrogatepass"))
        number: int = _NUMBER.unpack(digest.digest())[0]
        return number or 1  # 0 marks empty slots of the seen cache


def normalize_subject(text: str) -> str | None:
    """Return ``text`` as the identity it stands for, or None if it stands for nobody.

    NFC and stripped; e-mail addresses are case-folded, everything else keeps its case. None for placeholders that
    clients send in place of a user (``anonymous``, ``null``, ``default_user_id`` ...), for templates that were never
    filled in (``{{LIBRECHAT_USER_ID}}``, ``${USER}``, ``{user_id}``, ``<user>``, ``%USER%``) and for more than 512
    characters.
    """
    if len(text) > MAX_SUBJECT:
        return None
    subject = unicodedata.normalize("NFC", text).strip()
    if "@" in subject and _EMAIL.fullmatch(subject):
        subject = unicodedata.normalize("NFC", subject.casefold())
    if len(subject) > MAX_SUBJECT or subject.casefold() in _PLACEHOLDERS:
        return None
    if "{" in subject and _TEMPLATE.search(subject):
        return None
    return None if subject[0] in "<%$" and _VARIABLE.fullmatch(subject) else subject


def strip_session(text: str) -> str:
    """Return the lasting part of Claude Code's ``metadata.user_id``, so that a user is not one user per session.

    Knows ``user_<64 hex>_account_<uuid or nothing>_session_<uuid>`` and the JSON object with ``device_id``,
    ``account_uuid`` and ``session_id``: the account if there is one, else the device, else nothing (``""``). Both
    forms give the same result for the same account. Any other text is returned as it is.
    """
    if len(text) >= _CLAUDE_CODE_LEAST and (legacy := _CLAUDE_CODE.fullmatch(text)):
        return (legacy["account"] or legacy["device"]).lower()
    if not text.startswith("{") or len(text) > _MAX_METADATA:
        return text
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not document.keys() & {"device_id", "account_uuid", "session_id"}:
        return text
    for name in ("account_uuid", "device_id"):
        value = document.get(name)
        if isinstance(value, str) and value:
            return value.lower()
    return ""


def load_or_create_key(path: Path) -> bytes:
    """Return the 32-byte key in the file ``path`` (raw or hex); if there is none, a random one is made with mode 0600.

    Several processes that start at once get the same key: the file appears complete or not at all, and only one
    creation wins. Raises PseudonymKeyError.
    """
    try:
        try:
            return _checked(path.read_bytes(), path)
        except FileNotFoundError:
            pass
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was first: its key is the key
                os.link(draft, path)
        finally:
            draft.unlink()
        return _checked(path.read_bytes(), path)
    except OSError as error:
        raise PseudonymKeyError(f"pseudonym key {path}: {error.strerror or error}") from error


def _checked(content: bytes, path: Path) -> bytes:
    if _HEX_KEY.fullmatch(content):
        return bytes.fromhex(content.decode())
    if len(content) != KEY_BYTES:
        raise PseudonymKeyError(
            f"pseudonym key {path}: {len(content)} bytes; allowed: {KEY_BYTES} random bytes, "
            f"raw or as {2 * KEY_BYTES} hex digits"
        )
    return content
