"""``guard audit verify`` ends with 0 for a journal that is as it was written and 1 for any other."""

import json
from pathlib import Path

import pytest

from guard.cli.main import run
from guard.evidence.chain import Journal
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
    assert shown.startswith("ok: 3 entries in 1 chains, each follows the one before it\n\nguard-0\n")
    for row in (
        "files            guard-0.jsonl", "entries          1 to 3", f"head             {journal.head}",
        "time             2026-11-18T11:06:40Z to 2026-11-18T11:06:40Z", "last checkpoint  none",
        "heads matched    none given",
    ):  # fmt: skip
        assert f"\n  {row}\n" in shown
    assert "\nNOT proven:\n- whether entries were cut off the end" in shown
    assert run(["audit", "verify", "--head", journal.head, "--length", "3"]) == 0
    shown = capsys.readouterr().out
    assert "cut off the end" not in shown
    assert "heads matched    1" in shown


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
    sealed = Journal(layout.audit, instance="guard-1", signer=Signer(layout.signing))
    sealed.start()
    sealed.append("receipt", {"id": "r-a-0", "model": "tiny"})
    sealed.close()
    for where in ([], [str(layout.audit)], [str(sealed.path)]):
        assert run(["audit", "verify", *where]) == 0
        shown = capsys.readouterr().out
        assert "seals            1 over 1 receipts and declarations" in shown
        assert ", signature holds; 2 in all" in shown
        assert "unsigned since   1 entries in 0 min" in shown
        assert "- signatures" not in shown
        assert "have no seal" not in shown
    (layout.signing / PUBLIC).rename(tmp_path / "kept.json")
    assert run(["audit", "verify"]) == 0
    assert (
        "- signatures, and so whether the chain was recomputed without the key: give --keys" in capsys.readouterr().out
    )
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


@pytest.fixture
def signed(journal, tmp_path):
    """A chain of several files, and the heads that left the machine."""
    layout, sent = Layout(tmp_path / "state"), []
    signer = Signer(layout.signing)
    chain = Journal(layout.audit, instance="guard-1", linger=60, rotate_bytes=2000, signer=signer, heads=sent.append)
    chain.start()
    for number in range(10):
        chain.append("decision", {"reference": f"q{number}", "digest": "f" * 64})
        chain.flush()
    chain.close()
    (tmp_path / "heads.jsonl").write_text("".join(json.dumps(head.line()) + "\n" for head in sent))
    return chain


def test_heads_that_left_the_machine_are_compared(signed, tmp_path, capsys):
    assert run(["audit", "verify", "--heads", "heads.jsonl"]) == 0
    shown = capsys.readouterr().out
    assert f"heads matched    {len((tmp_path / 'heads.jsonl').read_text().splitlines())}" in shown
    assert "- guard-0: whether entries were cut off the end: no head is of it" in shown
    signed.path.unlink()
    assert run(["audit", "verify"]) == 0
    shown = capsys.readouterr().out
    assert "- guard-1: what follows entry" in shown
    assert run(["audit", "verify", "--heads", "heads.jsonl"]) == 1
    assert "entries were cut off" in capsys.readouterr().out.splitlines()[0]
    (tmp_path / "none.jsonl").write_text("hello\n")
    assert run(["audit", "verify", "--heads", "none.jsonl"]) == 65
    assert "none.jsonl:1: no head; allowed: 64 hexadecimal digits" in capsys.readouterr().err
    assert run(["audit", "verify", "--heads", "nowhere.jsonl"]) == 65
    assert capsys.readouterr().err == "nowhere.jsonl: No such file or directory\n"


def test_an_archive_is_put_together_with_what_is_here(signed, tmp_path, capsys):
    archive = tmp_path / "archive"
    archive.mkdir()
    first = signed.path.with_name("guard-1.000001.jsonl")
    count = len(first.read_bytes().splitlines())
    first.rename(archive / first.name)
    audit = str(signed.directory)
    assert run(["audit", "verify", audit]) == 0
    assert f"- guard-1: entries 1 to {count}: their files were archived; give the directory" in capsys.readouterr().out
    assert run(["audit", "verify", audit, str(archive), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    chain = next(each for each in shown["chains"] if each["name"] == "guard-1")
    assert (chain["first"], chain["files"][0]) == (1, str(archive / first.name))
    assert (chain["checkpoint"]["instance"], chain["bad"], chain["live"]) == ("guard-1", None, True)
    assert run(["audit", "verify", str(archive), "--keys", "state/signing/keys.json"]) == 0
    assert run(["audit", "verify", audit, "--keys", "state/signing/keys.json"]) == 0
    signed.path.with_name("guard-1.000002.jsonl").unlink()
    assert run(["audit", "verify", audit, str(archive)]) == 1
    assert "guard-1.000002.jsonl: is missing" in capsys.readouterr().out


def test_a_flipped_byte_is_reported_with_file_line_and_bytes(signed, capsys):
    path = signed.path.with_name("guard-1.000002.jsonl")
    whole = bytearray(path.read_bytes())
    begin = whole.index(b"\n") + 1
    whole[begin + 20] ^= 1
    path.write_bytes(whole)
    end = whole.index(b"\n", begin)
    assert run(["audit", "verify"]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert (
        first
        == f"BAD {path.relative_to(Path.cwd())}:2: the entry was changed after it was written (bytes {begin} to {end})"
    )


def test_entries_are_shown_by_reference_kind_and_month(signed, journal, capsys):
    assert run(["audit", "show", "--reference", "q7"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["facts"]["reference"] == "q7"
    assert run(["audit", "show", "--reference", "7"]) == 1, "no part of a reference, nor of a hash or signature"
    assert run(["audit", "show", "--kind", "open", "--kind", "close"]) == 0
    assert [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()] == ["open", "close"] * 2
    assert run(["audit", "show", str(journal.path), "--month", "2026-11"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert run(["audit", "show", str(journal.path), "--month", "2026-10"]) == 1
    assert run(["audit", "show", "--month", "11-2026"]) == 64
    with journal.path.open("ab") as file:
        file.write(b'"q7" \xff\n')
    assert run(["audit", "show", "--reference", "q7", "--kind", "decision"]) == 0
    assert "guard-0.jsonl:4: not an entry" in capsys.readouterr().err
    assert run(["audit", "show", "nowhere"]) == 65
