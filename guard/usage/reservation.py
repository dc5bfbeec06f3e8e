"""Whether a request may go on under the usage rules, and the place it holds meanwhile."""

from dataclasses import dataclass
from enum import StrEnum

from guard.usage.thresholds import Limit


class Admission(StrEnum):
    """Whether the usage rules let a user's request through."""

    ADMITTED = "admitted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Reservation:
    """The answer to ``reserve``: give it back with ``settle`` whatever becomes of the request."""

    admission: Admission
    limit: Limit | None = None
    """The limit that refused the request."""
    held: tuple[str, ...] = ()
    """Licenses under which a place is kept for a newcomer."""
    key: int | None = None
    serial: int = 0
    """Tells reservations with places apart; 0 without."""


ADMITTED = Reservation(Admission.ADMITTED)
