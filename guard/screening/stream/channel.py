"""Streams: text is released up to the slowest rule that may block or mask it.

While nothing happens, one look-up a character tells how much must be held (``stream.states``). Where an anchor ends or
a pattern may, the checks read character by character, all at the same place, and what they decide there is put
together. So verdict, findings, masks and released text depend on the text alone, never on how it was split.
"""

from typing import Protocol

from guard.screening.findings import Action, Finding
from guard.screening.normalize import is_word
from guard.screening.positions import joins
from guard.screening.rules import Literal
from guard.screening.segments import Source
from guard.screening.stream.contexts import Contexts, Match
from guard.screening.stream.literals import Literals, held_node
from guard.screening.stream.masks import Masks
from guard.screening.stream.program import Program
from guard.screening.stream.states import TRAP, State
from guard.screening.stream.tail import BLOCK, Tail

_MOST_PENDING = 128
"""Pieces that are folded together once nothing was found in them."""


class Score(Protocol):
    """A risk that grows with a text (``guard.screening.learned``). Offsets are original characters."""

    scored: int
    """Where the last finished word ends: up to here the score is settled."""
    blocked: Finding | None
    """What ends the text; from then on it reads no further."""

    @property
    def findings(self) -> list[Finding]:
        """What it found so far."""

    def feed(self, text: str) -> None:
        """Read ``text`` on."""

    def finish(self) -> None:
        """The text ends here."""


class ChannelScreen:
    """Screens one growing text (the content, the reasoning, the arguments of one tool call ... of one choice).

    Made by ``RuleSet.open``. Each rule reports its first match; a rule that masks masks them all.
    """

    __slots__ = (
        "_again", "_contexts", "_found", "_literals", "_noted", "_pending", "_program", "_score", "_score_most",
        "_setting", "_settled", "_source", "_state", "_tail", "_walkers", "blocked", "cleared", "masks", "seen",
    )  # fmt: skip

    def __init__(
        self,
        program: Program,
        source: Source,
        blocking: frozenset[str],
        score: Score | None = None,
        score_most: Action = Action.FLAG,
    ) -> None:
        """``blocking``: categories under which rules block, or mask. ``score`` reads along and holds
        nothing; ``score_most``: the most that is done about what it finds.
        """
        self.seen = 0
        """Characters fed so far."""
        self.cleared = 0
        """Characters that may be released: nothing before this offset can become part of a match that blocks or masks
        any more."""
        self.blocked: Finding | None = None
        """The first finding that blocks; from then on ``cleared`` stands still."""
        self.masks = Masks()
        """What is replaced in the text, complete up to ``cleared``."""
        self._again = 0
        """Characters that were read once more."""
        self._program = program
        self._source = source
        self._setting = program.setting(blocking)
        self._score = score
        self._score_most = score_most
        self._noted: list[Finding] = []
        self._found: set[str] = set()
        self._settled: set[str] = set()
        self._pending: list[str] = []
        self._tail = Tail(program.reach)
        self._contexts = Contexts(self._tail)
        self._literals = [Literals(automaton, self._contexts, self._settled) for automaton, _ in program.automata]
        self._walkers = program.patterns.walker()
        self._state: State | None = self._setting.states.start

    @property
    def findings(self) -> list[Finding]:
        """Every finding so far, whatever its action: those of the rules, then those of the score."""
        self._fold_pending()
        if self._score is None:
            return self._noted
        most = self._score_most
        return self._noted + [found._replace(most=min(found.most, most)) for found in self._score.findings]

    @property
    def may_mask(self) -> bool:
        """Whether any rule may mask."""
        return self._setting.may_mask

    @property
    def scanned(self) -> int:
        """Characters examined so far, repeats included: what the work is measured by."""
        return self.seen + self._again + self._contexts.scanned

    def feed(self, text: str) -> None:
        """Screen ``text`` as the continuation of what was fed before."""
        state = self._state
        if state is not None and len(text) <= BLOCK:
            for character in text:
                state = state[character]
            if state is not TRAP:
                self._state = state
                self.seen = seen = self.seen + len(text)
                self.cleared = seen - state.held
                pending = self._pending
                pending.append(text)
                if len(pending) >= _MOST_PENDING:
                    self._fold_pending()
                return
            self._again += len(text)
        for begin in range(0, len(text), BLOCK):
            self._read(text[begin : begin + BLOCK])

    def finish(self) -> None:
        """Screen the end of the text: partial matches can no longer complete, so ``cleared`` reaches ``seen``."""
        if self.blocked is not None:
            return
        self._wake()
        for literals in self._literals:
            literals.finish()
        self._walkers.finish()
        self._take_patterns()
        self._contexts.finish()
        blocked = self._conclude()
        if blocked is not None:
            self._stop(blocked, self.seen, self.seen)
            return
        if self._score is not None:
            self._score.finish()
        self.cleared = self.seen

    # Between the quiet road and the checks.

    def _fold_pending(self) -> None:
        if self._pending:
            text = "".join(self._pending)
            self._pending.clear()
            self._tail.add(text)
            if self._score is not None:
                self._score.feed(text)

    def _wake(self) -> None:
        """Put every check where the state says it stands."""
        state, self._state = self._state, None
        self._fold_pending()
        if state is None:
            return
        for literals, node in zip(self._literals, state.nodes, strict=True):
            literals.node = node
        tail, walkers = self._tail, self._walkers
        start = tail.end - max((walk.begun[0] for walk in state.walks), default=0)
        at = start - tail.base
        walkers.jump(start, after_word=at > 0 and joins(tail.text[at - 1]))
        self._again += len(tail.text) - at
        for character in tail.text[at:]:
            walkers.step(character)

    def _sleep(self) -> None:
        """Go back to the quiet road if every check is at rest, and what it may have begun maps one to one."""
        tail = self._tail
        walkers = self._walkers
        if self._contexts.matches or walkers.hold < walkers.fed:
            return
        nodes = []
        for literals in self._literals:
            if literals.awaiting:
                return
            nodes.append(literals.node)
        gaps: list[int] = []
        behind = tail.seen
        for back in range(max([held_node(node, self._setting.wanted).depth for node in nodes], default=0)):
            place = tail.original(tail.end - back - 1)
            if place >= behind:
                return  # a character that folding made several of
            gaps += [back] * (behind - place - 1)
            behind = place
        after_word = tail.end > 0 and joins(tail.text[-1])
        state = self._setting.states.state(
            tuple(nodes), (), tuple(gaps), after_space=tail.after_space, after_word=after_word
        )
        self._state = None if state is TRAP else state

    # The checks.

    def _read(self, text: str) -> None:
        """Let every check read ``text``, character by character."""
        if self.blocked is not None:
            self.seen += len(text)
            return
        if self._state is not None:
            self._wake()
        tail, contexts, walkers, patterned = self._tail, self._contexts, self._walkers, self._program.patterned
        position, before = tail.end, tail.seen
        folded = tail.add(text)
        self.seen = tail.seen
        for character in folded:
            position += 1
            for literals in self._literals:
                literals.step(character, position)
            if patterned:
                walkers.step(character)
                self._take_patterns()
            if contexts.matches:
                contexts.step(position, in_word=is_word(character))
            if contexts.decided:
                blocked = self._conclude()
                if blocked is not None:
                    if self._score is not None:
                        self._score.feed(text[: tail.behind(position) - before])
                    self._stop(blocked, tail.original(position - 1), self._released(position))
                    return
        if self._score is not None:
            self._score.feed(text)
        self.cleared = self._released(tail.end)
        self._sleep()

    def _take_patterns(self) -> None:
        for index, start, end in self._walkers.take():
            _, rule = self._program.patterned[index]
            if rule.id not in self._settled:
                base = self._tail.base
                self._contexts.open(rule, Literal(self._tail.text[start - base : end - base]), end)

    def _released(self, position: int) -> int:
        """Return up to which original offset text may leave after ``position`` folded characters."""
        tail, setting = self._tail, self._setting
        seen = tail.seen if position == tail.end else tail.behind(position)
        cleared = seen
        holds: list[tuple[int, int | None]] = []
        for literals, (_, lag) in zip(self._literals, self._program.automata, strict=True):
            holds.append((position - held_node(literals.node, setting.wanted).depth, lag))
        matches = self._contexts.matches
        holds.extend((match.start, match.rule.lag) for match in matches if setting.holds(match.rule))
        if self._walkers.hold < self._walkers.fed:
            for lag in dict.fromkeys(setting.pattern_lags):
                wanted = frozenset(index for index, its in enumerate(setting.pattern_lags) if its == lag)
                holds.append((self._walkers.held(wanted), lag))
        for hold, lag in holds:
            if hold < position:
                original = tail.original(hold)
                cleared = min(cleared, original if lag is None else max(original, seen - lag))
        return cleared

    # What they found.

    def _conclude(self) -> Match | None:
        """Turn the matches that are decided into findings and masks; return the first that blocks."""
        tail, setting, blocking = self._tail, self._setting, None
        decided, self._contexts.decided = self._contexts.decided, []
        for match in sorted(decided, key=lambda match: (match.start, -match.end, match.rule.id)):
            rule = match.rule
            start, end = tail.original(match.start), tail.behind(match.end)
            if rule.mask is not None and rule.masks in setting.blocking:
                self.masks.add(rule.id, start, end, rule.mask)
            if rule.id in self._found:
                continue
            self._found.add(rule.id)
            if rule.masks not in setting.blocking:
                self._settled.add(rule.id)
            finding = Finding(rule.id, rule.category, start, end, self._source, most=rule.action)
            self._noted.append(finding)
            if blocking is None and rule.blocks in setting.blocking:
                self.blocked, blocking = finding, match
        return blocking

    def _stop(self, match: Match, before: int, cleared: int) -> None:
        """``match`` blocks: nothing leaves from its start on, but for what it did not hold any more ``before`` it was
        decided. ``cleared`` is what the others let leave.
        """
        start, lag = self._tail.original(match.start), match.rule.lag
        self.cleared = min(cleared, start if lag is None else max(start, before - lag))
