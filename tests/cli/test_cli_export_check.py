"""``guard export check``: its exit codes are the verdict, and it says what it could not see."""

import gzip
import hashlib
import io
import json
import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guard.cli.main import run
from guard.provenance.index import FingerprintWriter
from guard.provenance.layout import Layout
from guard.provenance.months import MonthKeys
from guard.provenance.receipt import Finished

KEY = b"a key of this test, 32 bytes.. k"
NOVEMBER, DECEMBER = 1_795_000_000.0, 1_797_000_000.0


def prose(seed, words=80):
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(words))


def record(state, answers, license_id, *, key=KEY, now=NOVEMBER, model="tiny", tenant=None, prompt="Tell me."):
    """Answer as one gateway would, whose state directory ``state`` is."""
    layout = Layout(state)
    state.mkdir(exist_ok=True)
    layout.key.write_bytes(key)
    writer = FingerprintWriter(layout.provenance, "gateway", key, MonthKeys(layout.keys), clock=lambda: now, linger=0.0)
    writer.start()
    for number, text in enumerate(answers):
        finished = Finished(
            f"{license_id}{number}", 0, now, tenant, None, model, (license_id,), "f00d", "serve", "chat"
        )
        assert writer.submit(finished, prompt, text)
    writer.close()


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, license_id in ((1, "llama-2"), (2, "llama-3.1"), (3, "kimi-k2")):
        record(tmp_path / "state", [prose(seed)], license_id)
    (tmp_path / "guard.yaml").write_text("state_dir: state\n")
    return tmp_path


def data(tmp_path, *texts, name="data.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps({"prompt": "p", "completion": text}) + "\n" for text in texts))
    return name


def check(*arguments, target="mistralai/Mistral-7B-v0.1"):
    return run(["export", "check", *map(str, arguments), "--target", target])


def as_json(capsys, *arguments):
    code = check(*arguments, "--json")
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("seeds", "code"), [([9], 0), ([9, 3], 0), ([9, 2], 1), ([9, 2, 1], 2)])
def test_the_exit_code_is_the_verdict(state, capsys, seeds, code):
    assert check(data(state, *map(prose, seeds))) == code
    shown = capsys.readouterr()
    assert shown.err == ""
    word = {0: "allow:", 1: "allow with obligations:", 2: "deny:"}[code]
    assert shown.out.startswith(word)
    assert "index 2026-11: 3 of 3 answered choices (100.0%)" in shown.out
    assert "not seen: answers that did not pass through the gateways" in shown.out
    if code == 2:
        assert "data.jsonl:3, completion: deny (proof, digest)" in shown.out
        assert "llama-2 1.b.v" in shown.out
        assert "receipt r-llama-20-0" in shown.out
        assert "2 of 3 records of 40 words or more are outputs (tiers A, B): 66.7%" in shown.out
    if code == 1:
        assert "owed: " in shown.out


def test_a_missing_index_is_undetermined_and_a_missing_key_is_no_configuration(state, capsys):
    empty = state / "empty"
    empty.mkdir()
    (empty / "provenance.key").write_bytes(KEY)
    assert check(data(state, prose(9)), "--state", empty) == 3
    assert "not seen: there is no index" in capsys.readouterr().out
    assert check(data(state, prose(9)), "--state", "nowhere") == 78
    assert f"{state}/nowhere/provenance.key: No such file" in capsys.readouterr().err
    (empty / "provenance.key").write_bytes(b"short")
    assert check(data(state, prose(9)), "--state", empty) == 78
    assert "allowed: 16 to 64" in capsys.readouterr().err


def test_several_gateways_are_one_index(state, capsys):
    record(state / "second", [prose(4)], "llama-2", key=b"the key of another gateway")
    path = data(state, prose(4))
    assert check(path) == 0
    assert check(path, "--state", state / "state", "--state", state / "second") == 2
    shown = capsys.readouterr().out
    assert "index 1, 2026-11: 3 of 3" in shown
    assert "index 2, 2026-11: 1 of 1" in shown


def test_json_holds_hits_and_facts(state, capsys):
    path = data(state, prose(9), prose(1))
    code, shown = as_json(capsys, path, "--config", "guard.yaml")
    assert (code, shown["verdict"]) == (2, "deny")
    assert [(hit["line"], hit["path"], hit["clause"]) for hit in shown["hits"]] == [(2, "completion", "1.b.v")]
    assert shown["coverage"]["complete"] is True
    assert shown["files"] == [{"name": path, "sha256": hashlib.sha256((state / path).read_bytes()).hexdigest()}]
    assert list(shown["packs"]) == ["llama-2"]
    assert len(shown["packs"]["llama-2"]) == 64


def test_many_hits_are_capped_and_all_of_them_go_to_a_file(state, capsys, monkeypatch):
    monkeypatch.setattr("guard.provenance.statement.SHOWN", 5)
    path = data(state, *[prose(1) for _ in range(30)])
    assert check(path, "--hits", "hits.jsonl") == 2
    shown = capsys.readouterr().out
    assert "data.jsonl:20, completion" in shown
    assert "data.jsonl:21, completion" not in shown
    assert "... and 10 more records" in shown
    lines = [json.loads(line) for line in (state / "hits.jsonl").read_text().splitlines()]
    assert [line["line"] for line in lines] == list(range(1, 31))
    assert {line["receipt"] for line in lines} == {"r-llama-20-0"}
    _, document = as_json(capsys, path)
    assert (len(document["hits"]), document["hits_omitted"], document["found"]["records"]) == (5, 25, 30)


def test_a_clean_copy_is_without_what_is_held_back(state, capsys):
    path = data(state, prose(9), prose(1), prose(3), prose(2))
    assert check(path, "--write-clean", "clean.jsonl") == 2
    assert "clean: 2 records in clean.jsonl, 2 left out" in capsys.readouterr().out
    kept = [json.loads(line)["completion"] for line in (state / "clean.jsonl").read_text().splitlines()]
    assert kept == [prose(9), prose(3)]
    assert check("clean.jsonl") == 0


@pytest.mark.parametrize(
    ("options", "kept", "again", "left"),
    [
        ([], [9, 3, 5], 3, "2 left out; 1 for review are still in it"),
        (["--clean-review"], [9, 3], 0, "3 left out"),
        (["--keep-obligations"], [9, 3, 2, 5], 3, "1 left out; 1 for review are still in it"),
        (["--clean-review", "--keep-obligations"], [9, 3, 2], 1, "2 left out"),
    ],
)
def test_a_clean_copy_may_be_without_what_is_for_review_and_with_what_is_obliged(
    state, capsys, options, kept, again, left
):
    short = "Only eight words, which prove nothing at all."
    record(state / "state", [short], "llama-2")
    texts = {seed: prose(seed) if seed != 5 else short for seed in (9, 1, 3, 2, 5)}
    path = data(state, *texts.values())
    assert check(path, "--write-clean", "clean.jsonl", *options) == 2
    assert f"clean: {len(kept)} records in clean.jsonl, {left}" in capsys.readouterr().out
    written = [json.loads(line)["completion"] for line in (state / "clean.jsonl").read_text().splitlines()]
    assert written == [texts[seed] for seed in kept]
    assert check("clean.jsonl") == again
    assert check(path, *options) == (64 if options else 2)


def test_a_clean_copy_on_standard_output_stands_alone_there(state, capsysbinary, monkeypatch):
    assert check(data(state, prose(9), prose(1)), "--write-clean", "-") == 2
    shown = capsysbinary.readouterr()
    assert [json.loads(line)["completion"] for line in shown.out.splitlines()] == [prose(9)]
    assert shown.err.startswith(b"deny: 1 of 2 records")


def test_folders_compressed_files_and_standard_input(state, capsys, monkeypatch):
    folder = state / "set"
    folder.mkdir()
    data(folder, prose(9), name="a.jsonl")
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": prose(1)}).encode()))
    code, shown = as_json(capsys, folder)
    assert (code, [hit["file"] for hit in shown["hits"]]) == (2, [str(folder / "b.jsonl.gz")])
    assert len(shown["files"]) == 2
    piped = io.TextIOWrapper(io.BytesIO(json.dumps({"text": prose(2)}).encode()))
    monkeypatch.setattr(sys, "stdin", piped)
    assert check("-", "--format", "jsonl") == 1
    assert "stdin:1, text" in capsys.readouterr().out
    assert check("-") == 64


def test_months_are_chosen(state, capsys):
    record(state / "state", [prose(4)], "llama-2", now=DECEMBER)
    path = data(state, prose(1))
    assert check(path) == 2
    capsys.readouterr()
    code, shown = as_json(capsys, path, "--since", "2026-12")
    assert (code, list(shown["coverage"]["indexes"][0]["months"])) == (0, ["2026-12"])
    assert shown["index"] == {"since": "2026-12", "until": None}
    assert check(path, "--since", "2026-12", "--until", "2026-12") == 0
    assert "index: searched from 2026-12 to 2026-12" in capsys.readouterr().out
    assert check(path, "--since", "2027-01") == 3


def test_tenants_and_relatives(state, capsys):
    record(state / "shared", [prose(5)], "llama-2", tenant="shop", model="meta-llama/Llama-2-7b-chat-hf")
    path, shared = data(state, prose(5) + " indeed"), ("--state", state / "shared")
    assert check(path, *shared) == 2
    assert check(path, *shared, "--tenant", "shop") == 2
    capsys.readouterr()
    assert check(path, *shared, "--tenant", "bank") == 3
    assert "for review, because the words were put there by another tenant" in capsys.readouterr().out
    (state / "named.jsonl").write_text(
        json.dumps({"text": prose(5) + " indeed", "model": "meta-llama/Llama-2-70b-chat-hf"})
    )
    assert check("named.jsonl", *shared) == 3
    assert "names another model of the same family" in capsys.readouterr().out


def test_a_tenant_to_whom_nothing_was_answered_is_noticed(state, capsys):
    record(state / "shared", [prose(5)], "llama-2", tenant="shop")
    path, shared = data(state, prose(5)), ("--state", state / "shared")
    assert check(path, *shared, "--tenant", "shpo") == 2
    assert capsys.readouterr().err == "--tenant shpo: no answer in the index is theirs; there are answers to: shop\n"
    assert check(path, *shared, "--tenant", "shop") == 2
    assert capsys.readouterr().err == ""
    _, shown = as_json(capsys, path, "--tenant", "shpo")
    assert shown["tenant_seen"] is False


def test_what_is_excluded_is_in_the_statement_and_hides_no_exact_copy(state, capsys):
    public = data(state, prose(1), prose(8), name="public.jsonl")
    near = data(state, prose(1) + " indeed", prose(9), prose(8) + " " + prose(7), name="near.jsonl")
    assert check(near) == 2
    capsys.readouterr()
    assert check(near, "--exclude", public, "--attest", "near.guard.json") == 0
    shown = capsys.readouterr().out
    digest = hashlib.sha256((state / public).read_bytes()).hexdigest()
    assert f"excluded as public: public.jsonl (sha256 {digest})" in shown
    assert "because of that 1 texts are left out of the search" in shown
    assert "and 1 are looked for by some of their words only" in shown
    facts = json.loads((state / "near.guard.json").read_text())["statement"]["predicate"]
    keys = state / "state" / "signing" / "keys.json"
    assert run(["export", "verify", "near.guard.json", "--keys", str(keys)]) == 0
    assert f"excluded as public: {digest}  public.jsonl" in capsys.readouterr().out
    assert facts["excluded"] == {"files": [{"name": "public.jsonl", "sha256": digest}], "texts": 1, "thinned": 1}
    assert check(data(state, prose(1), prose(9)), "--exclude", public) == 3
    shown = capsys.readouterr().out
    assert shown.startswith("undetermined: 0 of 2 records are held to be outputs, 1 for review (training ")
    assert "for review, because it is excluded as public, but an answer has exactly its words" in shown


def test_what_is_strictest_is_shown_first(state, capsys, monkeypatch):
    monkeypatch.setattr("guard.provenance.statement.SHOWN", 2)
    path = data(state, *[prose(3)] * 25, prose(2), prose(1), prose(3))
    code, shown = as_json(capsys, path, "--hits", "hits.jsonl")
    assert (code, [hit["line"] for hit in shown["hits"]]) == (2, [27, 26])
    lines = [json.loads(line)["line"] for line in (state / "hits.jsonl").read_text().splitlines()]
    assert lines == list(range(1, 29))
    assert check(path) == 2
    assert "  data.jsonl:27, completion: deny" in capsys.readouterr().out.splitlines()[1]


def test_a_folder_may_hold_the_statements_on_its_files(state, capsys):
    folder = state / "set"
    folder.mkdir()
    data(folder, prose(9), name="train.jsonl")
    assert check(folder, "--attest", folder / "train.jsonl.guard.json") == 0
    capsys.readouterr()
    code, shown = as_json(capsys, folder)
    assert (code, [file["name"] for file in shown["files"]]) == (0, [str(folder / "train.jsonl")])


def test_an_attested_statement_verifies_and_a_changed_one_does_not(state, capsys):
    path = data(state, prose(9), prose(1))
    assert check(path, "--attest", "statement.json") == 2
    keys = state / "state" / "signing" / "keys.json"
    assert run(["export", "verify", "statement.json", "--keys", str(keys)]) == 0
    signed = json.loads((state / "statement.json").read_text())
    statement = signed["statement"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    digest = hashlib.sha256((state / path).read_bytes()).hexdigest()
    assert statement["subject"] == [{"name": path, "digest": {"sha256": digest}}]
    facts = statement["predicate"]
    assert (facts["verdict"], facts["target"], facts["found"]["records"]) == ("deny", "mistralai/Mistral-7B-v0.1", 1)
    assert "hits" not in facts
    facts["verdict"] = "allow"
    (state / "changed.json").write_text(json.dumps(signed))
    assert run(["export", "verify", "changed.json", "--keys", str(keys)]) == 1
    capsys.readouterr()


def test_bad_data_is_65_bad_configuration_78_bad_usage_64_no_room_73(state, capsys):
    (state / "bad.jsonl").write_text('{"text": "x"}\nnonsense\n')
    assert check("bad.jsonl") == 65
    assert "bad.jsonl:2: not JSON" in capsys.readouterr().err
    assert check("data.docx") == 65
    assert check("missing.jsonl") == 65
    path = data(state, prose(9))
    assert check(path, "--exclude", "bad.jsonl") == 65
    for option in ("--write-clean", "--hits", "--attest"):
        assert check(path, option, "no/such/directory.jsonl") == 73
    (state / "odd.yaml").write_text("state_dri: x\n")
    assert check(path, "--config", "odd.yaml") == 78
    assert check(path, "--write-clean", path) == 64
    assert check(path, "--write-clean", "clean.csv") == 64
    assert run(["export", "check", path]) == 64
    for target in ("", " "):
        assert check(path, target=target) == 64
    for period in (["--since", "2026"], ["--until", "2026-13"], ["--since", "2026-12", "--until", "2026-11"]):
        assert check(path, *period) == 64
    (state / "state" / "provenance.keys" / "2026-11.key").write_bytes(b"short")
    assert check(path) == 78
    assert "allowed: 32 random bytes" in capsys.readouterr().err


def test_what_stands_beside_the_data_is_named_as_not_looked_at(state, capsys):
    folder = state / "set"
    folder.mkdir()
    data(state, prose(9), name="set/a.jsonl")
    (folder / "README.md").write_text(prose(1))
    (folder / ".cache").mkdir()
    code, shown = as_json(capsys, "set", "--attest", "a.json")
    assert (code, shown["not_looked_at"]) == (0, ["set/.cache", "set/README.md"])
    attested = json.loads((state / "a.json").read_text())["statement"]
    assert attested["predicate"]["not_looked_at"] == shown["not_looked_at"]
    assert check("set") == 0
    assert "not looked at, for it stands beside the data: set/.cache, set/README.md\n" in capsys.readouterr().err


def test_bytes_that_are_no_text_are_told_and_a_record_of_nothing_else_is_undetermined(state, capsys):
    image = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2
    rows = [{"image": image, "label": "a cat"}, {"image": image, "label": prose(9)}]
    pq.write_table(pa.Table.from_pylist(rows), state / "a.parquet")
    code, shown = as_json(capsys, "a.parquet")
    assert (code, shown["not_searched"]) == (0, {"values": 2, "records": 0})
    pq.write_table(pa.Table.from_pylist([*rows, {"image": image, "label": None}]), state / "b.parquet")
    assert check("b.parquet") == 3
    told = "3 values are bytes that are no text, and were not searched for; 1 records hold nothing else"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--hits", "--attest", "--write-clean"])
@pytest.mark.parametrize("target", ["data.jsonl", "link.jsonl", "./sub/../data.jsonl", "public.jsonl"])
def test_nothing_is_written_over_what_is_read(state, capsys, option, target):
    path = data(state, prose(1))
    data(state, prose(9), name="public.jsonl")
    (state / "sub").mkdir()
    (state / "link.jsonl").symlink_to(state / path)
    before = (state / path).read_bytes()
    assert check(path, "--exclude", "public.jsonl", option, target) == 64
    assert "would replace the data set itself" in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert (state / path).read_bytes() == before
    assert (state / "link.jsonl").is_symlink()


def test_a_file_of_a_folder_is_not_written_over_either(state):
    (state / "set").mkdir()
    data(state, prose(1), name="set/a.jsonl")
    assert check("set", "--hits", "set/a.jsonl") == 64


@pytest.mark.parametrize(
    "options",
    [("--hits", "x.jsonl", "--attest", "x.jsonl"), ("--write-clean", "x.jsonl", "--hits", "./x.jsonl")],
)
def test_no_two_results_go_to_one_file(state, capsys, options):
    assert check(data(state, prose(9)), *options) == 64
    assert "writes as well" in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (state / "x.jsonl").exists()


def test_a_copied_segment_is_counted_once_and_said(state, capsys):
    path = min((state / "state").rglob("*.segment"))
    path.with_name("copy.segment").write_bytes(path.read_bytes())
    assert check(data(state, prose(9))) == 0
    told = capsys.readouterr().out
    assert "index 2026-11: 3 of 3 answered choices" in told
    assert f"index 2026-11: copy.segment is a copy of 2026-11/{path.name}: searched once\n" in told
