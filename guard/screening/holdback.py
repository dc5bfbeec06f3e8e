"""Streams: text is released up to the slowest blocking rule.

The screen is a machine that reads one folded character at a time and decides every match at the first character at
which nothing that follows can change it. So verdict, findings and released text depend on the text alone, never on how
it was split. What has been read is not read again, but for the few characters before a context word's end.
"""

from functools import lru_cache

from guard.screening.automaton import Automaton, Node
from guard.screening.findings import Finding
from guard.screening.normalize import Offsets, fold, is_word
from guard.screening.rules import Context, Literal, Rule, Where
from guard.screening.segments import Source

_BLOCK = 512
"""A longer feed is taken in blocks of so many characters."""
_SHORT = 16
_fold_short = lru_cache(4096)(fold)
"""A stream's pieces are tokens, and most tokens are old acquaintances."""
_WORTH_SKIPPING = 96
"""From so many characters on, looking for anchors with Hyperscan first is cheaper than the walk."""


class _Match:
    """A matched anchor whose context is still undecided. Offsets are folded, from the beginning of the text."""

    __slots__ = ("due", "end", "phrases", "read", "rule", "start", "todo", "watch")

    def __init__(self, rule: Rule, start: int, end: int) -> None:
        self.rule = rule
        self.start = start
        self.end = end
        self.todo: list[Context] = []
        """Required contexts not seen yet."""
        self.watch: list[Context] = []
        """Forbidden contexts that may still come."""
        self.phrases: list[tuple[Literal, int]] = []
        """Exempt phrases that may still complete, and where they begin."""
        self.read = end
        self.due = 0

    def pending(self) -> bool:
        self.due = self.end + min((context.within for context in (*self.todo, *self.watch)), default=0)
        return bool(self.todo or self.watch or self.phrases)


class ChannelScreen:
    """Screens one growing text (the content, the reasoning, the arguments of one tool call ... of one choice).

    ``cleared`` depends on the text alone, never on how it was split into ``feed`` calls. Each rule reports its first
    match. Made by ``RuleSet.open``.
    """

    __slots__ = (
        "_after_space", "_automaton", "_awaiting", "_base", "_blocking", "_busy", "_decided", "_folded", "_found",
        "_mask", "_matches", "_node", "_offsets", "_reach", "_source", "_window", "blocked", "cleared", "findings",
        "scanned", "seen",
    )  # fmt: skip

    def __init__(
        self, automaton: Automaton, reach: int, source: Source, blocking: frozenset[str], blocking_mask: int
    ) -> None:
        self.seen = 0
        """Characters fed so far."""
        self.cleared = 0
        """Characters that may be released: nothing before this offset can become part of a blocking match any more."""
        self.blocked: Finding | None = None
        """The first finding of a blocking category; from then on ``cleared`` stands still."""
        self.findings: list[Finding] = []
        """Every finding so far, whatever its action."""
        self.scanned = 0
        """Characters examined so far, repeats included: what the work is measured by."""
        self._automaton = automaton
        self._reach = reach
        self._source = source
        self._blocking = blocking
        self._mask = blocking_mask
        self._node: Node = automaton.start
        self._window = ""
        self._base = 0
        self._folded = 0
        self._after_space = False
        self._offsets = Offsets()
        self._awaiting: list[tuple[Rule, Literal, int]] = []
        self._matches: list[_Match] = []
        self._decided: list[_Match] = []
        self._found: set[str] = set()
        self._busy = False

    def feed(self, text: str) -> None:
        """Screen ``text`` as the continuation of what was fed before."""
        if len(text) <= _BLOCK:
            self._take(text)
        else:
            for begin in range(0, len(text), _BLOCK):
                self._take(text[begin : begin + _BLOCK])

    def finish(self) -> None:
        """Screen the end of the text: partial matches can no longer complete, so ``cleared`` reaches ``seen``."""
        if self.blocked is not None:
            return
        for rule, literal, end in self._awaiting:
            self._open(rule, literal, end)
        self._awaiting.clear()
        for match in self._matches:
            if self._judge(match, self._folded, sure=self._folded, ended=True):
                self._decided.append(match)
        self._matches.clear()
        self._busy = False
        self.cleared = self.seen
        self._conclude(self._folded)

    def _take(self, text: str) -> None:
        before, after_space = self.seen, self._after_space
        self.seen = before + len(text)
        if self.blocked is not None:
            return
        if len(text) <= _SHORT:
            folded = _fold_short(text, after_space=after_space)
        else:
            folded = fold(text, after_space=after_space)
        if folded:
            self._offsets.extend(text, len(folded), self._folded, before, after_space=after_space)
            self._after_space = folded[-1] == " "
            if self._advance(folded):
                return
        if not self._node.depth and not self._matches:
            self.cleared = self.seen
            return
        hold = self._held(self._node, self._folded)
        self.cleared = self.seen if hold >= self._folded else self._offsets.original(hold)

    def _advance(self, folded: str) -> bool:
        """Read ``folded`` on; return True if that blocked."""
        window = self._window = self._window + folded
        if len(window) > 2 * self._reach + _BLOCK:
            self._window = window = window[-max(self._reach, len(folded) + self._automaton.longest + 1) :]
            self._base = self._folded + len(folded) - len(window)
            self._offsets.forget(self._base)
        node, position, busy = self._node, self._folded, self._busy
        if not busy and len(folded) >= _WORTH_SKIPPING:
            look = window[-(len(folded) + self._automaton.longest + 1) :]
            self.scanned += len(look)
            if not self._automaton.may_occur(look):
                self._node = self._automaton.settle(window)
                self._folded = position + len(folded)
                return False
        self.scanned += len(folded)
        for character in folded:
            node = node[character]
            position += 1
            if busy or node.ends:
                busy = self._step(node, position, is_word(character))
                if self.blocked is not None:
                    break
        self._node, self._folded, self._busy = node, position, busy
        return self.blocked is not None

    def _held(self, node: Node, position: int) -> int:
        """Return the folded offset from which text must be held after ``position`` folded characters."""
        wanted = self._mask
        while node.depth and not node.live & wanted:
            node = node.fail
        hold = position - node.depth
        for match in self._matches:
            if match.start < hold and match.rule.blocks in self._blocking:
                hold = match.start
        return hold

    def _step(self, node: Node, position: int, in_word: bool) -> bool:
        """Take in the character before ``position``; return whether anything is undecided."""
        if self._awaiting:
            if not in_word:
                for rule, literal, end in self._awaiting:
                    self._open(rule, literal, end)
            self._awaiting.clear()
        for literal, rule in node.ends:
            if rule.id in self._found:
                continue
            if literal.right:
                self._awaiting.append((rule, literal, position))
            else:
                self._open(rule, literal, position)
        if self._matches:
            waiting = []
            for match in self._matches:
                if match.phrases or not in_word or position > match.due:
                    sure = position - 1 if in_word else position
                    verdict = self._judge(match, position, sure=sure)
                    if verdict is None:
                        waiting.append(match)
                    elif verdict:
                        self._decided.append(match)
                else:
                    waiting.append(match)
            self._matches = waiting
        if self._decided:
            self._conclude(position, node)
        return bool(self._awaiting or self._matches)

    def _open(self, rule: Rule, literal: Literal, end: int) -> None:
        """Note that ``literal`` ended at ``end``, after deciding all that stands before it."""
        start = end - len(literal.text)
        match = _Match(rule, start, end)
        window, at = self._window, start - self._base
        for context in rule.requires:
            self.scanned += context.within
            if not context.before(window, at):
                if context.where is Where.BEFORE:
                    return
                match.todo.append(context)
        for context in rule.forbids:
            self.scanned += context.within
            if context.before(window, at):
                return
            if context.where is not Where.BEFORE:
                match.watch.append(context)
        for exemption in rule.exceptions:
            for lead in exemption.leads(literal):
                left = exemption.phrase.left and start > lead and is_word(window[at - lead - 1])
                if start >= lead and not left:
                    match.phrases.append((exemption.phrase, start - lead))
        if match.pending():
            self._matches.append(match)
        else:
            self._decided.append(match)

    def _judge(self, match: _Match, position: int, *, sure: int, ended: bool = False) -> bool | None:
        """Return whether ``match`` fires, or None while that is open.

        ``sure``: the end of an occurrence up to which its right boundary is known.
        """
        if match.phrases and self._exempted(match, position, ended=ended):
            return False
        for context in tuple(match.watch):
            if self._came(match, context, sure):
                return False
            if ended or position > match.end + context.within:
                match.watch.remove(context)
        for context in tuple(match.todo):
            if self._came(match, context, sure):
                match.todo.remove(context)
            elif ended or position > match.end + context.within:
                return False
        match.read = sure
        return None if match.pending() else True

    def _came(self, match: _Match, context: Context, sure: int) -> bool:
        """Return whether ``context`` occurs behind ``match`` in what has not been read for it yet."""
        low = max(match.end, match.read - context.longest)
        high = min(match.end + context.within, sure)
        if low >= high:
            return False
        self.scanned += high - low
        return context.occurs(self._window, low - self._base, high - self._base)

    def _exempted(self, match: _Match, position: int, *, ended: bool) -> bool:
        """Return whether an exempt phrase stands around ``match``; forget those that cannot complete any more."""
        open_phrases = []
        for phrase, begin in match.phrases:
            end = begin + len(phrase.text)
            known = self._window[begin - self._base : min(end, position) - self._base]
            self.scanned += len(known)
            if not phrase.text.startswith(known):
                continue
            if position > end or (position == end and (ended or not phrase.right)):
                if not phrase.right or position == end or not is_word(self._window[end - self._base]):
                    return True
            elif not ended:
                open_phrases.append((phrase, begin))
        match.phrases = open_phrases
        return False

    def _conclude(self, position: int, node: Node | None = None) -> None:
        """Turn the matches decided at ``position`` into findings; the first of a blocking category blocks."""
        hold = position if node is None else self._held(node, position)
        for match in sorted(self._decided, key=lambda match: (match.start, -match.end, match.rule.id)):
            rule = match.rule
            if rule.id in self._found:
                continue
            self._found.add(rule.id)
            start, end = self._offsets.original(match.start), self._offsets.original(match.end - 1) + 1
            finding = Finding(rule.id, rule.category, start, end, self._source)
            self.findings.append(finding)
            if self.blocked is None and rule.blocks in self._blocking:
                self.blocked = finding
                hold = min(hold, match.start)
        self._decided.clear()
        if self.blocked is not None:
            self.cleared = self._offsets.original(hold)
