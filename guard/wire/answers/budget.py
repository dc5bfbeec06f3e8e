"""How much of each text of one event may leave, and as what."""

from collections import deque
from typing import Any

from guard.wire.dialect import Channel, OutputGate


class Budget:
    """The pieces of each text that may leave, in the order in which the event brings them."""

    __slots__ = ("_gate", "_left", "masks")

    def __init__(self, gate: OutputGate) -> None:
        self._gate = gate
        self._left: dict[str, deque[tuple[Channel, int, int]]] = {}
        self.masks = False
        """Something taken was masked."""

    def grant(self, name: str, channel: Channel, start: int, end: int, *, whole: bool = False) -> None:
        """Let the characters ``start`` to ``end`` of ``channel`` leave, as a piece of the text ``name``, or as a string
        of that name that is complete in itself.
        """
        self._left.setdefault(f"={name}" if whole else name, deque()).append((channel, start, end))

    def take_whole(self, name: str, text: Any) -> str:
        """Return what leaves of ``text``, which is complete in itself, and use it up."""
        return self.take(f"={name}", text)

    def take(self, name: str, text: Any) -> str:
        """Return the beginning of ``text`` that may leave, masks applied, and use it up; nothing of what is no string.

        ``text`` is what the event holds of the text ``name`` at the next place.
        """
        left = self._left.get(name)
        if not left or not isinstance(text, str):
            return ""
        parts, done = [], 0
        while left and done < len(text):
            channel, start, end = left.popleft()
            piece = text[done : done + end - start]
            done += len(piece)
            if len(piece) < end - start:
                left.appendleft((channel, start + len(piece), end))
            if self._gate.masked:
                released = self._gate.released(channel, piece, start)
                self.masks |= released != piece
                piece = released
            parts.append(piece)
        return "".join(parts)
