"""A running journal finds out by itself that its files were changed, says so once, and goes on."""

import os
import time

import pytest
from evidence_clock import Clock

from guard.evidence.chain import Journal
from guard.evidence.entry import GENESIS, link, read
from guard.evidence.selfcheck import SelfCheck
from guard.evidence.signing import Signer
from guard.evidence.verify import verify


def wait_for(condition):
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def signer(tmp_path):
    return Signer(tmp_path / "signing", Clock())


def open_(tmp_path, signer, **options):
    journal = Journal(
        tmp_path / "audit", instance="a", clock=Clock(), linger=0.0, signer=signer, self_check=True,
        **{"checkpoint_seconds": 0.02, "rotate_bytes": 3000} | options,
    )  # fmt: skip
    journal.start()
    return journal


def fill(journal, count):
    for number in range(count):
        journal.append("decision", {"number": number, "digest": "f" * 64})
        journal.flush()


def checked(journal):
    return journal._check.checked


def test_a_sound_chain_is_read_to_its_last_checkpoint_over_rotations_and_restarts(tmp_path, signer):
    for _ in range(2):
        journal = open_(tmp_path, signer)
        fill(journal, 30)
        length = journal.length
        wait_for(lambda: checked(journal) >= length)  # noqa: B023 - waited for at once
        assert journal.intact
        journal.close()
    assert len(list((tmp_path / "audit").glob("a.0*.jsonl"))) > 3
    assert verify(tmp_path / "audit").ok


@pytest.mark.parametrize("which", ["closed", "live"])
def test_a_change_before_the_start_is_found_though_the_tail_is_sound(tmp_path, signer, which, monkeypatch, caplog):
    monkeypatch.setattr("guard.evidence.tail.WINDOW", 300)
    journal = open_(tmp_path, signer, rotate_bytes=3000 if which == "closed" else 10**9)
    fill(journal, 30)
    journal.close()
    path = tmp_path / "audit" / ("a.000001.jsonl" if which == "closed" else "a.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"number":1,', b'"number":2,'))
    journal = open_(tmp_path, signer, rotate_bytes=10**9)  # the file keeps its name while it is read
    wait_for(lambda: not journal.intact)
    assert journal.damage.startswith(f"{path}:")
    assert "was changed after it was written" in journal.damage
    wait_for(lambda: any(entry.kind == "damaged" for entry in read(journal.path)))
    fill(journal, 3)
    journal.close()
    (facts,) = [entry.facts for each in (tmp_path / "audit").glob("a.*jsonl") for entry in read(each)
                if entry.kind == "damaged"]  # fmt: skip
    assert facts["file"] == path.name
    assert [record for record in caplog.records if "not as it was written" in record.message] != []


def test_what_is_changed_while_it_runs_is_found_at_the_next_checkpoint(tmp_path, signer):
    journal = open_(tmp_path, signer, checkpoint_seconds=3600, rotate_bytes=10**9)
    wait_for(lambda: checked(journal) >= 1)
    fill(journal, 5)
    with journal.path.open("r+b") as file:
        at = file.read().index(b'"number":3,')
        file.seek(at)
        file.write(b'"number":4,')
    journal._next, journal._due = 0.0, True
    journal._ready.set()
    wait_for(lambda: not journal.intact)
    assert "was changed after it was written" in journal.damage
    journal.close()


@pytest.mark.parametrize("how", ["removed", "replaced", "cut"])
def test_a_live_file_that_is_not_the_one_written_to_is_found(tmp_path, signer, how):
    journal = open_(tmp_path, signer)
    fill(journal, 1)
    if how == "removed":
        journal.path.unlink()
    elif how == "replaced":
        _copy(journal.path).replace(journal.path)
    else:
        os.truncate(journal.path, 100)
    fill(journal, 1)
    wait_for(lambda: not journal.intact)
    journal.close()


def _copy(path):
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    return copy


def test_a_chain_that_was_recomputed_on_the_disk_is_found_by_what_is_in_memory(tmp_path):
    directory, found = tmp_path, []
    lines, prev = [], GENESIS
    for seq in range(1, 6):
        line, prev = link(prev, seq, 1.0, "decision", {"number": seq})
        lines.append(line)
    (directory / "a.jsonl").write_bytes(b"".join(lines))
    check = SelfCheck(directory, "a", found.append)
    check.start(5, b"f" * 64)
    wait_for(lambda: found)
    assert "has another hash than it was written with" in found[0].what
    check.stop()
    check.stop()
    check = SelfCheck(directory, "a", found.append)
    check.start(7, prev)
    wait_for(lambda: len(found) == 2)
    assert "ends with entry 5" in found[1].what
    check.stop()


def test_it_rests_between_slices(tmp_path, monkeypatch):
    monkeypatch.setattr("guard.evidence.selfcheck.SLICE", 100)
    journal = Journal(tmp_path, instance="a", clock=Clock(), linger=60)
    journal.start()
    fill(journal, 20)
    journal.close()
    check = SelfCheck(tmp_path, "a", pytest.fail, rate=1.0)
    check.start(journal.length, journal.head.encode())
    time.sleep(0.05)
    assert check.checked == 0, "a byte a second takes a while"
    check.stop()
