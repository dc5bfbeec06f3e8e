"""Every channel of tests/licensing/channels.yaml against a real vLLM, under a license that bars training (Llama 2).

Sent straight to vLLM the very same request delivers: so a channel that Guard closes is one that was open.
"""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from vllm_traffic import send
from vllm_world import before, inside

from guard.cli.demo_scene.stage import LLAMA

pytestmark = pytest.mark.vllm

TABLE = yaml.safe_load((Path(__file__).parent.parent / "licensing" / "channels.yaml").read_text(encoding="utf-8"))
CHANNELS = TABLE["channels"]
DELIVERED = [channel for channel in CHANNELS if "unguarded" in channel]
MOST = 32
"""Tokens of an answer, where length is clamped."""
CLOSED = {"guided": "deny", "prefill": "deny", "length": {"clamp": MOST}}
"""What the license leaves open is closed by the operator, to see that it can be."""
POLICY = {"surface": {"enabled": ["batch"]}, "outputs": {"fields": CLOSED, "bulk": "off"}}
QUESTION = "How many bridges are there?"
SAID = [{"role": "user", "content": QUESTION}]
SHORT = {"model": LLAMA, "temperature": 0, "max_tokens": 8}
ORDINARY = {
    TABLE["chat"]: {**SHORT, "messages": SAID},
    TABLE["batch"]: {**SHORT, "messages": [SAID]},
    TABLE["completions"]: {**SHORT, "prompt": QUESTION},
    TABLE["responses"]: {"model": LLAMA, "temperature": 0, "max_output_tokens": 8, "input": QUESTION},
    TABLE["messages"]: {**SHORT, "messages": SAID},
}


def named(channel):
    return f"{channel['path']} {channel['row']}"


def ask(url, channel, **more):
    """Status and JSON of the answer to the channel's request."""
    body = {"model": LLAMA, **ORDINARY.get(channel["path"], {}), **channel["fields"], **more}
    status, _, answer = send(url + channel["path"], json.dumps(body).encode())
    return status, answer


def at(answer, path):
    """What stands at ``path``; None where there is no such place."""
    for name in path.split("."):
        try:
            answer = answer[int(name) if isinstance(answer, list) else name]
        except (KeyError, IndexError, TypeError):
            return None
    return answer


def text(answer):
    """The text of the first answer in any dialect."""
    places = ("choices.0.message.content", "choices.0.text", "output.0.content.0.text", "content.0.text")
    return next((found for place in places if (found := at(answer, place)) is not None), None)


def delivered(channel, url, status, answer, plain):
    """Whether ``answer`` from ``url`` holds what the channel is for; ``plain`` is the answer without its fields."""
    if status != 200:
        return False
    [(kind, what)] = channel["unguarded"].items()
    if kind == "holds":
        return bool(at(answer, what))
    if kind == "more":
        found = at(answer, what[0]) or 0
        return (found if isinstance(found, int) else len(found)) > what[1]
    if kind == "has":
        return what[1] in str(at(answer, what[0]))
    if kind == "changes":
        return text(answer) != text(plain)
    return kind == "served" or fetched(url, answer)


def fetched(url, answer):
    try:
        with urllib.request.urlopen(f"{url}/v1/responses/{answer['id']}", timeout=60) as found:
            return found.status == 200
    except urllib.error.HTTPError as error:
        error.close()
        return False


@pytest.fixture(scope="module")
def plain(unguarded):
    """What vLLM answers to an ordinary request, by path."""
    found = {}
    for path in ORDINARY:
        status, found[path] = ask(unguarded, {"path": path, "fields": {}})
        assert status == 200, found[path]
    return found


@pytest.mark.parametrize("channel", DELIVERED, ids=named)
def test_a_vllm_without_guard_delivers(unguarded, plain, channel):
    status, answer = ask(unguarded, channel)
    assert delivered(channel, unguarded, status, answer, plain.get(channel["path"])), (status, answer)


@pytest.fixture(scope="module", params=["before", "inside"])
def stage(request, unguarded, installed, learnt, tmp_path_factory):
    """Guard before that vLLM, and then inside another one."""
    folder = tmp_path_factory.mktemp(f"channels-{request.param}")
    deployed = before(folder, unguarded, learnt, **POLICY)
    if request.param == "inside":
        deployed = inside(folder, installed, learnt, **POLICY)
    with deployed as stage:
        yield stage


def test_an_ordinary_request_is_served_as_ever(stage, plain):
    for path, expected in plain.items():
        status, answer = ask(stage.url, {"path": path, "fields": {}})
        assert (status, text(answer)) == (200, text(expected))


@pytest.mark.parametrize("channel", CHANNELS, ids=named)
def test_guard_delivers_nothing(stage, plain, channel):
    status, answer = ask(stage.url, channel)
    if status == 400:
        assert "not_here" in channel, "vLLM itself takes no such request"
        assert channel["capability"] in {"samples", "caller_ids"}, "only what is stripped or clamped reaches it"
    elif status != 200:
        assert status == 403
        assert answer["error"]["code"] == ("surface_denied" if channel["capability"] == "surface" else "field_denied")
    elif "unguarded" in channel:
        assert not delivered(channel, stage.url, status, answer, plain[channel["path"]])
    else:
        assert channel["capability"] in {"caller_ids", "watermark_opt_out"}, "only what is stripped is served"


@pytest.mark.parametrize("channel", [one for one in DELIVERED if one["path"] == TABLE["chat"]], ids=named)
def test_nor_does_it_in_a_stream(stage, channel):
    body = {**ORDINARY[channel["path"]], **channel["fields"], "stream": True}
    request = urllib.request.Request(stage.url + channel["path"], json.dumps(body).encode())
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            events = [line[6:] for line in answer.read().decode().splitlines() if line.startswith("data: {")]
    except urllib.error.HTTPError as error:
        with error:
            refused = json.loads(error.read())["error"]["code"]
    else:
        refused = None
    if refused is not None:
        assert refused == "field_denied"
        return
    assert channel["capability"] in {"caller_ids", "samples", "length"}, "only what is stripped or clamped is served"
    chunks = list(map(json.loads, events))
    choices = {choice["index"] for chunk in chunks for choice in chunk["choices"]}
    pieces = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    assert len(choices) <= 8
    assert len([piece for piece in pieces if piece]) <= 8 * MOST
    assert not any("vermilion" in chunk["id"] for chunk in chunks)
