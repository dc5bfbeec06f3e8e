"""The gate on answers of a real vLLM, through both transports, mixed with an embedded upstream's and with foreign text.

Their receipts stand where the official clients find them, in the header and in the last event of every dialect.
"""

import json
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import openai
import pyarrow as pa
import pytest
from pyarrow import parquet
from vllm_world import LLAMA_31, before, inside

from guard.cli.demo_scene.deployment import SCRIPT, serve_embedded
from guard.cli.demo_scene.scene import GUIDE
from guard.cli.demo_scene.stage import LLAMA
from guard.cli.demo_scene.upstream import Upstream

pytestmark = pytest.mark.vllm

MODELS = {"models": {LLAMA: {"license": "llama-2"}, LLAMA_31: {"license": "llama-3.1"}}, "usage": {}, "screening": {}}
LENGTH = 400
"""Tokens of an answer: some 140 words, of a model without sense that is made not to repeat itself."""
USAGE = {"stream_options": {"include_usage": True}}
BARRED, OWED = ("llama-2", "1.b.v"), ("llama-3.1", "1.b.i")
DOCS = Path(__file__).parents[2] / "docs"


class Said(NamedTuple):
    text: str
    header: str
    """The receipt that the response's header names."""
    last: list[str]
    """Those that the choice names, or of a stream its events."""


def chosen(raw, stream, text):
    """What an answer with choices says; ``text`` gives a choice's text."""
    parsed = raw.parse()
    choices = [choice for chunk in parsed for choice in chunk.choices] if stream else parsed.choices
    last = [choice.guard["receipt"] for choice in choices if "guard" in choice.model_extra]
    assert choices[-1].finish_reason == "length"
    return Said("".join(text(choice) or "" for choice in choices), raw.headers["x-guard-receipt"], last)


def chat(client, question, stream, model=LLAMA, seed=None):
    more = {"temperature": 0} if seed is None else {"temperature": 1, "seed": seed}
    asked = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": LENGTH, **more}
    asked |= USAGE if stream else {}
    raw = client.chat.completions.with_raw_response.create(**asked, extra_body={"ignore_eos": True}, stream=stream)
    return chosen(raw, stream, lambda choice: choice.delta.content if stream else choice.message.content)


def completion(client, question, stream):
    asked = {"model": LLAMA, "prompt": question, "max_tokens": LENGTH, "temperature": 0, **(USAGE if stream else {})}
    raw = client.completions.with_raw_response.create(**asked, extra_body={"ignore_eos": True}, stream=stream)
    return chosen(raw, stream, lambda choice: choice.text)


def response(client, question, stream):
    asked = {"model": LLAMA, "input": question, "max_output_tokens": LENGTH, "temperature": 0}
    raw = client.responses.with_raw_response.create(**asked, stream=stream)
    parsed, header = raw.parse(), raw.headers["x-guard-receipt"]
    if not stream:
        return Said(parsed.output_text, header, [parsed.guard["receipt"]])
    events = list(parsed)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    ends = [event.response for event in events if event.type in {"response.completed", "response.incomplete"}]
    return Said(text, header, [end.guard["receipt"] for end in ends])


def message(client, question, stream):
    asked = {"model": LLAMA, "messages": [{"role": "user", "content": question}], "max_tokens": LENGTH}
    raw = client.messages.with_raw_response.create(**asked, extra_body={"temperature": 0}, stream=stream)
    parsed, header = raw.parse(), raw.headers["x-guard-receipt"]
    if not stream:
        return Said(parsed.content[0].text, header, [parsed.guard["receipt"]])
    events = list(parsed)
    text = "".join(event.delta.text for event in events if event.type == "content_block_delta")
    return Said(text, header, [event.guard["receipt"] for event in events if event.type == "message_delta"])


WAYS = [(way, stream) for way in (chat, completion, response, message) for stream in (False, True)]


class World(NamedTuple):
    stage: object
    states: tuple[Path, ...]
    """Of the gateway with vLLM, and of the one with the embedded upstream."""
    old: list[Said]
    """Answers under Llama 2: one for each of WAYS, and one with words enough to be told by them."""
    new: list[Said]
    """Answers under Llama 3.1: streamed and not, and the embedded upstream's."""

    def check(self, *arguments, states=None):
        named = [part for state in states or self.states for part in ("--state", str(state))]
        done = self.stage.run_guard("export", "check", *map(str, arguments), "--target", "mistral-7b", *named)
        assert done.stderr == ""
        return done.returncode, done.stdout

    def document(self, *arguments):
        code, shown = self.check(*arguments, "--json")
        return code, json.loads(shown)


@pytest.fixture(scope="module", params=["before", "inside"])
def stage(request, unguarded, installed, learnt, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"export-{request.param}")
    deployed = before(folder, unguarded, learnt, **MODELS)
    if request.param == "inside":
        deployed = inside(folder, installed, learnt, **MODELS)
    with deployed as stage:
        yield stage


@pytest.fixture(scope="module")
def embedded(learnt, tmp_path_factory):
    """State directory of a gateway before the embedded upstream, and what it answered."""
    folder = tmp_path_factory.mktemp("embedded")
    with (
        serve_embedded(Upstream((LLAMA_31,), SCRIPT)) as upstream,
        before(folder, upstream, learnt, **MODELS) as stage,
        openai.OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=0) as client,
    ):
        answer = client.chat.completions.create(model=LLAMA_31, messages=[{"role": "user", "content": GUIDE}])
    return folder / "state", answer.choices[0]


@pytest.fixture(scope="module")
def world(stage, embedded, openai_client, anthropic_client, tmp_path_factory):
    old = []
    for number, (way, stream) in enumerate(WAYS):
        client = anthropic_client if way is message else openai_client
        old.append(way(client, f"Question {number}: how many bridges are there?", stream))
    old.append(chat(openai_client, GUIDE, stream=True, seed=11))
    new = [chat(openai_client, GUIDE, stream, LLAMA_31, seed) for seed, stream in ((12, False), (13, True))]
    state, choice = embedded
    new.append(Said(choice.message.content, choice.guard["receipt"], [choice.guard["receipt"]]))
    world = World(stage, (stage.folder / "state", state), old, new)
    probe = lines(tmp_path_factory.mktemp("probe") / "probe.jsonl", [{"text": "x"}])
    deadline = time.monotonic() + 60
    while indexed(world, probe) < len(old) + len(new) - 1:  # vLLM runs on, and the index is written behind it
        assert time.monotonic() < deadline
    return world


def indexed(world, data):
    (months, _) = (index["months"] for index in world.document(data)[1]["coverage"]["indexes"])
    return sum(month["indexed"] for month in months.values())


def foreign():
    """Prose that no model answered: the paragraphs of the documentation that have 13 words or more."""
    pages = (page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")))
    found = [" ".join(part.split()) for page in pages for part in page.split("\n\n")]
    return [text for text in found if len(text.split()) >= 13]


def lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def turns(text):
    return {"messages": [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": text}]}


def changed(text):
    """A word in the middle is another one, and the lines are broken elsewhere; nonsense full of signs looks like code."""
    words = text.split()
    words[len(words) // 2] = "another"
    return "\n".join(" ".join(words[at : at + 9]) for at in range(0, len(words), 9))


@pytest.mark.parametrize("number", range(len(WAYS)), ids=[f"{way.__name__}-{stream}" for way, stream in WAYS])
def test_the_clients_find_the_receipt_in_the_header_and_at_the_end(world, number):
    said = world.old[number]
    assert said.last == [said.header]
    assert len(said.text.split()) >= 13
    done = world.stage.run_guard("export", "receipt", said.header, "--config", str(world.stage.config))
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)["facts"]
    assert (facts["id"], facts["model"], facts["licenses"]) == (said.header, LLAMA, [[*BARRED]])
    assert facts["completion_tokens"] == LENGTH


def test_a_mixed_data_set_is_denied_record_by_record(world, tmp_path):
    old, new, other = world.old, world.new, foreign()
    folder = tmp_path / "mixed"
    folder.mkdir()
    lines(folder / "chat.jsonl", [*(turns(said.text) for said in old), *map(turns, other[:40])])
    rejected = [changed(old[-1].text), changed(new[0].text), new[1].text, new[2].text, *other[40:80]]
    table = pa.table({"chosen": ["Gladly."] * len(rejected), "rejected": rejected})
    parquet.write_table(table, folder / "pairs.parquet")
    code, document = world.document(folder)
    keys = ("tier", "model", "license", "clause", "receipt")
    found = {(Path(hit["file"]).name, hit["line"]): tuple(hit[key] for key in keys) for hit in document["hits"]}
    expected = {("chat.jsonl", at): ("A", LLAMA, *BARRED, said.header) for at, said in enumerate(old, 1)}
    expected["pairs.parquet", 1] = ("B", LLAMA, *BARRED, old[-1].header)
    expected["pairs.parquet", 2] = ("B", LLAMA_31, *OWED, new[0].header)
    expected["pairs.parquet", 3] = ("A", LLAMA_31, *OWED, new[1].header)
    expected["pairs.parquet", 4] = ("A", LLAMA_31, *OWED, new[2].header)
    assert (code, found) == (2, expected)
    code, shown = world.check(folder, "--write-clean", tmp_path / "clean")
    assert (code, "llama-2 1.b.v: outputs may not improve any other" in shown) == (2, True)
    assert world.check(tmp_path / "clean")[0] == 0


def test_answers_under_llama_3_1_alone_owe_the_name(world, tmp_path):
    data = lines(tmp_path / "new.jsonl", [*(turns(said.text) for said in world.new), *map(turns, foreign()[:40])])
    code, shown = world.check(data)
    assert code == 1
    assert shown.startswith("allow with obligations: 3 of 43 records are ")
    assert 'owed: The name of the model begins with "Llama" (llama-3.1 1.b.i; ' in shown


def test_foreign_text_is_allowed_until_the_index_has_a_gap(world, tmp_path):
    clean = lines(tmp_path / "clean.jsonl", map(turns, foreign()))
    code, shown = world.check(clean)
    assert (code, shown.partition(":")[0]) == (0, "allow")
    assert "11 of 11 answered choices (100.0%)" in shown
    shutil.copytree(world.states[0], tmp_path / "state")
    (segment,) = (tmp_path / "state").rglob("*.segment")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    code, shown = world.check(clean, states=[tmp_path / "state"])
    assert (code, shown.partition(":")[0]) == (3, "undetermined")
    assert f"{segment.name}: damaged; what follows the damage cannot be read" in shown
