"""Hold-back, whatever the dialect: an event leaves when every character it brings has been cleared.

One Lane per choice. A dialect tells the lane each text an event brings, then offers the event; events leave in order.
The lanes of different choices do not wait for each other.

When does a text end? A partial match at the end of the reasoning would hold back the content behind it until the whole
answer ends, so a text counts as ended when another text of its choice begins. Should it resume after that, it is
screened as a new channel that begins with the last CONTEXT characters it had; and from then on no text of that choice
counts as ended before the choice itself, so that a match cannot be brought out in slices by going back and forth.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from guard.wire.answers.budget import Budget
from guard.wire.answers.sse import MAX_EVENT
from guard.wire.dialect import Channel, GarbledAnswer, OutputGate

CONTEXT = 1000
"""Characters of an ended text that are screened again before its continuation: more than any rule looks back over."""


class Strand:
    """One channel of the gate, and how much it was fed."""

    __slots__ = ("channel", "fed", "finished")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.fed = 0
        self.finished = False


class Text:
    """One text of an answer: a stretch of a strand, in pieces, and where its released part ends."""

    __slots__ = ("beside", "name", "pieces", "released", "single", "start", "strand")

    def __init__(self, name: str, strand: Strand, *, beside: bool = False, single: bool = False) -> None:
        self.name = name
        self.strand = strand
        self.start = self.released = strand.fed
        self.pieces: list[str] = []
        self.beside = beside
        """It runs beside the others (logprobs), and does not leave with a choice that is cut."""
        self.single = single
        """It leaves as a whole or not at all."""

    def read(self) -> str:
        """Return the text as it came, as far as it has been released."""
        return "".join(self.pieces)[: self.released - self.start]


Mask = Callable[[bytes, Any, Budget], bytes]
"""Returns an event anew, from its bytes and its note, with what may leave of its texts."""

Mark = tuple[Text, int, int]
"""A piece of a text as an event brings it: start and end in characters of the text's strand."""


class Cut(NamedTuple):
    """An event that waited when its choice was blocked."""

    raw: bytes
    note: Any
    budget: Budget
    whole: bool
    """Every text in it may leave; False only for the last one."""


class Lane:
    """The texts of one choice, and its events that wait for them."""

    def __init__(
        self,
        choice: int,
        gate: OutputGate,
        out: list[bytes],
        limit: int = MAX_EVENT,
        released: Callable[[Any], None] | None = None,
        mask: Mask | None = None,
    ) -> None:
        """``released`` is told the note of every event that leaves; ``mask`` writes one with masked spans anew."""
        self.choice = choice
        self.over = False
        """The choice was ended by the gate: what still comes for it is dropped."""
        self.ended = False
        """The choice is complete, by its finish reason or by the gate."""
        self.finish_reason: str | None = None
        self._gate = gate
        self._out = out
        self._limit = limit
        self._released = released
        self._mask = mask
        self._waiting: deque[tuple[bytes, list[Mark], bool, Any]] = deque()
        self._held = 0
        self._marks: list[Mark] = []
        self._current: Text | None = None
        self._texts: list[Text] = []
        self._strands: dict[str, Strand] = {}
        self._taken: dict[str, int] = {}
        self._beside: dict[str, Text] = {}
        self._strict = False
        self._finished = False
        self._mute = False

    # What an event brings.

    def say(self, name: str, piece: str) -> None:
        """The event brings ``piece`` of the text ``name``; the text before it ends if that was another one."""
        text = self._current
        if text is None or text.name != name:
            if text is not None:
                self.end(text)
            text = self._current = self.open(name)
        self.add(text, piece)

    def grow(self, name: str, piece: str, event: bytes) -> bool:
        """Say ``piece`` and, if the choice is not blocked by it, offer ``event``, which brings nothing else.

        Returns False if it is blocked. As ``say`` and ``offer``, for a text that goes on and nothing that waits.
        """
        text, gate = self._current, self._gate
        if text is None or text.name != name or self._waiting or self._mute or self._marks:
            self.say(name, piece)
        else:
            strand = text.strand
            start = strand.fed
            strand.fed = end = start + len(piece)
            gate.feed(strand.channel, piece)
            text.pieces.append(piece)
            if (
                gate.cleared(strand.channel) >= end
                and self.choice not in gate.masked
                and gate.blocked(self.choice) is None
                and self._released is None
            ):
                text.released = end
                self._out.append(event)
                return True
            self._marks.append((text, start, end))
        if gate.blocked(self.choice) is not None:
            return False
        self.offer(event)
        return True

    def add(self, text: Text, piece: str) -> None:
        """The event brings ``piece`` of ``text``."""
        strand = text.strand
        start = strand.fed
        strand.fed = end = start + len(piece)
        if not self._mute:
            self._gate.feed(strand.channel, piece)
        text.pieces.append(piece)
        self._marks.append((text, start, end))

    def beside(self, name: str, piece: str) -> None:
        """The event brings ``piece`` of a text that runs beside the others and never leaves in part (logprobs)."""
        text = self._beside.get(name)
        if text is None:
            text = self._beside[name] = Text(name, self._strand(name), beside=True)
        self.add(text, piece)

    def here(self, name: str) -> Text:
        """Return the place up to which the text ``name``, which runs beside the others, has come."""
        text = Text(name, self._strand(name), beside=True)
        text.start = 0
        return text

    def whole(self, name: str, string: str) -> Text:
        """The event brings ``string``, complete in itself (a name, an id, a stop string)."""
        strand = Strand(self._channel(name))
        text = Text(name, strand, single=True)
        self.add(text, string)
        self._gate.finish(strand.channel)
        strand.finished = True
        return text

    def again(self, text: Text) -> None:
        """The event repeats all of ``text``."""
        self._marks.append((text, text.start, max(text.released, text.start + sum(map(len, text.pieces)))))

    def open(self, name: str) -> Text:
        """Return a new text called ``name``."""
        self._mute = self._mute or self._gate.blocked(self.choice) is not None
        text = Text(name, self._strand(name))
        self._texts.append(text)
        return text

    def end(self, text: Text) -> None:
        """``text`` gets no more pieces."""
        if not self._strict and not text.strand.finished:
            text.strand.finished = True
            self._gate.finish(text.strand.channel)

    def finish(self) -> None:
        """The choice gets no more text."""
        self._finished = True
        self._current = None
        self._beside.clear()
        for strand in self._strands.values():
            if not strand.finished:
                strand.finished = True
                self._gate.finish(strand.channel)

    def _strand(self, name: str) -> Strand:
        last = self._strands.get(name)
        if last is not None and not last.finished:
            return last
        strand = self._strands[name] = Strand(self._channel(name))
        if last is not None:
            self._strict = True
            context = self._context(name)
            if context:
                self._gate.feed(strand.channel, context)
                strand.fed = len(context)
        return strand

    def _channel(self, name: str) -> Channel:
        number = self._taken[name] = self._taken.get(name, 0) + 1
        return Channel(self.choice, name if number == 1 else f"{name}.{number}")

    def _context(self, name: str) -> str:
        """Return the last CONTEXT characters of the texts called ``name``; all of them where the text is JSON."""
        if name.endswith(".arguments"):
            return "".join(piece for text in self._texts if text.name == name for piece in text.pieces)
        pieces: deque[str] = deque()
        missing = CONTEXT
        for text in reversed(self._texts):
            if text.name == name:
                for piece in reversed(text.pieces):
                    pieces.appendleft(piece)
                    missing -= len(piece)
                    if missing <= 0:
                        return "".join(pieces)[-CONTEXT:]
        return "".join(pieces)

    # The event itself.

    def offer(self, raw: bytes, *, held: bool = False, note: Any = None) -> None:
        """The event, complete: it leaves now or waits. ``held``: it leaves no earlier than the choice is finished."""
        marks = self._marks
        if marks:
            self._marks = []
        if not self._waiting and not (held and not self._finished):
            cleared = self._gate.cleared
            for text, _, end in marks:
                if cleared(text.strand.channel) < end:
                    break
            else:
                self._leave(raw, marks, held, note)
                return
        self._wait(raw, marks or [], held, note)  # never the list that the next event's marks go into
        self.drain()

    def drain(self) -> None:
        """Let the events go that wait for nothing any more."""
        waiting, cleared = self._waiting, self._gate.cleared
        while waiting:
            raw, marks, held, note = waiting[0]
            if held and not self._finished:
                return
            for text, _, end in marks:
                if cleared(text.strand.channel) < end:
                    return
            waiting.popleft()
            self._held -= len(raw)
            self._leave(raw, marks, held, note)

    def _leave(self, raw: bytes, marks: list[Mark], held: bool, note: Any) -> None:
        for text, _, end in marks:
            text.released = end
        if self._mask is not None and self.masked(marks, held=held):
            raw = self._mask(raw, note, self.edit(marks))
        self._out.append(raw)
        if self._released is not None:
            self._released(note)

    def masked(self, marks: list[Mark], *, held: bool = False) -> bool:
        """Return whether any of the pieces leaves as something else, or the choice has masks and what is ``held`` until
        it is finished tells its text in another way (token ids).
        """
        gate = self._gate
        if self.choice not in gate.masked:
            return False
        return held or any(gate.touched(text.strand.channel, start, end) for text, start, end in marks)

    def edit(self, marks: list[Mark]) -> Budget:
        """Return the pieces, all of them cleared, as they may leave."""
        budget = Budget(self._gate)
        for text, start, end in marks:
            budget.grant(text.name, text.strand.channel, start, end, whole=text.single)
        return budget

    def _wait(self, raw: bytes, marks: list[Mark], held: bool, note: Any) -> None:
        self._waiting.append((raw, marks, held, note))
        self._held += len(raw)
        if self._held > self._limit:
            raise GarbledAnswer(f"more than {self._limit} bytes of one choice would have to wait")

    @property
    def waiting(self) -> bool:
        """Whether any event waits."""
        return bool(self._waiting)

    def cut(self, raw: bytes, note: Any = None) -> list[Cut]:
        """End the choice, which the gate has blocked.

        Return the events that waited, and the one now brought, as far as they may leave; logprobs must not.
        """
        self._waiting.append((raw, self.marks(), False, note))
        self.over = self.ended = True
        cuts: list[Cut] = []
        for waiting, marks, _, its_note in self._waiting:
            budget, whole = self.settle(marks)
            cuts.append(Cut(waiting, its_note, budget, whole))
            if not whole:
                break
        self._waiting.clear()
        return cuts

    def marks(self) -> list[Mark]:
        """Return the marks of the event that is being read, and begin the next one."""
        marks, self._marks = self._marks, []
        return marks

    def settle(self, marks: list[Mark]) -> tuple[Budget, bool]:
        """Return what of the pieces may leave: all up to the first that is not cleared to its end, which is cut."""
        budget, whole = Budget(self._gate), True
        for text, start, end in marks:
            if text.beside:
                continue
            if whole:
                stop = min(max(self._gate.cleared(text.strand.channel), start), end)
                text.released = max(text.released, stop)
                whole = stop == end
                if not text.single:
                    budget.grant(text.name, text.strand.channel, start, stop)
        return budget, whole

    def told(self, text: Text) -> str:
        """Return what of ``text`` has been released, as it left."""
        return self._gate.released(text.strand.channel, text.read(), text.start)

    def read(self) -> tuple[str, ...]:
        """Return what of each of the choice's texts has been released, without the empty ones."""
        texts: dict[str, list[str]] = {}
        for text in self._texts:
            texts.setdefault(text.name, []).append(self.told(text))
        return tuple(joined for parts in texts.values() if (joined := "".join(parts)))
