"""``guard keys signing`` shows the public keys; ``guard keys rotate-signing`` puts another one in place."""

import json

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from guard.cli.main import run
from guard.evidence.signing import PRIVATE, Signer, key_id


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.yaml").write_text("state_dir: state\n")
    return tmp_path / "state"


def test_there_are_no_keys_before_a_gateway_has_run(state, capsys):
    assert run(["keys", "signing"]) == 65
    assert "keys.json: No such file" in capsys.readouterr().err


def test_keys_are_listed_with_the_time_they_are_in_use(state, capsys):
    first = Signer(state / "signing").id
    assert run(["keys", "rotate-signing", "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert run(["keys", "signing", "--json"]) == 0
    keys = json.loads(capsys.readouterr().out)["keys"]
    assert [(key["id"], key["until"] is None) for key in keys] == [(first, False), (second["id"], True)]
    assert run(["keys", "signing", "--config", "guard.yaml"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split() == ["ID", "FROM", "UNTIL", "PUBLIC", "KEY"]
    assert [line.split()[0] for line in shown.splitlines()[1:]] == [first, second["id"]]
    assert keys[1]["public"] in shown


def test_the_key_in_use_is_printed_as_pem_to_be_pinned(state, capsys):
    assert run(["keys", "rotate-signing"]) == 0
    assert "signs from now on" in capsys.readouterr().out
    assert run(["keys", "signing", "--pem"]) == 0
    pem = capsys.readouterr().out
    raw = load_pem_public_key(pem.encode()).public_bytes_raw()
    assert key_id(raw) == Signer(state / "signing").id
    assert run(["keys", "signing", "--pem", "--json"]) == 64


def test_no_private_key_is_ever_shown(state, capsys):
    run(["keys", "rotate-signing", "--json"])
    run(["keys", "signing"])
    run(["keys", "signing", "--pem"])
    shown = capsys.readouterr()
    secret = (state / "signing" / PRIVATE).read_text().splitlines()[1]
    assert secret not in shown.out + shown.err
    assert "PRIVATE" not in shown.out + shown.err


def test_a_key_that_cannot_be_replaced_is_said(state, capsys):
    Signer(state / "signing")
    (state / "signing" / PRIVATE).write_text("what is this?")
    assert run(["keys", "rotate-signing"]) == 73
    assert "the key was not rotated" in capsys.readouterr().err
