"""``guard audit verify`` ends with 0 for a journal that is as it was written and 1 for any other."""

import json

import pytest

from guard.cli.main import run
from guard.evidence.chain import Journal
from guard.evidence.seal import Sealer
from guard.evidence.signing import PUBLIC, Signer
from guard.provenance.layout import Layout


@pytest.fixture
def journal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.yaml").write_text("state_dir: state\n")
    journal = Journal(Layout(tmp_path / "state").audit, instance="guard-0", clock=lambda: 1_795_000_000.0)
    journal.start()
    journal.append("decision", {"verdict": "deny"})
    journal.close()
    return journal


def test_a_sound_journal(journal, capsys):
    assert run(["audit", "verify"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("ok: 3 entries in 1 journals")
    assert f"guard-0: 3 entries, head {journal.head}" in shown
    assert "not checked: whether entries were cut off the end" in shown
    assert run(["audit", "verify", "--head", journal.head, "--length", "3"]) == 0
    assert "not checked" not in capsys.readouterr().out


def test_an_edited_journal_is_named_with_its_line(journal, capsys):
    journal.path.write_bytes(journal.path.read_bytes().replace(b"deny", b"pass"))
    assert run(["audit", "verify", str(journal.path)]) == 1
    assert f"BAD {journal.path}:2: the entry was changed" in capsys.readouterr().out
    assert run(["audit", "verify", "--config", "guard.yaml", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["ok"], shown["entries"], shown["first_bad"]["line"]) == (False, 1, 2)


def test_a_cut_journal_shows_against_a_head_kept_elsewhere(journal, capsys):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(lines[:2]))
    assert run(["audit", "verify"]) == 0
    assert run(["audit", "verify", "--head", journal.head]) == 1
    assert run(["audit", "verify", "--length", "3"]) == 1
    assert "2 entries where there were 3" in capsys.readouterr().out


def test_no_journal_is_neither_a_sound_nor_a_broken_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["audit", "verify", str(tmp_path)]) == 65
    assert run(["audit", "verify"]) == 65
    assert "no journal" in capsys.readouterr().err
    assert run(["audit", "verify", "none.jsonl"]) == 65
    (tmp_path / "guard.yaml").write_text("mode: shadow\n")
    assert run(["audit", "verify", "guard.yaml"]) == 65
    assert "guard.yaml: not a journal" in capsys.readouterr().err


def test_a_journal_without_its_first_entry_is_a_broken_one(journal):
    journal.path.write_bytes(b"".join(journal.path.read_bytes().splitlines(keepends=True)[1:]))
    assert run(["audit", "verify", str(journal.path)]) == 1


@pytest.mark.parametrize("head", ["", "abc", "g" * 64, "a" * 63])
def test_a_head_that_cannot_be_one_is_bad_usage(journal, head, capsys):
    assert run(["audit", "verify", "--head", head]) == 64
    assert "allowed: 64 hexadecimal digits" in " ".join(capsys.readouterr().err.split())


def test_the_state_directory_is_that_of_the_configuration_in_the_environment(journal, monkeypatch, tmp_path):
    (tmp_path / "guard.yaml").rename(tmp_path / "other.yaml")
    assert run(["audit", "verify"]) == 65
    monkeypatch.setenv("GUARD_CONFIG", "other.yaml")
    assert run(["audit", "verify"]) == 0


def test_seals_are_checked_by_the_keys_beside_the_journals(journal, tmp_path, capsys):
    layout = Layout(tmp_path / "state")
    sealed = Journal(layout.audit, instance="guard-1", sealer=Sealer(Signer(layout.signing)))
    sealed.start()
    sealed.append("receipt", {"id": "r-a-0", "model": "tiny"})
    sealed.close()
    for where in ([], [str(layout.audit)], [str(sealed.path)]):
        assert run(["audit", "verify", *where]) == 0
        shown = capsys.readouterr().out
        assert "1 seals over 1 receipts and declarations are of the leaves before them" in shown
        assert "not checked: the signatures" not in shown
        assert "have no seal" not in shown
    (layout.signing / PUBLIC).rename(tmp_path / "kept.json")
    assert run(["audit", "verify"]) == 0
    assert "not checked: the signatures of the seals; give --keys" in capsys.readouterr().out
    assert run(["audit", "verify", "--keys", "kept.json", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["seals"], shown["sealed"], shown["unsealed"], shown["signatures"]) == (1, 1, 0, True)
    Signer(tmp_path / "elsewhere")
    assert run(["audit", "verify", "--keys", "elsewhere/keys.json"]) == 1
    assert "which is not one of those given" in capsys.readouterr().out
    assert run(["audit", "verify", "--keys", "nothing.json"]) == 78


def test_receipts_without_a_seal_are_counted_and_the_first_is_named(journal, tmp_path, capsys):
    journal.start()
    journal.append("receipt", {"id": "r-a-0"})
    journal.close()
    assert run(["audit", "verify"]) == 0
    shown = capsys.readouterr().out
    assert "1 receipts and declarations have no seal, the first at " in shown
    assert "guard-0.jsonl:5\n" in shown
