"""Receipts reach the journal in batches, from a thread behind the answers, and many share a signature."""

import threading
import time

import pytest
from evidence_clock import Clock

from guard.evidence.chain import Journal
from guard.evidence.entry import Canonical, read
from guard.evidence.envelope import Standing, canonical
from guard.evidence.portable import find
from guard.evidence.portable import verify as verify_portable
from guard.evidence.seal import MANY, SECONDS
from guard.evidence.signing import PUBLIC, Signer, Verifier
from guard.evidence.verify import verify


def receipt(name):
    return Canonical(f"r-{name}-0", canonical({"id": f"r-{name}-0", "model": "tiny", "prompt_tokens": None}))


class World:
    def __init__(self, directory):
        self.directory = directory / "audit"
        self.signer = Signer(directory / "signing", Clock())
        self.keys = directory / "signing" / PUBLIC

    def open(self, **options):
        journal = Journal(
            self.directory, instance="a", **{"clock": Clock(), "signer": self.signer, "linger": 60} | options
        )
        journal.start()
        return journal

    def kinds(self):
        return [entry.kind for entry in read(self.directory / "a.jsonl")]

    def verify(self):
        return verify(self.directory, keys=Verifier.of_list(self.keys))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_batch_is_in_the_file_when_the_call_returns_behind_all_that_waited(world):
    journal = world.open()
    journal.append("decision", {"verdict": "deny"})
    assert journal.append_all("receipt", [receipt("x"), receipt("y")]) == 2
    entries = [entry for entry in read(journal.path) if entry.kind != "checkpoint"]  # that of the start
    assert [entry.kind for entry in entries] == ["open", "decision", "receipt", "receipt"]
    assert entries[-1].facts == {"id": "r-y-0", "model": "tiny", "prompt_tokens": None}
    journal.close()
    report = world.verify()
    assert (report.ok, report.sealed, report.unsealed) == (True, 2, 0)
    shown = find(world.directory, "r-y-0", Verifier.of_list(world.keys))
    assert verify_portable(shown, Verifier.of_list(world.keys)) is Standing.VALID


def test_facts_of_both_forms_may_come_together(world):
    journal = world.open()
    assert journal.append_all("receipt", [receipt("x"), {"id": "r-plain-0"}]) == 2
    assert journal.append_all("receipt", []) == 0
    journal.close()
    report = world.verify()
    assert (report.ok, report.sealed) == (True, 2)


def test_many_leaves_do_not_wait_for_their_seal(world):
    journal = world.open()
    for number in range(MANY - 1):
        journal.append_all("receipt", [receipt(number)])
    assert "seal" not in world.kinds()
    journal.append_all("receipt", [receipt("last")])
    assert world.kinds()[-1] == "seal"
    journal.close()
    assert world.kinds().count("seal") == 1
    assert world.verify().sealed == MANY


def test_few_leaves_are_sealed_by_the_thread_and_those_that_come_later_too(world):
    journal = world.open(linger=0.0)
    for number in range(3):
        journal.append_all("receipt", [receipt(number)])
        deadline = time.monotonic() + 20 * SECONDS
        while world.kinds().count("seal") <= number:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(2.5 * SECONDS if number == 0 else 0.0)  # long enough for the thread to rest
    journal.close()
    assert world.verify().sealed == 3


def test_entries_and_batches_of_several_threads_are_all_there_and_all_sealed(world):
    journal = world.open(linger=0.001, limit=50, rotate_bytes=20_000)

    def receipts(worker):
        for number in range(60):
            journal.append_all("receipt", [receipt(f"{worker}x{number}x{each}") for each in range(number % 7 + 1)])

    def decisions():
        for number in range(300):
            journal.append("decision", {"number": number})

    threads = [threading.Thread(target=receipts, args=(worker,)) for worker in range(3)]
    threads.append(threading.Thread(target=decisions))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    report = world.verify()
    assert report.ok, report.first_bad
    assert (report.sealed, report.unsealed) == (3 * sum(number % 7 + 1 for number in range(60)), 0)
    assert report.entries == journal.length


def test_while_the_disk_refuses_batches_wait_one_by_one_and_what_does_not_fit_is_refused(world, monkeypatch):
    journal = world.open(limit=4)
    journal.flush()

    def refuse(_file, _data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("guard.evidence.live.os.write", refuse)
        assert journal.append_all("receipt", [receipt("linked"), receipt("too")]) == 2
        assert journal.error == "No space left on device"
        assert journal.append_all("receipt", [receipt(number) for number in range(6)]) == 4
        assert journal.refused == 2
    journal.close()
    report = world.verify()
    assert (report.ok, report.sealed, report.unsealed) == (True, 6, 0)
    assert [entry.facts for entry in read(journal.path) if entry.kind == "gap"] == [{"entries": 2}]


def test_where_every_batch_goes_to_the_medium_the_thread_takes_it_there(world, monkeypatch):
    synced = []
    monkeypatch.setattr("guard.evidence.live.os.fsync", lambda _file: synced.append(threading.current_thread().name))
    journal = world.open(fsync=True, linger=0.0)
    journal.append_all("receipt", [receipt("x")])
    deadline = time.monotonic() + 10
    while "receipt" not in world.kinds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert set(synced) == {"journal-a"}
    journal.close()


def test_nothing_is_taken_before_the_start_and_after_the_end(world):
    journal = Journal(world.directory, instance="a", clock=Clock())
    assert journal.append_all("receipt", [receipt("early")]) == 0
    journal.start()
    journal.close()
    assert journal.append_all("receipt", [receipt("late")]) == 0
    assert world.kinds() == ["open", "close"]
