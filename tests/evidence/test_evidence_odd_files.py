"""What lies among the journals and is none is named, and keeps nobody from verifying the rest."""

import os
import shutil

import pytest
from evidence_clock import Clock

from guard.cli.main import run
from guard.evidence.chain import Journal
from guard.evidence.checkpoint import Checkpoint
from guard.evidence.doubles import doubles
from guard.evidence.entry import LONGEST, read
from guard.evidence.journals import journals
from guard.evidence.kept import Kept
from guard.evidence.timeline import Timeline
from guard.evidence.verify import NoJournalError, verify


def write(directory, *, instance="a", count=6, clock=None, rotate_bytes=1200):
    journal = Journal(directory, instance=instance, clock=clock or Clock(), linger=60, rotate_bytes=rotate_bytes)
    journal.start()
    for number in range(count):
        journal.append("decision", {"reference": f"q{number}", "verdict": "deny", "digest": "f" * 64})
        journal.flush()
    journal.close()
    return journal


@pytest.fixture
def audit(tmp_path):
    write(tmp_path / "audit")
    assert len(journals(tmp_path / "audit")[0].files) >= 3
    return tmp_path / "audit"


@pytest.mark.parametrize("make", [
    os.mkfifo, os.mkdir, lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to(path.name),
], ids=["pipe", "directory", "link to nothing", "link to itself"])  # fmt: skip
def test_what_is_no_regular_file_is_bad_and_the_rest_is_verified(audit, make, capsys):
    make(audit / "x.jsonl")
    report = verify(audit)
    assert [str(bad) for bad in report.bads] == [
        f"{audit / 'x.jsonl'}: is named as a journal, and is no regular file: it was not read"
    ]
    assert [(chain.name, chain.bad) for chain in report.chains] == [("a", None)]
    assert report.entries > 8
    assert run(["audit", "verify", str(audit)]) == 1
    assert "ok" not in capsys.readouterr().out.splitlines()[0]
    assert Timeline(audit, Clock()).follow()
    write(audit)
    assert not list(audit.glob("*damaged*"))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_nothing_but_a_regular_file_is_named_as_a_journal(tmp_path, make):
    make(tmp_path / "x.jsonl")
    if (tmp_path / "x.jsonl").is_dir():
        with pytest.raises(NoJournalError, match="no journal"):
            verify(tmp_path / "x.jsonl")
    else:
        with pytest.raises(NoJournalError, match="not a journal"):
            verify(tmp_path / "x.jsonl")
    with pytest.raises(Exception, match=r"no regular file|Is a directory"):
        Journal(tmp_path, instance="x", clock=Clock()).start()


def test_a_line_without_an_end_is_bad_where_it_begins_and_takes_no_memory(audit):
    (audit / "z.jsonl").touch()
    os.truncate(audit / "z.jsonl", 5 * LONGEST)
    bad = verify(audit).first_bad
    assert (bad.file, bad.line) == (str(audit / "z.jsonl"), 1)
    assert f"is longer than {LONGEST} bytes" in bad.what
    (chain,) = [chain for chain in journals(audit) if chain.name == "z"]
    assert [len(line.raw) for line in chain.lines()] == [LONGEST + 1]
    write(audit, instance="z", rotate_bytes=10**9)
    assert "too long" in next(entry.facts["what"] for entry in read(audit / "z.jsonl") if entry.kind == "damaged")


def test_an_empty_numbered_file_is_bad_and_does_not_cost_the_chain(audit):
    (audit / "a.000099.jsonl").touch()
    bad = verify(audit).first_bad
    assert (bad.file, bad.what) == (
        str(audit / "a.000099.jsonl"), "is empty: a file gets its number when entries are in it"
    )  # fmt: skip
    write(audit, rotate_bytes=10**9)
    assert not list(audit.glob("*damaged*"))
    (audit / "a.000099.jsonl").unlink()
    assert verify(audit).ok
    number = len(journals(audit)[0].files)
    (audit / f"a.{number:06}.jsonl").touch()  # where the live file is going
    write(audit)
    assert verify(audit).ok
    assert not list(audit.glob("*damaged*"))


# Copies.


def test_a_chain_under_another_name_is_a_copy_and_both_files_are_named(audit, capsys):
    for path in list(audit.glob("*.jsonl")):
        shutil.copy(path, path.with_name(path.name.replace("a.", "a.damaged-1.", 1)))
    report = verify(audit)
    first = report.first_bad
    assert (first.file, first.what) == (
        str(audit / "a.damaged-1.000001.jsonl"), f"begins with an entry of {audit / 'a.000001.jsonl'}: it is a copy"
    )  # fmt: skip
    assert len(report.bads) == len(doubles(journals(audit))) == len(journals(audit)[0].files)
    assert [chain.announced for chain in report.chains] == [True, False]
    for path in audit.glob("*.damaged-1.0*.jsonl"):
        path.unlink()
    assert f"begins with an entry of {audit / 'a.jsonl'}" in str(verify(audit).bads)
    assert run(["audit", "verify", str(audit)]) == 1
    assert "- a.damaged-1: that it was set aside: no `damaged` entry that is here names it" in capsys.readouterr().out


def test_a_chain_that_was_set_aside_is_told_of_by_its_successor(audit):
    live = audit / "a.jsonl"
    live.write_bytes(live.read_bytes().replace(b'"kind":"close"', b'"kind":"clos3"'))
    write(audit, clock=Clock(1_795_000_100.0))
    report = verify(audit)
    assert [(chain.name, chain.announced) for chain in report.chains] == [("a", True), ("a.damaged-1", True)]
    assert not doubles(journals(audit))
    assert [bad.file for bad in report.bads] == [str(audit / "a.damaged-1.jsonl")]


def test_a_directory_that_is_given_twice_or_was_copied_counts_once(audit, tmp_path):
    whole = verify(audit).entries
    shutil.copytree(audit, tmp_path / "copy")
    (tmp_path / "link").symlink_to(audit)
    for places in ((audit, audit), (audit, tmp_path / "link"), (audit, tmp_path / "copy"), (tmp_path / "copy", audit)):
        report = verify(*places)
        assert report.ok, report.first_bad
        assert (report.entries, report.chains[0].earlier) == (whole, ())
        assert not doubles(journals(*places))


@pytest.mark.parametrize("rotate_bytes", [10**9, 1200])
def test_of_a_chain_that_has_grown_since_it_was_copied_the_longer_one_counts_and_that_is_said(
    audit, tmp_path, rotate_bytes, capsys
):
    copy = tmp_path / "copy"
    shutil.copytree(audit, copy)
    write(audit, clock=Clock(1_795_000_100.0), rotate_bytes=rotate_bytes)
    whole = verify(audit).entries
    for places in ((audit, copy), (copy, audit)):
        report = verify(*places)
        assert report.ok, report.first_bad
        assert report.entries == whole
        (earlier,) = report.chains[0].earlier
        assert earlier.startswith(f"{copy / 'a.jsonl'} is what {audit}/a.")
        assert sum(len(chain.copies) for chain in journals(*places)) == len(journals(copy)[0].files)
        assert run(["audit", "verify", *map(str, places)]) == 0
        assert f"- a: {earlier}: it counts once" in capsys.readouterr().out


def test_two_live_files_of_one_chain_that_differ_are_bad(audit, tmp_path):
    write(tmp_path / "other", clock=Clock(1_795_000_100.0), rotate_bytes=10**9)
    bad = verify(audit, tmp_path / "other").first_bad
    assert (bad.file, bad.what) == (
        str(tmp_path / "other" / "a.jsonl"), f"is the live file of the chain, and so is {audit / 'a.jsonl'}"
    )  # fmt: skip


# Nothing left.


@pytest.mark.parametrize("gone", ["journals", "directory"])
def test_journals_that_are_all_gone_are_found_by_heads_for_each_instance(audit, tmp_path, gone, capsys):
    heads = [
        Kept("f" * 64, "heads.jsonl", at, Checkpoint(instance, 4, "f" * 64, 1.0, "key", b""))
        for at, instance in enumerate(("a", "b", "a"), 1)
    ]
    for path in audit.glob("*.jsonl"):
        path.unlink()
    if gone == "directory":
        shutil.rmtree(audit)
    report = verify(audit, heads=heads)
    assert [bad.what for bad in report.bads] == [
        "there is no journal of a, and heads.jsonl:1 has entry 4 of it",
        "there is no journal of b, and heads.jsonl:2 has entry 4 of it",
    ]
    assert run(["audit", "verify", str(audit), "--length", "1"]) == 1
    assert run(["audit", "verify", str(audit), "--head", "f" * 64]) == 1
    assert "BAD" in capsys.readouterr().out
    assert run(["audit", "verify", str(audit)]) == 65
