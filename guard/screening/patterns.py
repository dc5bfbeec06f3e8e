"""Regular expressions in rules: what a stream finds is what the whole text holds, in linear time.

A match is the longest that passes the pattern's check at the leftmost place where there is one; matches do not overlap.
The machine is deterministic and made as texts ask for it: a state is the list of the places at which a match may have
begun, each with the positions (``guard.screening.positions``) it may be at, without what an earlier place is at too.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from guard.screening.checksums import CHECKS
from guard.screening.positions import UNSPACED, Positions, bits, joins

_CACHED_STATES = 2048
_CACHED_KINDS = 4096
_CACHED_IDLE, _CACHED_WIDE = 4096, 192
"""Moves that a state keeps: clients choose the characters."""
_READ = 512


class _Move(NamedTuple):
    """What one character does to a state."""

    state: "_State"
    quiet: bool
    """Nothing has begun before or after it."""
    kept: tuple[int, ...]
    """Which of the places, by their order before, live on; -1: the character's own place."""
    ended: int
    """The last place may end before the character (1), behind it (2), or at neither (0)."""
    afresh: bool
    """That place had no end before."""
    closed: bool
    """No character can change the first place's match any more."""


class _State(dict[str, _Move]):
    """Places, earliest first, as bit sets of the positions last read; learns its moves as they are asked for."""

    __slots__ = ("after_word", "ended", "pattern", "places")

    def __init__(self, pattern: "Pattern", places: tuple[int, ...], ended: bool, after_word: bool) -> None:
        super().__init__()
        self.pattern = pattern
        self.places = places
        self.ended = ended
        """The last place has ended once: nothing begins behind it."""
        self.after_word = after_word

    def __missing__(self, character: str) -> _Move:
        move = self.pattern.move(self, character)
        if character.isascii() or len(self) < (_CACHED_WIDE if self.places else _CACHED_IDLE):
            self[character] = move
        return move


class Pattern:
    """One regular expression, compiled; immutable. Made by ``parse``; equal to what is written alike."""

    __slots__ = (
        "_begins", "_check", "_follow", "_kinds", "_letters", "_needs", "_states", "check", "expression", "longest",
        "plain", "positions", "written",
    )  # fmt: skip

    def __init__(self, written: str, check: str = "") -> None:
        self.written = written
        self.check = check
        """Name of one of ``guard.screening.checksums.CHECKS``; empty: none."""
        self._check: Callable[[str], bool] | None = CHECKS[check] if check else None
        self.positions = Positions(written)
        self.longest = self.positions.longest
        """Characters of the longest match."""
        self.expression = self.positions.expression
        """A Hyperscan expression over folded UTF-8 that occurs wherever the pattern matches, and perhaps elsewhere."""
        self.plain = self.positions.plain
        """Whether words alone may match, without a digit or a sign."""
        distinct = dict.fromkeys(self.positions.letters)
        self._letters = [
            (letters, sum(1 << place for place, here in enumerate(self.positions.letters) if here == letters))
            for letters in distinct
        ]
        self._kinds: dict[str, int] = {}
        self._follow: dict[int, int] = {}
        self._states: dict[tuple[tuple[int, ...], bool, bool], _State] = {}
        first = "|".join(letters.source for letters, where in self._letters if where & self.positions.first)
        self._begins = re.compile(rf"(?:\b|(?<=[{UNSPACED}]))(?:{first})" if self.positions.left else first)
        needed = self.positions.needed
        self._needs = re.compile(f"[{re.escape(needed)}]") if needed else None

    @classmethod
    def parse(cls, written: str, check: str = "") -> "Pattern":
        r"""Return the pattern that a rule file writes as ``written``, whose matches pass ``check``.

        Raises ValueError with the reason if it is no regular expression, matches the empty text or more than
        MAX_LENGTH characters, or has lookaround, backreferences, lazy repeats, flags or anchors other than ``\b`` at
        its ends; KeyError for an unknown check.
        """
        return cls(written, check)

    def __repr__(self) -> str:
        return f"Pattern({self.written!r}, {self.check!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and (self.written, self.check) == (other.written, other.check)

    def __hash__(self) -> int:
        return hash((self.written, self.check))

    def walker(self) -> "Walker":
        """Return a fresh matcher of one growing text."""
        return Walker(self)

    def findall(self, text: str, most: int | None = None) -> list[tuple[int, int]]:
        """Return the matches in ``text``, folded and complete, from left to right: (start, end) in characters.

        The search ends where it has ``most``; None: it goes on to the end of the text.
        """
        walker = Walker(self)
        found, limit = walker.found, len(text) if most is None else most
        at, size, needed = 0, len(text), -1
        while at < size and len(found) < limit:
            if walker.hold == walker.fed:
                if self._needs is not None and needed < at:
                    place = self._needs.search(text, at)
                    if place is None:
                        break
                    needed = place.start()
                    at = max(at, needed + 1 - self.longest)
                begin = self._begins.search(text, at)
                if begin is None:
                    break
                at = begin.start()
                walker.jump(at, after_word=at > 0 and joins(text[at - 1]))
            walker.step(text[at])
            at += 1
        walker.finish()
        return walker.take()[:limit]

    def passes(self, text: str) -> bool:
        """Return whether ``text``, which matches, passes the check."""
        return self._check is None or self._check(text)

    def idle(self, *, after_word: bool) -> _State:
        """Return the state in which nothing has begun."""
        return self._state((), False, after_word)

    def at_end(self, state: _State) -> tuple[_State, bool, bool] | None:
        """Return None if no place of ``state`` has ended at the end of the text.

        Else: the state with the first that has as its last, whether that one ended just there, and had no end before.
        """
        places, ended = state.places, state.ended
        if self.positions.right and state.after_word:
            for index, place in enumerate(places):
                if place & self.positions.last:
                    afresh = not (ended and index == len(places) - 1)
                    return self._state(places[: index + 1], True, state.after_word), True, afresh
        return (state, False, False) if ended else None

    def move(self, state: _State, character: str) -> _Move:
        """Return what ``character`` does to ``state``."""
        positions = self.positions
        allowed = self._allowed(character)
        in_word = joins(character)
        edge = in_word is not state.after_word
        places, was_last, open_end = list(state.places), len(state.places) - 1, state.ended
        ended, afresh = 0, False
        if positions.right and edge:
            for index, place in enumerate(places):
                if place & positions.last:
                    ended, afresh = 1, not (open_end and index == was_last)
                    del places[index + 1 :]
                    open_end = True
                    break
        seen = 0
        after = []
        for place in places:
            reached = self._followers(place) & allowed & ~seen
            seen |= reached
            after.append(reached)
        came = list(range(len(after)))
        if not open_end and (edge or not positions.left):
            after.append(positions.first & allowed & ~seen)
            came.append(-1)
        if not positions.right:
            for index, place in enumerate(after):
                if place & positions.last:
                    ended, afresh = 2, not (open_end and index == len(after) - 1)
                    del after[index + 1 :], came[index + 1 :]
                    open_end = True
                    break
        kept = [
            index
            for index, place in enumerate(after)
            if self._followers(place)
            or (positions.right and place & positions.last)
            or (open_end and index == len(after) - 1)
        ]
        after, came = [after[index] for index in kept], [came[index] for index in kept]
        last_alive = bool(after) and bool(
            self._followers(after[-1]) or (positions.right and after[-1] & positions.last)
        )
        closed = open_end and len(after) == 1 and not last_alive
        following = self._state(tuple(after), open_end, in_word)
        return _Move(following, not state.places and not after, tuple(came), ended, afresh, closed)

    def _allowed(self, character: str) -> int:
        """Return the bit set of the positions at which ``character`` may stand."""
        allowed = self._kinds.get(character)
        if allowed is None:
            allowed = 0
            for letters, where in self._letters:
                if letters.hold(character):
                    allowed |= where
            if len(self._kinds) < _CACHED_KINDS:
                self._kinds[character] = allowed
        return allowed

    def _followers(self, place: int) -> int:
        """Return the bit set of what may come behind the positions of ``place``."""
        found = self._follow.get(place)
        if found is None:
            found = 0
            for position in bits(place):
                found |= self.positions.follow[position]
            if len(self._follow) < _CACHED_KINDS:
                self._follow[place] = found
        return found

    def _state(self, places: tuple[int, ...], ended: bool, after_word: bool) -> _State:
        state = self._states.get((places, ended, after_word))
        if state is None:
            if len(self._states) >= _CACHED_STATES:
                self._states.clear()
            state = self._states[places, ended, after_word] = _State(self, places, ended, after_word)
        return state


class Walker:
    """Finds a pattern's matches in a text that grows by characters. What it says depends on the text alone.

    Offsets are characters fed, from 0. Made by ``Pattern.walker``.
    """

    __slots__ = ("_base", "_begun", "_ends", "_pattern", "_read", "_state", "fed", "found")

    def __init__(self, pattern: Pattern) -> None:
        self.fed = 0
        """Characters fed so far."""
        self._pattern = pattern
        self._state = pattern.idle(after_word=False)
        self._begun: list[int] = []
        """Where the places of the state began."""
        self._ends: list[int] = []
        """Ends of the last place's matches so far, ascending."""
        self._read: list[str] = []
        """What was read since the first place began, and perhaps before."""
        self._base = 0
        self.found: list[tuple[int, int]] = []
        """Matches finished and not taken yet."""

    @property
    def hold(self) -> int:
        """The earliest offset at which a match may begin that is not finished; ``fed`` if there is none."""
        return self._begun[0] if self._begun else self.fed

    def step(self, character: str) -> None:
        """Read ``character``, one character of folded text."""
        move = self._state[character]
        if move.quiet:
            self._state = move.state
            self.fed += 1
            return
        again = self._act(move, character)
        while again:
            character, again = again[0], again[1:]
            again = self._act(self._state[character], character) + again

    def jump(self, fed: int, *, after_word: bool) -> None:
        """Go on at offset ``fed``, behind a part of a word or not; only while nothing has begun."""
        self.fed = fed
        self._state = self._pattern.idle(after_word=after_word)

    def take(self) -> list[tuple[int, int]]:
        """Return the matches finished since the last call, as (start, end): no later character can change them."""
        found, self.found = self.found, []
        return found

    def finish(self) -> None:
        """The text ends here: every match is finished."""
        while self._begun:
            ending = self._pattern.at_end(self._state)
            if ending is None:
                self._rest()
                return
            self._state, here, afresh = ending
            del self._begun[len(self._state.places) :]
            if here:
                self._end(self.fed, afresh=afresh)
            again = self._close(len(self._begun) - 1)
            while again:
                character, again = again[0], again[1:]
                again = self._act(self._state[character], character) + again

    def _act(self, move: _Move, character: str) -> str:
        """Take ``move`` and return what has to be read again: what stands behind a match that is closed by it."""
        place = self.fed
        self._state = move.state
        self.fed = place + 1
        if move.quiet:
            return ""
        if not self._begun:
            self._read.clear()
            self._base = place
        self._read.append(character)
        begun = self._begun
        if len(self._read) > _READ:
            del self._read[: begun[0] - self._base]
            self._base = begun[0]
        self._begun = [begun[index] if index >= 0 else place for index in move.kept]
        if move.ended:
            self._end(place if move.ended == 1 else place + 1, afresh=move.afresh)
        if move.closed:
            return self._close(0)
        return ""

    def _end(self, at: int, *, afresh: bool) -> None:
        if afresh:
            self._ends.clear()
        self._ends.append(at)

    def _close(self, index: int) -> str:
        """Settle the match of the place ``index``; return what was read behind it."""
        start, base = self._begun[index], self._base
        text = "".join(self._read)
        resume = start + 1
        for end in reversed(self._ends):
            if self._pattern.passes(text[start - base : end - base]):
                self.found.append((start, end))
                resume = end
                break
        self.fed = resume
        self._state = self._pattern.idle(after_word=joins(text[resume - base - 1]))
        self._rest()
        return text[resume - base :]

    def _rest(self) -> None:
        self._begun, self._ends = [], []
