"""Whoever signs attestations: an Ed25519 key in a file that only its owner reads."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

MOST_BYTES = 64 * 1024


class AttestorError(Exception):
    """A key file that cannot be used; the text says where it is, what was found and what is allowed."""


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key in ``path`` (PEM, PKCS#8, not encrypted). Raises AttestorError, FileNotFoundError."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AttestorError(f"key {path} cannot be read: {error.strerror}") from error
    try:
        key = load_pem_private_key(content, None)
    except TypeError:
        raise AttestorError(f"key {path} is encrypted; allowed: PEM without a password") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise AttestorError(f"key {path} is no private Ed25519 key; allowed: PEM, as `openssl genpkey` writes it")
    return key


def make_key(path: Path) -> Ed25519PrivateKey:
    """Make a key, write it to the new file ``path`` with mode 0600, synced, and return it. Raises AttestorError."""
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise AttestorError(f"key {path} cannot be made: {error.strerror}") from error
    return key


def readable_by_others(path: Path) -> bool:
    """Return True if somebody else than its owner may read the file ``path``."""
    return bool(path.stat().st_mode & 0o077)
