"""Content parts of a message: which hold text, which hold what no text rule can read, and which are unknown.

The types are those vLLM's chat renderer knows. It hands members it does not know to the chat template, and a ``uuid``
makes it ignore a part's type, so a part is cut down to the members of its type.
"""

from string import whitespace
from typing import Any

from guard.exchange.inquiry import FieldUse, Inquiry
from guard.exchange.unscanned import PartKind, UnscannedPart
from guard.screening.segments import Segment, Source
from guard.wire.coercion import show
from guard.wire.dialect import Malformed

TEXTS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "thinking": "thinking",
    "tool_reference": "name",
}
"""By the type of a part that is text: the member that holds it."""
_MEDIA = {
    "image_url": "image_url",
    "input_image": "image_url",
    "image_embeds": "image_embeds",
    "audio_url": "audio_url",
    "input_audio": "input_audio",
    "audio_embeds": "audio_embeds",
    "video_url": "video_url",
    "video_embeds": "video_embeds",
    "prompt_embeds": "data",
    "file": "file",
    "input_file": "file_data",
}
_UNTYPED = ("image_url", "image_embeds", "audio_embeds", "video_embeds", "audio_url", "input_audio", "video_url")
_KINDS = {
    **dict.fromkeys(("image_url", "input_image", "image_embeds"), PartKind.IMAGE),
    **dict.fromkeys(("audio_url", "input_audio", "audio_embeds"), PartKind.AUDIO),
    **dict.fromkeys(("video_url", "video_embeds"), PartKind.VIDEO),
    **dict.fromkeys(("file", "input_file"), PartKind.FILE),
    "prompt_embeds": PartKind.PROMPT_EMBEDS,
}
_ALLOWED = ", ".join((*TEXTS, *_MEDIA))
_BLANK = frozenset(whitespace)


def content(parts: list[Any], source: Source, path: str, inquiry: Inquiry) -> str:
    """Add the text of ``parts`` as segments of ``source`` and list the parts that are not text as unscannable.

    Returns all of the text, a line for each part. Parts are cut down in place. Raises Malformed for a part that is no
    object or whose type is unknown.
    """
    found: list[str] = []
    at = path
    for index, part in enumerate(parts):
        if type(part) is not dict:
            raise Malformed(f"{path}[{index}]", show(part), "an object with a type")
        kind = part.get("type")
        name = TEXTS.get(kind) if type(kind) is str else None
        if name is None:
            parts[index] = _media(part, kind, f"{path}[{index}]", inquiry)
            continue
        value = part.get(name)
        if type(value) is not str:
            raise Malformed(f"{path}[{index}].{name}", show(value), "a string")
        if len(part) != 2:
            closed = part.get("closed")
            parts[index] = {"type": kind, name: value}
            if kind == "thinking" and type(closed) is bool:
                parts[index]["closed"] = closed
        found.append(value)
        at = f"{path}[{index}].{name}"
    if len(found) == 1:
        inquiry.segments.append(Segment(source, found[0], at))
        return found[0]
    if found:
        joined(found, source, path, inquiry)
    return "\n".join(found)


def joined(texts: list[str], source: Source, path: str, inquiry: Inquiry, *, again: bool = False) -> None:
    """Add adjacent ``texts`` as one segment, so that no phrase hides by being split over them.

    ``again``: they have segments already.
    Some templates set parts on lines of their own, others side by side. The first is always screened; the second
    differs where one text runs on into the next without a blank, be it in a word or at a sign (``jane@``,
    ``example.org``), and is screened then too.
    """
    inquiry.segments.append(Segment(source, "\n".join(texts), path, again))
    before = ""
    for text in texts:
        if text:
            if before and before[-1] not in _BLANK and text[0] not in _BLANK:
                inquiry.segments.append(Segment(source, "".join(texts), path, again=True))
                return
            before = text


def _media(part: dict[str, Any], kind: Any, path: str, inquiry: Inquiry) -> dict[str, Any]:
    if kind is None:
        name = next((key for key in _UNTYPED if key in part), None)
        if name is None:
            raise Malformed(f"{path}.type", "nothing", _ALLOWED)
    else:
        name = _MEDIA.get(kind) if type(kind) is str else None
        if name is None:
            raise Malformed(f"{path}.type", show(kind), _ALLOWED)
        if kind == "prompt_embeds":
            inquiry.uses.append(FieldUse("prompt_embeds", path.partition("[")[0], True))
    inquiry.unscannable.append(UnscannedPart(_KINDS[kind or name], path))
    return {key: part[key] for key in ("type", name, "uuid", "detail", "filename", "file_url") if key in part}
