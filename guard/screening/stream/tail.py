"""The end of a growing text, folded: as much of it as a check may look back on."""

from functools import lru_cache

from guard.screening.normalize import Offsets, fold

BLOCK = 512
"""Longer texts are read in blocks of so many characters."""
_SHORT = 16
fold_short = lru_cache(4096)(fold)
"""A stream's pieces are tokens, and most tokens are old acquaintances."""


class Tail:
    """The last folded characters of a text and where they stood in it. Offsets count from the text's beginning."""

    __slots__ = ("_offsets", "_reach", "after_space", "base", "end", "seen", "text")

    def __init__(self, reach: int) -> None:
        self.text = ""
        self.base = 0
        """Folded offset of the first character of ``text``."""
        self.end = 0
        """Folded characters so far."""
        self.seen = 0
        """Original characters so far."""
        self.after_space = False
        """The folded text ends with a space: blanks that follow add nothing to it."""
        self._reach = reach
        self._offsets = Offsets()

    def add(self, text: str) -> str:
        """Add ``text``, no more than BLOCK characters or few times as many, and return what it is, folded.

        Everything from ``_reach`` characters before the end on stays.
        """
        folded = self.folded(text)
        self.put(text, folded)
        return folded

    def folded(self, text: str) -> str:
        """Return what ``text`` is here, folded."""
        if len(text) <= _SHORT:
            return fold_short(text, after_space=self.after_space)
        return fold(text, after_space=self.after_space)

    def put(self, text: str, folded: str) -> None:
        """Add ``text``, which is ``folded`` here."""
        if folded:
            self._offsets.extend(text, len(folded), self.end, self.seen, after_space=self.after_space)
            self.after_space = folded[-1] == " "
            kept = self.text
            if len(kept) > 2 * self._reach + BLOCK:
                kept = kept[-self._reach :]
                self.base = self.end - len(kept)
                self._offsets.forget(self.base)
            self.text = kept + folded
            self.end += len(folded)
        self.seen += len(text)

    def original(self, index: int) -> int:
        """Return the original offset of the folded character ``index``; at or behind the end, of the text's end."""
        return self.seen if index >= self.end else self._offsets.original(index)

    def behind(self, index: int) -> int:
        """Return the original offset behind the folded character before ``index``."""
        return self._offsets.original(index - 1) + 1 if index else 0
