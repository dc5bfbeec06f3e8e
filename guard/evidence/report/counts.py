"""Counts that know where they come from: how many, and which entries of which journals say so."""

from collections.abc import Iterator
from typing import Any, NamedTuple

MOST = 2000
"""Keys of one count that are told apart; what comes after these is counted together."""
Key = tuple[str | None, ...]


class Place(NamedTuple):
    """Where an entry stands: the journal's name, and the entry's number in it."""

    journal: str
    seq: int


class Spans:
    """Entries, by the journals that they are in: the first, the last and how many."""

    __slots__ = ("_in", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        """What the entries are: ``decision``."""
        self._in: dict[str, list[int]] = {}

    def add(self, place: Place) -> None:
        """Take the entry at ``place``; those of one journal in order."""
        found = self._in.get(place.journal)
        if found is None:
            self._in[place.journal] = [place.seq, place.seq, 1]
        else:
            found[1] = place.seq
            found[2] += 1

    @property
    def entries(self) -> int:
        """How many entries there are."""
        return sum(entries for _, _, entries in self._in.values())

    def source(self) -> dict[str, Any]:
        """Return the entries as a source: sorted by journal."""
        return {
            "kind": self.kind,
            "entries": [
                {"journal": journal, "from": first, "to": last, "entries": entries}
                for journal, (first, last, entries) in sorted(self._in.items())
            ],
        }


class Counts:
    """Numbers by key, each with its entries. Bounded: beyond ``most`` keys everything else is one key of its own."""

    def __init__(self, kind: str, names: tuple[str, ...], most: int = MOST) -> None:
        self.names = names
        """What the parts of a key are called in a row."""
        self._kind, self._most = kind, most
        self._found: dict[Key, tuple[list[int], Spans]] = {}

    def add(self, key: Key, place: Place, number: int = 1) -> None:
        """Count ``number`` more of ``key``, by the entry at ``place``."""
        known = self._found.get(key)
        if known is None:
            if len(self._found) >= self._most:
                key = ("(others)", *(None for _ in key[1:]))
            known = self._found.setdefault(key, ([0], Spans(self._kind)))
        known[0][0] += number
        known[1].add(place)

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def total(self) -> int:
        """The sum over all keys."""
        return sum(number[0] for number, _ in self._found.values())

    def of(self, key: Key) -> int:
        """Return the number of one key."""
        return self._found[key][0][0] if key in self._found else 0

    def rows(self) -> list[dict[str, Any]]:
        """Return the counts as rows, the largest first and those of one size by their names."""
        return list(self._rows())

    def _rows(self) -> Iterator[dict[str, Any]]:
        def rank(item: tuple[Key, tuple[list[int], Spans]]) -> tuple[int, list[str]]:
            return -item[1][0][0], [part or "" for part in item[0]]

        for key, (number, spans) in sorted(self._found.items(), key=rank):
            yield {**dict(zip(self.names, key, strict=True)), "number": number[0], "source": spans.source()}


class Listed:
    """Single happenings, in the order in which they were read; beyond ``most`` they are only counted."""

    def __init__(self, most: int = 1000) -> None:
        self.rows: list[dict[str, Any]] = []
        self.left_out = 0
        self._most = most

    def add(self, row: dict[str, Any]) -> None:
        """Keep ``row``, or count it where there are too many."""
        if len(self.rows) < self._most:
            self.rows.append(row)
        else:
            self.left_out += 1

    @property
    def total(self) -> int:
        """How many there are, listed or not."""
        return len(self.rows) + self.left_out

    def by_time(self) -> list[dict[str, Any]]:
        """Return the rows by ``at``, those of one moment by journal and number."""
        return sorted(self.rows, key=lambda row: (row["at"], row["source"]["journal"], row["source"]["entry"]))
