"""What is kept no longer is gone for good: the key first, wherever the segments were copied."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from provenance_world import NOW, Clock, finished, keys_of, prose, read_index, write_index, writer_of

from guard.provenance.retention import Shredded, expired, is_month, months_in, shred

DAY = 86_400.0
MONTHS = ["2026-08", "2026-09", "2026-10", "2026-11"]


def until(true, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.002)


@pytest.fixture
def index(tmp_path):
    directory = tmp_path / "index"
    for back, month in enumerate(reversed(MONTHS)):
        write_index(directory, {month: prose(back)}, clock=Clock(NOW - 30 * DAY * back))
    assert months_in(directory, keys_of(directory)) == MONTHS
    return directory


def test_whole_past_months_are_kept_besides_the_one_that_runs():
    assert expired(MONTHS, 1, NOW) == ["2026-08", "2026-09"]
    assert expired(MONTHS, 3, NOW) == []
    assert expired(["2025-12", "2026-01"], 1, 1_769_000_000.0) == []  # January 2026
    assert expired(["2025-11", "2025-12"], 1, 1_769_000_000.0) == ["2025-11"]


@pytest.mark.parametrize("name", ["2026-1", "2026-13", "2026-00", "2026-11-01", "", "../2026-11", "2026-11\n"])
def test_what_is_no_month_is_never_taken_for_one(name):
    assert not is_month(name)


def test_a_copy_of_a_shredded_month_tells_nothing_any_more(index, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(index, copy)
    assert len(read_index(index)[0]) == 4
    assert shred(index, keys_of(index), "2026-09") == Shredded("2026-09", 1)
    assert not (index / "2026-09").exists()
    shutil.copytree(keys_of(index).directory, keys_of(copy).directory)
    assert [label for output, label in read_index(copy)[0] if output.receipt == "r-q2026-09-0"] == []
    assert len(read_index(copy)[0]) == 3
    assert keys_of(index).of("2026-09", create=True) is None


def test_shredding_twice_is_no_second_deed(index):
    assert shred(index, keys_of(index), "2026-09") is not None
    assert shred(index, keys_of(index), "2026-09") is None
    assert months_in(index, keys_of(index)) == ["2026-08", "2026-10", "2026-11"]


def test_a_month_whose_key_went_before_a_crash_loses_its_segments_next_time(index):
    keys_of(index).shred("2026-09")
    (index / "2026-09" / "x.segment.uploaded").touch()
    assert shred(index, keys_of(index), "2026-09") == Shredded("2026-09", 1)
    assert not (index / "2026-09").exists()


def test_any_number_of_processes_may_shred_at_once(index):
    for number in range(40):
        (index / "2026-09" / f"{number}.segment").touch()
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: shred(index, keys_of(index), "2026-09"), range(8)))
    assert sum(one.segments for one in done if one is not None) == 41
    assert not (index / "2026-09").exists()


def test_the_writer_shreds_at_its_start_and_at_the_turn_of_the_month(index):
    clock, gone = Clock(NOW), []
    writer = writer_of(index, clock=clock, keep_months=2, shredded=gone.append)
    writer.start()
    writer.submit(finished("now"), "", prose(9))
    writer.close()
    assert gone == [Shredded("2026-08", 1)]
    writer = writer_of(index, clock=clock, keep_months=2, shredded=gone.append)
    writer.start()
    clock.now += 13 * DAY  # December
    writer.submit(finished("later"), "", prose(10))
    writer.close()
    assert gone == [Shredded("2026-08", 1), Shredded("2026-09", 1)]
    found, coverage = read_index(index)
    assert [output.receipt for output, _ in found] == ["r-q2026-10-0", "r-q2026-11-0", "r-now-0", "r-later-0"]
    assert coverage.complete  # what was deleted on purpose is no gap, unless somebody asks for that time
    assert coverage.shredded == ["2026-08", "2026-09"]


def test_a_month_that_cannot_be_shredded_is_said_and_costs_nothing_else(index, monkeypatch):
    def refuse(_self, month):
        raise OSError(13, "Permission denied", month)

    with monkeypatch.context() as patch:
        patch.setattr("guard.provenance.months.MonthKeys.shred", refuse)
        writer = writer_of(index, keep_months=2)
        writer.start()
        writer.submit(finished("now"), "", prose(9))
        writer.close()
    assert writer.error is not None
    assert writer.error.startswith("2026-08 cannot be shredded: ")
    assert (writer.tally.written, writer.tally.dropped) == (1, 0)
    assert "2026-08" in months_in(index, keys_of(index))


def test_in_a_month_that_was_shredded_a_gateway_counts_what_it_leaves_out_and_records_again_in_the_next(tmp_path):
    index, clock, receipts = tmp_path / "index", Clock(), []
    write_index(index, {"before": prose(0)})
    shred(index, keys_of(index), "2026-11")
    for number in range(2):  # it starts and starts again
        writer = writer_of(index, clock=clock, receipted=receipts.extend)
        writer.start()
        assert writer.error == "2026-11 was shredded: the index is off until the next month"
        assert not writer.healthy
        assert writer.submit(finished(f"off{number}"), "", prose(number + 1))
        until(lambda writer=writer: writer.tally.dropped == 1)
        clock.now += 3 * 3600.0  # its segment is over; that brings nothing back
        if number == 0:
            writer.tally.begin()  # as if it were killed: its segment gets no end, and its counts stay
            writer.close()
    gaps = [
        "2026-11: 2 choices were answered after it was shredded",
        "2026-11: 1 exchanges were being answered when their gateway was killed",
    ]
    assert [reason for reason in read_index(index)[1].reasons() if reason.startswith("2026-11")] == gaps
    clock.now += 13 * DAY  # December
    assert writer.submit(finished("on"), "", prose(3))
    until(lambda: writer.tally.written == 1)
    assert writer.healthy
    writer.close()
    assert [bool(receipt.output_digest) for receipt in receipts] == [True, True, True]
    found, coverage = read_index(index)
    assert [output.receipt for output, _ in found] == ["r-on-0"]
    assert (coverage.shredded, list(coverage.months)) == (["2026-11"], ["2026-12"])
    assert list(coverage.reasons()) == gaps
    assert keys_of(index).months() == ["2026-12"]
    assert shred(index, keys_of(index), "2026-11") is not None
    assert read_index(index)[1].complete  # shredded once more, with what was counted in it


def test_a_month_shredded_under_a_gateway_is_left_at_the_next_segment(tmp_path):
    clock = Clock()
    writer = writer_of(tmp_path, clock=clock, minutes=5.0)
    writer.start()
    writer.submit(finished("kept"), "", prose(1))
    until(lambda: writer.tally.written == 1)
    keys_of(tmp_path).shred("2026-11")
    clock.now += 301.0
    writer.submit(finished("off"), "", prose(2))
    until(lambda: writer.tally.dropped == 1)
    assert writer.error is not None
    assert list(read_index(tmp_path)[1].reasons())[-1] == "2026-11: 1 choices were answered after it was shredded"
    writer.close()
    assert (writer.tally.written, writer.tally.dropped) == (1, 1)


def test_a_clock_that_went_back_into_a_shredded_month_stops_nothing(tmp_path):
    clock = Clock(NOW + 200 * DAY)
    writer = writer_of(tmp_path, clock=clock, keep_months=1)
    keys_of(tmp_path).of("2026-11", create=True)
    writer.start()
    writer.submit(finished("ahead"), "", prose(1))
    until(lambda: writer.tally.written == 1 and keys_of(tmp_path).shredded() == ["2026-11"])
    clock.now = NOW
    writer.submit(finished("back"), "", prose(2))
    until(lambda: writer.tally.dropped == 1)
    assert "2026-11: 1 choices were answered after it was shredded" in read_index(tmp_path)[1].reasons()
    clock.now = NOW + 200 * DAY
    writer.submit(finished("again"), "", prose(3))
    writer.close()
    assert (writer.error, writer.tally.written) == (None, 2)
    assert [output.receipt for output, _ in read_index(tmp_path)[0]] == ["r-ahead-0", "r-again-0"]
