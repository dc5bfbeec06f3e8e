"""Every segment that is over is handed to the operator's command, once it worked, and never forgotten before."""

import fcntl
import os
import sys
import time
from pathlib import Path

import pytest

from guard.provenance.counts import counts_path
from guard.provenance.upload import Uploader, unknown_placeholders

MONTH = "2026-11"


def segment(directory, name, month=MONTH, content=b"data"):
    (directory / month).mkdir(parents=True, exist_ok=True)
    path = directory / month / f"{name}.segment"
    path.write_bytes(content)
    return path


def until(true, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.005)


class Copying:
    """An uploader that calls a shell script, which is this test's, and what it was told."""

    def __init__(self, tmp_path, script, **options):
        self.index, self.store, self.told = tmp_path / "index", tmp_path / "store", []
        self.index.mkdir(exist_ok=True)
        self.store.mkdir(exist_ok=True)
        options = {"look": 0.01, "retry": (0.01, 0.02)} | options
        command = ["/bin/sh", "-c", script, "{name}", "{file}", str(self.store), "{month}"]
        self.uploader = Uploader(self.index, command, attempted=self.told.append, **options)

    def __enter__(self):
        self.uploader.start()
        return self

    def __exit__(self, *_):
        self.uploader.close()

    @property
    def stored(self):
        return sorted(path.name for path in self.store.iterdir())


COPY = 'cp "$1" "$2/$3-$0"'


def test_only_three_placeholders_are_known():
    assert unknown_placeholders("s3://bucket/{month}/{name}") == []
    assert unknown_placeholders("{file}{{literal}}") == []
    assert unknown_placeholders("{fil}, {name.__class__}, {month!r}, {file:>9}, {}") == [
        "{fil}", "{name.__class__}", "{month!r}", "{file:>9}", "{}",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"expected '}'|single"):
        unknown_placeholders("{file")


@pytest.mark.slow
def test_what_is_over_is_copied_once_and_remembered_over_a_restart(tmp_path):
    with Copying(tmp_path, COPY) as first:
        segment(first.index, "a")
        until(lambda: first.told)
    assert first.stored == ["2026-11-a.segment"]
    assert [(attempt.month, attempt.name, attempt.outcome, attempt.code, attempt.wait) for attempt in first.told] == [
        (MONTH, "a.segment", "uploaded", 0, 0.0)
    ]
    segment(first.index, "b", month="2026-12")
    with Copying(tmp_path, COPY) as second:
        until(lambda: second.told)
    assert [attempt.name for attempt in second.told] == ["b.segment"]


@pytest.mark.slow
def test_a_segment_that_is_being_written_waits_until_it_is_over(tmp_path):
    with Copying(tmp_path, COPY) as copying:
        live = os.open(segment(copying.index, "live"), os.O_RDWR)
        fcntl.flock(live, fcntl.LOCK_EX)
        segment(copying.index, "over")
        until(lambda: copying.told)
        time.sleep(0.1)
        assert copying.stored == ["2026-11-over.segment"]
        os.close(live)
        until(lambda: len(copying.told) == 2)
    assert copying.stored == ["2026-11-live.segment", "2026-11-over.segment"]


@pytest.mark.slow
def test_what_a_killed_gateway_counted_is_copied_before_its_segment(tmp_path):
    with Copying(tmp_path, COPY) as copying:
        (copying.index / MONTH).mkdir()
        counts_path(copying.index / MONTH / "dead.segment").write_bytes(bytes(64))
        segment(copying.index, "dead")
        until(lambda: len(copying.told) == 2)
    assert [attempt.name for attempt in copying.told] == ["dead.segment.counts", "dead.segment"]


@pytest.mark.slow
def test_a_failure_is_told_with_its_code_and_tried_again_without_holding_up_the_others(tmp_path):
    script = f'case "$0" in bad*) [ -e "$2/mended" ] || exit 7;; esac; {COPY}'
    with Copying(tmp_path, script) as copying:
        segment(copying.index, "bad")
        segment(copying.index, "good")
        until(lambda: any(attempt.name == "good.segment" for attempt in copying.told))
        (copying.store / "mended").touch()
        until(lambda: copying.told[-1].outcome == "uploaded" and copying.told[-1].name == "bad.segment")
    first = copying.told[0]
    assert (first.name, first.outcome, first.code, first.wait) == ("bad.segment", "failed", 7, 0.01)
    assert first.reason == "the command ended with exit code 7"
    assert all(attempt.wait <= 0.02 for attempt in copying.told)
    assert copying.stored == ["2026-11-bad.segment", "2026-11-good.segment", "mended"]


@pytest.mark.slow
def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path):
    with Copying(tmp_path, 'sleep 60 & echo $! > "$2/child"; wait', timeout=0.3, retry=(30.0, 30.0)) as copying:
        segment(copying.index, "a")
        until(lambda: copying.told)
        child = int((copying.store / "child").read_text())
    assert (copying.told[0].outcome, copying.told[0].code) == ("timed_out", None)

    def gone():
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    until(gone)


@pytest.mark.slow
def test_a_command_that_does_not_exist_is_said_without_its_arguments(tmp_path):
    told = []
    uploader = Uploader(tmp_path, ["/nowhere/copy", "--key=secret", "{file}"], attempted=told.append, look=0.01)
    segment(tmp_path, "a")
    uploader.start()
    until(lambda: told)
    uploader.close()
    assert (told[0].outcome, told[0].code, told[0].reason) == ("not_started", None, "the command cannot be started")
    assert "secret" not in repr(told)


@pytest.mark.slow
def test_of_several_processes_one_copies_and_another_takes_over(tmp_path):
    with Copying(tmp_path, COPY) as second:
        first = Copying(tmp_path, COPY)
        # The lock is the second one's as soon as it looked once.
        segment(second.index, "a")
        until(lambda: second.told)
        first.uploader.start()
        segment(second.index, "b")
        until(lambda: len(second.told) == 2)
    assert first.told == []
    segment(second.index, "c")
    until(lambda: first.told)
    first.uploader.close()
    assert [attempt.name for attempt in first.told] == ["c.segment"]


@pytest.mark.slow
def test_the_last_segment_is_copied_at_the_end_of_the_process(tmp_path):
    copying = Copying(tmp_path, COPY, look=60.0)
    copying.uploader.start()
    time.sleep(0.05)
    segment(copying.index, "last")
    copying.uploader.close()
    copying.uploader.close()
    assert copying.stored == ["2026-11-last.segment"]


@pytest.mark.slow
def test_the_end_of_the_process_does_not_wait_for_a_command_that_hangs(tmp_path):
    copying = Copying(tmp_path, 'touch "$2/begun"; exec sleep 60', look=60.0)
    segment(copying.index, "a")
    copying.uploader.start()
    until(lambda: copying.stored)
    copying.uploader.close(0.2)
    assert copying.told == []
    with Copying(tmp_path, COPY) as again:
        until(lambda: again.told)
    assert [attempt.outcome for attempt in again.told] == ["uploaded"]


@pytest.mark.slow
def test_what_the_command_prints_goes_nowhere(tmp_path, capfd):
    command = [sys.executable, "-c", "import sys; print('secret'); sys.exit('also secret')"]
    told = []
    segment(tmp_path, "a")
    uploader = Uploader(tmp_path, command, attempted=told.append, look=0.01)
    uploader.start()
    until(lambda: told)
    uploader.close()
    assert told[0].code == 1
    assert capfd.readouterr() == ("", "")
