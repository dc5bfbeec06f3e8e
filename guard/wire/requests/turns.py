"""Messages one after the other by the same source: a phrase may be split over them, and templates run them together."""

from guard.exchange.inquiry import Inquiry
from guard.screening.segments import Source
from guard.wire.requests.parts import joined

SEAM = 600
"""Characters of a long message that are read together with its neighbor: more than any rule looks around."""


class Turns:
    """Collects the texts of one conversation's messages and adds those that follow each other as segments of their own.

    Every message has its own segment already. A message longer than two seams takes part with its end and its
    beginning only, so what is added is never more than what was said.
    """

    __slots__ = ("_first", "_inquiry", "_last", "_path", "_source", "_texts")

    def __init__(self, path: str, inquiry: Inquiry) -> None:
        self._path, self._inquiry = path, inquiry
        self._source: Source | None = None
        self._texts: list[str] = []
        self._first = self._last = 0

    def said(self, source: Source, text: str, index: int) -> None:
        """Take the text of message ``index``."""
        if source is not self._source:
            self.close()
            self._source, self._texts, self._first = source, [text[-SEAM:]], index
        elif len(text) > 2 * SEAM:
            self._texts.append(text[:SEAM])
            self._last = index
            self.close()
            self._texts, self._first = [text[-SEAM:]], index
        else:
            self._texts.append(text)
        self._last = index

    def close(self) -> None:
        """Add what was collected, if it is of more than one message."""
        if len(self._texts) > 1 and self._source is not None:
            path = f"{self._path}[{self._first}..{self._last}].content"
            joined(self._texts, self._source, path, self._inquiry, again=True)
