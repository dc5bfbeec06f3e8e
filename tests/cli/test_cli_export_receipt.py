"""``guard export receipt`` prints one receipt with all that somebody else needs to verify it."""

import json

import pytest

from guard.cli.main import run
from guard.evidence import portable
from guard.evidence.chain import Journal
from guard.evidence.envelope import Standing
from guard.evidence.signing import PUBLIC, Signer, Verifier
from guard.provenance.layout import Layout


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.yaml").write_text("state_dir: state\n")
    layout = Layout(tmp_path / "state")
    for instance in ("guard-0", "guard-1"):
        journal = Journal(layout.audit, instance=instance, signer=Signer(layout.signing))
        journal.start()
        for number in range(3):
            journal.append("receipt", {"id": f"r-{instance}x{number}-0", "model": "tiny"})
        journal.append("declaration", {"id": f"d-{instance}", "purpose": "train:other"})
        journal.close()
    return layout


@pytest.mark.parametrize("id_", ["r-guard-0x0-0", "r-guard-1x2-0", "d-guard-1"])
def test_a_receipt_is_found_in_whichever_journal_it_is(layout, capsys, id_):
    assert run(["export", "receipt", id_]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["facts"]["id"] == id_
    assert portable.verify(found, Verifier.of_list(layout.signing / PUBLIC)) is Standing.VALID
    assert found["public"] == Verifier.of_list(layout.signing / PUBLIC).keys[0].facts()["public"]


def test_one_that_is_not_there_ends_with_1(layout, capsys):
    assert run(["export", "receipt", "r-nobody-0"]) == 1
    assert "has r-nobody-0" in capsys.readouterr().err
    journal = Journal(layout.audit, instance="guard-2")
    journal.start()
    journal.append("receipt", {"id": "r-unsealed-0"})
    journal.close()
    assert run(["export", "receipt", "r-unsealed-0"]) == 1
    assert "not sealed" in capsys.readouterr().err


@pytest.mark.parametrize("id_", ["hello", "r-abc-0..7", "r-abc"])
def test_what_is_no_id_is_bad_usage(layout, id_):
    assert run(["export", "receipt", id_]) == 64


def test_of_the_range_that_the_header_names_one_choice_is_asked_for(layout, capsys):
    assert run(["export", "receipt", "r-guard-0x1-0..2"]) == 64
    assert "allowed: one choice of that range, such as r-guard-0x1-0" in " ".join(capsys.readouterr().err.split())


def test_a_chain_that_is_not_as_it_was_written_ends_with_65(layout, capsys, tmp_path):
    path = layout.audit / "guard-0.jsonl"
    path.write_bytes(path.read_bytes().replace(b"tiny", b"tinY", 1))
    assert run(["export", "receipt", "r-guard-0x1-0"]) == 65
    assert "guard audit verify" in capsys.readouterr().err
    (tmp_path / "guard.yaml").write_text("state_dir: elsewhere\n")
    assert run(["export", "receipt", "r-guard-0x1-0"]) == 65
    assert "no journal" in capsys.readouterr().err
