"""What the index holds, what it does not, and what nobody can know: told apart, month by month."""

import shutil

import pytest
from segment_world import MASTER, MONTH, NOW, keys, output, some_keys

from guard.provenance.chain import last_of
from guard.provenance.counts import LAYOUT, SETTLED, counts_path
from guard.provenance.coverage import Index
from guard.provenance.months import MonthKeys, segment_key_id
from guard.provenance.scan import Postings
from guard.provenance.segment import SegmentWriter, Totals

DAY = 86_400.0


class Deployment:
    """An index and its keys, written to by hand."""

    def __init__(self, directory):
        self.directory, self.keys = directory / "provenance", MonthKeys(directory / "provenance.keys")

    def writer(self, now=NOW, instance="a", master=MASTER, **options):
        month = f"2026-{11 + int(now >= NOW + 13 * DAY)}"
        key_id = segment_key_id(master, self.keys.of(month, create=True))
        return SegmentWriter(self.directory, instance, key_id, now, last_of(self.directory, instance), **options)

    def segment(self, seeds, now=NOW, *, end=True, counts=None, totals=None, **options):
        """Write a segment with the outputs of ``seeds``; return its path."""
        writer = self.writer(now, **options)
        label = writer.label("tiny", ("llama-3.1",), "shop")
        for seed in seeds:
            writer.add(output(seed, label))
        writer.add(totals or Totals(len(seeds), len(seeds), 0))
        if counts is not None:
            counts_path(writer.path).write_bytes(LAYOUT.pack(*counts))
        if end:
            writer.end(now)
        else:
            writer.write()
            writer.abandon()
        return writer.path

    def index(self, **period):
        return Index(self.directory, self.keys, MASTER, **period)

    def read(self, text_keys=b"", **period):
        """Return the candidates for one text, and the coverage."""
        index, found = self.index(**period), []
        for month in index.months:
            postings = Postings()
            postings.add(1, text_keys)
            postings.seal()
            found += index.search_month(month, postings)
        return found, index.coverage

    def reasons(self, **period):
        return list(self.read(**period)[1].reasons())


@pytest.fixture
def at(tmp_path):
    return Deployment(tmp_path)


def test_every_month_is_searched_and_counted(at):
    at.segment([1, 2])
    at.segment([3], NOW + 60, instance="b")
    at.segment([4], NOW + 14 * DAY)
    found, coverage = at.read(keys(some_keys(4)[:20]))
    assert [(each.output, each.label.tenant, each.mask) for each in found] == [(output(4), "shop", (1 << 20) - 1)]
    assert coverage.complete
    november, december = (coverage.months[month] for month in (MONTH, "2026-12"))
    assert (november.answered, november.indexed, november.segments, december.answered) == (3, 3, 2, 1)


def test_searching_again_counts_nothing_twice_and_forgets_no_gap(at):
    path = at.segment([1, 2])
    index = at.index()
    nothing = Postings()
    nothing.seal()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    list(index.search_month(MONTH, nothing))
    path.write_bytes(whole)
    list(index.search_month(MONTH, nothing))
    assert index.coverage.months[MONTH].answered == 2
    assert not index.coverage.complete
    assert len(index.coverage.months[MONTH].gaps) == 1


def test_no_index_is_not_complete(at):
    assert at.reasons() == ["there is no index: no segment was found that can be read"]
    assert at.index().months == []


def test_bytes_are_reported_as_they_are_read(at):
    at.segment([1, 2])
    index, done = at.index(), []
    nothing = Postings()
    nothing.seal()
    list(index.search_month(MONTH, nothing, done.append))
    assert sum(done) == index.size > 500


def test_a_segment_that_goes_while_the_index_is_open_is_a_gap(at):
    gone = at.segment([1])
    index = at.index()
    gone.unlink()
    nothing = Postings()
    nothing.seal()
    assert index.size == 0
    assert list(index.search_month(MONTH, nothing)) == []
    assert list(index.coverage.reasons()) == [f"{MONTH}: {gone.name}: cannot be read"]


# --- after a kill ---


def test_a_kill_without_loss_is_no_gap(at):
    at.segment([1, 2], end=False, counts=(5, 5, 3, 2, 1))
    coverage = at.read()[1]
    assert (coverage.months[MONTH].answered, coverage.months[MONTH].lost) == (3, 0)
    assert list(coverage.reasons()) == ["2026-11: 1 of 3 choices dropped under load or by a full disk"]
    assert at.segment([3], NOW + 1, end=False, counts=(1, 1, 1, 1, 0))
    assert len(at.reasons()) == 1


def test_a_kill_with_loss_says_exactly_how_much(at):
    at.segment([1, 2], end=False, counts=(5, 3, 7, 2, 1))
    assert at.reasons() == [
        "2026-11: 1 of 7 choices dropped under load or by a full disk",
        "2026-11: 4 of 7 choices lost in crashes",
        "2026-11: 2 exchanges were being answered when their gateway was killed",
    ]


def test_a_kill_between_writing_and_counting_counts_what_is_there(at):
    at.segment([1, 2, 3], end=False, counts=(3, 3, 3, 1, 0))
    assert at.reasons() == []


def test_a_kill_without_counters_is_a_gap_however_little_is_missing(at):
    path = at.segment([1], end=False)
    assert at.reasons() == [
        f"{MONTH}: {path.name}: its gateway was killed; the choices of its last moments are missing"
    ]


def test_counters_of_another_boot_are_believed_only_when_settled(at, monkeypatch):
    path = at.segment([1], end=False, counts=(1, 1, 1, 1, 0))
    assert at.reasons() == []
    monkeypatch.setattr("guard.provenance.coverage.boot_id", lambda: b"rebooted")
    assert [reason.partition(": ")[2] for reason in at.reasons()] == [
        f"{path.name}: its machine went down or was another one; what its counters say may not be all that was answered"
    ]
    counts_path(path).write_bytes(counts_path(path).read_bytes() + SETTLED)
    assert at.reasons() == []


def test_counters_do_not_mend_damage(at):
    path = at.segment([1, 2], end=False, counts=(2, 2, 2, 2, 0))
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert any("damaged" in reason for reason in at.reasons())


def test_a_running_gateway_is_no_gap(at):
    writer = at.writer()
    writer.add(output(1, writer.label("tiny", ())))
    writer.write()
    counts_path(writer.path).write_bytes(LAYOUT.pack(4, 2, 3, 1, 0))
    coverage = at.read()[1]
    assert coverage.complete
    assert (coverage.months[MONTH].waiting, coverage.months[MONTH].answered, coverage.months[MONTH].lost) == (2, 3, 0)
    writer.abandon()
    assert not at.read()[1].complete


def test_what_was_not_fingerprinted_is_said(at):
    writer = at.writer()
    writer.add(output(1, writer.label("tiny", ()), flags=0, keys=b""))
    writer.add(Totals(1, 1, 0))
    writer.end(NOW)
    assert at.reasons() == ["2026-11: 1 of 1 choices answered while fingerprints were off"]


# --- while receipts are off ---


@pytest.mark.parametrize("state", ["ended", "killed", "running"])
def test_what_was_answered_while_receipts_were_off_is_a_gap_with_a_name_of_its_own(at, state):
    at.segment([1, 2])
    writer = at.writer(NOW + 60, recorded=False)
    counts = {"ended": (0, 0, 0, 0, 0), "killed": (3, 3, 3, 0, 1), "running": (4, 3, 3, 0, 1)}[state]
    counts_path(writer.path).write_bytes(LAYOUT.pack(*counts))
    writer.add(Totals(3, 0, 3))
    if state == "ended":
        writer.end(NOW + 70)
    else:
        writer.write()
    if state == "killed":
        writer.abandon()
    coverage = at.read()[1]
    assert list(coverage.reasons()) == ["2026-11: 3 of 5 choices answered while receipts were off"]
    month = coverage.months[MONTH]
    assert (month.answered, month.indexed, month.unrecorded) == (5, 2, 3)
    assert (month.dropped, month.waiting, month.lost, month.unfinished) == (0, 0, 0, 0)
    if state == "running":
        writer.abandon()


def test_a_time_without_receipts_in_which_nothing_was_answered_is_no_gap(at):
    at.segment([1])
    at.writer(NOW + 60, recorded=False).end(NOW + 70)
    assert at.read()[1].complete


def test_a_kill_while_receipts_are_off_says_what_was_being_answered(at):
    writer = at.writer(recorded=False)
    counts_path(writer.path).write_bytes(LAYOUT.pack(2, 1, 1, 0, 1))
    writer.write()
    writer.abandon()
    assert at.reasons() == [
        "2026-11: 1 of 1 choices answered while receipts were off",
        "2026-11: 1 exchanges were being answered when their gateway was killed",
    ]
    counts_path(writer.path).unlink()
    assert any("its gateway was killed" in reason for reason in at.reasons())


# --- copies ---


@pytest.mark.parametrize("name", ["0.segment", "a.20261118T110640.000000Z (copy).segment", "zz.segment"])
def test_a_copy_is_searched_and_counted_once_and_is_no_gap(at, name):
    path = at.segment([1, 2])
    later = at.segment([3], NOW + 60)
    shutil.copy(path, path.with_name(name))
    (path.parent.parent / "2026-12").mkdir()
    shutil.copy(path, path.parent.parent / "2026-12" / path.name)
    found, coverage = at.read(keys(some_keys(1)[:9]))
    assert [each.output for each in found] == [output(1)]
    assert (coverage.months[MONTH].answered, coverage.months[MONTH].segments) == (3, 2)
    assert coverage.complete
    assert coverage.copies == [
        f"{MONTH}: {name} is a copy of {MONTH}/{path.name}",
        f"2026-12: {path.name} is a copy of {MONTH}/{path.name}",
    ]
    assert at.index().size == path.stat().st_size + later.stat().st_size


def test_the_original_is_searched_where_the_copy_was_made_before_its_end(at):
    path = at.segment([1, 2])
    path.with_name("0.segment").write_bytes(path.read_bytes()[:-100])
    assert at.read()[1].complete


def test_a_copy_in_the_place_of_what_it_was_copied_from_leaves_the_gap(at):
    path = at.segment([1])
    at.segment([2], NOW + 60)
    path.rename(path.with_name("zz.segment"))
    assert at.reasons() == [f"{MONTH}: {path.name} is missing; the segment after it names it"]
    assert at.read()[1].copies == []


# --- keys ---


def test_another_master_key_is_a_gap_not_a_result(at):
    path = at.segment([1], master=b"another master key, 32 bytes ...")
    assert at.reasons() == [f"{MONTH}: {path.name}: written with another key"]


def test_a_month_whose_key_is_lost_is_a_gap_and_a_shredded_one_is_not(at):
    at.segment([1])
    at.segment([2], NOW + 14 * DAY)
    (at.keys.directory / f"{MONTH}.key").unlink()
    assert at.index().months == ["2026-12"]
    assert at.reasons() == [f"{MONTH}: the key of the month is missing"]
    at.keys.shred(MONTH)
    coverage = at.read()[1]
    assert coverage.complete
    assert coverage.shredded == [MONTH]
    assert at.reasons(since="2026-12") == []
    assert at.reasons(since=MONTH) == [f"{MONTH}: shredded"]


# --- what is missing as a whole ---


def test_a_segment_taken_out_of_the_middle_is_missed_by_name(at):
    paths = [at.segment([number], NOW + number) for number in range(3)]
    at.segment([9], NOW, instance="b")
    assert at.reasons() == []
    paths[1].unlink()
    assert at.reasons() == [f"{MONTH}: {paths[1].name} is missing; the segment after it names it"]


def test_a_month_taken_out_is_missed_unless_it_was_shredded_or_not_asked_for(at):
    path = at.segment([1])
    at.segment([2], NOW + 14 * DAY)
    path.unlink()
    assert at.reasons() == [f"{MONTH}: {path.name} is missing; the segment after it names it"]
    assert at.reasons(since="2026-12") == []
    at.keys.shred(MONTH)
    assert at.reasons() == []


def test_a_period_is_searched_and_judged_alone(at):
    damaged = at.segment([1])
    damaged.write_bytes(damaged.read_bytes()[:-1])
    at.segment([2], NOW + 14 * DAY)
    assert at.index(until=MONTH).months == [MONTH]
    found, coverage = at.read(keys(some_keys(1)[:9]), since="2026-12")
    assert found == []
    assert coverage.complete
    assert list(coverage.months) == ["2026-12"]
    assert len(at.reasons(until=MONTH)) == 1


def test_a_period_that_begins_before_the_index_is_not_covered(at):
    at.segment([1])
    assert at.reasons(since="2026-09") == ["2026-09: the index begins in 2026-11"]
    assert at.reasons(since=MONTH) == []
