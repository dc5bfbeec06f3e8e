"""Streams of typed events, the form of responses and messages: every event says its ``type``, and there is one answer.

All events wait in one line. ``seen`` reads an event as it comes and tells the lane its texts; ``left`` follows what has
been released, so that an answer that is cut gets the closing events that match the opening ones the client has.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from guard.exchange.inquiry import Inquiry
from guard.exchange.refusal import Refusal
from guard.wire.answers import sse
from guard.wire.answers.budget import Budget
from guard.wire.answers.failure import MESSAGE
from guard.wire.answers.hold import Cut, Lane, Text
from guard.wire.answers.known import generated, textless
from guard.wire.dialect import Answered, GarbledAnswer, OutputGate

Json = dict[str, Any]


class TypedStream:
    """One streamed answer; a dialect overrides ``seen``, ``left``, ``shorten``, ``refused`` and ``failed``."""

    failures: ClassVar[frozenset[str]] = frozenset({"error"})
    """Types of events that say the upstream failed: the client gets our own."""

    def __init__(self, inquiry: Inquiry, gate: OutputGate, max_event: int = sse.MAX_EVENT) -> None:  # noqa: ARG002 - Dialect
        self.closed = False
        self.gate = gate
        self.usage: Json = {}
        self.known: dict[tuple[str, str], Text] = {}
        """Strings that were screened already, by what rules take them for: what repeats one brings nothing new."""
        self._frames = sse.Frames(max_event)
        self._out: list[bytes] = []
        self._over = False
        self.lane = Lane(0, gate, self._out, max_event, self.left, self._masked)

    # The transport's side.

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes and return what may be released now. Raises GarbledAnswer."""
        if not self._over:
            for block in self._frames.feed(data):
                self._take(block)
                if self.over:
                    break
        return self._flush()

    def finish(self) -> bytes:
        """The upstream's body ended."""
        if not self._over:
            tail = self._frames.tail()
            try:
                if tail:
                    self._take(tail)
            except GarbledAnswer:
                pass  # half an event: the upstream was cut off, which the ending says
        return self.abort()

    def abort(self, message: str = MESSAGE) -> bytes:
        """The upstream cannot be read any further; ``message`` is what the client is told."""
        if not self._over:
            self._fail(message)
        return self._flush()

    def answered(self) -> list[Answered]:
        """Return what left so far."""
        prompt, completion = self.usage.get("input_tokens"), self.usage.get("output_tokens")
        return [Answered(0, self.lane.read(), self.lane.finish_reason, prompt, completion)]

    @property
    def over(self) -> bool:
        """Whether nothing that still comes will leave."""
        return self._over

    def _flush(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    # The dialect's side.

    def seen(self, event: Json, kind: str) -> bool | None:
        """Tell the lane the texts of ``event``, whose type is ``kind``.

        Return True if something was taken out, so that the event must be written anew; None if it is to be dropped.
        """
        raise NotImplementedError

    def left(self, event: Json) -> None:
        """``event`` has been released."""
        raise NotImplementedError

    def mask(self, event: Json, budget: Budget) -> None:
        """Put into ``event`` what leaves of its texts; tokens that would tell more are taken out."""
        raise NotImplementedError

    def shorten(self, event: Json, cut: Cut) -> bool:
        """Leave in ``event`` what may leave; return whether it is still worth an event."""
        raise NotImplementedError

    def refused(self, refusal: Refusal) -> Iterable[Json]:
        """Return the events that end an answer which a rule has blocked."""
        raise NotImplementedError

    def failed(self, message: str) -> Iterable[Json]:
        """Return the events that end an answer which cannot be finished, of which the client is told ``message``."""
        raise NotImplementedError

    def terminal(self, kind: str) -> bool:
        """Return whether an event of this type is the last one."""
        raise NotImplementedError

    def last_text(self, kind: str) -> bool:
        """Return whether no text comes after an event of this type."""
        return self.terminal(kind)

    def string(self, name: str, text: Any) -> None:
        """The event brings the complete ``text``: screen it, unless that has been done or it is a random id."""
        if not isinstance(text, str) or not text:
            return
        before = self.known.get((read_as(name), text))
        if before is not None:  # also where a text that was screened looks like an id
            self.lane.again(before)
        elif not generated(text):
            self.known[read_as(name), text] = self.lane.whole(name, text)

    def unmasked(self, name: str, text: Any) -> Any:
        """Return what leaves of ``text``, which ``string`` was told."""
        before = self.known.get((read_as(name), text)) if isinstance(text, str) else None
        return text if before is None else self.lane.told(before)

    def walk(self, name: str, value: Any, skip: frozenset[str] = frozenset()) -> None:
        """The event brings every string in ``value``, whose keys are known; those in ``skip`` hold no text."""
        if isinstance(value, str):
            self.string(name, value)
        elif isinstance(value, list):
            for item in value:
                self.walk(name, item, skip)
        elif isinstance(value, dict):
            for key, item in value.items():
                if key not in skip and not textless(item):
                    self.walk(name, item, skip)

    def rewrite(self, name: str, value: Any, skip: frozenset[str] = frozenset()) -> Any:
        """Return ``value``, which ``walk`` was told, with what leaves of its strings."""
        if isinstance(value, list):
            return [self.rewrite(name, item, skip) for item in value]
        if isinstance(value, dict):
            return {key: item if key in skip else self.rewrite(name, item, skip) for key, item in value.items()}
        return self.unmasked(name, value)

    # One event.

    def _masked(self, _raw: bytes, event: Any, budget: Budget) -> bytes:
        self.mask(event, budget)
        return sse.encode(event, event["type"])

    def _take(self, block: bytes) -> None:
        parsed = sse.parse(block)
        if parsed.data is None:
            self._out.append(sse.KEEP_ALIVE)
            return
        event = sse.decode(parsed.data)
        kind = event.get("type")
        if not isinstance(kind, str | None):
            raise GarbledAnswer("an event whose type is not a string")
        if kind in self.failures or (kind is None and event.get("error") is not None):
            self._fail()
            return
        if kind is None:
            raise GarbledAnswer("an event without a type")
        twice = not sse.once(parsed.data, event)
        changed = self.seen(event, kind)
        if changed is None:
            self.lane.marks()
            return
        if self.last_text(kind):
            self.lane.finish()
        raw = block + b"\n\n"
        if changed or twice or not parsed.exact or parsed.name != kind.encode():
            raw = sse.encode(event, kind)
        refusal = self.gate.blocked(0)
        if refusal is not None:
            self._block(raw, event, refusal)
            return
        self.lane.offer(raw, note=event)
        if self.terminal(kind):
            self._over = True

    def _block(self, raw: bytes, event: Json | None, refusal: Refusal) -> None:
        for cut in self.lane.cut(raw, event):
            if cut.note is not None and self.shorten(cut.note, cut):
                self._emit(cut.note)
        self.lane.finish_reason = "content_filter"
        for ending in self.refused(refusal):
            self._emit(ending)
        self._over = self.closed = True

    def _fail(self, message: str = MESSAGE) -> None:
        """The upstream stopped before the end, or said that it failed."""
        self.lane.finish()
        refusal = self.gate.blocked(0)
        if refusal is not None:
            self._block(b"", None, refusal)
            return
        self.lane.drain()
        for ending in self.failed(message):
            self._emit(ending)
        self._over = self.closed = True

    def _emit(self, event: Json) -> None:
        self._out.append(sse.encode(event, event["type"]))
        self.left(event)


def read_as(name: str) -> str:
    """Return what rules take the text ``name`` for: ``reasoning``, ``tool``, ``logprobs`` or ``output``."""
    first = name.partition(".")[0]
    return first if first in {"reasoning", "tool", "logprobs"} else "output"
