"""The users this process has made durable in the current period, so that a repeat costs no I/O."""

import mmap

LICENSES = 63
"""Licenses that one cache can tell apart: the bits of a mask."""


class _Generation:
    """Open-addressing hash table: pairs of key and mask in one flat array, whose pages are committed when touched."""

    __slots__ = ("pairs", "used")

    def __init__(self, slots: int) -> None:
        anonymous = mmap.mmap(-1, slots * 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.pairs = memoryview(anonymous).cast("q")
        self.used = 0


class SeenCache:
    """An exact, bounded map from a user's pseudonym to the licenses it was sighted under, as a bit mask.

    Exact: the full 64 bits are compared, so a user is never taken for another (a Bloom filter would lose users).
    Bounded: two generations of ``capacity / 2`` users; when the younger is full, the older is forgotten. Forgetting
    costs a user one more sighting, which the ledger ignores. There is one cache per period.

    Memory: 16 bytes a slot and at most half of the slots in use: 32 MiB for a capacity of 1,000,000 (a ``set`` of
    integers takes 82 MB), allocated at once but resident only as far as it was touched.

    One thread at a time may ``add``; any number may read meanwhile: a key becomes visible after its mask.
    """

    __slots__ = ("_half", "_older", "_wrap", "_younger")

    def __init__(self, capacity: int) -> None:
        if capacity < 2:
            raise ValueError(f"seen capacity {capacity}; allowed: 2 or more")
        self._half = capacity // 2
        slots = max(8, 1 << (2 * self._half - 1).bit_length())
        self._wrap = 2 * slots - 2  # takes a hash to the even places of an array of pairs
        self._younger = _Generation(slots)
        self._older = _Generation(slots)

    def has(self, key: int, mask: int) -> bool:
        """Return True if ``key`` is known under every license of ``mask``. Key 0, the empty slot's mark, never is."""
        # The pseudonym is a keyed hash already, so its low bits place it. Both probes are written out, as every request
        # passes here. The mask of an empty slot may belong to a key that is just being added: it is not looked at.
        generation, wrap, known = self._younger, self._wrap, 0
        pairs = generation.pairs
        place = key & wrap
        while (found := pairs[place]) != key and found:
            place = (place + 2) & wrap
        if found:
            known = pairs[place + 1]
            if known & mask == mask:
                return True
        generation = self._older
        if not generation.used:
            return False
        pairs = generation.pairs
        place = key & wrap
        while (found := pairs[place]) != key and found:
            place = (place + 2) & wrap
        return bool(found) and (known | pairs[place + 1]) & mask == mask

    def mask(self, key: int) -> int:
        """Return the licenses that ``key`` is known under; 0 for an unknown user."""
        wrap, mask = self._wrap, 0
        for generation in (self._younger, self._older):
            pairs = generation.pairs
            place = key & wrap
            while (found := pairs[place]) != key and found:
                place = (place + 2) & wrap
            if found:
                mask |= pairs[place + 1]
        return mask

    def add(self, key: int, mask: int) -> None:
        """``key`` is known under the licenses of ``mask`` too."""
        if not key or not mask:
            return
        generation, wrap = self._younger, self._wrap
        pairs = generation.pairs
        place = key & wrap
        while (found := pairs[place]) != key and found:
            place = (place + 2) & wrap
        if not found:
            if generation.used >= self._half:
                self._older, self._younger = generation, _Generation((wrap >> 1) + 1)
                generation, place = self._younger, key & wrap
                pairs = generation.pairs
            generation.used += 1
        pairs[place + 1] |= mask
        pairs[place] = key

    def __len__(self) -> int:
        return self._younger.used + self._older.used
