"""A chain runs on over its files, wherever a kill, a full disk or somebody's hands interrupt it."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from evidence_clock import Clock

from guard.evidence import portable
from guard.evidence.chain import Journal, JournalError
from guard.evidence.entry import parse, read
from guard.evidence.envelope import Standing
from guard.evidence.journals import Chain, chain_of, fit, journals, number_of
from guard.evidence.signing import PUBLIC, Signer, Verifier
from guard.evidence.verify import verify

SMALL = 2000


def run(directory, numbers, *, clock=None, kind="decision", **options):
    """Write entries in one run, with files of ``SMALL`` bytes."""
    options.setdefault("rotate_bytes", SMALL)
    journal = Journal(directory, instance="a", clock=clock or Clock(), linger=60, **options)
    journal.start()
    for number in numbers:
        journal.append(kind, {"id": f"r-{number}-0", "number": number, "digest": "f" * 64})
        journal.flush()
    journal.close()
    return journal


def entries(directory, name="a"):
    (chain,) = [chain for chain in journals(directory) if chain.name == name]
    return [parse(line.raw) for line in chain.lines()]


def numbers(directory):
    return [entry.facts["number"] for entry in entries(directory) if entry.kind == "decision"]


@pytest.fixture
def signer(tmp_path):
    return Signer(tmp_path / "signing", Clock())


@pytest.fixture
def trusted(signer, tmp_path):
    return Verifier.of_list(tmp_path / "signing" / PUBLIC)


def test_a_full_file_gets_a_number_and_the_next_one_says_which_it_continues(tmp_path, signer, trusted):
    run(tmp_path / "audit", range(20), signer=signer)
    (chain,) = journals(tmp_path / "audit")
    assert len(chain.files) > 3
    assert [path.name for path in chain.files[:2]] == ["a.000001.jsonl", "a.000002.jsonl"]
    assert chain.files[-1].name == "a.jsonl"
    assert [entry.seq for entry in entries(tmp_path / "audit")] == list(range(1, len(entries(tmp_path / "audit")) + 1))
    assert numbers(tmp_path / "audit") == list(range(20))
    for before, after in zip(chain.files, chain.files[1:], strict=False):
        *_, carried, checkpoint, last = read(before)
        first, second, *_ = read(after)
        assert (last.kind, last.facts) == ("rotate", {"file": before.name, "number": number_of(before)})
        assert first.facts == {
            "instance": "a", "number": number_of(before) + 1, "file": before.name, "seq": last.seq, "hash": last.hash,
            "last": carried.time,
        }  # fmt: skip
        assert (first.kind, checkpoint.kind, second.kind) == ("continue", "checkpoint", "checkpoint")
    assert all(path.stat().st_size < SMALL + 3000 for path in chain.files)
    assert verify(tmp_path / "audit", keys=trusted).ok


def test_a_restart_goes_on_in_the_live_file(tmp_path):
    for part in range(3):
        run(tmp_path, range(part * 7, part * 7 + 7))
    report = verify(tmp_path)
    assert report.ok, report.first_bad
    assert report.unclean_stops == 0
    assert numbers(tmp_path) == list(range(21))


def test_a_month_that_is_over_ends_its_file(tmp_path):
    clock = Clock(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp())
    journal = Journal(tmp_path, instance="a", clock=clock, linger=60)
    journal.start()
    journal.append("decision", {"number": 0})
    journal.flush()
    clock.now += 1
    journal.append("decision", {"number": 1})
    journal.append("decision", {"number": 2})
    journal.close()
    later = Clock(datetime(2027, 1, 3, tzinfo=UTC).timestamp())
    run(tmp_path, [3], clock=later, rotate_bytes=10**9)
    (chain,) = journals(tmp_path)
    months = [[entry.facts["number"] for entry in read(path) if entry.kind == "decision"] for path in chain.files]
    assert months == [[0], [1, 2], [3]]
    assert verify(tmp_path).ok


def test_a_clock_that_is_set_back_ends_no_file(tmp_path):
    clock = Clock(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
    journal = Journal(tmp_path, instance="a", clock=clock, linger=60)
    journal.start()
    clock.now -= 5
    journal.append("decision", {})
    journal.close()
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_a_journal_of_one_file_from_before_there_was_rotation_goes_on(tmp_path):
    run(tmp_path, range(40), rotate_bytes=10**9)
    before = (tmp_path / "a.jsonl").read_bytes()
    run(tmp_path, [40, 41, 42])
    assert (tmp_path / "a.000001.jsonl").read_bytes().startswith(before)
    assert numbers(tmp_path) == list(range(43))
    assert verify(tmp_path).ok


def test_a_file_so_small_that_what_begins_it_fills_it_still_takes_an_entry(tmp_path, signer):
    run(tmp_path / "audit", range(5), rotate_bytes=1, signer=signer)
    assert numbers(tmp_path / "audit") == list(range(5))
    assert verify(tmp_path / "audit").ok


def test_leaves_of_a_closed_file_are_sealed_in_the_next_and_can_be_shown(tmp_path, signer, trusted):
    journal = Journal(tmp_path / "audit", instance="a", clock=Clock(), linger=0.0, rotate_bytes=SMALL, signer=signer)
    journal.start()
    for number in range(30):
        journal.append("receipt", {"id": f"r-{number}-0", "number": number, "digest": "f" * 64})
    journal.close()
    report = verify(tmp_path / "audit", keys=trusted)
    assert (report.ok, report.sealed, report.unsealed) == (True, 30, 0), report.first_bad
    for number in range(30):
        shown = portable.find(tmp_path / "audit", f"r-{number}-0", trusted)
        assert portable.verify(shown, trusted) is Standing.VALID


def test_leaves_of_a_killed_run_are_sealed_across_a_rotation(tmp_path, signer, trusted):
    audit = tmp_path / "audit"
    run(audit, range(4), kind="receipt", rotate_bytes=10**9)
    run(audit, range(4, 6), kind="receipt", rotate_bytes=10)
    run(audit, [6], kind="receipt", rotate_bytes=10**9, signer=signer)
    report = verify(audit, keys=trusted)
    assert report.ok, report.first_bad
    first = entries(audit)[1]
    assert first.kind == "receipt"
    assert report.sealed >= 2


# A kill between any two calls to the operating system.


class Killed(BaseException):
    """The process is gone."""


class Idle(threading.Thread):
    """A journal's thread that does nothing: what is written, and what is killed, is written by the test."""

    def run(self):
        pass


class Guillotine:
    """Ends the process at call number ``at`` to the operating system; of a write, half is done before."""

    CALLS = ("open", "write", "fsync", "ftruncate", "close", "rename")

    def __init__(self, monkeypatch, at):
        self.count, self.at = 0, at
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self.cut(name, getattr(os, name)))
        monkeypatch.setattr(Path, "rename", self.cut("rename", Path.rename))

    def cut(self, name, call):
        def cutting(*arguments, **named):
            self.count += 1
            if self.count >= self.at:
                if name == "write" and self.count == self.at:
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                raise Killed
            return call(*arguments, **named)

        return cutting


def kill_at(directory, signer, at):
    """Write and rotate until call ``at``; return which entries were flushed, and None if nothing was cut."""
    flushed = []
    journal = Journal(directory, instance="a", clock=Clock(), linger=60, rotate_bytes=SMALL, signer=signer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("guard.evidence.chain.Thread", Idle)
        guillotine = Guillotine(patch, at)
        try:
            journal.start()
            for number in range(12):
                journal.append("decision", {"number": number, "digest": "f" * 64})
                journal.flush()
                flushed.append(number)
        except Killed:
            pass
        cut = guillotine.count >= at
    for descriptor in (journal._live._file, journal._live._held):  # the kernel's part of a kill
        if descriptor >= 0:
            with suppress(OSError):  # cut between closing and forgetting it
                os.close(descriptor)
    return flushed if cut else None


def test_a_kill_at_any_call_loses_nothing_that_was_flushed_and_the_chain_goes_on(tmp_path):
    signer = Signer(tmp_path / "signing", Clock())
    trusted = Verifier.of_list(tmp_path / "signing" / PUBLIC)
    at, rotated = 1, 0
    while True:
        audit = tmp_path / f"audit-{at}"
        flushed = kill_at(audit, signer, at)
        if flushed is None:
            break
        run(audit, [100, 101], signer=signer)
        report = verify(audit, keys=trusted)
        assert report.ok, (at, report.first_bad)
        assert [chain.name for chain in journals(audit)] == ["a"], at
        found = numbers(audit)
        assert found[: len(flushed)] == flushed, at
        assert found[-2:] == [100, 101], at
        rotated += len(journals(audit)[0].files) > 1
        at += 1
    assert at > 30
    assert rotated > 15


def test_a_disk_that_refuses_at_any_call_of_a_rotation_delays_it_and_loses_nothing(tmp_path, monkeypatch):
    """Each of the calls of a rotation fails once with ENOSPC, and is tried again."""
    signer = Signer(tmp_path / "signing", Clock())
    names = ("open", "fsync", "rename", "write")
    failures = 0
    for name in names:
        for turn in range(3):
            audit, seen = tmp_path / f"audit-{name}-{turn}", 0

            def once(call, turn=turn):
                def failing(*arguments, **named):
                    nonlocal seen
                    seen += 1
                    if seen == turn + 1:
                        raise OSError(28, "No space left on device")
                    return call(*arguments, **named)

                return failing

            journal = Journal(audit, instance="a", clock=Clock(), linger=60, rotate_bytes=SMALL, signer=signer)
            journal.start()
            journal.flush()
            with monkeypatch.context() as patch:
                if name == "rename":
                    patch.setattr(Path, "rename", once(Path.rename))
                else:
                    patch.setattr(os, name, once(getattr(os, name)))
                for number in range(15):
                    journal.append("decision", {"number": number, "digest": "f" * 64})
                    try:
                        journal.flush()
                    except JournalError:
                        failures += 1
            journal.close()
            report = verify(audit, keys=signer.verifier())
            assert report.ok, (name, turn, report.first_bad)
            assert numbers(audit) == list(range(15)), (name, turn)
    assert failures > 6


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from guard.evidence.chain import Journal
    from guard.evidence.signing import Signer

    state = Path(sys.argv[1])
    journal = Journal(state / "audit", instance="a", linger=0.0, rotate_bytes=20_000, signer=Signer(state / "signing"))
    journal.start()
    number = int(sys.argv[2])
    while True:
        for _ in range(20):
            journal.append("decision", {"number": number, "digest": "f" * 64})
            number += 1
        journal.flush()
        print(number, flush=True)
    """
)


@pytest.mark.slow
def test_kill_9_while_files_are_rotated_all_the_time(tmp_path):
    last = 0
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(last)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        begun, deadline = last, time.monotonic() + 20
        while last < begun + 1500 and time.monotonic() < deadline:
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
    run(tmp_path / "audit", [], clock=time.time, signer=Signer(tmp_path / "signing"))
    report = verify(tmp_path / "audit", keys=Verifier.of_list(tmp_path / "signing" / PUBLIC))
    assert report.ok, report.first_bad
    assert report.unclean_stops == 4
    assert len(report.chains[0].files) > 30
    found = numbers(tmp_path / "audit")
    assert set(range(last)) <= set(found)


# Somebody's hands.


def test_a_number_that_is_taken_is_not_overwritten(tmp_path):
    journal = Journal(tmp_path, instance="a", clock=Clock(), linger=60, rotate_bytes=SMALL)
    journal.start()
    (tmp_path / "a.000001.jsonl").write_text("mine\n")
    for number in range(20):
        journal.append("decision", {"number": number, "digest": "f" * 64})
    with pytest.raises(JournalError, match=r"a\.000001\.jsonl is there already"):
        journal.flush()
    assert (tmp_path / "a.000001.jsonl").read_text() == "mine\n"
    (tmp_path / "a.000001.jsonl").unlink()
    journal.close()
    assert verify(tmp_path).ok
    assert numbers(tmp_path) == list(range(20))


def test_a_live_file_that_is_taken_away_is_missed_and_the_journal_goes_on(tmp_path):
    journal = Journal(tmp_path, instance="a", clock=Clock(), linger=60, rotate_bytes=SMALL)
    journal.start()
    journal.append("decision", {"number": 0})
    journal.flush()
    journal.path.unlink()
    for number in range(1, 30):
        journal.append("decision", {"number": number, "digest": "f" * 64})
    journal.close()
    report = verify(tmp_path)
    assert not report.ok
    assert report.first_bad.file.endswith(".jsonl")


def test_a_damaged_chain_is_set_aside_with_its_closed_files(tmp_path):
    run(tmp_path, range(12))
    count = len(list(tmp_path.glob("*.jsonl")))
    live = tmp_path / "a.jsonl"
    live.write_bytes(live.read_bytes().replace(b'"kind":"close"', b'"kind":"clos3"'))
    journal = run(tmp_path, [100])
    assert not journal.intact
    assert "a.damaged-1" in journal.damage
    damaged, fresh = sorted(journals(tmp_path), key=lambda chain: chain.name, reverse=True)
    assert (fresh.name, damaged.name, damaged.instance) == ("a", "a.damaged-1", "a")
    assert len(damaged.files) == count
    report = verify(tmp_path)
    assert report.first_bad.file == str(tmp_path / "a.damaged-1.jsonl")
    assert verify(tmp_path / "a.jsonl").ok
    again = run(tmp_path, [101])
    assert not again.intact, "as long as it lies there"
    for path in damaged.files:
        path.unlink()
    assert run(tmp_path, [102]).intact


def test_setting_aside_goes_on_where_it_was_interrupted(tmp_path):
    run(tmp_path, range(12))
    live = tmp_path / "a.jsonl"
    live.write_bytes(live.read_bytes().replace(b'"kind":"close"', b'"kind":"clos3"'))
    (tmp_path / "a.000001.jsonl").rename(tmp_path / "a.damaged-1.000001.jsonl")
    run(tmp_path, [100])
    damaged = next(chain for chain in journals(tmp_path) if chain.name == "a.damaged-1")
    assert [number_of(path) for path in damaged.files] == [*range(1, len(damaged.files)), None]


def test_a_live_file_that_continues_nothing_here_is_set_aside(tmp_path):
    run(tmp_path, range(12))
    (tmp_path / "other").mkdir()
    run(tmp_path / "other", [0], rotate_bytes=10**9)
    shutil.copy(tmp_path / "other" / "a.jsonl", tmp_path / "a.jsonl")
    journal = run(tmp_path, [100])
    assert not journal.intact


def test_a_chain_whose_closed_files_were_archived_goes_on(tmp_path):
    run(tmp_path / "audit", range(12))
    (tmp_path / "archive").mkdir()
    for path in (tmp_path / "audit").glob("a.0*.jsonl"):
        path.rename(tmp_path / "archive" / path.name)
    run(tmp_path / "audit", range(12, 24))
    report = verify(tmp_path / "audit", tmp_path / "archive")
    assert report.ok, report.first_bad
    assert report.chains[0].first == 1
    assert len(journals(tmp_path / "audit", tmp_path / "archive")) == 1


# Names.


@pytest.mark.parametrize(("name", "chain", "number"), [
    ("guard-0.jsonl", "guard-0", None),
    ("guard-0.000001.jsonl", "guard-0", 1),
    ("guard-0.1234567.jsonl", "guard-0", 1234567),
    ("guard-0.0000001.jsonl", "guard-0.0000001", None),
    ("a.damaged-2.000003.jsonl", "a.damaged-2", 3),
    (".jsonl", ".jsonl", None),
    ("notes.txt", "notes.txt", None),
])  # fmt: skip
def test_names_of_files_say_which_they_are(name, chain, number):
    assert (chain_of(Path(name)), number_of(Path(name))) == (chain, number)


@pytest.mark.parametrize("instance", ["a.000001", "a.damaged-1", "", "../a"])
def test_no_instance_is_called_as_a_file_is(tmp_path, instance):
    assert not fit(instance)
    with pytest.raises(JournalError, match="allowed"):
        Journal(tmp_path / "audit", instance=instance, clock=Clock()).start()


def test_a_reader_misses_nothing_when_files_are_rotated_under_it(tmp_path):
    journal = Journal(tmp_path, instance="a", clock=Clock(), linger=60, rotate_bytes=SMALL)
    journal.start()
    for number in range(20):
        journal.append("decision", {"number": number, "digest": "f" * 64})
        journal.flush()
    (listed,) = journals(tmp_path)
    lines = listed.lines()
    seen = [parse(next(lines).raw)]
    for number in range(20, 40):
        journal.append("decision", {"number": number, "digest": "f" * 64})
        journal.flush()
    seen += [parse(line.raw) for line in lines]
    assert [entry.facts["number"] for entry in seen if entry.kind == "decision"] == list(range(40))
    journal.close()


def test_files_named_one_by_one_are_those_and_no_others(tmp_path):
    run(tmp_path, range(12))
    (chain,) = journals(tmp_path / "a.jsonl")
    assert chain == Chain("a", (tmp_path / "a.jsonl",), None)
    assert [path for path, _ in chain.opened()] == [tmp_path / "a.jsonl"]
