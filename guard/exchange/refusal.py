"""A refusal: why Guard did not serve a request, in words a client and a lawyer can use.

It never says which words matched (that is in the audit log under the reference), and a failed check reads the same as
a hit, so a caller cannot probe for outages.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Code(StrEnum):
    """``error.code`` of a refusal: the stable public contract."""

    SURFACE_DENIED = "surface_denied"
    FIELD_DENIED = "field_denied"
    MALFORMED = "malformed"
    IDENTITY_REQUIRED = "identity_required"
    LICENSE_TERMS = "license_terms"
    USAGE_THRESHOLD = "usage_threshold"
    TERRITORY = "territory"
    AUP = "aup"
    OUTPUT_USE = "output_use"
    SCREENING_UNAVAILABLE = "screening_unavailable"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    LEDGER_UNAVAILABLE = "ledger_unavailable"


SHADOWED = frozenset(
    {
        Code.IDENTITY_REQUIRED,
        Code.LICENSE_TERMS,
        Code.USAGE_THRESHOLD,
        Code.TERRITORY,
        Code.AUP,
        Code.OUTPUT_USE,
        Code.SCREENING_UNAVAILABLE,
        Code.LEDGER_UNAVAILABLE,
    }
)
"""Codes that shadow mode records without refusing; the others mean Guard could not understand or forward a request."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision not to serve, complete but for the reference id of the request it answers."""

    status: int
    code: Code
    message: str
    license: str | None = None
    clause: str | None = None
    category: str | None = None
    reference: str = ""

    def referenced(self, reference: str) -> "Refusal":
        """Return the same refusal carrying ``reference``."""
        return replace(self, reference=reference)

    def facts(self) -> dict[str, str | None]:
        """Return the ``error.guard`` object of the public contract."""
        return {
            "reference": self.reference,
            "license": self.license,
            "clause": self.clause,
            "category": self.category,
        }
