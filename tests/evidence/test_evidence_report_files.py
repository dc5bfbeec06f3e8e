"""Journals of several files in a report: archived ones, copies, and what a file says of those before it."""

import json
import shutil

import pytest
from report_journal import NOVEMBER, Written, at, decision, evidence
from report_journal import known as nothing_known

from guard.evidence.chain import Journal
from guard.evidence.journals import journals
from guard.evidence.report.document import document
from guard.evidence.report.reading import Named, read
from guard.evidence.signing import Signer, Verifier

STANDING = {"policy": "p1", "mode": "shadow", "decisions": "notable"}


def rotated(directory):
    """A gateway that runs since October, in shadow; its October file is closed."""
    gateway = Written(directory)
    gateway.add(at(3, month=10), "open")
    gateway.add(at(3, month=10), "start", {**STANDING, "confirmed": []})
    gateway.add(at(31, 23, month=10), "decision", decision())
    gateway.add(at(1, 0, 0, 2), "rotate", {"file": "guard-0.000001.jsonl", "number": 1})
    before = {"number": 2, "file": "guard-0.000001.jsonl", "seq": gateway.seq, "hash": gateway.prev.decode()}
    gateway.path.rename(directory / "guard-0.000001.jsonl")
    gateway.add(at(1, 0, 0, 2), "continue", {**STANDING, "started": at(3, month=10), "last": at(31, 23, month=10),
                                             "instance": "guard-0", **before})  # fmt: skip
    for day in range(2, 31):
        gateway.add(at(day), "decision", decision(mode="shadow"))
    return gateway


def said(directory, *more):
    """The document of November, but for what only the presence of older signatures changes."""
    chains = [Named(chain.name, chain) for chain in journals(directory, *more)]
    found = document(read(chains, NOVEMBER), nothing_known())
    found["summary"]["must_be_known"] = [
        each for each in found["summary"]["must_be_known"] if "no checkpoint whose signature" not in each
    ]
    found["summary"]["incidents"] = [each for each in found["summary"]["incidents"] if each["section"] != "audit-chain"]
    for chain in found["audit_chain"]:
        chain.pop("verifies")
    return found


def test_a_month_says_the_same_when_the_files_before_it_were_archived(tmp_path):
    rotated(tmp_path / "audit")
    whole = said(tmp_path / "audit")
    assert (whole["policy"]["seconds_by_mode"], whole["running"]["gaps"]) == ({"shadow": 29 * 86400}, [])
    assert any("was in shadow" in each for each in whole["summary"]["cautions"])
    (tmp_path / "archive").mkdir()
    shutil.move(tmp_path / "audit" / "guard-0.000001.jsonl", tmp_path / "archive")
    assert said(tmp_path / "audit") == whole
    assert said(tmp_path / "audit", tmp_path / "archive") == whole


def test_a_real_journal_says_the_same_when_the_files_before_the_month_were_archived(tmp_path):
    now = at(31, 20, month=10)

    def clock():
        nonlocal now
        now += 0.001
        return now

    signer = Signer(tmp_path / "signing", clock=clock)
    journal = Journal(tmp_path / "audit", instance="guard-0", clock=clock, signer=signer)
    journal.start()
    journal.append("start", {**STANDING, "confirmed": []})
    journal.standing = {**STANDING, "started": now}
    journal.flush()
    for moment in (at(31, 23, month=10), at(1, 5), at(2)):
        now = moment
        journal.append("decision", decision(mode="shadow"))
        journal.flush()
    journal.close()
    keys = Verifier.of_list(tmp_path / "signing" / "keys.json")

    def whole():
        return document(read([Named(chain.name, chain, keys) for chain in journals(tmp_path / "audit")], NOVEMBER),
                        nothing_known())  # fmt: skip

    before = whole()
    assert before["audit_chain"][0]["verifies"]
    assert before["policy"]["seconds_by_mode"] == {"shadow": 86400}
    (tmp_path / "audit" / "guard-0.000001.jsonl").unlink()
    assert json.dumps(whole()) == json.dumps(before)


def test_files_of_the_month_that_are_elsewhere_must_be_known(tmp_path):
    gateway = rotated(tmp_path)
    gateway.add(at(30, 1), "rotate", {"file": "guard-0.000002.jsonl", "number": 2})
    before = {"number": 3, "file": "guard-0.000002.jsonl", "seq": gateway.seq, "hash": gateway.prev.decode()}
    gateway.path.rename(tmp_path / "guard-0.000002.jsonl")
    gateway.add(at(30, 1), "continue", {**STANDING, "started": at(3, month=10), "last": at(30), **before})
    gateway.add(at(30, 2), "decision", decision())
    (chain,) = evidence(tmp_path).chains
    assert not chain.missing
    for number in (1, 2):
        (tmp_path / f"guard-0.00000{number}.jsonl").unlink()
    found = document(evidence(tmp_path), nothing_known())
    assert any("may have entries of it" in each for each in found["summary"]["must_be_known"])
    assert found["policy"]["in_force"][0]["from"] == "2026-11-30T01:00:00+00:00"
    assert found["running"]["runs"][0]["began_earlier"]


def test_a_file_that_says_that_a_run_goes_on_before_another_one_opens_is_no_run(tmp_path):
    gateway = Written(tmp_path)
    gateway.seq = 7
    before = {"number": 2, "seq": 7, "hash": gateway.prev.decode(), "instance": "guard-0"}
    gateway.add(at(2), "continue", {**STANDING, "started": at(1), **before})
    gateway.run(at(2), at(3), "p2")
    found = evidence(tmp_path)
    assert [(row["ended"], row["source"]["from"]) for row in found.runs.rows()] == [("closed", 9)]
    assert [row["policy"] for row in found.versions.rows()] == ["p2"]


@pytest.mark.parametrize("name", ["guard-0.damaged-1.jsonl", "other.jsonl"])
def test_a_copy_of_a_journal_counts_once_and_is_no_sound_chain(tmp_path, name):
    gateway = Written(tmp_path)
    gateway.run(at(1), at(2))
    gateway.add(at(3), "decision", decision())
    shutil.copy(gateway.path, tmp_path / name)
    found = evidence(tmp_path)
    assert (found.decisions.entries.entries, len(found.runs.found)) == (1, 1)
    assert [chain.name for chain in found.chains if chain.fault is not None and "a copy" in chain.fault.what]


def test_an_archive_that_overlaps_counts_once(tmp_path):
    gateway = rotated(tmp_path / "audit")
    shutil.copytree(tmp_path / "audit", tmp_path / "archive")
    gateway.add(at(30, 5), "decision", decision())
    found = said(tmp_path / "audit", tmp_path / "archive")
    assert found["decisions"]["entries"] == 30
    assert found == said(tmp_path / "audit")
