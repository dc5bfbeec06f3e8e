"""Who sent a request, and how much that claim is worth."""

from enum import StrEnum
from typing import NamedTuple

from guard.usage.pseudonym import ALWAYS, Term


class Assurance(StrEnum):
    """How strongly an identity is established."""

    VERIFIED = "verified"
    """Cryptographically: a client certificate, a signature of a bearer token or an assertion, a registered API key of
    one person."""
    ASSERTED = "asserted"
    """Said by a trusted hop's header or by a body field."""
    CREDENTIAL = "credential"
    """Only the credential is known, not the person behind it."""
    ANONYMOUS = "anonymous"


class Identity(NamedTuple):
    """The end user of a request. ``key`` is the 64-bit keyed pseudonym; the raw subject is never kept."""

    source: str
    """``mtls``, ``assertion``, ``jwt``, ``trusted_header``, ``api_key``, ``body``, ``credential`` or ``none``."""
    assurance: Assurance
    key: int | None
    tenant: str | None = None
    """Name of the application or tenant from the policy, if any."""
    purpose: str = "unknown"
    """Declared purpose: ``serve``, ``evaluate``, ``train:<target>``, ``synthetic-data:<target>`` or ``unknown``."""
    term: Term = ALWAYS
    """When the key that ``key`` was made with is in force: the request is counted within it."""


ANONYMOUS = Identity("none", Assurance.ANONYMOUS, None)
