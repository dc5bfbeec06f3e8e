"""Matches whose context is still undecided, in a text that grows.

Each is decided at the first character at which nothing that follows can change it, so what is found depends on the text
alone. What has been read is not read again, but for the few characters before a context word's end.
"""

from guard.screening.normalize import is_word
from guard.screening.rules import Context, Literal, Rule, Where
from guard.screening.stream.tail import Tail


class Match:
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
        """Return whether anything is undecided, and note until when."""
        self.due = self.end + min((context.within for context in (*self.todo, *self.watch)), default=0)
        return bool(self.todo or self.watch or self.phrases)


class Contexts:
    """Decides the matches of one growing text by what stands around them."""

    __slots__ = ("_tail", "decided", "matches", "scanned")

    def __init__(self, tail: Tail) -> None:
        self.matches: list[Match] = []
        """Those that are undecided."""
        self.decided: list[Match] = []
        """Those that fire and have not been taken yet."""
        self.scanned = 0
        """Characters examined so far."""
        self._tail = tail

    def open(self, rule: Rule, literal: Literal, end: int) -> None:
        """Note that ``literal`` of ``rule`` ended at ``end``, after deciding all that stands before it."""
        start = end - len(literal.text)
        match = Match(rule, start, end)
        window, at = self._tail.text, start - self._tail.base
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
            self.matches.append(match)
        else:
            self.decided.append(match)

    def step(self, position: int, *, in_word: bool) -> None:
        """Judge by the character before ``position``, which is part of a word or not."""
        waiting = []
        for match in self.matches:
            if match.phrases or not in_word or position > match.due:
                verdict = self._judge(match, position, sure=position - 1 if in_word else position)
                if verdict is None:
                    waiting.append(match)
                elif verdict:
                    self.decided.append(match)
            else:
                waiting.append(match)
        self.matches = waiting

    def finish(self) -> None:
        """The text ends here: decide everything."""
        end = self._tail.end
        for match in self.matches:
            if self._judge(match, end, sure=end, ended=True):
                self.decided.append(match)
        self.matches.clear()

    def _judge(self, match: Match, position: int, *, sure: int, ended: bool = False) -> bool | None:
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

    def _came(self, match: Match, context: Context, sure: int) -> bool:
        """Return whether ``context`` occurs behind ``match`` in what has not been read for it yet."""
        low = max(match.end, match.read - context.longest)
        high = min(match.end + context.within, sure)
        if low >= high:
            return False
        self.scanned += high - low
        base = self._tail.base
        return context.occurs(self._tail.text, low - base, high - base)

    def _exempted(self, match: Match, position: int, *, ended: bool) -> bool:
        """Return whether an exempt phrase stands around ``match``; forget those that cannot complete any more."""
        open_phrases = []
        window, base = self._tail.text, self._tail.base
        for phrase, begin in match.phrases:
            end = begin + len(phrase.text)
            known = window[begin - base : min(end, position) - base]
            self.scanned += len(known)
            if not phrase.text.startswith(known):
                continue
            if position > end or (position == end and (ended or not phrase.right)):
                if not phrase.right or position == end or not is_word(window[end - base]):
                    return True
            elif not ended:
                open_phrases.append((phrase, begin))
        match.phrases = open_phrases
        return False
