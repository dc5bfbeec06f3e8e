"""Spans of a prompt replaced in the document that is sent.

A segment may have been put together of several texts of the document; what is replaced in it is replaced in those. The
result is read back the way the request was, and only a document in which nothing is left to mask is sent (invariant 4).
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from guard.exchange.exchange import Exchange
from guard.exchange.inquiry import Inquiry
from guard.exchange.mask_prompt import masks, unmaskable
from guard.exchange.refusal import Refusal
from guard.exchange.screen_prompt import unavailable
from guard.screening.automaton import TooManyMatches
from guard.screening.segments import Segment, Source
from guard.screening.stream.masks import Masks, Span
from guard.wire.dialect import Malformed
from guard.wire.requests.parts import TEXTS

MOST_ROUNDS = 4
"""What is left may read differently without what was taken out; a prompt that does so again and again is refused."""
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_KINDS = (frozenset(TEXTS), frozenset({"text"}), frozenset({"thinking"}), frozenset({"summary_text", "reasoning_text"}))
"""Which parts of an array are put together to a segment."""
_decode, _encode = msgspec.json.decode, msgspec.json.encode


class Leaf(NamedTuple):
    """One text of the document; ``holder`` is None for one that cannot be replaced: the name of a member."""

    holder: Any
    key: Any
    text: str


class Unmaskable(Exception):
    """There is something to mask where nothing can be replaced."""


def mask_prompt(exchange: Exchange, parse: Callable[[dict[str, Any]], Inquiry]) -> Refusal | None:
    """Replace what has to be masked in the exchange's document, or return why it must not be sent.

    ``parse`` is what read the document. Afterwards ``exchange.sent`` has the texts of the document as it is.
    """
    segments: Sequence[Segment] = exchange.inquiry.segments
    try:
        for _ in range(MOST_ROUNDS):
            found = list(masks(exchange, segments))
            if not found:
                exchange.sent = list(segments)
                return None
            # Texts that are read together are masked where each stands by itself; what is left then is split over them.
            alone = [(segment, spans) for segment, spans in found if not segment.again]
            _replace(exchange.inquiry.edit(), alone or found)
            segments = parse(_decode(_encode(exchange.inquiry.document))).segments
    except (Unmaskable, Malformed):
        return exchange.refuse(unmaskable())
    except TooManyMatches as error:
        exchange.services.on_failure("screening.mask", error)
        exchange.not_evaluated.append("too_many_matches")
        return exchange.refuse(unavailable())
    return exchange.refuse(unmaskable())


def _replace(document: dict[str, Any], found: Sequence[tuple[Segment, Masks]]) -> None:
    """Replace in ``document`` what was ``found``. Raises Unmaskable; some of it may have been replaced by then."""
    todo: dict[tuple[int, Any], tuple[Leaf, Masks, bool]] = {}
    for segment, spans in found:
        for leaf, start in _placed(document, segment):
            end = start + len(leaf.text)
            at = bisect_right(spans.spans, start, key=_end)
            while at < len(spans.spans) and (span := spans.spans[at]).start < end:
                at += 1
                if leaf.holder is None:
                    raise Unmaskable
                place = id(leaf.holder), leaf.key
                known = todo.setdefault(place, (leaf, Masks(), segment.source is Source.TOOL_ARGUMENTS))
                low, replacement = (span.start - start, span.replacement) if span.start >= start else (0, "")
                if known[2] and _escapes(leaf.text, low):
                    low -= 1  # an escape of JSON is replaced whole
                known[1].add("", low, min(span.end, end) - start, replacement)
    for leaf, own, arguments in todo.values():
        text = own.apply(leaf.text, 0)
        if arguments and _is_json(leaf.text) and not _is_json(text):
            raise Unmaskable
        leaf.holder[leaf.key] = text


def _placed(document: dict[str, Any], segment: Segment) -> Iterator[tuple[Leaf, int]]:
    """Yield the texts of which ``segment`` was put together, and where each begins in it. Raises Unmaskable."""
    holder: Any
    key: Any
    value: Any
    holder, key, value = None, "", document
    for name, index in _STEP.findall(segment.path):
        holder, key = value, name or int(index)
        try:
            value = holder[key]
        except (KeyError, IndexError, TypeError):
            raise Unmaskable from None
    for leaves, between in _readings(holder, key, value):
        if between.join(leaf.text for leaf in leaves) == segment.text:
            start = 0
            for leaf in leaves:
                yield leaf, start
                start += len(leaf.text) + len(between)
            return
    raise Unmaskable


def _readings(holder: Any, key: Any, value: Any) -> Iterator[tuple[list[Leaf], str]]:
    """Yield the ways in which parsers make one text of a value, with what they put between its parts."""
    if type(value) is str:
        yield [Leaf(holder, key, value)], ""
        return
    if type(value) is list:
        for kinds in _KINDS:
            leaves = list(_parts(value, kinds))
            yield leaves, "\n"
            yield leaves, ""
    yield list(_strings(value)), "\n"


def _parts(parts: list[Any], kinds: frozenset[str]) -> Iterator[Leaf]:
    for part in parts:
        kind = part.get("type") if type(part) is dict else None
        if kind in kinds:
            name = TEXTS.get(kind, "text")
            yield Leaf(part, name, part[name])


def _strings(value: Any) -> Iterator[Leaf]:
    """Every string of ``value`` as ``guard.wire.requests.strings.strings`` puts them together."""
    pending: list[tuple[Any, Any, Any]] = [(None, None, value)]
    while pending:
        holder, key, item = pending.pop()
        if type(item) is str:
            yield Leaf(holder, key, item)
        elif type(item) is dict:
            for name in reversed(item):
                pending.append((item, name, item[name]))
                pending.append((None, None, name))
        elif type(item) is list:
            pending.extend((item, index, item[index]) for index in reversed(range(len(item))))


def _end(span: Span) -> int:
    return span.end


def _escapes(text: str, end: int) -> bool:
    """Return whether a backslash before ``text[end]`` is the beginning of an escape of JSON."""
    begin = end
    while begin and text[begin - 1] == "\\":
        begin -= 1
    return (end - begin) % 2 == 1


def _is_json(text: str) -> bool:
    try:
        _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
