"""``guard export verify`` says whether a receipt or a statement is as it was signed, and by whom."""

import hashlib
import io
import json
import re
import sys

import pytest

from guard.cli.main import run
from guard.evidence.chain import Journal
from guard.evidence.envelope import sign
from guard.evidence.signing import PUBLIC, Signer, rotate
from guard.provenance.layout import Layout


class Deployment:
    """A gateway's state directory beside which nothing names it, and files as a counterparty has them."""

    def __init__(self, directory, capsys):
        self.directory, self.layout = directory, Layout(directory / "state")
        (directory / "guard.yaml").write_text("state_dir: state\n")
        self.signer = Signer(self.layout.signing)
        journal = Journal(self.layout.audit, instance="guard-0", signer=self.signer)
        journal.start()
        for number in range(5):
            journal.append("receipt", {"id": f"r-q{number}-0", "model": "tiny", "answered": 1_795_000_000.25})
        journal.close()
        assert run(["export", "receipt", "r-q2-0", "--config", "guard.yaml"]) == 0
        self.write("receipt.json", json.loads(capsys.readouterr().out))
        self.write("statement.json", sign({"verdict": "deny", "records": 12}, self.signer))
        assert run(["keys", "signing", "--pem"]) == 0
        (directory / "pub.pem").write_text(capsys.readouterr().out)

    def write(self, name, document):
        (self.directory / name).write_text(json.dumps(document))

    def read(self, name):
        return json.loads((self.directory / name).read_text())


@pytest.fixture
def deployment(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    return Deployment(tmp_path, capsys)


@pytest.mark.parametrize("name", ["receipt.json", "statement.json"])
def test_valid_by_the_configuration_a_list_a_pem_file_or_base64(deployment, capsys, name):
    base64 = deployment.read("receipt.json")["public"]
    keys = str(deployment.layout.signing / PUBLIC)
    for pinned in ([], ["--config", "guard.yaml"], ["--keys", keys], ["--key", "pub.pem"], ["--key", base64]):
        assert run(["export", "verify", name, *pinned]) == 0, pinned
        shown = capsys.readouterr().out
        assert shown.startswith("valid: ")
        assert deployment.signer.id in shown


@pytest.mark.parametrize("name", ["receipt.json", "statement.json"])
def test_valid_after_the_key_was_rotated(deployment, name):
    rotate(deployment.layout.signing, 1_999_999_999.0)
    assert run(["export", "verify", name]) == 0


@pytest.mark.parametrize(("name", "member"), [("receipt.json", "facts"), ("statement.json", "statement")])
def test_what_was_changed_is_not_valid(deployment, capsys, name, member):
    document = deployment.read(name)
    document[member]["more"] = "said"
    deployment.write(name, document)
    assert run(["export", "verify", name, "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["valid"] is False
    assert "does not hold" in shown["finding"]


@pytest.mark.parametrize("name", ["receipt.json", "statement.json"])
def test_a_key_that_came_with_the_file_is_nobodys_until_it_is_pinned(deployment, capsys, tmp_path, name):
    stranger = Signer(tmp_path / "elsewhere")
    (tmp_path / "theirs.json").write_text((tmp_path / "elsewhere" / PUBLIC).read_text())
    assert run(["export", "verify", name, "--keys", "theirs.json"]) == 1
    assert f"NOT VALID: {'r-q2-0' if 'receipt' in name else 'the statement'}" in (shown := capsys.readouterr().out)
    assert "signed by an unknown key" in shown
    assert stranger.id not in shown


def test_standard_input_and_json(deployment, capsys, monkeypatch):
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO((deployment.directory / "receipt.json").read_bytes()))
    )
    assert run(["export", "verify", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "valid": True, "kind": "receipt", "key": deployment.signer.id, "finding": "signed by a known key",
        "late": False,
    }  # fmt: skip


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b"3", b"{}", b'{"statement":{}}', b'{"statement":{},"signature":{"algorithm":"none"}}',
    b'{"a":1,"a":2}', b"\xff", b'{"format":"guard-receipt/1"}', b"[" * 100_000,
])  # fmt: skip
def test_a_file_that_is_neither_ends_with_65(deployment, capsys, content):
    (deployment.directory / "what.json").write_bytes(content)
    assert run(["export", "verify", "what.json"]) == 65
    assert capsys.readouterr().err.startswith("what.json: ")
    assert run(["export", "verify", "nothing.json"]) == 65


def test_without_a_key_to_go_by_it_ends_with_78(deployment, capsys):
    for pinned in (["--keys", "nothing.json"], ["--key", "nothing.pem"], ["--keys", "receipt.json"]):
        assert run(["export", "verify", "receipt.json", *pinned]) == 78, pinned
        assert "--key" in capsys.readouterr().err
    (deployment.directory / "guard.yaml").unlink()
    assert run(["export", "verify", "receipt.json"]) == 78
    assert "no key to verify it by" in capsys.readouterr().err
    assert run(["export", "verify", "receipt.json", "--key", "pub.pem", "--keys", "pub.pem"]) == 64


def test_words_of_the_file_cannot_steer_a_terminal(deployment, capsys):
    document = deployment.read("receipt.json")
    document["facts"]["id"] = "r-\x1b[2J-0"
    deployment.write("receipt.json", document)
    assert run(["export", "verify", "receipt.json"]) == 1
    assert "\x1b" not in capsys.readouterr().out


@pytest.fixture
def attested(deployment, capsys):
    """The subjects of a statement on two files, by an index that has nothing yet."""
    deployment.layout.key.write_bytes(bytes(32))
    for name in ("a.jsonl", "b.jsonl"):
        (deployment.directory / name).write_text(json.dumps({"text": name}) + "\n")
    target = "mistralai/Mistral-7B-v0.1"
    assert run(["export", "check", "a.jsonl", "b.jsonl", "--target", target, "--attest", "attested.json"]) == 3
    capsys.readouterr()
    return [
        {"name": name, "sha256": hashlib.sha256((deployment.directory / name).read_bytes()).hexdigest()}
        for name in ("a.jsonl", "b.jsonl")
    ]


def test_a_statement_that_holds_shows_its_verdict_and_what_it_is_on(attested, capsys):
    assert run(["export", "verify", "attested.json"]) == 0
    first, *said = capsys.readouterr().out.splitlines()
    assert first.startswith("valid: the statement: ")
    assert said[0] == "verdict: undetermined, for training mistralai/Mistral-7B-v0.1"
    assert re.fullmatch(r"checked: \S+Z, over an index with gaps", said[1])
    assert said[2:] == [f"subject: {each['sha256']}  {each['name']}" for each in attested]


def test_data_is_told_by_its_content_whatever_its_name(deployment, attested, capsys):
    (deployment.directory / "b.jsonl").rename(deployment.directory / "renamed.jsonl")
    assert run(["export", "verify", "attested.json", "--data", "renamed.jsonl", "--data", "a.jsonl"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "data: renamed.jsonl: the content of b.jsonl", "data: a.jsonl: the content of a.jsonl",
    ]  # fmt: skip
    assert run(["export", "verify", "attested.json", "--data", "a.jsonl"]) == 0
    assert f"{attested[1]['sha256']}  b.jsonl  (not among --data)\n" in capsys.readouterr().out


def test_data_that_was_changed_is_not_what_the_statement_is_on(deployment, attested, capsys):
    (deployment.directory / "a.jsonl").write_text('{"text": "b"}\n')
    assert run(["export", "verify", "attested.json", "--data", "b.jsonl", "--data", "a.jsonl"]) == 1
    assert capsys.readouterr().out.endswith("data: a.jsonl: NOT A SUBJECT\n")
    assert run(["export", "verify", "attested.json", "--data", "a.jsonl", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["valid"], shown["verdict"], shown["complete"]) == (True, "undetermined", False)
    assert shown["subjects"] == attested
    assert [(each["file"], each["subject"]) for each in shown["data"]] == [("a.jsonl", None)]


def test_what_does_not_hold_says_nothing_of_verdict_or_data(deployment, attested, capsys):
    document = deployment.read("attested.json")
    document["statement"]["predicate"]["verdict"] = "allow"
    deployment.write("attested.json", document)
    assert run(["export", "verify", "attested.json", "--data", "a.jsonl"]) == 1
    shown = capsys.readouterr().out
    assert "verdict" not in shown
    assert "data:" not in shown


@pytest.mark.usefixtures("attested")
def test_data_that_cannot_be_read_or_compared_ends_with_65(capsys):
    assert run(["export", "verify", "attested.json", "--data", "nothing.jsonl"]) == 65
    assert capsys.readouterr().err == "nothing.jsonl: No such file or directory\n"
    for name in ("receipt.json", "statement.json"):
        assert run(["export", "verify", name, "--data", "a.jsonl"]) == 65
        assert "says nothing of any file" in capsys.readouterr().err
