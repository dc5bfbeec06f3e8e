"""Client certificates as a TLS-terminating hop reports them: whose the connection was."""

import re
from collections.abc import Mapping

XFCC = b"x-forwarded-client-cert"
"""Envoy's header. Any other holds the certificate's subject and nothing else (``ssl-client-subject-dn``)."""

_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;]*))\s*([,;]|\Z)', re.DOTALL)


class CertificateError(ValueError):
    """A header that is not in the form the hop writes it in."""


def holder(header: bytes, value: str) -> str | None:
    """Return whose certificate ``value`` of the header ``header`` (lower-case name) is about, None if it says nothing.

    Of ``x-forwarded-client-cert`` the last element counts, which the trusted hop added itself: what stands before it
    may be a client's. There the URI (a SPIFFE id) names the holder, else the subject. Raises CertificateError.
    """
    if header != XFCC:
        return value.strip() or None
    element = last_element(value)
    return element.get("uri") or element.get("subject") or None


def last_element(value: str) -> Mapping[str, str]:
    r"""Return the last element of an ``x-forwarded-client-cert``: its first value of each key, keys in lower case.

    The form is Envoy's (HTTP header manipulation, x-forwarded-client-cert): elements with ``,`` between them, each of
    ``key=value`` pairs with ``;`` between them; a value with one of ``,;=`` is in double quotes, with ``\"`` for a
    quote. Raises CertificateError for anything else: a quote that a client leaves open, to swallow the comma before
    what the hop adds, is closed by the hop's own first quote, behind which no separator stands.
    """
    found: dict[str, str] = {}
    at, separator = 0, ","
    while separator:
        pair = _PAIR.match(value, at)
        if pair is None:
            raise CertificateError("no pair of a key and a value")
        if separator == ",":
            found = {}
        key, quoted, plain, separator = pair.groups()
        found.setdefault(key.lower(), plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = pair.end()
    return found
