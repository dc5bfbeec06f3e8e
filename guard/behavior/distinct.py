"""How many different prompts: a HyperLogLog (Flajolet et al., 2007) of this week and one of the week before."""

from math import log

from guard.behavior.reading import Reading

REGISTERS = 128
"""A standard error of 9 %: enough to tell a set that comes again every night from prompts that are ever new."""
WEEK = 7 * 86400.0
_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
_POWERS = [2.0**-rank for rank in range(256)]
_ODD = 0x9E3779B97F4A7C15


class Distinct:
    """Counts prompts and different prompts over the last one to two weeks."""

    __slots__ = ("before", "counted", "counted_before", "now", "since")

    def __init__(self) -> None:
        self.now, self.before = bytearray(REGISTERS), bytearray(REGISTERS)
        self.counted = self.counted_before = 0
        self.since = 0.0

    def add(self, reading: Reading, now: float) -> None:
        """Count one prompt at ``now`` (epoch seconds)."""
        self.turn(now)
        self.counted += 1
        mixed = (reading.prompt * _ODD) & 0xFFFFFFFFFFFFFFFF
        at, rest = mixed >> 57, (mixed >> 25) & 0xFFFFFFFF
        rank = 33 - rest.bit_length()
        self.now[at] = max(self.now[at], rank)

    def turn(self, now: float) -> None:
        """Begin a week, if the last one is over."""
        if now - self.since >= WEEK:
            recent = now - self.since < 2 * WEEK
            self.before = self.now if recent else bytearray(REGISTERS)
            self.counted_before = self.counted if recent else 0
            self.now, self.counted, self.since = bytearray(REGISTERS), 0, now

    def ratio(self) -> float:
        """Return different prompts by prompts, 0..1; 1 before anything was counted."""
        counted = self.counted + self.counted_before
        if not counted:
            return 1.0
        registers = list(map(max, self.now, self.before)) if self.counted_before else self.now
        found = _ALPHA * REGISTERS * REGISTERS / sum(map(_POWERS.__getitem__, registers))
        empty = registers.count(0)
        if found <= 2.5 * REGISTERS and empty:
            found = REGISTERS * log(REGISTERS / empty)
        return min(1.0, found / counted)
