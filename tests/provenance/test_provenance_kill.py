"""kill -9 costs what was in flight, never what was written; how much that was is known, and nothing lost is no gap."""

import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from provenance_world import read_index, write_index, writer_of

from guard.evidence.entry import read
from guard.evidence.verify import verify
from guard.provenance.counts import read_counts
from guard.provenance.layout import Layout

HEAD = textwrap.dedent(
    """
    import itertools, os, sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from provenance_world import KEY, NOW, Clock, keys_of, prose
    from guard.evidence.chain import Journal
    from guard.provenance.layout import Layout
    from guard.provenance.recorder import Recorder

    layout = Layout(Path(sys.argv[1]))
    instance, limit, minutes = sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
    journal = Journal(layout.audit, instance=instance)
    journal.start()
    recorder = Recorder(layout.provenance, KEY, keys_of(layout.provenance), instance, journal, minutes=minutes)
    recorder.writer._limit, recorder.writer._limit_characters = limit, 1 << 40
    recorder.start()

    def choice(number, index=0):
        recorder.finished(
            reference=f"q{number}", choice=index, time=time.time(), model="tiny", licenses=("llama-2",), policy="f00d",
            surface="chat", prompt="What is it?", output=TEXTS[number % len(TEXTS)],
        )

    TEXTS = [prose(number, 300) for number in range(20)]

    def tell(what):
        os.write(1, what)  # nothing is buffered: the parent knows it, whatever happens next
    """
)
QUIET = HEAD + textwrap.dedent(
    """
    for number in range(int(sys.argv[6])):
        recorder.begun()
        choice(number)
        recorder.ended()
    while recorder.writer.waiting or recorder.journaled < number + 1:
        time.sleep(0.001)
    journal.flush()
    for _ in range(int(sys.argv[7])):
        recorder.begun()
    tell(b"quiet\\n")
    time.sleep(60)
    """
)
COUNTING = HEAD + textwrap.dedent(
    """
    quiet = Recorder(layout.provenance, KEY, keys_of(layout.provenance), "quiet", journal, recorded=False)
    quiet.start()
    for _ in range(3):
        quiet.begun()
        quiet.unrecorded(2)
        quiet.ended()
    quiet.begun()
    tell(b"quiet\\n")
    time.sleep(60)
    """
)
BUSY = HEAD + textwrap.dedent(
    """
    tell(b"s")
    for number in itertools.count():
        recorder.begun()
        tell(b"b")
        for index in range(1 + number % 3):
            choice(number, index)
            tell(b"c")
        tell(b"e")
        recorder.ended()
    """
)


class Victim:
    """A gateway in a process of its own, which is killed."""

    def __init__(self, script, state, request, *arguments, instance="a", limit=1 << 20, minutes=60.0):
        command = [sys.executable, "-c", script, state, request.path.parent, instance, limit, minutes, *arguments]
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def wait_for(self, what):
        assert self.process.stdout.read(len(what)) == what

    def kill(self):
        """Kill it, and return everything it told."""
        if self.process.stdout.closed:
            return b""
        self.process.send_signal(signal.SIGKILL)
        with self.process.stdout as told:
            rest = told.read()
        self.process.wait(10)
        return rest


@pytest.mark.slow
def test_where_nothing_was_lost_the_month_stays_complete(tmp_path, request):
    layout = Layout(tmp_path)
    with Victim(QUIET, tmp_path, request, 50, 0) as victim:
        victim.wait_for(b"quiet\n")
        assert read_index(layout.provenance)[1].complete
    found, coverage = read_index(layout.provenance)
    assert [output.receipt for output, _ in found] == [f"r-q{number}-0" for number in range(50)]
    assert list(coverage.reasons()) == []
    (journal,) = layout.audit.glob("*.jsonl")
    assert [entry.facts["id"] for entry in read(journal) if entry.kind == "receipt"] == [
        output.receipt for output, _ in found
    ]
    assert verify(journal).ok or "unfinished" in verify(journal).first_bad.what


@pytest.mark.slow
def test_exchanges_that_were_in_flight_are_named_by_their_number(tmp_path, request):
    layout = Layout(tmp_path)
    with Victim(QUIET, tmp_path, request, 10, 3) as victim:
        victim.wait_for(b"quiet\n")
    found, coverage = read_index(layout.provenance)
    assert len(found) == 10
    (month,) = coverage.months
    assert list(coverage.reasons()) == [f"{month}: 3 exchanges were being answered when their gateway was killed"]


@pytest.mark.slow
def test_the_counts_hold_after_a_loss_of_power_only_once_a_start_has_settled_them(tmp_path, request, monkeypatch):
    layout = Layout(tmp_path)
    with Victim(QUIET, tmp_path, request, 10, 0) as victim:
        victim.wait_for(b"quiet\n")
    with monkeypatch.context() as patch:
        patch.setattr("guard.provenance.coverage.boot_id", lambda: b"after it")
        (reason,) = read_index(layout.provenance)[1].reasons()
        assert "its machine went down" in reason
        patch.setattr("guard.provenance.tally.boot_id", lambda: b"after it")
        write_index(layout.provenance, [], instance="b")  # too late: who knows what the medium has
        assert not read_index(layout.provenance)[1].complete
    writer = writer_of(layout.provenance, "c", clock=time.time)
    writer.start()
    writer.close()
    with monkeypatch.context() as patch:
        patch.setattr("guard.provenance.coverage.boot_id", lambda: b"after it")
        assert read_index(layout.provenance)[1].complete


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "minutes"),
    [
        pytest.param(1 << 20, 60.0, id="a queue that is never full"),
        pytest.param(4, 60.0, id="texts dropped under load"),
        pytest.param(1 << 20, 0.0005, id="new segments all the time"),
    ],
)
def test_under_load_the_counts_never_claim_less_loss_than_there_was(tmp_path, request, limit, minutes):
    layout, chance = Layout(tmp_path), random.Random(limit + minutes)
    begun = choices = ending = kills = 0
    for instance in ("a", "b", "a", "b", "a", "a"):
        with Victim(BUSY, tmp_path, request, instance=instance, limit=limit, minutes=minutes) as victim:
            victim.wait_for(b"s")
            time.sleep(chance.uniform(0.02, 0.4))
            told = victim.kill()
        kills += 1
        begun += told.count(b"b")
        choices += told.count(b"c")
        ending += told.count(b"e")
    found, coverage = read_index(layout.provenance)
    months = coverage.months.values()
    dropped, lost, unfinished = (
        sum(getattr(month, what) for month in months) for what in ("dropped", "lost", "unfinished")
    )
    accounted = len(found) + dropped + lost
    assert len({output.receipt for output, _ in found}) > 0
    assert (dropped > 0) == (limit == 4)
    assert accounted >= choices
    assert unfinished >= begun - ending
    # Between counting and telling, each kill hides one from us; while a segment changes, one is counted in both.
    if minutes == 60.0:
        assert accounted <= choices + kills
        assert unfinished <= kills
    assert coverage.complete == (dropped + lost + unfinished == 0)
    assert not [gap for month in months for gap in month.gaps]


@pytest.mark.slow
def test_the_counters_are_those_of_the_moment_of_the_kill(tmp_path, request):
    with Victim(QUIET, tmp_path, request, 7, 2) as victim:
        victim.wait_for(b"quiet\n")
    (segment,) = Layout(tmp_path).provenance.rglob("*.segment")
    assert read_counts(segment)[:5] == (9, 7, 7, 7, 0)


@pytest.mark.slow
def test_what_was_counted_while_receipts_were_off_survives_a_kill(tmp_path, request):
    with Victim(COUNTING, tmp_path, request) as victim:
        victim.wait_for(b"quiet\n")
    assert [reason.partition(": ")[2] for reason in read_index(Layout(tmp_path).provenance)[1].reasons()] == [
        "6 of 6 choices answered while receipts were off",
        "1 exchanges were being answered when their gateway was killed",
    ]
