"""Who signs what Guard writes down: an Ed25519 key (RFC 8032) of this deployment, and every public key it ever had.

Both lie in one directory: ``key.pem``, the private key that signs now, which only its owner reads, and ``keys.json``,
all public keys with the time from which and until which each signed. Rotation replaces the first and adds to the second
under a lock; a process that signs looks before every signature whether the key file is another one.
"""

import fcntl
import json
import os
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

ALGORITHM = "Ed25519"
PRIVATE, PUBLIC = "key.pem", "keys.json"
FORMAT = "guard-signing-keys/1"
KEY_BYTES = 32
MOST_BYTES = 1024 * 1024
"""Of a file of keys: ten thousand rotations."""
GRACE = 60.0
"""Seconds by which a key may have signed outside the times listed for it: a batch on its way, a clock set right."""


class SigningError(Exception):
    """A key that cannot be used or kept; the text says which file and why, and never what is in a private one."""


class Signature(NamedTuple):
    """A signature and whose it is."""

    key: str
    value: bytes
    public: bytes


class PublicKey(NamedTuple):
    """A key that signed, or signs. Times are epoch seconds."""

    id: str
    public: bytes
    """The 32 bytes of the Ed25519 key."""
    begins: float | None
    """None if nobody said: a key from a file of its own."""
    ends: float | None
    """None while it is in use."""

    @property
    def pem(self) -> str:
        """The key as ``openssl pkey -pubin`` reads it."""
        key = Ed25519PublicKey.from_public_bytes(self.public)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def facts(self) -> dict[str, str | None]:
        """Return it as ``keys.json`` lists it."""
        return {
            "id": self.id,
            "public": b64encode(self.public).decode(),
            "from": None if self.begins is None else moment(self.begins),
            "until": None if self.ends is None else moment(self.ends),
        }

    def in_use(self, moment: float) -> bool:
        """Return whether it signed at ``moment``, give or take a minute."""
        began = self.begins is None or moment >= self.begins - GRACE
        return began and not self.retired(moment)

    def retired(self, moment: float) -> bool:
        """Return whether another key signed in its place at ``moment``, give or take a minute."""
        return self.ends is not None and moment > self.ends + GRACE


class Signer:
    """Signs with the key in ``directory``, which is made with mode 0600 where there is none.

    Several processes that begin at once get the same key. ``clock`` returns epoch seconds. Raises SigningError for a
    key file that cannot be read or made.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self.error: str | None = None
        """Why a key that was put in place of this one is not used, or None."""
        self._path, self._clock = directory / PRIVATE, clock
        self._seen = (0, 0, 0)
        self._key, self.public = self._load_or_make()
        self.id = key_id(self.public)

    def sign(self, data: bytes) -> Signature:
        """Return the signature of ``data`` by the key that is in the file now.

        Where that cannot be read any more, the last one signs on and ``error`` says why.
        """
        try:
            if _stamp(self._path) != self._seen:
                self._key, self.public = self._load_or_make()
                self.id = key_id(self.public)
            self.error = None
        except (OSError, SigningError) as error:
            self.error = str(error)
        return Signature(self.id, self._key.sign(data), self.public)

    def verifier(self) -> "Verifier":
        """Return the public keys that are listed beside the key now. Raises SigningError."""
        return Verifier.of_list(self._path.with_name(PUBLIC))

    def _load_or_make(self) -> tuple[Ed25519PrivateKey, bytes]:
        directory = self._path.parent
        with _locked(directory):
            made = not self._path.exists()
            if made:
                _put(self._path, _pem(Ed25519PrivateKey.generate()), 0o600)
            self._seen = _stamp(self._path)
            key = _private(self._path)
            public = key.public_key().public_bytes_raw()
            # Listed here too: a rotation may have been killed between the two files.
            _list(directory / PUBLIC, public, self._clock())
        return key, public


class Verifier:
    """The public keys that a reader trusts."""

    def __init__(self, keys: tuple[PublicKey, ...]) -> None:
        self.keys = keys
        self._by_id = {key.id: key for key in keys}

    @classmethod
    def of_list(cls, path: Path) -> Self:
        """Return the keys of the file ``keys.json`` at ``path``. Raises SigningError, also where there is none."""
        return cls(listed(path))

    @classmethod
    def of_key(cls, text: str) -> Self:
        """Return the one key in ``text``: PEM, or the base64 of its 32 bytes. Raises SigningError."""
        public = _public_of(text)
        return cls((PublicKey(key_id(public), public, None, None),))

    def key(self, id_: str) -> PublicKey | None:
        """Return the key called ``id_``, None if it is not one of these."""
        return self._by_id.get(id_)


def rotate(directory: Path, now: float) -> PublicKey:
    """Put a new key in place and return it; the one before stays listed, until ``now`` (epoch seconds).

    Gateways that run sign with it from their next batch on. Raises SigningError.
    """
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    with _locked(directory):
        known = directory / PUBLIC
        if (directory / PRIVATE).exists():
            _list(known, _private(directory / PRIVATE).public_key().public_bytes_raw(), now)
        _put(directory / PRIVATE, _pem(key), 0o600)
        _list(known, public, now)
    return PublicKey(key_id(public), public, now, None)


def listed(path: Path) -> tuple[PublicKey, ...]:
    """Return the keys in the file ``path`` (``keys.json``), oldest first. Raises SigningError."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SigningError(f"{path}: {error.strerror or error}") from error
    try:
        document = json.loads(content)
        if len(content) > MOST_BYTES or document["format"] != FORMAT:
            raise ValueError(FORMAT)
        return tuple(_key_in(entry) for entry in document["keys"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise SigningError(f"{path}: not a list of public keys; allowed: what `guard keys signing` lists") from None


def key_id(public: bytes) -> str:
    """Return the id of a public key: the first 8 bytes of its SHA-256, in hexadecimal."""
    return sha256(public).digest()[:8].hex()


def holds(public: bytes, data: bytes, signature: bytes) -> bool:
    """Return whether ``signature`` is that of the private half of ``public`` over ``data``."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def moment(time: float) -> str:
    """Return epoch seconds as ``2026-11-22T01:02:03Z``."""
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key_in(entry: dict[str, Any]) -> PublicKey:
    public = b64decode(entry["public"], validate=True)
    if len(public) != KEY_BYTES or entry["id"] != key_id(public):
        raise ValueError("a key that its id is not of")
    times = [None if entry[name] is None else datetime.fromisoformat(entry[name]) for name in ("from", "until")]
    begins, ends = (None if when is None else when.timestamp() for when in times)
    return PublicKey(entry["id"], public, begins, ends)


def _public_of(text: str) -> bytes:
    try:
        raw = b64decode(text.strip(), validate=True)
    except ValueError:
        raw = b""
    if len(raw) == KEY_BYTES:
        return raw
    try:
        found = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if isinstance(found, Ed25519PublicKey):
        return found.public_bytes_raw()
    raise SigningError(f"not an Ed25519 public key; allowed: PEM, or its {KEY_BYTES} bytes in base64")


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise SigningError(f"{path}: {error.strerror or error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{path}: no private Ed25519 key; allowed: PEM (PKCS#8) without a password")
    return key


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _list(path: Path, public: bytes, now: float) -> None:
    """Have ``public`` in the list at ``path`` as the one in use; whatever else was in use is so until ``now``."""
    known = listed(path) if path.exists() else ()
    id_ = key_id(public)
    if any(key.id == id_ and key.ends is None for key in known) and sum(key.ends is None for key in known) == 1:
        return
    keys = [key if key.ends is not None else key._replace(ends=now) for key in known if key.id != id_]
    before = next((key for key in known if key.id == id_), None)
    keys.append(PublicKey(id_, public, before.begins if before is not None else now, None))
    document = {"format": FORMAT, "keys": [key.facts() for key in keys]}
    _put(path, (json.dumps(document, indent=2) + "\n").encode(), 0o644)


def _put(path: Path, content: bytes, mode: int) -> None:
    """Write ``content`` to ``path``, at once and durably: whoever reads finds the file of before, or this one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _give(descriptor, path.parent)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SigningError(f"{path} cannot be written: {error.strerror or error}") from error


def _give(descriptor: int, directory: Path) -> None:
    """Where root changes keys, leave the file to whoever runs the gateway: the owner of ``directory``."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes from changing ``directory``, which is made if need be."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SigningError(f"{directory}: {error.strerror or error}") from error
    try:
        _give(lock, directory)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
