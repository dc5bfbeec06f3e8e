"""Golden transcripts, and streams recorded from vLLM 0.32.0."""

import json
import re

import pytest
from wire_clients import Wire, understand
from wire_toy_gate import ToyGate
from wire_transcript import FOLDER, Transcript, play, read, say

from guard.exchange.inquiry import Inquiry
from guard.wire.answers import chat, completions, failure, messages, plain, responses

TRANSCRIPTS = [read(path) for path in sorted(FOLDER.glob("*.txt"))]
DIALECTS = {"chat": chat, "cmpl": completions, "resp": responses, "msg": messages}
each = pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda transcript: transcript.name)


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire()


def recorded(suffix: str):
    paths = sorted((FOLDER / "recorded").glob(f"*{suffix}"))
    assert paths
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def dialect(name: str):
    return DIALECTS.get(name.partition("_")[0], plain)


def test_every_dialect_has_transcripts():
    assert {transcript.dialect for transcript in TRANSCRIPTS} == {"chat", "completions", "responses", "messages"}


@each
def test_each_event_leaves_when_the_transcript_says(transcript: Transcript):
    stream = transcript.open()
    for number, step in enumerate(transcript.steps):
        assert say(stream, step.said) == step.left, f"step {number}: {step.said!r}"


@each
def test_the_official_client_understands_it(transcript: Transcript, wire: Wire):
    assert understand(wire, transcript.dialect, transcript.left) == transcript.understood


@each
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_the_same_bytes_leave_however_they_arrive(transcript: Transcript, size: int):
    comments = re.compile(rb"^:[^\n]*\n\n", re.MULTILINE)  # they pass whatever waits
    assert comments.sub(b"", play(transcript, size)) == comments.sub(b"", transcript.left)


@each
def test_no_blocked_or_masked_word_is_in_what_left(transcript: Transcript):
    for word in (*transcript.words, *transcript.masks):
        assert word.encode() not in transcript.left


@recorded(".sse")
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_recorded_stream_leaves_byte_for_byte(path, size):
    said, module = path.read_bytes(), dialect(path.stem)
    choices = 2 if path.stem in {"chat_n2", "cmpl"} else 1
    stream = module.open_stream(Inquiry(path.stem, {}, "tiny", stream=True, choices=choices), ToyGate("~never~"))
    left = b"".join(stream.feed(said[start : start + size]) for start in range(0, len(said), size)) + stream.finish()
    assert left == said
    assert not stream.closed


@recorded(".json")
def test_a_recorded_answer_leaves_as_it_came(path):
    said, module = path.read_bytes(), dialect(path.stem)
    answer = module.screen_answer(Inquiry(path.stem, {}, "tiny"), json.loads(said), ToyGate("~never~"))
    assert answer == json.loads(said)


def test_recorded_answers_tell_what_their_streams_tell():
    """The same seed, streamed and not: the same text, for the receipts too."""
    said = (FOLDER / "recorded" / "chat_logprobs.sse").read_bytes()
    stream = chat.open_stream(Inquiry("chat", {}, "tiny", stream=True), ToyGate("~never~"))
    stream.feed(said)
    whole = json.loads((FOLDER / "recorded" / "chat_logprobs.json").read_bytes())
    [streamed], [told] = (
        stream.answered(),
        chat.answered(chat.screen_answer(Inquiry("chat", {}, "tiny"), whole, ToyGate())),
    )
    assert streamed.texts == told.texts != ()
    assert streamed.finish_reason == told.finish_reason == "length"
    assert (told.prompt_tokens, told.completion_tokens) == (11, 3)


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("name", ["chat-cut-off", "completions-cut-off", "responses-cut-off", "messages-cut-off"])
def test_an_answer_that_guard_itself_ends_says_what_guard_says(name, begun):
    transcript = read(FOLDER / f"{name}.txt")
    stream = transcript.open()
    out = b"".join(say(stream, step.said) for step in transcript.steps if not step.said.startswith(b"<") and begun)
    out += stream.abort("The server is being stopped.")
    assert b'"message":"The server is being stopped."' in out
    assert failure.MESSAGE.encode() not in out
    assert stream.abort("again") == b""
