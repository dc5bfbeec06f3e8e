"""A declaration: what somebody states to do with the answers, and what the license said to that.

It is on record once a day per statement, not once per request: whoever says the same again has said it.
"""

from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple

from guard.licensing.license import License
from guard.provenance.receipt import clauses, pseudonym

KEPT = 65_536
"""Statements of the day that are remembered; beyond them one may be on record twice."""
_DAY = 86_400.0


class Declaration(NamedTuple):
    """What the journal keeps of one statement."""

    reference: str
    """The request it came with."""
    time: float
    """Epoch seconds."""
    tenant: str | None
    identity: int | None
    """The keyed pseudonym of the user; never the raw subject."""
    source: str
    """Who stated it: ``key``, ``tenant``, ``claim`` or ``header``."""
    purpose: str
    model: str | None
    licenses: Sequence[License | str]
    verdict: str
    clause: str

    def facts(self) -> dict[str, object]:
        """Return the declaration as facts of a journal entry; the pseudonym as 16 hexadecimal digits."""
        return {
            "id": f"d-{self.reference}",
            "declared": self.time,
            "tenant": self.tenant,
            "identity": pseudonym(self.identity),
            "source": self.source,
            "purpose": self.purpose,
            "model": self.model,
            "licenses": clauses(self.licenses),
            "verdict": self.verdict,
            "clause": self.clause,
        }


class Declarations:
    """Which statements of the day are on record already; safe from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._day = -1
        self._known: set[tuple[object, ...]] = set()

    def new(self, declaration: Declaration) -> bool:
        """Return True if nobody has stated the same on this UTC day, with the same outcome under the policy in force.

        Whoever has no pseudonym is taken for the one anonymous user of his tenant.
        """
        said = (declaration.tenant, declaration.identity, *declaration[4:7], *declaration[8:])
        day = int(declaration.time // _DAY)
        with self._lock:
            if day == self._day and said in self._known:
                return False
            if day != self._day or len(self._known) >= KEPT:
                self._day, self._known = day, set()
            self._known.add(said)
            return True
