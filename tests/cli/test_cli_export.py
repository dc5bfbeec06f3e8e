"""``guard export check``: its exit codes are the verdict, and it says what it could not see."""

import json
import random

import pytest

from guard.cli.main import run
from guard.provenance.layout import Layout
from guard.provenance.recorder import Recorder

KEY = b"a key of this test, 32 bytes.. k"


def prose(seed, words=80):
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(words))


def record(directory, answers, license_id, instance="a"):
    recorder = Recorder(directory, KEY, instance, None, clock=lambda: 1_795_000_000.0)
    recorder.start()
    for number, text in enumerate(answers):
        recorder.finished(
            reference=f"{license_id}{number}", choice=0, time=1_795_000_000.0, model="tiny", licenses=(license_id,),
            policy="f00d", surface="chat", prompt="Tell me.", output=text,
        )  # fmt: skip
    recorder.close()


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = Layout(tmp_path / "state")
    record(layout.provenance, [prose(1)], "llama-2")
    record(layout.provenance, [prose(2)], "llama-3.1", "b")
    record(layout.provenance, [prose(3)], "kimi-k2", "c")
    layout.key.write_bytes(KEY)
    (tmp_path / "guard.yaml").write_text("state_dir: state\n")
    return tmp_path


def data(tmp_path, *texts):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"prompt": "p", "completion": text}) + "\n" for text in texts))
    return str(path)


def check(*arguments):
    return run(["export", "check", *arguments, "--target", "mistralai/Mistral-7B-v0.1"])


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
        assert "llama-2 1.b.v" in shown.out
        assert "receipt r-llama-20-0" in shown.out
    if code == 1:
        assert "owed: " in shown.out


def test_a_missing_index_is_undetermined(state, capsys):
    assert check(data(state, prose(9)), "--index", "nowhere", "--key", "state/provenance.key") == 3
    assert "not seen: there is no index" in capsys.readouterr().out


def test_json_holds_every_hit(state, capsys):
    assert check(data(state, prose(9), prose(1)), "--json", "--config", "guard.yaml") == 2
    shown = json.loads(capsys.readouterr().out)
    assert shown["verdict"] == "deny"
    assert [(hit["line"], hit["path"], hit["clause"]) for hit in shown["hits"]] == [(2, "completion", "1.b.v")]
    assert shown["coverage"]["complete"] is True


def test_a_clean_copy_is_without_what_is_held_back(state, capsys):
    path = data(state, prose(9), prose(1), prose(3), prose(2))
    assert check(path, "--write-clean", "clean.jsonl") == 2
    assert "clean: 2 records in clean.jsonl, 2 left out" in capsys.readouterr().out
    kept = [json.loads(line)["completion"] for line in (state / "clean.jsonl").read_text().splitlines()]
    assert kept == [prose(9), prose(3)]
    assert check("clean.jsonl") == 0


def test_bad_data_is_65_bad_configuration_78_bad_usage_64(state, capsys):
    (state / "bad.jsonl").write_text('{"text": "x"}\nnonsense\n')
    assert check("bad.jsonl") == 65
    assert "bad.jsonl:2: not JSON" in capsys.readouterr().err
    assert check("data.parquet") == 65
    assert "allowed: .jsonl, .json, .csv" in capsys.readouterr().err
    path = data(state, prose(9))
    assert check(path, "--key", "no.key") == 78
    (state / "short.key").write_bytes(b"short")
    assert check(path, "--key", "short.key") == 78
    assert "allowed: 16 to 64" in capsys.readouterr().err
    assert check(path, "--write-clean", "no/such/directory.jsonl") == 73
    (state / "odd.yaml").write_text("state_dri: x\n")
    assert check(path, "--config", "odd.yaml") == 78
    assert check(path, "--write-clean", path) == 64
    assert check(path, "--write-clean", "clean.csv") == 64
    assert run(["export", "check", path]) == 64
    assert run(["export", "check", path, "--target", ""]) == 64
    assert run(["export", "check", path, "--target", " "]) == 64


def test_many_hits_are_cut_short_only_for_people(state, capsys):
    path = data(state, *[prose(1) for _ in range(30)])
    assert check(path) == 2
    assert "... and 10 more records" in capsys.readouterr().out
    assert check(path, "--json") == 2
    assert len(json.loads(capsys.readouterr().out)["hits"]) == 30
