"""Many patterns over one growing text: a pattern is asked only from where it may have begun.

While nothing has begun, a character costs one look-up for all of them together.
"""

from collections.abc import Sequence

from guard.screening.patterns import Pattern, Walker
from guard.screening.positions import joins

_CACHED = 4096


class _Calls(dict[str, tuple[int, ...]]):
    """Which patterns may begin with a character, behind a part of a word or elsewhere."""

    def __init__(self, patterns: Sequence[Pattern], *, after_word: bool) -> None:
        super().__init__()
        self._idle = [pattern.idle(after_word=after_word) for pattern in patterns]

    def __missing__(self, character: str) -> tuple[int, ...]:
        called = tuple(index for index, state in enumerate(self._idle) if not state[character].quiet)
        if len(self) < _CACHED:
            self[character] = called
        return called


class Patterns:
    """Patterns that are looked for together; immutable, shared by every text. Matches name them by their place."""

    __slots__ = ("_calls", "longest", "patterns")

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self.longest = max((pattern.longest for pattern in patterns), default=0)
        """Characters of the longest match of any."""
        self._calls = _Calls(self.patterns, after_word=False), _Calls(self.patterns, after_word=True)

    def walker(self) -> "Walkers":
        """Return a fresh matcher of one growing text."""
        return Walkers(self.patterns, self._calls)


class Walkers:
    """The walkers of many patterns as one, with ``Walker``'s contract. Made by ``Patterns.walker``."""

    __slots__ = ("_active", "_after_word", "_calls", "_found", "_patterns", "_walkers", "fed")

    def __init__(self, patterns: Sequence[Pattern], calls: tuple[_Calls, _Calls]) -> None:
        self.fed = 0
        """Characters fed so far."""
        self._patterns = patterns
        self._calls = calls
        self._after_word = False
        self._walkers: dict[int, Walker] = {}
        self._active: tuple[int, ...] = ()
        """Patterns of which something has begun."""
        self._found: list[tuple[int, int, int]] = []

    @property
    def hold(self) -> int:
        """The earliest offset at which a match may begin that is not finished; ``fed`` if there is none."""
        return min((self._walkers[index].hold for index in self._active), default=self.fed)

    def held(self, wanted: frozenset[int]) -> int:
        """Return ``hold`` as the patterns at the places ``wanted`` alone would have it."""
        return min((self._walkers[index].hold for index in self._active if index in wanted), default=self.fed)

    def step(self, character: str) -> None:
        """Read ``character``, one character of folded text."""
        called = self._calls[self._after_word][character]
        if called or self._active:
            self._step(character, called)
        self._after_word = joins(character)
        self.fed += 1

    def take(self) -> list[tuple[int, int, int]]:
        """Return the matches finished since the last call, as (place of the pattern, start, end)."""
        found, self._found = self._found, []
        return found

    def finish(self) -> None:
        """The text ends here: every match is finished."""
        for index in self._active:
            walker = self._walkers[index]
            walker.finish()
            self._found += [(index, start, end) for start, end in walker.take()]
        self._active = ()

    def jump(self, fed: int, *, after_word: bool) -> None:
        """Go on at offset ``fed``, behind a part of a word or not; only while nothing has begun."""
        self.fed, self._after_word = fed, after_word

    def _step(self, character: str, called: tuple[int, ...]) -> None:
        active = self._active
        for index in called:
            if index not in active:
                walker = self._walkers.get(index)
                if walker is None:
                    walker = self._walkers[index] = self._patterns[index].walker()
                walker.jump(self.fed, after_word=self._after_word)
                active += (index,)
        alive = []
        for index in active:
            walker = self._walkers[index]
            walker.step(character)
            found = walker.take()
            if found:
                self._found += [(index, start, end) for start, end in found]
            if walker.hold < walker.fed:
                alive.append(index)
        self._active = tuple(alive)
