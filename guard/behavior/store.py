"""Where profiles are kept between requests and shared by processes and gateways."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from guard.behavior.ladder import Step

COHORT = "cohort"
"""Name of the row with what is usual; every other name is a pseudonym's 16 hex digits."""


class StoreUnavailable(Exception):
    """The store cannot be read or written now: behavior is unknown, and no request is hurt by it."""


class Row(NamedTuple):
    """What is kept under one name; the revision changes with every write."""

    revision: int
    data: bytes


class Change(NamedTuple):
    """One row to be written if its revision is still the one it was read under (0: there was none)."""

    name: str
    revision: int
    data: bytes
    step: Step
    seen: float
    """Epoch seconds of the last request in it."""


class Store(Protocol):
    """Rows by name. Safe for several threads, processes and, where the store is a server, gateways.

    Every method but ``close`` raises StoreUnavailable.
    """

    def read(self, names: Sequence[str]) -> Mapping[str, Row]:
        """Return the rows of those ``names`` that there are."""

    def write(self, changes: Sequence[Change]) -> Sequence[str]:
        """Write what nobody else changed since it was read; return the names of the others, which are left alone.

        A row that was written has the revision after the one in its change.
        """

    def standing(self) -> Mapping[str, Step]:
        """Return every identity above the first step."""

    def saw(self, day: str, sightings: Iterable[tuple[int, str]]) -> Sequence[int]:
        """Note (template, identity) for ``day`` (``2026-11-22``); return how many identities each template had."""

    def forget(self, before: float, day: str) -> None:
        """Drop profiles last seen ``before`` (epoch seconds) and sightings of days before ``day``."""

    def close(self) -> None:
        """Release the store."""


def name_of(identity: int) -> str:
    """Return the name of an identity's row, which is what decisions in the audit chain call its user."""
    return format(identity & 0xFFFFFFFFFFFFFFFF, "016x")


def identity_of(name: str) -> int:
    """Return the identity that ``name_of`` names. Raises ValueError for no such name."""
    if len(name) != 16:
        raise ValueError(f"{name[:32]!r}; allowed: 16 hex digits")
    value = int(name, 16)
    return value - (1 << 64) if value >> 63 else value
