"""Documents that carry their signature, and the one way in which JSON is written before it is signed.

``canonical`` is RFC 8785 (JCS): no white space, names in the order of their UTF-16 units, numbers as ECMAScript writes
them. A signed document is::

    {"statement": {...},
     "signature": {"algorithm": "Ed25519", "key": "<id>", "public": "<base64>", "value": "<base64>"}}

The signature (RFC 8032) is over ``guard-statement/1``, a line feed and the canonical statement. The public key in it is
for the reader's convenience: that the signer is the one he means, only a key he has from elsewhere can tell.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from enum import Enum
from math import isfinite
from typing import Any

import msgspec

from guard.evidence.signing import ALGORITHM, Signer, Verifier, holds, key_id

LARGEST = 2**53 - 1
"""The largest whole number that every reader of JSON reads alike (RFC 8785)."""
_SIGNED_AS = b"guard-statement/1\n"
"""Goes before what is signed, so that a signature made for anything else is none of a statement."""
_EXPONENT = 1e21
"""From here on a number is written with an exponent."""
_BEYOND = "a whole number beyond 2**53 - 1"
_encode = msgspec.json.Encoder().encode


class EnvelopeError(ValueError):
    """What is no signed document; the text says what was found."""


class Standing(Enum):
    """How a signature stands to the keys that its reader trusts."""

    VALID = "signed by a known key"
    UNKNOWN = "signed by an unknown key"
    """It holds by the public key that came with it, which none of the reader's keys is."""
    UNTIMELY = "signed by a known key, at a time at which it was not in use"
    BROKEN = "the signature does not hold: the content, the key or the signature was changed"


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return ``document`` as the bytes that are signed: equal documents have equal ones.

    Raises ValueError for what JSON cannot say or readers do not read alike: whole numbers beyond 2**53 - 1 (up to
    1e21, from where on they are written as fractions are), numbers that are none, names that are no strings, strings
    that are not Unicode, and nesting too deep to be read back.
    """
    try:
        return _encode(_plain(document))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from error


def sign(document: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """Return ``document`` in an envelope with its signature. Raises ValueError as ``canonical`` does."""
    signed = signer.sign(_SIGNED_AS + canonical(document))
    return {
        "statement": dict(document),
        "signature": {
            "algorithm": ALGORITHM,
            "key": signed.key,
            "public": b64encode(signed.public).decode(),
            "value": b64encode(signed.value).decode(),
        },
    }


def verify(document: Any, verifier: Verifier) -> Standing:
    """Return how the signature of ``document``, an envelope, stands. Raises EnvelopeError for what is none."""
    parts = document.get("signature") if isinstance(document, Mapping) else None
    statement = document.get("statement") if isinstance(document, Mapping) else None
    if not isinstance(parts, Mapping) or not isinstance(statement, Mapping):
        raise EnvelopeError("no statement with a signature")
    if parts.get("algorithm") != ALGORITHM:
        raise EnvelopeError(f"signature.algorithm: {parts.get('algorithm')!r}; allowed: {ALGORITHM}")
    key = parts.get("key")
    if type(key) is not str:
        raise EnvelopeError("signature.key: no key's id")
    value, public = binary(parts.get("value"), "signature.value"), binary(parts.get("public"), "signature.public")
    try:
        data = _SIGNED_AS + canonical(statement)
    except ValueError as error:
        raise EnvelopeError(f"statement: {error}") from error
    return standing(verifier, key, public, data, value)


def standing(verifier: Verifier, key: str, public: bytes, data: bytes, signature: bytes) -> Standing:
    """Return how ``signature`` over ``data``, said to be of ``key`` with ``public``, stands to ``verifier``'s keys."""
    known = verifier.key(key)
    if known is not None:
        return Standing.VALID if holds(known.public, data, signature) else Standing.BROKEN
    return Standing.UNKNOWN if key_id(public) == key and holds(public, data, signature) else Standing.BROKEN


def binary(text: Any, what: str) -> bytes:
    """Return the bytes that ``text`` is the base64 of. Raises EnvelopeError, which names ``what``."""
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else _no_base64(what)
    except ValueError:
        return _no_base64(what)


def _no_base64(what: str) -> bytes:
    raise EnvelopeError(f"{what}: not base64")


def _plain(value: Any) -> Any:
    """Return ``value`` with names in order and numbers as they are to be written."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        if not -LARGEST <= value <= LARGEST:
            raise ValueError(_BEYOND)
        return value
    if kind is float:
        return _number(value)
    if kind is dict or isinstance(value, Mapping):
        names = list(value)
        try:
            names.sort(key=None if "".join(names).isascii() else _utf_16)
        except TypeError:
            raise ValueError("a name that is no string") from None
        return {name: _plain(value[name]) for name in names}
    if kind is list or isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    raise ValueError(f"no JSON: {kind.__name__}")


def _utf_16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _number(value: float) -> Any:
    """Return ``value`` as what is written for it as ECMA-262, Number::toString, says; both take the shortest digits."""
    if not isfinite(value):
        raise ValueError("a number that is none")
    if value == int(value) and abs(value) <= LARGEST:
        return int(value)
    size = abs(value)
    if 1e-4 <= size <= LARGEST:
        return msgspec.Raw(repr(value).encode())
    if LARGEST < size < _EXPONENT:
        raise ValueError(_BEYOND)
    digits, _, exponent = f"{size!r}".partition("e")
    whole, _, fraction = digits.partition(".")
    fraction = fraction if fraction != "0" else ""
    figures, point = whole + fraction, len(whole) + int(exponent or 0)
    sign = "-" if value < 0 else ""
    if -6 < point <= 0:
        text = f"0.{'0' * -point}{figures}"
    else:
        power = point - 1
        text = f"{figures[0]}{'.' if figures[1:] else ''}{figures[1:]}e{'+' if power > 0 else '-'}{abs(power)}"
    return msgspec.Raw(f"{sign}{text}".encode())
