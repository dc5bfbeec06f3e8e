"""Streams of choices, the form of chat and completions: unnamed events, one choice in each, ``[DONE]`` at the end."""

from typing import Any, ClassVar

import msgspec

from guard.exchange.inquiry import Inquiry
from guard.exchange.refusal import Refusal
from guard.wire.answers import failure, sse
from guard.wire.answers.alike import MOST, Alike, Only, around
from guard.wire.answers.budget import Budget
from guard.wire.answers.facts import facts
from guard.wire.answers.hold import Lane
from guard.wire.answers.known import Shape, strip
from guard.wire.dialect import Answered, GarbledAnswer, OutputGate


def drop_unasked(inquiry: Inquiry, answer: dict[str, Any]) -> None:
    """Take the experts of every token out of a whole answer that was not asked for them.

    A server that was started with ``--enable-return-routed-experts`` tells them to everybody; the only field by which
    a request speaks of them is also the one that a policy rules on.
    """
    if "routed_experts_prompt_start" not in inquiry.document:
        for choice in answer["choices"]:
            if choice.get("routed_experts") is not None:
                del choice["routed_experts"]


class ChoiceStream:
    """One streamed answer. A dialect says what a chunk is, which texts a choice brings, and how a choice is cut.

    An event without a choice (usage) waits until no event waits before it. Events after ``[DONE]`` are dropped.
    """

    chunk: ClassVar[Any]
    """A msgspec.Struct that forbids unknown fields, with ``id created model choices usage`` at least."""
    decoder: ClassVar[Any]
    """A msgspec decoder of ``chunk``."""
    known: ClassVar[Shape]
    blank: ClassVar[dict[str, Any]]
    """What a choice without text consists of, beside its index."""

    def __init__(self, inquiry: Inquiry, gate: OutputGate, max_event: int = sse.MAX_EVENT) -> None:
        self.closed = False
        self._choices = inquiry.choices
        options = inquiry.document.get("stream_options")
        self._wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
        self._gate = gate
        self._limit = max_event
        self._frames = sse.Frames(max_event)
        self._out: list[bytes] = []
        self._lanes: dict[int, Lane] = {}
        self._alike: list[Alike] = []
        self._barriers: list[bytes] = []
        self._last: Any = None
        self._usage: dict[str, Any] | None = None
        self._over = False

    # The transport's side.

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes and return what may be released now. Raises GarbledAnswer."""
        if self._over:
            return self._flush()
        if self._alike and self._frames.idle and len(data) <= self._limit and self._grown(data):
            self._pass_barriers()
            return self._flush()
        for block in self._frames.feed(data):
            event = block + b"\n\n"
            if not self._grown(event):
                self._read(block, event)
            self._pass_barriers()
            if self.over:
                break
        return self._flush()

    def finish(self) -> bytes:
        """The upstream's body ended."""
        if not self._over:
            tail = self._frames.tail()
            try:
                if tail:
                    self._read(tail, tail + b"\n\n")
                    self._pass_barriers()
            except GarbledAnswer:
                pass  # half an event: the upstream was cut off, which the ending says
        if not self._over:
            ended = sum(lane.ended for lane in self._lanes.values())
            self._end(complete=ended >= self._choices)
        return self._flush()

    def abort(self, message: str = failure.MESSAGE) -> bytes:
        """The upstream cannot be read any further; ``message`` is what the client is told."""
        if not self._over:
            self._end(complete=False, message=message)
        return self._flush()

    def answered(self) -> list[Answered]:
        """Return what left so far, one entry per choice."""
        usage = self._usage or {}
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if len(self._lanes) > 1:
            completion = None
        return [
            Answered(index, lane.read(), lane.finish_reason, prompt, completion)
            for index, lane in sorted(self._lanes.items())
        ]

    @property
    def over(self) -> bool:
        """Whether nothing that still comes will leave."""
        return self._over

    def _flush(self) -> bytes:
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    # The dialect's side.

    def bring(self, lane: Lane, choice: Any) -> bool:
        """Tell ``lane`` the texts of ``choice``; return whether the event must wait until the choice is finished."""
        raise NotImplementedError

    def only(self, choice: Any) -> Only | None:
        """Return where the text of ``choice`` is, if that is all there is to do with it."""
        raise NotImplementedError

    def shorten(self, choice: dict[str, Any], budget: Budget) -> bool:
        """Leave in ``choice`` what ``budget`` allows; return whether anything is left that is worth an event."""
        raise NotImplementedError

    def mask(self, choice: dict[str, Any], budget: Budget) -> None:
        """Put into ``choice`` what leaves of its texts; tokens that would tell more are taken out."""
        raise NotImplementedError

    def clean(self, document: dict[str, Any]) -> bool:
        """Take out of a chunk what no reader of ours understands; return whether it has to be written anew."""
        return strip(document, self.known)

    # One event.

    def _grown(self, event: bytes) -> bool:
        """Take an event that brings a piece of a text and is in all else as one that was read; False if it is not."""
        for alike in self._alike:
            piece = alike.piece(event)
            if piece:
                lane = alike.lane
                if not lane.over and not lane.grow(alike.name, piece, event):
                    refusal = self._gate.blocked(lane.choice)
                    if refusal is not None:
                        self._block(lane, event, refusal)
                return True
        return False

    def _pass_barriers(self) -> None:
        """Let the events without a choice go if no event waits before them."""
        if self._barriers and not self._over and not any(lane.waiting for lane in self._lanes.values()):
            self._out.extend(self._barriers)
            self._barriers.clear()

    def _read(self, block: bytes, raw: bytes) -> None:
        """Read the event in ``block``; ``raw`` is the block with its blank line."""
        if block.startswith(b"data: ") and b"\n" not in block:
            data = block[6:]
        else:
            event = sse.parse(block)
            if event.data is None:
                self._out.append(sse.KEEP_ALIVE)
                return
            data, raw = event.data, b""
        if data == b"[DONE]":
            self._done()
            return
        if not sse.once(data):
            raw = b""
        try:
            chunk = self.decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk, raw = self._repair(data, raw)
            if chunk is None:
                return
        choices = chunk.choices
        if not raw or (choices and (choices[0].logprobs is not None or len(choices) > 1)):
            chunk, raw = self._repair(data, raw)
            choices = chunk.choices
        self._last = chunk
        if chunk.usage is not None:
            self._usage = chunk.usage
        if len(choices) == 1:
            if chunk.usage is None and len(self._alike) < MOST:
                self._learn(chunk, raw)
            self._choice(choices[0], raw)
        elif choices:
            self._split(chunk, raw)
        else:
            self._barriers.append(raw)

    def _learn(self, chunk: Any, raw: bytes) -> None:
        """Remember what the event ``raw``, which was read to ``chunk``, looks like: the next ones may be like it."""
        [choice] = chunk.choices
        only, lane = self.only(choice), self._lanes.get(choice.index)
        if only is not None and lane is not None:
            found = around(raw, chunk, only, self._reread)
            if found is not None:
                self._alike.append(Alike.of(*found, lane, only[2]))

    def _reread(self, raw: bytes) -> tuple[Any, Only | None]:
        chunk = self.decoder.decode(raw[6:])
        return chunk, self.only(chunk.choices[0]) if len(chunk.choices) == 1 else None

    def _repair(self, data: bytes, raw: bytes) -> tuple[Any, bytes]:
        """Read an event that is not as it should be: unknown keys go, what is left is written anew if it has to be."""
        document = sse.decode(data)
        if document.get("error") is not None:
            self._end(complete=False)
            return None, b""
        if self.clean(document) or not raw:
            raw = sse.encode(document)
        try:
            return msgspec.convert(document, self.chunk), raw
        except msgspec.ValidationError as error:
            raise GarbledAnswer(f"an event of another shape: {error}") from error

    def _split(self, chunk: Any, raw: bytes) -> None:
        """Give each choice of an event an event of its own."""
        document = sse.decode(raw[6:])
        for choice, single in zip(chunk.choices, document["choices"], strict=True):
            self._choice(choice, sse.encode({**document, "choices": [single]}))

    def _choice(self, choice: Any, raw: bytes) -> None:
        index = choice.index
        lane = self._lanes.get(index)
        if lane is None:
            lane = self._lanes[index] = Lane(index, self._gate, self._out, self._limit, mask=self._masked)
        elif lane.over:
            return
        held = self.bring(lane, choice)
        if choice.finish_reason is not None:
            lane.finish()
        refusal = self._gate.blocked(index)
        if refusal is not None:
            self._block(lane, raw, refusal)
            return
        if choice.finish_reason is not None:
            raw = self._told(index, raw)
        lane.offer(raw, held=held)
        if choice.finish_reason is not None:
            lane.ended = True
            lane.finish_reason = choice.finish_reason
            if self._settled() and any(other.over for other in self._lanes.values()):
                self._close()

    def _told(self, index: int, raw: bytes) -> bytes:
        """Return the last event of a choice with what Guard has to tell of it."""
        told = facts(self._gate, index)
        if not told:
            return raw
        document = sse.decode(raw[6:])
        document["choices"][0].update(told)
        return sse.encode(document)

    def _masked(self, raw: bytes, _note: Any, budget: Budget) -> bytes:
        document = sse.decode(raw[6:])
        for choice in document["choices"]:
            self.mask(choice, budget)
        return sse.encode(document)

    # Endings.

    def _block(self, lane: Lane, raw: bytes, refusal: Refusal) -> None:
        """End a choice the way the dialect ends a filtered one; the others go on."""
        for cut in lane.cut(raw):
            if cut.raw:
                document = sse.decode(cut.raw[6:])
                [choice] = document["choices"]
                if self.shorten(choice, cut.budget):
                    self._out.append(sse.encode(document))
        lane.finish_reason = "content_filter"
        ending = {"finish_reason": "content_filter", **facts(self._gate, lane.choice, refusal)}
        self._out.append(sse.encode(self._event([{"index": lane.choice, **self.blank, **ending}])))
        if self._settled():
            self._close()

    def _settled(self) -> bool:
        return len(self._lanes) >= self._choices and all(lane.ended for lane in self._lanes.values())

    def _close(self) -> None:
        """Every choice has ended and the upstream is not needed any more."""
        self._out.extend(self._barriers)
        if self._wants_usage and self._usage is not None and len(self._lanes) == 1:
            self._out.append(sse.encode({**self._event([]), "usage": self._usage}))
        self._out.append(sse.DONE)
        self._over = self.closed = True

    def _event(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        last = self._last
        return {
            "id": last.id,
            "object": last.object,
            "created": last.created,
            "model": last.model,
            "choices": choices,
        }

    def _done(self) -> None:
        self._finish_lanes()
        if not self._over:
            self._out.extend(self._barriers)
            self._out.append(sse.DONE)
            self._over = True

    def _finish_lanes(self) -> None:
        """No choice gets any more text: clear or block what waits."""
        for lane in list(self._lanes.values()):
            if lane.over:
                continue
            lane.finish()
            refusal = self._gate.blocked(lane.choice)
            if refusal is None:
                lane.drain()
            else:
                self._block(lane, b"", refusal)
                if self._over:
                    return

    def _end(self, *, complete: bool, message: str = failure.MESSAGE) -> None:
        """End an answer whose upstream stopped without ``[DONE]`` or said that it failed."""
        self._finish_lanes()
        if self._over:
            return
        self._out.extend(self._barriers)
        if not complete:
            self._out.append(sse.encode(failure.openai(self._gate.reference, message)))
        self._out.append(sse.DONE)
        self._over = self.closed = True
