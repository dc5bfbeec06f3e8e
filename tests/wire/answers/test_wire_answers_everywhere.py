"""No place in an event lets a word out: it is put in every string, and under a new key of every object, of real streams."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from wire_events import DONE
from wire_toy_gate import ToyGate
from wire_transcript import FOLDER, say

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import chat, completions, messages, responses

WORD = "ricin"
DIALECTS = {"chat": chat, "cmpl": completions, "resp": responses, "msg": messages}
RECORDED = sorted((FOLDER / "recorded").glob("*.sse"))

SERVER = {
    "id",
    "object",
    "model",
    "role",
    "type",
    "finish_reason",
    "system_fingerprint",
    "stop_reason",
    "status",
    "phase",
}
"""Keys whose strings the server chooses (the ids of tools, which a model may choose, are tried below)."""
ECHO = {"instructions", "tools", "tool_choice", "truncation", "service_tier", "incomplete_details"}
"""Keys of a response that repeat the request."""
ALTERNATIVES = "top_logprobs"
"""Other tokens at a place of the answer: they leave with their event, unread."""

Path = tuple[Any, ...]


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, bool]]:
    """Yield every string of ``value`` (False) and every object (True)."""
    if isinstance(value, dict):
        yield path, True
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))
    elif isinstance(value, str):
        yield path, False


def exempt(path: Path, *, is_object: bool) -> bool:
    keys = [key for key in path if isinstance(key, str)]
    if ALTERNATIVES in keys or "usage" in keys or ECHO & set(keys):
        return True
    if is_object or not keys:
        return False
    return keys[-1] in SERVER and keys[-2:] != ["tool_calls", "id"]


def spoiled(event: Any, path: Path, *, is_object: bool) -> Any:
    event = copy.deepcopy(event)
    holder = event
    for step in path[: len(path) - (not is_object)]:
        holder = holder[step]
    holder["whisper" if is_object else path[-1]] = f"take {WORD}"
    return event


def events(said: bytes) -> list[tuple[bytes, Any]]:
    blocks = [block for block in said.split(b"\n\n") if block and block + b"\n\n" != DONE]
    found = []
    for block in blocks:
        head, _, data = block.rpartition(b"data: ")
        found.append((head, json.loads(data)))
    return found


def cases() -> Iterator[Any]:
    seen = set()
    for path in RECORDED:
        dialect = path.stem.partition("_")[0]
        for number, (_, event) in enumerate(events(path.read_bytes())):
            for place, is_object in places(event):
                form = tuple("*" if isinstance(step, int) else step for step in place)
                signature = (dialect, event.get("type"), form, is_object)
                if signature not in seen and not exempt(place, is_object=is_object):
                    seen.add(signature)
                    where = ".".join(map(str, place)) or "event"
                    yield pytest.param(path, number, place, is_object, id=f"{path.stem}-{number}-{where}-{is_object}")


@pytest.mark.parametrize("gate", [ToyGate, lambda word: ToyGate(masks=(word,))], ids=["blocked", "masked"])
@pytest.mark.parametrize(("path", "number", "place", "is_object"), [*cases()])
def test_a_word_in_any_place_of_any_event_does_not_leave(path, number, place, is_object, gate):
    told = events(path.read_bytes())
    head, event = told[number]
    told[number] = (head, spoiled(event, place, is_object=is_object))
    choices = 2 if path.stem in {"chat_n2", "cmpl"} else 1
    module = DIALECTS[path.stem.partition("_")[0]]
    stream = module.open_stream(Inquiry("any", {}, "tiny", stream=True, choices=choices), gate(WORD))
    said = [head + b"data: " + json.dumps(event).encode() + b"\n\n" for head, event in told]
    out = b"".join(say(stream, event) for event in said) + say(stream, b"<end>")
    assert WORD.encode() not in out
    assert gate is ToyGate or b"llama-3.1" not in out, "a mask ends nothing"


def test_the_places_tried_are_many_and_in_every_dialect():
    found = [case.values for case in cases()]
    for dialect in DIALECTS:
        assert sum(path.stem.startswith(dialect) for path, *_ in found) >= 5
    assert len(found) > 60
    assert any("tool_calls" in place and place[-1] == "id" for _, _, place, _ in found)
