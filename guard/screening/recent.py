"""What was worked out about the last few texts: one tier after the other asks the same about the parts of a prompt."""

from collections.abc import Callable
from typing import Generic, TypeVar

KEPT = 4
"""Texts: a prompt seldom has more that matter."""
LONGEST = 1 << 16
"""Characters of a text that is kept: so there are never many."""

T = TypeVar("T")


class Recent(Generic[T]):
    """A function of texts that remembers its last results, by the identity of the text: a look costs next to nothing.

    The results are shared, so they are values that nobody changes. Safe to use from several threads.
    """

    __slots__ = ("_kept", "_work")

    def __init__(self, work: Callable[[str], T]) -> None:
        self._work = work
        self._kept: tuple[tuple[str, T], ...] = ()

    def __call__(self, text: str) -> T:
        """Return what the function returns for ``text``."""
        for known, result in self._kept:
            if known is text:
                return result
        result = self._work(text)
        if len(text) <= LONGEST:
            self._kept = (*self._kept[1 - KEPT :], (text, result))
        return result
