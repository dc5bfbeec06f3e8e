"""The ledger: which users were active in which period, under which license. Every write is a set insertion."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote, urlsplit

ALLOWED_URL = (
    "an absolute path such as sqlite:///var/lib/guard/ledger.db, optionally with ?synchronous=normal or "
    "?synchronous=full"
)


class Scope(NamedTuple):
    """What a user is counted in: a period (``2026-11``) of a license."""

    period: str
    license: str


class Totals(NamedTuple):
    """The count of one scope: distinct users, and answered requests that nobody could be named for."""

    users: int
    unidentified: int


class LedgerError(Exception):
    """A ledger that cannot be used as configured; the text says what was found, where, and what is allowed."""


class LedgerMismatch(LedgerError):
    """The ledger was written under another key, zone or schema; counting into it would mix two counts."""


class LedgerUnavailable(Exception):
    """The ledger cannot be read or written now. Nothing is lost: what was not acknowledged stays in the spool."""


class Ledger(Protocol):
    """A store of sightings. Safe for one writing and any number of reading threads, and for several processes.

    ``write``, ``totals``, ``users`` and ``contains`` raise LedgerUnavailable.
    """

    key_fingerprint: str
    """Of the pseudonym key that every user in it was counted under."""
    survives_power_loss: bool
    """True if what ``write`` returned for is on the medium; False if it survives kill -9 but maybe no power cut."""

    def bind(self, zone: str) -> None:
        """Record that the ledger's months are those of ``zone``. Raises LedgerMismatch if they are another zone's."""

    def write(
        self, sightings: Mapping[Scope, Collection[int]], unidentified: Mapping[Scope, int]
    ) -> Mapping[Scope, "Written"]:
        """Insert users and add to the unidentified totals, all or nothing; durable on return.

        A user who is there already changes nothing, so sightings may be written any number of times.
        """

    def totals(self, period: str) -> Mapping[str, Totals]:
        """Return the totals of ``period`` by license; O(licenses)."""

    def users(self, scope: Scope) -> int:
        """Return the number of distinct users in ``scope``, those of other processes included; O(1)."""

    def contains(self, scope: Scope, user: int) -> bool:
        """Return True if ``user`` is counted in ``scope``."""

    def periods(self) -> list[str]:
        """Return the periods with any count, oldest first."""

    def zone(self) -> str | None:
        """Return the zone the ledger is bound to, None if it never was."""

    def close(self) -> None:
        """Release the store; what was written stays."""


class Written(NamedTuple):
    """What a write did to one scope: users who were new, and the totals after it."""

    new: int
    users: int
    unidentified: int


class LedgerUrlError(LedgerError):
    """A URL that names no ledger. ``found`` holds no password."""

    def __init__(self, found: str) -> None:
        super().__init__(f"ledger {found}; allowed: {ALLOWED_URL}")
        self.found = found


class Place(NamedTuple):
    """Where an SQLite ledger is, and how its commits are synced."""

    path: str
    survives_power_loss: bool


def parse_url(url: str) -> Place:
    """Return the place that ``url`` names; nothing is opened. Raises LedgerUrlError.

    ``sqlite:////absolute/path`` with four slashes, as SQLAlchemy writes it, is the same absolute path. With three and
    one component, ``sqlite:///rel.db``, what was meant is most likely a relative path, so it is refused.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise LedgerUrlError(f"{_shown(url)}: not a URL") from None
    if parts.scheme != "sqlite":
        raise LedgerUrlError(f"{_shown(url)}: scheme {parts.scheme or 'missing'!r} is unknown")
    path = unquote(parts.path)
    if parts.netloc or parts.fragment or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise LedgerUrlError(f"{_shown(url)}: no absolute path of a file")
    if path.count("/") == 1:
        raise LedgerUrlError(f"{_shown(url)}: it is the file {path} in the root directory")
    mode = parts.query or "synchronous=normal"
    if mode not in {"synchronous=normal", "synchronous=full"}:
        raise LedgerUrlError(f"{_shown(url)}: option {mode!r} is unknown")
    return Place(f"/{path.lstrip('/')}", mode == "synchronous=full")


def open_ledger(url: str, key_fingerprint: str | None) -> Ledger:
    """Return the ledger at ``url`` (``parse_url``): ``?synchronous=full`` makes what is written outlive power loss.

    A missing file is created, with mode 0600. ``key_fingerprint`` is ``Pseudonymizer.fingerprint``; the first one is
    stored and any other refused with LedgerMismatch. None opens an existing ledger for reading only, whatever its
    key. Raises LedgerError for a URL or file that cannot be used.
    """
    place = parse_url(url)
    from guard.usage.stores.sqlite import SqliteLedger  # noqa: PLC0415  (a driver loads with the URL that needs it)

    return SqliteLedger(place.path, key_fingerprint, survives_power_loss=place.survives_power_loss)


def sqlite_url(path: Path) -> str:
    """Return the URL of the embedded ledger in the file ``path``; a relative path is one from here."""
    quoted = quote(str(path.absolute()))
    return f"sqlite:///{quoted}" if quoted.count("/") == 1 else f"sqlite://{quoted}"


def _shown(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}...@{rest.rpartition('@')[2]}" if "@" in rest else url
