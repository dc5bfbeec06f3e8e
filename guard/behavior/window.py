"""The last prompts of an identity: how many of them have one form, and whether one is sampled again and again."""

import struct

from guard.behavior.reading import SKETCH, Reading

LENGTH = 32
"""Prompts that are remembered."""
AGAIN = 3
"""Times that a prompt was there under other seeds before it counts as a sweep."""
RECORD = struct.Struct(f"<{SKETCH}IBIH")
"""One prompt: its sketch, how many values that has, the prompt, and 16 bits of the seed, 0 if none was given."""
_SKETCH = struct.Struct(f"<{SKETCH}IB")
_SEED = struct.Struct(f"<{_SKETCH.size}xIH")


class Window:
    """The last ``LENGTH`` prompts; ``records`` are they as stored, oldest first, which a new one may be made of.

    Which of them have a value is kept as bits of one number, so a prompt is compared with all of them at once.
    """

    __slots__ = ("_next", "_places", "_quarters", "records")

    def __init__(self, records: bytes = b"") -> None:
        self.records = bytearray(records)
        self._places: dict[int, int] = {}
        """Value of a sketch -> a bit for each prompt that has it."""
        self._quarters = [0] * (SKETCH // 4 + 1)
        """A bit for each prompt, by a quarter of its sketch's values, rounded up: so many are to be shared."""
        self._next = 0
        for at in range(0, len(records), RECORD.size):
            *values, length = _SKETCH.unpack_from(records, at)
            self._mark(values[:length])

    def __len__(self) -> int:
        return len(self.records) // RECORD.size

    def add(self, reading: Reading, seed: int) -> tuple[float, bool]:
        """Remember a prompt; return the share of those before it that have its form, and whether it is a seed sweep."""
        share = self._alike(reading.sketch)
        sweep = bool(seed) and self._swept(reading.prompt, seed)
        if len(self) == LENGTH:
            self._forget()
        values = sorted(reading.sketch)
        self._mark(values)
        padding = (0,) * (SKETCH - len(values))
        self.records += RECORD.pack(*values, *padding, len(values), reading.prompt, seed)
        return share, sweep

    def _mark(self, values: list[int]) -> None:
        bit, places = 1 << self._next, self._places
        for value in values:
            places[value] = places.get(value, 0) | bit
        self._quarters[_quarter(len(values))] |= bit
        self._next = (self._next + 1) % LENGTH

    def _forget(self) -> None:
        """Drop the oldest, whose bit is the next one's."""
        *values, length = _SKETCH.unpack_from(self.records)
        bit, places = 1 << self._next, self._places
        for value in values[:length]:
            if left := places[value] ^ bit:
                places[value] = left
            else:
                del places[value]
        self._quarters[_quarter(length)] ^= bit
        del self.records[: RECORD.size]

    def _alike(self, sketch: frozenset[int]) -> float:
        """Return the share of prompts that have a quarter of the smaller sketch in common (reading.alike)."""
        count = len(self)
        if not count:
            return 0.0
        one = two = three = four = 0  # prompts that share at least so many values
        for places in filter(None, map(self._places.get, sketch)):
            four |= three & places
            three |= two & places
            two |= one & places
            one |= places
        found, most, shared = 0, _quarter(len(sketch)), (0, one, two, three, four)
        for quarter, prompts in enumerate(self._quarters):
            found |= prompts & shared[min(quarter, most)]
        return found.bit_count() / count

    def _swept(self, prompt: int, seed: int) -> bool:
        seeds = set()
        for at in range(0, len(self.records), RECORD.size):
            was, its = _SEED.unpack_from(self.records, at)
            if was == prompt and its:
                seeds.add(its)
        return seed not in seeds and len(seeds) >= AGAIN


def _quarter(values: int) -> int:
    return (values + 3) // 4
