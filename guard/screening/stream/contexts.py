"""Matches whose context is still undecided, in a text that grows.

Each is decided at the first character at which nothing that follows can change it, so what is found depends on the text
alone. What has been read is not read again, but for the few characters before a context word's end.
"""

from collections.abc import Callable, Sequence

from guard.screening.normalize import is_word
from guard.screening.rules import Context, Literal, Rule, Search, Where
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

    __slots__ = ("_awaited", "_known", "_tail", "_words", "calm", "decided", "matches", "scanned")

    def __init__(self, tail: Tail, awaited: Callable[[Sequence[Rule]], tuple[int, Search]]) -> None:
        """``awaited`` is ``Program.awaited``."""
        self.matches: list[Match] = []
        """Those that are undecided."""
        self.decided: list[Match] = []
        """Those that fire and have not been taken yet."""
        self.calm = 0
        """Up to this position nothing is judged within a word."""
        self.scanned = 0
        """Characters examined so far."""
        self._tail = tail
        self._awaited = awaited
        self._words: tuple[int, Search] | None = None
        """What ``awaited`` says of the rules of the matches, once it was asked."""
        self._known = 0
        """Up to here no word that a match waits for ends, but for those that it was judged by."""

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
            self._known = min(self._known, end) if self.matches else end
            self._words = None
            self.matches.append(match)
            self._note()
        else:
            self.decided.append(match)

    def step(self, position: int, *, in_word: bool) -> None:
        """Judge by the character before ``position``, which is part of a word or not."""
        if position <= self.calm and (in_word or self._nothing_new(position)):
            return
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
        if not in_word:
            self._known = position
        if len(waiting) < len(self.matches):
            self._words = None
        self.matches = waiting
        self._note()

    def undecided(self, said: str) -> bool:
        """Return whether ``said``, which comes next, decides nothing for sure: it then need not be judged."""
        end = self._tail.end + len(said)
        return end <= self.calm and self._nothing_new(end, said)

    def _note(self) -> None:
        """Note until when nothing is judged within a word."""
        self.calm = min([0 if match.phrases else match.due for match in self.matches], default=0)

    def _nothing_new(self, end: int, said: str = "") -> bool:
        """Return whether no word that any match waits for ended since this was asked last, up to ``end``.

        ``said`` is what comes behind the tail. A few words are taken for one: they cost a closer look and no more.
        """
        if self._words is None:
            self._words = self._awaited([match.rule for match in self.matches])
        longest, occur = self._words
        tail = self._tail
        base = max(tail.base, self._known - longest)
        window = tail.text[base - tail.base :] + said
        if occur(window, 0, end - base):
            return False
        self._known = end
        return True

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
