"""The demo's embedded upstream answers with vLLM's own fields, so that what holds before it holds before vLLM."""

import json
import urllib.request

import pytest

from guard.cli.demo_scene.deployment import SCRIPT, serve_embedded
from guard.cli.demo_scene.stage import LLAMA, QWEN
from guard.cli.demo_scene.upstream import Upstream

pytestmark = pytest.mark.vllm

MESSAGES = [{"role": "user", "content": "How many bridges?"}]
CHAT = {"messages": MESSAGES, "max_tokens": 4, "temperature": 0}
REQUESTS = [
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 1}),
    ("/v1/completions", {"prompt": "a", "max_tokens": 4, "temperature": 0}),
    ("/v1/responses", {"input": "a", "max_output_tokens": 4, "temperature": 0}),
    ("/v1/messages", {"messages": MESSAGES, "max_tokens": 4, "temperature": 0}),
    ("/v1/messages/count_tokens", {"messages": MESSAGES}),
    ("/tokenize", {"prompt": "a"}),
    ("/detokenize", {"tokens": [80]}),
    ("/v1/models", None),
    ("/version", None),
]
STREAMS = [(path, {**body, "stream": True}) for path, body in REQUESTS[:5] if "logprobs" not in body]
STREAMS.append(("/v1/chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}))
UNALIKE = {"permission", "token", "bytes", "top_logprobs", "delta"}
"""Keys whose values may be of another shape: the tokens of another tokenizer, and the pieces of another text."""


@pytest.fixture(scope="module")
def embedded():
    with serve_embedded(Upstream((LLAMA, QWEN), SCRIPT)) as url:
        yield url


def fetch(base, path, body):
    data = None if body is None else json.dumps({"model": LLAMA, **body}).encode()
    request = urllib.request.Request(base + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers["content-type"], answer.read().decode()


def outline(value, key=""):
    """The document with every scalar replaced by its type, every list by its first item."""
    if key in UNALIKE:
        return key
    if isinstance(value, dict):
        return {name: outline(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [outline(item) for item in value[:1]]
    return "number" if isinstance(value, float | int) and not isinstance(value, bool) else type(value).__name__


def events(text):
    """The distinct outlines of a stream's events, in order of appearance."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        data = lines["data"]
        shown = (lines.get("event"), data if data == "[DONE]" else outline(json.loads(data)))
        if shown not in found:
            found.append(shown)
    return found


@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_whole_answers(unguarded, embedded, path, body):
    (kind, text), (expected_kind, expected) = fetch(embedded, path, body), fetch(unguarded, path, body)
    assert kind == expected_kind
    assert outline(json.loads(text)) == outline(json.loads(expected))


@pytest.mark.parametrize(("path", "body"), STREAMS)
def test_streams(unguarded, embedded, path, body):
    (kind, text), (expected_kind, expected) = fetch(embedded, path, body), fetch(unguarded, path, body)
    assert kind == expected_kind
    # vLLM puts the ending on the last piece, the embedded upstream on an empty one: the outlines are the same.
    assert events(text) == events(expected)
