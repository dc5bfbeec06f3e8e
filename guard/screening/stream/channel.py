"""Streams: text is released up to the slowest rule that may block or mask it.

While nothing happens, one look-up a character tells how much must be held (``stream.states``). Where an anchor ends or
a pattern may, the checks read character by character, all at the same place, and what they decide there is put
together. So verdict, findings, masks and released text depend on the text alone, never on how it was split.
"""

from typing import Protocol

from guard.screening.findings import Action, Finding
from guard.screening.positions import joins
from guard.screening.rules import Literal
from guard.screening.segments import Source
from guard.screening.stream.contexts import Contexts, Match
from guard.screening.stream.literals import Literals, held_node
from guard.screening.stream.masks import Masks
from guard.screening.stream.program import Program
from guard.screening.stream.states import TRAP, State
from guard.screening.stream.tail import BLOCK, Tail
from guard.screening.walkers import Walkers

_PIECE = 32
"""Characters that are read by every check if anything ends among them: little of a long text."""
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

    def whole(self, text: str) -> None:
        """Do what ``feed`` of ``text`` and ``finish`` do; only a fresh score can."""

    def anew(self) -> "Score":
        """Return a fresh score like this one."""


class ChannelScreen:
    """Screens one growing text (the content, the reasoning, the arguments of one tool call ... of one choice).

    Made by ``RuleSet.open``. Each rule reports its first match; a rule that masks masks them all.
    """

    __slots__ = (
        "_again", "_contexts", "_found", "_literals", "_noted", "_pending", "_program", "_ready", "_score",
        "_score_most", "_setting", "_settled", "_source", "_state", "_tail", "_waiting", "_walkers", "blocked",
        "cleared", "masks", "seen",
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
        self._pending: list[str] = []
        self._state: State | None = self._setting.states.start
        self._waiting: list[tuple[int, int | None]] | None = None
        """Where matches begin that wait for their contexts and hold text, and their lag; None: no match waits."""
        self._ready = False
        """The checks are there: most texts need none."""
        self._found: set[str]
        self._settled: set[str]
        self._tail: Tail
        self._contexts: Contexts
        self._literals: list[Literals]
        self._walkers: Walkers

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
        return self.seen + self._again + (self._contexts.scanned if self._ready else 0)

    def feed(self, text: str) -> None:
        """Screen ``text`` as the continuation of what was fed before."""
        state = self._state
        if state is not None and len(text) <= BLOCK:
            for character in text:
                state = state[character]
            if state is not TRAP and self._waiting is not None:
                if self._wait(text, state):
                    return
            elif state is not TRAP:
                self._state = state
                self.seen = seen = self.seen + len(text)
                self.cleared = seen - state.held
                pending = self._pending
                pending.append(text)
                if len(pending) >= _MOST_PENDING:
                    self._fold_pending()
                return
            self._again += len(text)
        if len(text) <= _PIECE:
            self._read(text)
        else:
            for begin in range(0, len(text), _PIECE):
                self.feed(text[begin : begin + _PIECE])

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

    def whole(self, text: str) -> None:
        """Screen ``text`` as all there is: what ``feed`` and ``finish`` do, in one go; only a fresh screen can."""
        found = self.noted(text)
        if found is None:
            self.feed(text)
            self.finish()
            return
        self.take(text, found)
        if self._score is not None:
            self._score.whole(text)

    def noted(self, text: str) -> list[Finding] | None:
        """Return what rules find in ``text``, all there is, if nothing of it blocks or masks; None: it may."""
        firing = self._program.firing(text, self._source)
        if not firing:
            return None if firing is None else []
        if any(map(self._setting.holds, firing)):
            return None
        part = self._program.part(firing)
        only = part.only(text, self._source)
        if only is not None:
            rule, start, end = only
            return [Finding(rule.id, rule.category, start, end, self._source, most=rule.action)]
        screen = ChannelScreen(part, self._source, self._setting.blocking)
        screen.feed(text)
        screen.finish()
        return screen.findings

    def take(self, text: str, found: list[Finding]) -> None:
        """Take in that ``text`` is all there is, and ``found`` what ``noted`` says of it; only a fresh screen can."""
        self._noted = found
        self.seen = self.cleared = len(text)

    # Between the quiet road and the checks.

    def _wait(self, text: str, state: State) -> bool:
        """Take ``text``, after which there is ``state``; return False if it may decide a match, and must be read."""
        tail = self._tail
        said = tail.folded(text)
        if not self._contexts.undecided(said):
            return False
        tail.put(text, said)
        if self._score is not None:
            self._score.feed(text)
        self._state = state
        self.seen = seen = tail.seen
        cleared = seen - state.held
        for start, lag in self._waiting or ():
            cleared = min(cleared, start if lag is None else max(start, seen - lag))
        self.cleared = cleared
        return True

    def _make_checks(self) -> None:
        program = self._program
        self._ready = True
        self._found, self._settled = set(), set()
        self._tail = Tail(program.reach)
        self._contexts = Contexts(self._tail, program.awaited)
        self._literals = [Literals(automaton, self._contexts, self._settled) for automaton, _ in program.automata]
        self._walkers = program.patterns.walker()

    def _fold_pending(self) -> None:
        if self._pending:
            if not self._ready:
                self._make_checks()
            text = "".join(self._pending)
            self._pending.clear()
            self._tail.add(text)
            if self._score is not None:
                self._score.feed(text)

    def _wake(self) -> None:
        """Put every check where the state says it stands."""
        state, self._state = self._state, None
        if not self._ready:
            self._make_checks()
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
        """Go back to the quiet road if every check is at rest, and what it may have begun maps one to one.

        Matches that wait for their contexts are at rest, unless a phrase may go on around them.
        """
        tail = self._tail
        walkers = self._walkers
        matches = self._contexts.matches
        if walkers.hold < walkers.fed or (matches and self._contexts.calm <= tail.end):
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
        if state is not TRAP:
            self._state = state
            holding = [match for match in matches if self._setting.holds(match.rule)]
            waiting = [(tail.original(match.start), match.rule.lag) for match in holding]
            self._waiting = waiting if matches else None

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
                node = literals.node = literals.node[character]
                if node.ends or literals.awaiting:
                    literals.arrive(character, position)
            if patterned:
                walkers.step(character)
                self._take_patterns()
            if contexts.matches:
                in_word = character.isalnum() or character == "_"
                if not in_word or position > contexts.calm:
                    contexts.step(position, in_word=in_word)
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
