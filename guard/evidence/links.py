"""The end of a chain while it is written: each entry is linked to the one before it, and runs of leaves in one call.

A run is compiled where the processor computes SHA-256 itself (``_links.c``), and made entry by entry elsewhere.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from guard.evidence.entry import GENESIS, Canonical, Facts, link
from guard.evidence.merkle import leaf_hash
from guard.evidence.seal import Leaf, leaf_bytes

ORDER = 0.5
"""Seconds by which an entry may have been made before the one that it stands behind: it gets the time of that one. By
more, the clock was set back, and the times in the chain say so.
"""
_encode = msgspec.json.Encoder().encode

Linked = tuple[bytes, bytes, list[bytes]]
"""Lines, the hash of the last one, and the hash of each as a leaf."""


class Run(NamedTuple):
    """The facts of several leaves of one kind, made at one time."""

    each: list[Canonical]


class Links:
    """What the next entry follows."""

    def __init__(self) -> None:
        self.restart(0, GENESIS, 0.0)

    def restart(self, seq: int, hash_: bytes, time: float) -> None:
        """Go on behind entry ``seq`` of that hash and time (epoch seconds)."""
        self.seq, self.hash, self.time = seq, hash_, time

    def line(self, moment: float, kind: str, facts: Facts) -> bytes:
        """Return the line of an entry made at ``moment``."""
        self._move(moment)
        self.seq += 1
        line, self.hash = link(self.hash, self.seq, self.time, kind, facts)
        return line

    def lines(self, moment: float, kind: str, facts: Run) -> tuple[bytes, list[Leaf]]:
        """Return the lines of a run made at ``moment``, and its leaves."""
        self._move(moment)
        octets = [each.octets for each in facts.each]
        lines, self.hash, hashes = run(self.hash, self.seq + 1, _encode(self.time), kind.encode(), octets)
        self.seq += len(octets)
        return lines, [Leaf(each.id, hash_, 0) for each, hash_ in zip(facts.each, hashes, strict=True)]

    def _move(self, moment: float) -> None:
        self.time = self.time if self.time - ORDER <= moment < self.time else moment


def run_twin(prev: bytes, seq: int, time: bytes, kind: bytes, facts: list[bytes]) -> Linked:
    """Return a run behind ``prev`` that begins with entry ``seq``; ``time`` and ``facts`` are JSON, ``kind`` a name."""
    moment, name, lines, leaves = msgspec.json.decode(time), kind.decode(), [], []
    for number, octets in enumerate(facts, seq):
        line, prev = link(prev, number, moment, name, Canonical("", octets))
        lines.append(line)
        leaves.append(leaf_hash(leaf_bytes(name, Canonical("", octets))))
    return b"".join(lines), prev, leaves


run: Callable[[bytes, int, bytes, bytes, list[bytes]], Linked]
try:
    from guard.evidence._links import run
except ImportError:  # an install needs no compiler, and not every processor is able to
    run = run_twin
