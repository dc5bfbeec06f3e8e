"""The quiet road through a text: one look-up a character for all checks together.

A state is where every check stands while no anchor ends and no pattern is about to: the node of each automaton, and
what has begun of each pattern. It reads characters unfolded, and knows how many of the last ones must be held.
States are made as texts ask for them and shared by all of them. ``TRAP`` is where everything else leads: the text must
be read again from the state before, check by check.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from guard.screening.automaton import Node
from guard.screening.positions import joins
from guard.screening.stream.literals import held_node
from guard.screening.stream.tail import fold_short
from guard.screening.walkers import Patterns

_MOST_STATES = 16384
"""States kept at a time, about 1.5 KB each; who fills them with odd texts makes everybody read slower, and no more."""
_MOST_BEGINS = 4096
_MOST_GAPS = 4
_MOST_MOVES = 512
"""Characters whose move a state remembers."""


class Walk(NamedTuple):
    """What has begun of one pattern."""

    pattern: int
    state: Any
    """The pattern's own state: maps a character to its move."""
    begun: tuple[int, ...]
    """How many characters ago its places began, the earliest first."""


class State(dict[str, "State"]):
    """Where all checks stand; maps the next character to the next state and learns those as they are asked for."""

    __slots__ = ("after_space", "after_word", "depth", "gaps", "held", "nodes", "states", "walks")

    def __init__(
        self,
        states: "States",
        nodes: tuple[Node, ...],
        walks: tuple[Walk, ...] = (),
        gaps: tuple[int, ...] = (),
        *,
        after_space: bool = False,
        after_word: bool = False,
    ) -> None:
        super().__init__()
        self.states = states
        self.nodes = nodes
        """Of each automaton."""
        self.walks = walks
        """Of the patterns of which something has begun."""
        self.after_space = after_space
        self.after_word = after_word
        self.gaps = gaps
        """Where, in folded characters before the end, characters stand that folding dropped."""
        self.depth = 0
        """Folded characters that must be held."""
        self.held = 0
        """Characters that must be held, as they came."""

    def __missing__(self, character: str) -> "State":
        following = self.states.move(self, character)
        if len(self) < _MOST_MOVES:
            self[character] = following
        return following


class _Trap(State):
    __slots__ = ()

    def __missing__(self, character: str) -> State:
        return self


class States:
    """The states of some automata and patterns, for those categories and patterns that hold text."""

    __slots__ = ("_begins", "_idle", "_known", "_lags", "_pattern_lags", "_patterns", "_start", "_wanted", "start")

    def __init__(
        self,
        start: Sequence[Node],
        lags: Sequence[int | None],
        wanted: int,
        patterns: Patterns,
        pattern_lags: Sequence[int | None],
    ) -> None:
        """``lags``: how many characters each automaton holds at most, None: as many as it must; ``wanted``: bits of the
        categories that hold. ``pattern_lags``: the same of each pattern; 0 if it holds nothing.
        """
        self._start = tuple(start)
        self._lags = tuple(lags)
        self._wanted = wanted
        self._patterns = patterns.patterns
        self._pattern_lags = tuple(pattern_lags)
        self._idle = [
            [pattern.idle(after_word=after_word) for pattern in self._patterns] for after_word in (False, True)
        ]
        self._begins: tuple[dict[str, tuple[tuple[int, Any], ...]], ...] = ({}, {})
        self._known: dict[tuple[Any, ...], State] = {}
        self.start = State(self, self._start)
        """Before the first character."""

    def state(
        self,
        nodes: tuple[Node, ...],
        walks: tuple[Walk, ...],
        gaps: tuple[int, ...],
        *,
        after_space: bool,
        after_word: bool,
    ) -> State:
        """Return the state in which the checks stand so; TRAP if more was dropped than a state remembers."""
        holding = self._holding(nodes, walks)
        depth = max([depth for depth, _ in holding], default=0)
        gaps = tuple([gap for gap in gaps if gap < depth])
        if len(gaps) > _MOST_GAPS:
            return TRAP
        places = tuple((walk.pattern, id(walk.state), walk.begun) for walk in walks)
        key = (after_space, after_word, gaps, places, *map(id, nodes))
        state = self._known.get(key)
        if state is None:
            if len(self._known) >= _MOST_STATES:
                self._known.clear()
                self.start = State(self, self._start)
            state = State(self, nodes, walks, gaps, after_space=after_space, after_word=after_word)
            state.depth = depth
            for depth, lag in holding:
                held = depth + sum([gap < depth for gap in gaps])
                state.held = max(state.held, held if lag is None else min(held, lag))
            self._known[key] = state
        return state

    def move(self, state: State, character: str) -> State:
        """Return the state after ``character``, which is not folded."""
        folded = fold_short(character)
        if not folded or (folded == " " and state.after_space):
            if not state.depth:
                return state
            spaced, worded = state.after_space, state.after_word
            return self.state(state.nodes, state.walks, (0, *state.gaps), after_space=spaced, after_word=worded)
        if len(folded) == 1:
            return self._step(state, folded)
        for part in folded:
            if state is not TRAP:
                state = self._step(state, part)
        return TRAP if state.depth else state

    def _step(self, state: State, character: str) -> State:
        nodes = tuple([node[character] for node in state.nodes])
        for node in nodes:
            if node.ends:
                return TRAP
        walks: list[Walk] = []
        active = set()
        for index, its_state, begun in state.walks:
            active.add(index)
            move = its_state[character]
            if move.ended or move.closed:
                return TRAP
            if move.state.places:
                walks.append(Walk(index, move.state, _aged(begun, move.kept)))
        for index, move in self._begin(character, after_word=state.after_word):
            if index not in active:
                if move.ended or move.closed:
                    return TRAP
                walks.append(Walk(index, move.state, _aged((), move.kept)))
        gaps = tuple([gap + 1 for gap in state.gaps])
        return self.state(nodes, tuple(walks), gaps, after_space=character == " ", after_word=joins(character))

    def _begin(self, character: str, *, after_word: bool) -> tuple[tuple[int, Any], ...]:
        """Return the patterns that may begin with ``character``, each with its move."""
        begun = self._begins[after_word].get(character)
        if begun is None:
            idle = enumerate(self._idle[after_word])
            begun = tuple((index, move) for index, state in idle if not (move := state[character]).quiet)
            if len(self._begins[after_word]) < _MOST_BEGINS:
                self._begins[after_word][character] = begun
        return begun

    def _holding(self, nodes: tuple[Node, ...], walks: tuple[Walk, ...]) -> list[tuple[int, int | None]]:
        """Return how many folded characters each check would hold, and its lag; none of those that hold nothing."""
        found = [
            (held_node(node, self._wanted).depth, lag) for node, lag in zip(nodes, self._lags, strict=True) if lag != 0
        ]
        found += [
            (walk.begun[0], lag) for walk in walks if (lag := self._pattern_lags[walk.pattern]) is None or lag > 0
        ]
        return found


def _aged(begun: tuple[int, ...], kept: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([begun[index] + 1 if index >= 0 else 1 for index in kept])


TRAP: State = _Trap(States((), (), 0, Patterns(()), ()), ())
