"""What the courier does beside carrying: days and windows, a ledger that forgets, a disk that is full, what is over."""

import errno
import os
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_world import NOVEMBER, PRINT, MemoryLedger, abandon, limit

from guard.usage.counter import Admission, UsageCounter
from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import LedgerMismatch, LedgerUnavailable, Totals
from guard.usage.period import Calendar, Kind, days_of
from guard.usage.spool import Spool, SpoolError
from guard.usage.thresholds import AtLimit

NOW = NOVEMBER
LICENSES = ("qwen",)
DAY = 86400
EVERY = tuple(Kind)


class Forgetful(MemoryLedger):
    """A server that may come back without what it had."""

    forgetful = True

    def __init__(self):
        super().__init__()
        self.life = "first"

    def incarnation(self):
        self._read()
        return self.life

    def restart(self, *, empty):
        self.life += "+"
        if empty:
            for store in (self.rows, self.owners, self._facts, self._leases, self._grown, self._declared):
                store.clear()


def aged(ledger, directory, clock, **options):
    """A counter whose clock the test moves."""
    spool = Spool(directory, lambda month: PRINT, keep=ledger.forgetful)
    calendar = Calendar(options.pop("zone", "UTC"), options.pop("kinds", ()))
    return UsageCounter(ledger, spool, calendar, seen_capacity=1000, clock=lambda: clock[0], **options)


def users(counter, kind=Kind.MONTH, now=NOW):
    count = counter.counts(now, kind).get("qwen")
    return count.users if count else 0


def test_days_and_windows_follow_from_the_same_sightings(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    counter = aged(ledger, tmp_path, clock, kinds=EVERY)
    for day, seen in enumerate([(1, 2), (2, 3), (), (3,)]):
        clock[0] = NOW + day * DAY
        counter.refresh()
        for user in seen:
            counter.sight(LICENSES, user, clock[0])
            counter.sight(LICENSES, user, clock[0] + 1)
        counter.flush()
    counter.refresh()
    today = clock[0]
    assert {kind: users(counter, kind, today) for kind in EVERY} == {
        Kind.MONTH: 3, Kind.DAY: 1, Kind.ROLLING_28: 3, Kind.ROLLING_30: 3,
    }  # fmt: skip
    counter._spool.close()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago"]),
    st.lists(st.tuples(st.integers(0, 70 * 24), st.integers(1, 6), st.booleans()), max_size=40),
)
def test_every_window_is_the_union_of_its_days_whatever_the_order(zone, events):
    """Requests come in the order of time, the ledger gets them now and then, at times days later."""
    ledger, truth = MemoryLedger(), {}
    begin = datetime(2026, 9, 1, tzinfo=UTC).timestamp()  # both zones change their clocks in these weeks
    clock = [begin]
    with tempfile.TemporaryDirectory() as directory:
        counter = aged(ledger, Path(directory), clock, kinds=EVERY, zone=zone)
        for hours, user, flush in sorted(events):
            clock[0] = begin + hours * 3600
            counter.sight(LICENSES, user, clock[0])
            truth.setdefault(Calendar(zone).day(clock[0]), set()).add(user)
            if flush:
                counter.refresh()
                counter.flush()
        counter.flush()
        counter.refresh()
        found = {kind: users(counter, kind, clock[0]) for kind in EVERY}
        counter._spool.close()
    today = Calendar(zone).day(clock[0])
    assert found[Kind.DAY] == len(truth.get(today, ()))
    for kind in (Kind.ROLLING_28, Kind.ROLLING_30):
        days = days_of(f"{today}/{kind.days}d")
        assert found[kind] == len(set().union(*(truth.get(day, set()) for day in days)))
    assert found[Kind.MONTH] == len(set().union(*(seen for day, seen in truth.items() if day[:7] == today[:7])))


def test_a_window_is_complete_when_all_its_days_were_tracked(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    counter = aged(ledger, tmp_path, clock, kinds=(Kind.ROLLING_28,))
    told = []
    for day in range(29):
        clock[0] = NOW + day * DAY
        counter.sight(LICENSES, 1, clock[0])
        counter.flush()
        counter.refresh()
        told.append(counter.counts(clock[0], Kind.ROLLING_28)["qwen"].complete)
    assert told == [False] * 27 + [True] * 2
    counter._spool.close()


def test_midnight_comes_without_requests_too(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    counter = aged(ledger, tmp_path, clock)
    counter.sight(LICENSES, 1, NOW)
    counter.flush()
    clock[0] = NOW + 20 * DAY
    counter._round(refresh=True, adopt=False)
    assert counter.counts(clock[0]) == {}
    counter._spool.close()


def test_a_ledger_that_lost_everything_gets_everything_again(tmp_path):
    ledger = Forgetful()
    clock = [NOW]
    counter = aged(ledger, tmp_path, clock)
    for user in range(1, 8):
        counter.sight(LICENSES, user, NOW)
    counter.sight(LICENSES, None, NOW)
    counter.flush()
    counter.refresh()
    ledger.restart(empty=True)
    assert ledger.totals("2026-11") == {}
    counter.refresh()
    counter.flush()
    assert ledger.totals("2026-11") == {"qwen": Totals(7, 1, 7, 7)}
    assert (counter.replays, users(counter), counter.counts(NOW)["qwen"].lost) == (1, 7, 0)
    assert (ledger.zone(), ledger.key_of("2026-11")) == ("UTC", PRINT)
    counter.refresh()
    assert counter.replays == 1
    counter._spool.close()


def test_what_nobody_kept_is_told_as_lost(tmp_path):
    ledger = Forgetful()
    counter = aged(ledger, tmp_path, [NOW])
    ledger.rows["2026-11", "qwen"] = {100, 101, 102}  # of a gateway that is gone, and its spool with it
    counter.sight(LICENSES, 1, NOW)
    counter.flush()
    counter.refresh()
    ledger.restart(empty=True)
    counter.refresh()
    count = counter.counts(NOW)["qwen"]
    assert (count.users, count.lost, count.lower, count.upper) == (1, 3, 1, 4)
    counter._spool.close()


def test_a_license_that_only_others_served_is_not_forgotten_with_them(tmp_path):
    ledger = Forgetful()
    counter = aged(ledger, tmp_path, [NOW])
    ledger.rows["2026-11", "kimi"] = {100, 101, 102}
    counter.refresh()
    ledger.restart(empty=True)
    counter.refresh()
    assert (counter.counts(NOW)["kimi"].users, counter.counts(NOW)["kimi"].lost) == (0, 3)
    counter._spool.close()
    heir = aged(ledger, tmp_path, [NOW])
    heir.start()
    assert heir.counts(NOW)["kimi"].lost == 3, "known from the process before"
    assert heir.stop(5)


def test_numbers_from_outside_are_declared_again(tmp_path):
    ledger = Forgetful()
    app = Declaration("qwen", "2026-11", "app", Part.PRODUCT, 900, 0, "legal@example.org", "2026-11-20")
    ledger.declare(app)
    counter = aged(ledger, tmp_path, [NOW])
    counter.refresh()
    counter._spool.close()
    ledger.restart(empty=True)
    heir = aged(ledger, tmp_path, [NOW])
    heir.start()
    assert list(ledger.declarations("2026-11")) == [app]
    ledger.restart(empty=True)
    newer = replace(app, users=12)
    ledger.declare(newer)
    heir.refresh()
    assert list(ledger.declarations("2026-11")) == [newer], "what was stated since then stands"
    assert heir.stop(5)


def test_a_replay_that_breaks_off_begins_anew(tmp_path):
    ledger = Forgetful()
    counter = aged(ledger, tmp_path, [NOW])
    for user in range(1, 8):
        counter.sight(LICENSES, user, NOW)
    counter.flush()
    counter.refresh()
    ledger.restart(empty=True)
    ledger.down = True
    with pytest.raises(LedgerUnavailable):
        counter.refresh()
    ledger.down = False
    counter.refresh()
    assert ledger.rows["2026-11", "qwen"] == set(range(1, 8))
    counter._spool.close()


def test_a_gateway_that_was_away_while_the_ledger_lost_everything_notices(tmp_path):
    ledger = Forgetful()
    dead = aged(ledger, tmp_path, [NOW])
    for user in range(1, 8):
        dead.sight(LICENSES, user, NOW)
    dead.flush()
    dead.refresh()
    dead._spool._seal()
    dead._spool._sweep()  # its segment was finished and is only kept
    abandon(dead)
    ledger.restart(empty=True)
    heir = aged(ledger, tmp_path, [NOW])
    heir.start()
    assert ledger.rows["2026-11", "qwen"] == set(range(1, 8))
    assert heir.stop(5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["sight", "sight", "sight", "flush", "refresh", "lose", "restart", "kill", "seal"]),
                          st.integers(1, 9), st.integers(0, 1)), max_size=50))  # fmt: skip
def test_a_ledger_that_keeps_losing_everything_has_every_user_in_the_end(events):
    ledger, acknowledged, clock = Forgetful(), set(), [NOW]
    with tempfile.TemporaryDirectory() as directory:
        gateways = [aged(ledger, Path(directory) / str(number), clock) for number in range(2)]
        for event, user, which in events:
            gateway = gateways[which]
            if event == "sight":
                gateway.sight(LICENSES, user, NOW)
                acknowledged.add(user)
            elif event == "flush":
                gateway.flush()
            elif event == "refresh":
                gateway.refresh()
            elif event in {"lose", "restart"}:
                ledger.restart(empty=event == "lose")
            elif event == "seal":
                gateway._spool._seal()
            elif event == "kill":
                abandon(gateway)
                gateways[which] = heir = aged(ledger, Path(directory) / str(which), clock)
                heir._spool.adopt(NOW)
        for gateway in gateways:
            gateway.refresh()
            gateway.flush()
            gateway._spool.close()
        assert ledger.rows.get(("2026-11", "qwen"), set()) == acknowledged


def full_disk(ledger, directory, **options):
    full = [False]

    def write(fd, data):
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(fd, data)

    spool = Spool(directory, lambda month: PRINT, write=write, keep=ledger.forgetful)
    seen = options.pop("seen_capacity", 1000)
    return full, UsageCounter(ledger, spool, Calendar(), seen_capacity=seen, clock=lambda: NOW, **options)


def test_where_it_is_wanted_a_full_disk_fails_no_request_and_the_ledger_gets_the_user(tmp_path):
    ledger = MemoryLedger()
    full, counter = full_disk(ledger, tmp_path, serve_unspooled=True)
    full[0] = True
    assert counter.sight(LICENSES, 1, NOW)
    assert counter.sight(("qwen", "kimi"), 2, NOW)
    assert not counter.sight(LICENSES, 1, NOW)
    assert (counter.unspooled, users(counter)) == (3, 2)
    assert counter.spool_error is not None
    counter._round(refresh=True, adopt=False)
    assert ledger.rows == {("2026-11", "qwen"): {1, 2}, ("2026-11", "kimi"): {2}}
    assert (counter.unspooled, users(counter), counter.counts(NOW)["qwen"].pending) == (0, 2, 0)
    full[0] = False
    counter._round(refresh=False, adopt=False)
    assert counter.spool_error is None
    counter._spool.close()


def test_with_the_ledger_away_too_what_waits_in_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("guard.usage.counter.UNSPOOLED", 3)
    ledger = MemoryLedger()
    full, counter = full_disk(ledger, tmp_path, serve_unspooled=True)
    full[0] = ledger.down = True
    for user in (1, 2, 3):
        assert counter.sight(LICENSES, user, NOW)
    with pytest.raises(SpoolError):
        counter.sight(LICENSES, 4, NOW)
    ledger.down = False
    counter.flush()
    assert counter.sight(LICENSES, 4, NOW)
    counter.flush()
    assert ledger.rows == {("2026-11", "qwen"): {1, 2, 3, 4}}
    counter._spool.close()


def test_of_months_that_are_over_for_good_the_number_stays(tmp_path):
    ledger, clock = MemoryLedger(), [datetime(2026, 8, 10, tzinfo=UTC).timestamp()]
    counter = aged(ledger, tmp_path, clock, kinds=(Kind.DAY,), keep=2)
    for month in range(4):
        clock[0] = datetime(2026, 8 + month, 10, tzinfo=UTC).timestamp()
        counter.sight(LICENSES, 1, clock[0])
        counter._round(refresh=True, adopt=True)
        clock[0] += 3600
        counter._round(refresh=True, adopt=True)
    kept = {period for period, _ in ledger.rows}
    assert kept == {"2026-10", "2026-11", "2026-11-10"}
    assert ledger.totals("2026-08")["qwen"].users == 1
    late = datetime(2026, 8, 31, tzinfo=UTC).timestamp()
    counter.sight(LICENSES, 9, late)
    counter.flush()
    assert ledger.totals("2026-08")["qwen"] == Totals(1, 1, 1, 1), "a newcomer, or not: nobody can tell any more"
    counter._spool.close()


def test_a_clock_that_is_ahead_for_a_moment_lets_nothing_be_forgotten(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    counter = aged(ledger, tmp_path, clock, keep=2)
    counter.sight(LICENSES, 1, NOW)
    counter._round(refresh=True, adopt=True)
    for clock[0] in (NOW + 200 * DAY, NOW + 200 * DAY + 60, NOW + 120):
        counter._round(refresh=True, adopt=True)
    assert ledger.contains(("2026-11", "qwen"), 1)
    assert users(counter) == 1, "and the present is looked at again"
    counter._spool.close()


def test_a_process_that_stops_before_it_noticed_is_made_up_for_by_the_next(tmp_path):
    ledger, clock = Forgetful(), [NOW]
    first, second = aged(ledger, tmp_path, clock), aged(ledger, tmp_path, clock)
    first.sight(LICENSES, 1, NOW)
    second.sight(LICENSES, 2, NOW)
    for counter in (first, second):
        counter.flush()
        counter.refresh()
    ledger.restart(empty=True)
    first.refresh()  # notices, for the directory, before the other does
    second._spool.close()
    assert ledger.rows["2026-11", "qwen"] == {1}
    first._round(refresh=False, adopt=True)
    assert ledger.rows["2026-11", "qwen"] == {1, 2}
    first._spool.close()


def test_users_whom_no_spool_has_are_seen_once_more_when_the_ledger_lost_them(tmp_path):
    ledger = Forgetful()
    full, counter = full_disk(ledger, tmp_path, serve_unspooled=True)
    full[0] = True
    counter.sight(LICENSES, 1, NOW)
    counter.flush()
    full[0] = False
    ledger.restart(empty=True)
    counter.refresh()
    assert (users(counter), counter.counts(NOW)["qwen"].lost) == (0, 1)
    assert counter.sight(LICENSES, 1, NOW)
    counter.flush()
    assert ledger.rows["2026-11", "qwen"] == {1}
    counter._spool.close()


def test_a_user_who_waits_in_memory_waits_once(tmp_path):
    ledger = MemoryLedger()
    full, counter = full_disk(ledger, tmp_path, serve_unspooled=True, seen_capacity=4)
    full[0] = ledger.down = True
    for _ in range(3):
        for user in range(1, 9):
            counter.sight(LICENSES, user, NOW)
    assert users(counter) == 8
    assert not counter.stop(1), "the ledger does not have everything"


def test_a_window_has_users_whom_a_slow_clock_brought_over_midnight(tmp_path):
    ledger, kinds = MemoryLedger(), (Kind.ROLLING_28,)
    midnight = datetime(2026, 11, 16, tzinfo=UTC).timestamp()
    ahead, behind = [midnight + 5], [midnight - 5]
    fast, slow = aged(ledger, tmp_path / "a", ahead, kinds=kinds), aged(ledger, tmp_path / "b", behind, kinds=kinds)
    slow.sight(LICENSES, 1, midnight - 60)
    slow.flush()
    fast.refresh()  # merges
    slow.sight(LICENSES, 2, midnight - 6)
    slow.flush()
    assert ledger.rows["2026-11-16/28d", "qwen"] == {1, 2}
    for counter in (fast, slow):
        counter._spool.close()


def test_a_segment_that_cannot_be_read_back_blocks_neither_numbers_nor_newcomers(tmp_path):
    ledger = MemoryLedger()
    counter = aged(ledger, tmp_path, [NOW])
    counter.sight(LICENSES, 1, NOW)
    (path,) = tmp_path.glob("*.seg")
    os.truncate(path, path.stat().st_size - 16)
    ledger.rows["2026-11", "qwen"] = set(range(100, 150))
    with pytest.raises(SpoolError, match="shorter than the 1 records"):
        counter._round(refresh=True, adopt=False)
    assert users(counter) == 51, "the one who cannot be read back is not forgotten"
    newcomer = counter.ask([limit(60)], 2, AtLimit.REFUSE_NEWCOMERS, NOW)
    assert newcomer.admission is Admission.ADMITTED
    counter._spool.close()


def test_a_key_that_does_not_fit_stays_told_while_the_ledger_can_be_read(tmp_path):
    ledger = MemoryLedger()
    counter = aged(ledger, tmp_path, [NOW])
    ledger.claim_key("2026-11", "f" * 16)
    counter.sight(LICENSES, 1, NOW)
    for _ in range(2):
        with pytest.raises(LedgerMismatch):
            counter._round(refresh=True, adopt=False)
        assert counter.mismatch is not None
    assert ledger.rows == {}
    counter._spool.close()


def test_the_thread_outlives_what_nobody_foresaw(tmp_path, monkeypatch):
    ledger = MemoryLedger()
    counter = aged(ledger, tmp_path, [NOW])
    monkeypatch.setattr(ledger, "write", lambda *args, **named: 1 / 0)
    counter.sight(LICENSES, 1, NOW)
    counter._flusher._failures = 0
    counter._flusher.start()
    deadline = time.monotonic() + 10
    while not counter._flusher._failures and time.monotonic() < deadline:
        time.sleep(0.01)
    assert counter._flusher._failures
    monkeypatch.undo()
    while not ledger.rows and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ledger.rows == {("2026-11", "qwen"): {1}}
    assert counter.stop(5)


def test_the_unidentified_of_a_process_do_not_begin_anew(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    counter = aged(ledger, tmp_path, clock)
    for _ in range(5):
        counter.sight(LICENSES, None, NOW)
    counter.flush()
    for clock[0] in (NOW + 40 * DAY, NOW + 80 * DAY, NOW):
        counter._round(refresh=True, adopt=True)
    counter.sight(LICENSES, None, NOW)
    counter.flush()
    assert ledger.totals("2026-11")["qwen"].unidentified == 6
    counter._spool.close()


def test_growth_is_filed_on_the_day_of_the_sighting_also_when_another_process_brings_it(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    dead = aged(ledger, tmp_path, clock)
    dead.sight(LICENSES, 1, NOW)
    abandon(dead)
    clock[0] = NOW + 3 * DAY
    heir = aged(ledger, tmp_path, clock)
    heir._spool.adopt(clock[0])
    heir.sight(LICENSES, 2, clock[0])
    heir.flush()
    days = [(growth.day, growth.new) for growth in ledger.growth("qwen", "2026-11")]
    first = datetime.fromtimestamp(NOW, UTC)
    assert days == [(f"{first:%Y-%m-%d}", 1), (f"{first + timedelta(3):%Y-%m-%d}", 1)]
    heir._spool.close()


def test_a_ledger_that_is_read_but_takes_nothing_is_not_up_until_a_write_succeeds(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    counter = aged(ledger, tmp_path, clock)
    counter.sight(LICENSES, 1, NOW)
    counter.flush()
    counter.refresh()
    ledger.down = True
    for _ in range(3):  # with nothing waiting it was not asked to take anything
        counter._round(refresh=True, adopt=True)
        assert counter.ledger_up
    counter.sight(LICENSES, 2, NOW)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            counter._round(refresh=True, adopt=False)
        counter.refresh()
        assert not counter.ledger_up
    ledger.down = False
    counter.refresh()
    assert not counter.ledger_up
    counter._round(refresh=False, adopt=False)
    assert counter.ledger_up
    counter._spool.close()


def test_an_idle_ledger_that_took_no_key_at_the_start_is_asked_again(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    ledger.bind("UTC")
    counter = aged(ledger, tmp_path, clock)
    counter.refresh()
    ledger.down = True
    with pytest.raises(LedgerUnavailable):
        counter._courier.agree_on_key("2026-11")
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            counter._round(refresh=True, adopt=False)
        assert not counter.ledger_up
    ledger.down = False
    counter._round(refresh=True, adopt=False)
    assert counter.ledger_up
    assert ledger.key_of("2026-11") == PRINT
    counter._spool.close()


def test_places_that_were_refused_keep_a_ledger_down_until_they_are_granted_or_not_wanted(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    counter = aged(ledger, tmp_path, clock)
    counter.sight(LICENSES, 1, NOW)
    counter.flush()
    counter.refresh()
    ledger.down = True
    with pytest.raises(LedgerUnavailable):
        counter.ask([limit(5)], 2, AtLimit.REFUSE_NEWCOMERS, NOW)
    clock[0] += 60  # whoever is known passes, and shows that the ledger can be read
    assert counter.ask([limit(5)], 1, AtLimit.REFUSE_NEWCOMERS, clock[0]).admission is Admission.ADMITTED
    assert not counter.ledger_up
    ledger.down = False
    counter.refresh()
    assert counter.ledger_up
    ledger.down = True
    with pytest.raises(LedgerUnavailable):
        counter.ask([limit(5)], 3, AtLimit.REFUSE_NEWCOMERS, clock[0] + 60)
    clock[0] = NOW + 60 * DAY  # the months after have no newcomers yet
    for _ in range(2):
        counter._window_at(clock[0])
        clock[0] += 31 * DAY
    counter.refresh()
    assert counter.ledger_up
    counter._spool.close()


def test_a_ledger_that_does_not_answer_is_not_up_for_the_moment_in_which_nothing_is_asked(tmp_path):
    ledger, clock = MemoryLedger(), [NOW]
    counter = aged(ledger, tmp_path, clock)
    counter.refresh()
    ledger.unreadable = True
    with pytest.raises(LedgerUnavailable):
        counter.refresh()
    counter.flush()  # nothing waits
    assert not counter.ledger_up
    ledger.unreadable = False
    counter.refresh()
    assert counter.ledger_up
    counter._spool.close()
