"""The gate on answers of a real run: a gateway before the embedded upstream, the official client, and every exit code.

Every command is a process of its own, as it is where the gate stands before a bucket or a training run.
"""

import csv
import gzip
import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import openai
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from guard.cli.demo_scene.deployment import GUARD, GUARD_SECONDS, serve_embedded, sidecar
from guard.cli.demo_scene.process import Server, free_port
from guard.cli.demo_scene.script import Script
from guard.cli.demo_scene.stage import settings
from guard.cli.demo_scene.upstream import Upstream

pytestmark = pytest.mark.slow

OLD, NEW = "llama-2-chat", "llama-3.1-instruct"
MODELS = {"models": {OLD: {"license": "llama-2"}, NEW: {"license": "llama-3.1"}}, "usage": {}}
TARGET = "mistral-7b"
DOCS = Path(__file__).parents[2] / "docs"
SAID = {
    "harbor": "Every morning before six the harbor master counts the boats that came in during the night, writes their "
    "names on a slate beside the door and hangs a lantern over the berth that is still free. By noon the slate is "
    "full, the fish has gone uphill in baskets, and the gulls have lost interest in everyone except the woman who "
    "mends nets on the third step and shares her bread with whatever lands closest to her knee.",
    "bread": "Weigh four hundred grams of rye flour, stir in a spoon of sour starter and enough warm water that the "
    "dough sags slowly from the ladle. Leave it under a cloth while you sleep. Next day fold in salt, caraway and a "
    "handful of soaked seeds, let the loaf rise until its top begins to crack, and bake it hot for a quarter of an "
    "hour, then gently until the bottom sounds hollow when you knock.",
    "stamp": "A stamp that was printed upside down is worth more than a perfect one, provided nobody repaired the "
    "corner it lost in the post.",
    "clock": "The clock in the station hall has two faces, because the railway kept its own time until the town gave "
    "in. Its pendulum weighs as much as a calf and is wound on Saturdays by a retired signalman, who climbs ninety "
    "steps with a thermos and refuses all help. When the frost is hard it runs eleven seconds slow, so he leaves a "
    "penny on the bob, and takes it away again with the first warm rain of April.",
    "glacier": "Below the glacier the stream is gray with powdered stone and changes its bed every summer. Hikers "
    "cross it on planks that a herdsman lays in June and carries away in September, numbered in red paint. The ice "
    "itself has drawn back past the hut where grandparents once touched it from the terrace; what is left creaks in "
    "the afternoon, drops pebbles onto the path and colors the lake a green that no photograph believes.",
    "kettle": "Empty the kettle every evening, because water that stands overnight leaves a gray rim which only "
    "vinegar and patience will remove.",
}
"""What the upstream answers to a prompt that holds the word; the third of each model is short."""
RUNS = (("harbor", "clock", "kettle"), ("bread", "stamp", "glacier"))
"""What is asked of the gateway in its first run and in its second: two segments of the index."""
CHANGED = SAID["harbor"].replace("morning", "dawn").replace("lantern", "lamp").replace("baskets", "crates")
PART = " ".join(SAID["glacier"].split()[8:58])


class Said(NamedTuple):
    model: str
    text: str
    receipt: str


class World(NamedTuple):
    folder: Path
    said: dict[str, Said]

    def guard(self, *arguments):
        command = [*GUARD, *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    def check(self, *arguments, state="state"):
        code, out, err = self.guard("export", "check", *arguments, "--target", TARGET, "--state", state)
        assert (code == 65) or err == ""
        return code, out or err

    def found(self, *arguments):
        """Exit code, and per record held what it is held for."""
        code, out = self.check(*arguments, "--json")
        hits = json.loads(out)["hits"]
        keys = ("tier", "model", "license", "clause", "receipt")
        return code, {(Path(hit["file"]).name, hit["line"]): tuple(hit[key] for key in keys) for hit in hits}


def ask(client, name, stream):
    """Ask for an answer; its receipt is in the header and in the last event, or the choice, of the answer."""
    model = OLD if name in {"harbor", "bread", "stamp"} else NEW
    asked = {"model": model, "messages": [{"role": "user", "content": f"Tell me about the {name}."}], "user": "user-1"}
    raw = client.chat.completions.with_raw_response.create(**asked, stream=stream)
    choices = [choice for chunk in raw.parse() for choice in chunk.choices] if stream else raw.parse().choices
    texts = [choice.delta.content if stream else choice.message.content for choice in choices]
    receipts = [choice.guard["receipt"] for choice in choices if "guard" in choice.model_extra]
    assert receipts == [raw.headers["x-guard-receipt"]]
    assert choices[-1].finish_reason == "stop"
    return Said(model, "".join(text or "" for text in texts), receipts[0])


def connected(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two runs of a gateway on one state directory, and what it answered in them."""
    world = World(tmp_path_factory.mktemp("real"), {})
    with serve_embedded(Upstream((OLD, NEW), Script(SAID))) as upstream:
        for names in RUNS:
            with sidecar(world.folder, upstream, {}, "", "", MODELS) as stage, connected(stage.url) as client:
                for number, name in enumerate(names):
                    world.said[name] = ask(client, name, stream=number % 2 == 0)
    assert {name: said.text for name, said in world.said.items()} == SAID
    return world


def foreign():
    """Prose that no model answered: every paragraph of the documentation that has 13 words or more."""
    pages = (page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")))
    found = [" ".join(part.split()) for page in pages for part in page.split("\n\n")]
    return [text for text in found if len(text.split()) >= 13]


def lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def chat(text):
    return {"messages": [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": text}]}


def alpaca(text):
    return {"instruction": "Go on.", "input": "", "output": text}


def sharegpt(text):
    return {"conversations": [{"from": "human", "value": "Go on."}, {"from": "gpt", "value": text}]}


def write_parquet(path, texts):
    columns = {"prompt": ["Go on."] * len(texts), "chosen": ["Gladly."] * len(texts), "rejected": texts}
    parquet.write_table(pa.table(columns), path)


def write_csv(path, texts):
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *enumerate(texts)])


def mixed(world, folder):
    """A folder in six formats: foreign text, and answers copied, marked up, changed, in part, short and by receipt."""
    folder.mkdir()
    other, said = foreign(), world.said
    lines(folder / "chat.jsonl", map(chat, [*other[:40], said["bread"].text]))
    marked = [
        *other[40:80],
        "# Harbor\n\n> **Every morning**" + said["harbor"].text.removeprefix("Every morning").upper(),
    ]
    array = ",\n".join(json.dumps(alpaca(text)) for text in marked)
    (folder / "alpaca.json").write_text(f"[\n{array}\n]\n", encoding="utf-8")
    write_parquet(folder / "pairs.parquet", [CHANGED, *other[80:120]])
    write_csv(folder / "table.csv.gz", [*other[120:160], PART, said["kettle"].text])
    lines(folder / "sharegpt.ndjson", map(sharegpt, [said["stamp"].text, *other[160:200]]))
    lines(folder / "named.jsonl", [{"text": other[200], "receipt": said["clock"].receipt}])
    return folder


BARRED = ("llama-2", "1.b.v")
OWED = ("llama-3.1", "1.b.i")


def test_a_mixed_data_set_is_denied_record_by_record(world, tmp_path):
    folder, said = mixed(world, tmp_path / "mixed"), world.said
    code, found = world.found(folder)
    assert code == 2
    assert found == {
        ("chat.jsonl", 41): ("A", OLD, *BARRED, said["bread"].receipt),
        ("alpaca.json", 42): ("B", OLD, *BARRED, said["harbor"].receipt),
        ("pairs.parquet", 1): ("B", OLD, *BARRED, said["harbor"].receipt),
        ("table.csv.gz", 42): ("B", NEW, *OWED, said["glacier"].receipt),
        ("table.csv.gz", 43): ("A", NEW, *OWED, said["kettle"].receipt),
        ("sharegpt.ndjson", 1): ("A", OLD, *BARRED, said["stamp"].receipt),
        ("named.jsonl", 1): ("A", NEW, *OWED, said["clock"].receipt),
    }
    code, shown = world.check(folder)
    assert (code, shown.startswith("deny: 7 of 207 records are ")) == (2, True)
    assert f"{folder}/chat.jsonl:41, messages[1].content: deny (proof, digest)" in shown
    assert "llama-2 1.b.v: outputs may not improve any other large language model" in shown
    assert f"{OLD} answered" in shown


def test_answers_of_llama_3_1_alone_owe_the_name(world, tmp_path):
    data = tmp_path / "train.jsonl"
    lines(data, [chat(world.said["clock"].text), alpaca(PART), *map(chat, foreign()[:40])])
    code, shown = world.check(data)
    assert code == 1
    assert shown.startswith("allow with obligations: 2 of 42 records are ")
    assert 'owed: The name of the model begins with "Llama" (llama-3.1 1.b.i; ' in shown
    assert "llama-2" not in shown


def test_what_the_license_allows_to_its_own_family_is_not_denied(world, tmp_path):
    lines(tmp_path / "train.jsonl", [chat(world.said["bread"].text)])
    code, out, _ = world.guard(
        "export", "check", tmp_path / "train.jsonl", "--target", "meta-llama/Llama-2-13b-hf", "--state", "state"
    )
    assert (code < 2, "1.b.v" in out) == (True, True)


def test_foreign_text_is_allowed_under_a_whole_index(world, tmp_path):
    lines(tmp_path / "clean.jsonl", ({"text": text} for text in foreign()))
    code, shown = world.check(tmp_path / "clean.jsonl")
    assert code == 0
    assert shown.startswith(f"allow: 0 of {len(foreign())} records are ")
    assert "6 of 6 answered choices (100.0%), 4 of them recognizable by their words" in shown


def cut_short(state, _segments):
    path = _segments[0]
    path.write_bytes(path.read_bytes()[:-10])


def damaged(state, segments):
    content = bytearray(segments[1].read_bytes())
    content[len(content) // 2] ^= 1
    segments[1].write_bytes(content)


def removed(state, segments):
    segments[0].unlink()


def keyless(state, _segments):
    (key,) = (state / "provenance.keys").glob("*.key")
    key.unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut_short, "its gateway was killed; the choices of its last moments are missing"),
        (damaged, "damaged; what follows the damage cannot be read"),
        (removed, "is missing; the segment after it names it"),
        (keyless, "the key of the month is missing"),
    ],
)
def test_with_a_gap_in_the_index_nothing_is_allowed(world, tmp_path, harm, said):
    state = tmp_path / "state"
    shutil.copytree(world.folder / "state", state)
    harm(state, sorted(state.rglob("*.segment")))
    lines(tmp_path / "clean.jsonl", ({"text": text} for text in foreign()[:40]))
    code, shown = world.check(tmp_path / "clean.jsonl", state=state)
    assert (code, shown.partition(":")[0]) == (3, "undetermined")
    assert [line for line in shown.splitlines() if line.startswith("not seen: ") and said in line] != []


def test_a_killed_gateway_says_what_it_had_not_finished(tmp_path):
    """While it runs its answers are found already; the one that kill -9 cut short is a gap."""
    world = World(tmp_path, {})
    lines(tmp_path / "copied.jsonl", [{"text": SAID["harbor"]}])
    lines(tmp_path / "clean.jsonl", [{"text": text} for text in foreign()[:5]])
    listen, admin, config = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", tmp_path / "guard.yaml"
    with serve_embedded(Upstream((OLD, NEW), Script(SAID), pace=0.05)) as upstream:
        config.write_text(yaml.safe_dump({**settings(upstream, listen, admin, tmp_path), **MODELS}))
        command = (*GUARD, "serve", "--config", str(config))
        with Server("guard serve", command, f"http://{admin}/readyz", tmp_path / "guard.log") as gateway:
            gateway.wait_ready(GUARD_SECONDS)
            with connected(f"http://{listen}") as client:
                ask(client, "harbor", stream=False)
                deadline = time.monotonic() + 30
                while world.check("copied.jsonl")[0] != 2:
                    assert time.monotonic() < deadline
                assert world.check("clean.jsonl")[0] == 0
                messages = [{"role": "user", "content": "Tell me about the bread."}]
                stream = client.chat.completions.create(model=OLD, messages=messages, user="user-1", stream=True)
                assert next(iter(stream)).choices
                gateway.kill()
                stream.close()
    assert world.check("copied.jsonl")[0] == 2
    code, shown = world.check("clean.jsonl")
    assert code == 3
    assert "1 exchanges were being answered when their gateway was killed" in shown


GOOD = '{"text": "One record that can be read."}\n'
BAD = {
    "bad.jsonl": (GOOD + GOOD + '{"text": "and one that\n', "bad.jsonl:3: not JSON"),
    "bad.json": ('[{"text": "one"},\n {"text": "two" oops}]', "bad.json:2: "),
    "bad.csv": ("id,text\n1,one\n2,two,three\n", "bad.csv:3: 3 fields; allowed: 2"),
    "latin.jsonl": (GOOD.encode() + b'{"text": "caf\xe9"}\n', "latin.jsonl:2: "),
    "bad.jsonl.gz": (gzip.compress(GOOD.encode() * 500)[:-8], "bad.jsonl.gz:"),
    "bad.parquet": (b"PAR1 and then nothing of the kind PAR1", "bad.parquet: "),
    "bad.docx": (b"PK\x03\x04", "bad.docx: "),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_ends_with_65_and_the_line(world, tmp_path, name):
    content, said = BAD[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, shown = world.check(tmp_path / name)
    assert code == 65
    assert shown.startswith(f"{tmp_path}/{said}")
    assert "; allowed: " in shown
    assert len(shown.splitlines()) == 1


def test_a_folder_with_a_stranger_in_it_is_not_half_a_data_set(world, tmp_path):
    folder = mixed(world, tmp_path / "mixed")
    (folder / "weights.safetensors").write_bytes(b"x")
    code, shown = world.check(folder)
    assert (code, "weights.safetensors" in shown) == (65, True)


def test_the_clean_copy_is_clean_and_both_statements_verify(world, tmp_path):
    folder = mixed(world, tmp_path / "mixed")
    clean, keys = tmp_path / "clean", "state/signing/keys.json"
    code, shown = world.check(folder, "--write-clean", clean, "--attest", tmp_path / "mixed.json")
    assert (code, f"clean: 200 records in {clean}, 7 left out" in shown) == (2, True)
    code, shown = world.check(clean, "--attest", tmp_path / "clean.json")
    assert (code, shown.startswith("allow: 0 of 200 records are ")) == (0, True)
    for name, of, verdict in (("mixed.json", folder, "deny"), ("clean.json", clean, "allow")):
        assert world.guard("export", "verify", tmp_path / name, "--keys", keys)[0] == 0
        signed = json.loads((tmp_path / name).read_text())
        statement = signed["statement"]
        assert statement["predicate"]["verdict"] == verdict
        named = {Path(subject["name"]).name: subject["digest"]["sha256"] for subject in statement["subject"]}
        assert named == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in of.iterdir()}
        statement["predicate"]["verdict"] = "allow_with_obligations"
        (tmp_path / name).write_text(json.dumps(signed))
        assert world.guard("export", "verify", tmp_path / name, "--keys", keys)[0] == 1


def test_the_receipt_of_a_hit_is_on_record_and_verifies(world, tmp_path):
    said = world.said["bread"]
    code, out, _ = world.guard("export", "receipt", said.receipt, "--config", "guard.yaml")
    assert code == 0
    facts = json.loads(out)["facts"]
    assert (facts["id"], facts["model"], facts["licenses"]) == (said.receipt, OLD, [[*BARRED]])
    (tmp_path / "receipt.json").write_text(out)
    assert world.guard("export", "verify", tmp_path / "receipt.json", "--keys", "state/signing/keys.json")[0] == 0
