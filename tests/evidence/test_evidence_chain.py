"""The journal keeps every entry, in order, over stops, kills and disks that refuse."""

import json
import os
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from evidence_clock import Clock
from evidence_plainness import assert_plain

from guard.evidence.chain import Journal, JournalError
from guard.evidence.entry import GENESIS, link, read
from guard.evidence.verify import verify


def kinds(path: Path) -> list[str]:
    return [entry.kind for entry in read(path)]


def test_entries_are_linked_by_hashes_anybody_can_recompute(journal):
    journal.append("decision", {"reference": "abc", "allowed": True})
    journal.flush()
    prev = "0" * 64
    for number, line in enumerate(journal.path.read_text().splitlines(), 1):
        entry = json.loads(line)
        canonical = json.dumps(
            {name: entry[name] for name in ("seq", "time", "kind", "facts")}, separators=(",", ":"), ensure_ascii=False
        )
        assert entry["seq"] == number
        assert entry["prev"] == prev
        assert entry["hash"] == sha256((prev + canonical).encode()).hexdigest()
        prev = entry["hash"]
    assert journal.head == prev
    assert journal.length == 2


def test_a_restart_continues_the_chain(tmp_path):
    for _ in range(3):
        journal = Journal(tmp_path, instance="a", clock=Clock())
        journal.start()
        journal.append("reload", {"policy": "beef"})
        journal.close()
    report = verify(tmp_path)
    assert report.ok
    assert report.unclean_stops == 0
    assert kinds(tmp_path / "a.jsonl") == ["open", "reload", "close"] * 3
    starts = [entry.facts for entry in read(tmp_path / "a.jsonl") if entry.kind == "open"]
    assert [facts["follows"] for facts in starts] == ["nothing", "close", "close"]


def test_a_torn_line_is_kept_apart_and_the_chain_says_so(tmp_path):
    journal = Journal(tmp_path, instance="a", clock=Clock())
    journal.start()
    journal.close()
    torn = b'{"seq":3,"time":1.0,"kind":"dec'
    with journal.path.open("ab") as file:
        file.write(torn)
    assert not verify(tmp_path).ok

    again = Journal(tmp_path, instance="a", clock=Clock())
    again.start()
    again.close()
    assert verify(tmp_path).ok
    facts = next(entry.facts for entry in read(again.path) if entry.kind == "torn")
    assert facts == {"bytes": len(torn), "sha256": sha256(torn).hexdigest(), "file": "a.torn-3"}
    assert (tmp_path / "a.torn-3").read_bytes() == torn


def test_a_file_with_a_forged_tail_is_set_aside_not_continued(tmp_path):
    journal = Journal(tmp_path, instance="a", clock=Clock())
    journal.start()
    journal.append("decision", {"allowed": False})
    journal.close()
    forged = journal.path.read_bytes().replace(b'"allowed":false', b'"allowed":true')
    journal.path.write_bytes(forged)

    again = Journal(tmp_path, instance="a", clock=Clock())
    again.start()
    again.close()
    assert verify(again.path).ok
    assert kinds(again.path) == ["open", "damaged", "close"]
    facts = list(read(again.path))[1].facts
    assert facts == {"file": "a.damaged-1.jsonl", "what": "entry 2 was changed after it was written"}
    assert (tmp_path / facts["file"]).read_bytes() == forged
    report = verify(tmp_path)
    assert not report.ok
    assert report.first_bad.line == 2


def test_a_tail_longer_than_the_window_is_still_verified(tmp_path, monkeypatch):
    monkeypatch.setattr("guard.evidence.tail.WINDOW", 64)
    journal = Journal(tmp_path, instance="a", clock=Clock())
    for _ in range(2):
        journal.start()
        for number in range(20):
            journal.append("decision", {"reference": "x" * 100, "number": number})
        journal.close()
    assert verify(tmp_path).ok
    assert "damaged" not in kinds(journal.path)


def test_one_instance_name_is_held_by_one_process(tmp_path, journal):
    twin = Journal(journal.path.parent, instance=journal.instance, clock=Clock())
    with pytest.raises(JournalError, match="a name of its own"):
        twin.start()


@pytest.mark.parametrize("instance", ["", "../escape", "a/b", ".hidden", "x" * 101, "with space"])
def test_an_instance_name_is_a_plain_file_name(tmp_path, instance):
    with pytest.raises(JournalError, match=r"allowed|letters"):
        Journal(tmp_path / "audit", instance=instance, clock=Clock()).start()


def test_nothing_is_lost_when_the_queue_overflows(tmp_path):
    journal = Journal(tmp_path, instance="a", clock=Clock(), limit=8, linger=60)
    journal.start()
    for number in range(1000):
        journal.append("decision", {"number": number})
    journal.close()
    numbers = [entry.facts["number"] for entry in read(journal.path) if entry.kind == "decision"]
    assert numbers == list(range(1000))
    assert verify(tmp_path).ok


def test_threads_append_without_losing_or_mixing_entries(tmp_path):
    journal = Journal(tmp_path, instance="a", clock=Clock(), limit=64, linger=0.0)
    journal.start()

    def work(worker: int) -> None:
        for number in range(300):
            journal.append("decision", {"worker": worker, "number": number})

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert verify(tmp_path).ok
    for worker in range(4):
        mine = [e.facts["number"] for e in read(journal.path) if e.kind == "decision" and e.facts["worker"] == worker]
        assert mine == list(range(300))


def test_a_disk_that_refuses_is_said_and_nothing_is_lost_when_it_recovers(tmp_path, monkeypatch):
    journal = Journal(tmp_path, instance="a", clock=Clock(), limit=4, linger=60)
    journal.start()
    journal.flush()
    write, full = os.write, True

    def refuse(file: int, data: memoryview) -> int:
        if full and len(data) > 1:
            return write(file, data[: len(data) // 2]) if len(data) > 600 else refuse_for_good()
        return write(file, data)

    def refuse_for_good() -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("guard.evidence.live.os.write", refuse)
    refused = 0
    for number in range(10):
        try:
            journal.append("decision", {"number": number})
        except JournalError:
            refused += 1
    assert refused == journal.refused == 10 - 4 - 4  # four were already linked into the batch, four wait
    assert not journal.healthy
    assert journal.error == "No space left on device"
    with pytest.raises(JournalError, match="No space"):
        journal.flush()

    full = False
    journal.flush()
    assert journal.healthy
    journal.close()
    assert verify(tmp_path).ok
    assert [e.facts["number"] for e in read(journal.path) if e.kind == "decision"] == list(range(4)) + list(range(5, 9))
    assert [e.facts["entries"] for e in read(journal.path) if e.kind == "gap"] == [2]


def test_closing_on_a_dead_disk_raises_and_a_later_start_is_sound(tmp_path, monkeypatch):
    journal = Journal(tmp_path, instance="a", clock=Clock(), linger=0.0)
    journal.start()
    journal.flush()

    def refuse(file: int, data: memoryview) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("guard.evidence.live.os.write", refuse)
        journal.append("decision", {})
        with pytest.raises(JournalError, match="Input/output error"):
            journal.close(timeout=0.0)
    journal.start()
    journal.close()
    report = verify(tmp_path)
    assert report.ok
    assert report.unclean_stops == 1
    assert kinds(journal.path) == ["open", "open", "close"]


def test_entries_are_refused_before_start_and_after_close(tmp_path):
    journal = Journal(tmp_path, instance="a", clock=Clock())
    with pytest.raises(JournalError, match="not started"):
        journal.append("decision", {})
    journal.start()
    with pytest.raises(JournalError, match="started already"):
        journal.start()
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="not started"):
        journal.append("decision", {})
    assert not journal.healthy


@pytest.mark.parametrize("value", [object(), {1, 2}.union, "\ud800", b"\xff" and object])
def test_facts_that_are_no_json_leave_a_trace_instead_of_stopping_the_journal(journal, value):
    journal.append("decision", {"odd": value})
    journal.append("decision", {"fine": 1})
    journal.flush()
    odd, fine = list(read(journal.path))[-2:]
    assert odd.facts["names"] == ["'odd'"]
    assert odd.facts["unwritable"].endswith("Error")
    assert fine.facts == {"fine": 1}
    assert verify(journal.path).ok


def test_with_fsync_every_batch_reaches_the_medium(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("guard.evidence.live.os.fsync", synced.append)
    journal = Journal(tmp_path, instance="a", clock=Clock(), fsync=True, linger=60)
    journal.start()
    journal.flush()
    assert len(synced) == 1
    journal.close()


def test_files_are_private(journal):
    assert journal.path.stat().st_mode & 0o077 == 0


def test_the_plainness_rule_can_fail():
    with pytest.raises(AssertionError, match="words"):
        assert_plain({"note": ["please tell me how to bake a very good cake with only three eggs"]})
    with pytest.raises(AssertionError, match="characters"):
        assert_plain({"note": {"inner": "x" * 200}})


def test_link_is_deterministic():
    assert link(GENESIS, 1, 1.5, "start", {"b": 1, "a": 2}) == link(GENESIS, 1, 1.5, "start", {"b": 1, "a": 2})
