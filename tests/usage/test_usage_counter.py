"""No answered user uncounted, none counted twice, and counting never depends on anything else (invariants 2 and 3)."""

import errno
import os
import sqlite3
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_world import (
    DECEMBER,
    NOVEMBER,
    PRINT,
    MemoryLedger,
    abandon,
    counter_on,
    limit,
    rows_of,
    sqlite_ledger,
    totals_of,
)

from guard.usage.counter import UsageCounter
from guard.usage.ledger import LedgerError, LedgerMismatch, LedgerUnavailable
from guard.usage.period import Calendar
from guard.usage.spool import Spool, SpoolError
from guard.usage.thresholds import AtLimit, State

NOW = NOVEMBER
LICENSES = ("qwen",)
STACK = ("llama-3.1", "qwen")


@pytest.fixture
def ledger():
    return MemoryLedger()


@pytest.fixture
def counter(ledger, tmp_path):
    return counter_on(ledger, tmp_path / "spool")


def users(counter, name="qwen", now=NOW):
    count = counter.counts(now).get(name)
    return count.users if count else 0


def test_a_user_is_counted_at_once_and_once(counter, ledger):
    assert counter.sight(LICENSES, 7, NOW)
    assert not counter.sight(LICENSES, 7, NOW)
    assert users(counter) == 1
    assert counter.spool_records == 1
    counter.flush()
    assert ledger.rows == {("2026-11", "qwen"): {7}}
    assert users(counter) == 1
    assert counter.counts(NOW)["qwen"].pending == counter.spool_records == 0
    assert counter.first_sightings == 1


def test_sight_returns_only_when_the_record_is_in_the_file(ledger, tmp_path):
    counter = counter_on(ledger, tmp_path)
    counter.sight(LICENSES, 0x1122334455667788, NOW)
    (path,) = tmp_path.glob("*.seg")
    assert bytes.fromhex("8877665544332211") in path.read_bytes()


def test_a_repeat_does_no_io(ledger, tmp_path):
    writes = []
    counter = counter_on(ledger, tmp_path, write=lambda fd, data: writes.append(data) or os.write(fd, data))
    counter.sight(STACK, 7, NOW)
    writes.clear()
    ledger.down = ledger.unreadable = True
    for _ in range(100):
        assert not counter.sight(STACK, 7, NOW)
        counter.counts(NOW)
        counter.settle(counter.reserve([limit(5)], 7, AtLimit.REFUSE_ALL, NOW))
    assert writes == []


def test_each_license_of_a_stack_is_counted_and_only_what_is_new(counter, ledger):
    counter.sight(("qwen",), 7, NOW)
    assert counter.sight(STACK, 7, NOW)
    assert not counter.sight(("llama-3.1",), 7, NOW)
    assert counter.spool_records == 2
    counter.flush()
    assert ledger.rows == {("2026-11", "qwen"): {7}, ("2026-11", "llama-3.1"): {7}}


def test_a_model_without_counted_licenses_counts_nobody(counter):
    assert not counter.sight((), 7, NOW)
    assert not counter.sight((), None, NOW)
    assert counter.counts(NOW) == {}


def test_more_licenses_than_the_cache_has_bits_are_counted_all_the_same(counter, ledger):
    names = tuple(f"license-{number}" for number in range(70))
    for user in (1, 2, 1):
        counter.sight(names, user, NOW)
    counter.flush()
    assert {scope: len(rows) for scope, rows in ledger.rows.items()} == {("2026-11", name): 2 for name in names}
    assert {count.users for count in counter.counts(NOW).values()} == {2}


def test_requests_without_identity_are_counted_apart(counter, ledger):
    for _ in range(3):
        assert not counter.sight(STACK, None, NOW)
    assert counter.counts(NOW)["qwen"].unidentified == 3
    counter.flush()
    counter.sight(STACK, None, NOW)
    counter.flush()
    assert ledger.anonymous == {("2026-11", "qwen"): 4, ("2026-11", "llama-3.1"): 4}
    count = counter.counts(NOW)["qwen"]
    assert (count.period, count.users, count.unidentified, count.pending) == ("2026-11", 0, 4, 0)


def test_a_full_disk_is_an_error_and_the_user_is_not_taken_for_counted(ledger, tmp_path):
    full = False

    def write(fd, data):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(fd, data)

    counter = counter_on(ledger, tmp_path, write=write)
    counter.sight(LICENSES, 1, NOW)
    full = True
    for _ in range(2):
        with pytest.raises(SpoolError, match="No space left"):
            counter.sight(LICENSES, 2, NOW)
    assert not counter.sight(LICENSES, 1, NOW), "whoever is counted needs no disk"
    assert users(counter) == 1
    assert counter.spool_error is not None
    full = False
    assert counter.sight(LICENSES, 2, NOW)
    assert counter.spool_error is None


def test_the_flusher_finds_out_by_itself_that_the_disk_has_room_again(ledger, tmp_path):
    full = False

    def write(fd, data):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(fd, data)

    counter = counter_on(ledger, tmp_path, write=write)
    full = True
    with pytest.raises(SpoolError):
        counter.sight(LICENSES, 2, NOW)
    with pytest.raises(SpoolError):
        counter._round(refresh=False, adopt=False)
    assert counter.spool_error is not None
    full = False
    counter._round(refresh=False, adopt=False)
    assert counter.spool_error is None


def test_while_the_ledger_is_down_the_spool_holds_and_the_count_goes_on(counter, ledger):
    ledger.down = True
    for user in range(20):
        counter.sight(LICENSES, user, NOW)
    with pytest.raises(LedgerUnavailable):
        counter.flush()
    assert (counter.ledger_up, counter.spool_records, users(counter)) == (False, 20, 20)
    ledger.down = False
    counter.flush()
    assert (counter.ledger_up, counter.spool_records, users(counter)) == (True, 0, 20)
    assert len(ledger.rows["2026-11", "qwen"]) == 20


def test_past_the_limit_it_still_counts(counter, ledger):
    limits = [limit(2)]
    for user in range(1, 6):
        counter.settle(counter.ask(limits, user, AtLimit.REFUSE_ALL, NOW))
        counter.sight(LICENSES, user, NOW)
    counter.flush()
    assert len(ledger.rows["2026-11", "qwen"]) == 5
    assert limits[0].state(users(counter)) is State.OVER


def test_counting_is_the_same_under_every_enforcement(tmp_path):
    found = []
    for mode in AtLimit:
        ledger = MemoryLedger()
        counter = counter_on(ledger, tmp_path / mode)
        for user in (1, 2, 3, 2, None, 4, 1):
            counter.settle(counter.ask([limit(2)], user, mode, NOW))
            counter.sight(LICENSES, user, NOW)
        counter.flush()
        found.append((ledger.rows, ledger.anonymous))
    assert found[0] == found[1] == found[2]


def test_a_restart_counts_nobody_twice(ledger, tmp_path):
    for _ in range(3):
        counter = counter_on(ledger, tmp_path)
        counter.start()
        for user in range(10):
            counter.sight(LICENSES, user, NOW)
        assert counter.stop(5)
    assert ledger.rows == {("2026-11", "qwen"): set(range(10))}
    assert list(tmp_path.iterdir()) == []


def test_start_brings_home_what_a_killed_process_left(ledger, tmp_path):
    ledger.down = True
    dead = counter_on(ledger, tmp_path)
    for user in range(10):
        dead.sight(LICENSES, user, NOW)
    abandon(dead)
    ledger.down = False
    counter = counter_on(ledger, tmp_path)
    counter.start()
    assert users(counter) == 10
    assert counter.stop(5)


def test_an_adopted_users_count_stays_right_beside_the_own(ledger, tmp_path):
    dead = counter_on(ledger, tmp_path)
    dead.sight(LICENSES, 1, NOW)
    dead.sight(LICENSES, 2, NOW)
    abandon(dead)
    counter = counter_on(ledger, tmp_path)
    counter.sight(LICENSES, 2, NOW)
    counter.sight(LICENSES, 3, NOW)
    counter._spool.adopt(NOW)
    assert counter.spool_records == 4
    counter.flush()
    assert counter.counts(NOW)["qwen"].users == 3
    assert counter.counts(NOW)["qwen"].pending == 0


def test_stop_with_the_ledger_down_leaves_the_rest_to_the_next_start(ledger, tmp_path):
    counter = counter_on(ledger, tmp_path)
    counter.start()
    ledger.down = True
    counter.sight(LICENSES, 1, NOW)
    assert not counter.stop(5)
    with pytest.raises(SpoolError):
        counter.sight(LICENSES, 2, NOW)
    ledger.down = False
    heir = counter_on(ledger, tmp_path)
    heir.start()
    assert users(heir) == 1
    assert heir.stop(5)


def test_start_survives_a_ledger_that_is_down_and_the_flusher_waits_for_it(ledger, tmp_path):
    ledger.down = ledger.unreadable = True
    counter = counter_on(ledger, tmp_path)
    counter.start()
    assert not counter.ledger_up
    counter.sight(LICENSES, 1, NOW)
    ledger.down = ledger.unreadable = False
    deadline = time.monotonic() + 5
    while counter.spool_records and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ledger.rows == {("2026-11", "qwen"): {1}}
    assert counter.ledger_up
    assert counter.stop(5)


def test_the_flusher_brings_sightings_home_by_itself(ledger, tmp_path):
    counter = counter_on(ledger, tmp_path)
    counter.start()
    counter.sight(LICENSES, 1, NOW)
    deadline = time.monotonic() + 5
    while not ledger.rows and time.monotonic() < deadline:
        time.sleep(0.005)
    assert ledger.rows == {("2026-11", "qwen"): {1}}
    assert counter.stop(5)


def test_a_sibling_users_show_after_a_refresh(ledger, counter):
    ledger.rows["2026-11", "qwen"] = {100, 101}
    counter.sight(LICENSES, 1, NOW)
    counter.refresh()
    assert users(counter) == 3
    counter.flush()
    assert users(counter) == 3


def test_a_count_in_the_middle_of_a_commit_is_not_doubled(ledger, counter):
    seen = []
    counter.sight(LICENSES, 1, NOW)
    counter.sight(LICENSES, 2, NOW)
    ledger.during_write = lambda: seen.append(users(counter))
    counter.flush()
    assert seen == [2]


def test_damage_in_the_spool_is_told(ledger, tmp_path):
    dead = counter_on(ledger, tmp_path)
    dead.sight(LICENSES, 1, NOW)
    dead.sight(LICENSES, 2, NOW)
    abandon(dead)
    (path,) = tmp_path.glob("*.seg")
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    counter = counter_on(ledger, tmp_path)
    counter.start()
    assert (counter.damaged_records, users(counter)) == (1, 1)
    assert counter.stop(5)


def test_spool_age_is_that_of_the_oldest_unacknowledged_sighting(ledger, tmp_path):
    now = [NOW]
    counter = UsageCounter(ledger, Spool(tmp_path, lambda month: PRINT), Calendar(), clock=lambda: now[0])
    assert counter.spool_oldest_seconds == 0
    counter.sight(LICENSES, 1, NOW)
    now[0] += 42
    assert counter.spool_oldest_seconds == 42
    counter.flush()
    assert counter.spool_oldest_seconds == 0


def test_spool_and_ledger_must_belong_together(ledger, tmp_path):
    ledger.survives_power_loss = False
    with pytest.raises(LedgerError, match="synchronous=full"):
        UsageCounter(ledger, Spool(tmp_path, lambda month: PRINT, fsync=True), Calendar())


def test_a_month_counted_under_another_key_is_refused_at_start(ledger, tmp_path):
    ledger.claim_key("2026-11", "f" * 16)
    counter = counter_on(ledger, tmp_path / "spool")
    with pytest.raises(LedgerMismatch, match="f" * 16):
        counter.start()
    assert counter.mismatch is not None
    counter.stop(1)


def test_a_ledger_of_another_zone_is_refused_at_start(tmp_path):
    first = sqlite_ledger(tmp_path)
    counter = counter_on(first, tmp_path / "spool")
    counter.start()
    counter.stop(5)
    other = counter_on(first, tmp_path / "spool", zone="Europe/Berlin")
    with pytest.raises(LedgerMismatch, match="zone UTC and refuses to mix that with zone Europe/Berlin"):
        other.start()
    other.stop(1)
    first.close()


def test_the_month_turns(counter, ledger):
    counter.sight(LICENSES, 1, DECEMBER - 0.001)
    assert counter.sight(LICENSES, 1, DECEMBER)
    counter.sight(LICENSES, 2, DECEMBER - 1)  # answered late: its time is still November's
    assert not counter.sight(LICENSES, 1, DECEMBER + 1)
    assert (users(counter, now=DECEMBER), users(counter, now=DECEMBER - 1)) == (1, 2)
    counter.flush()
    assert ledger.rows == {("2026-11", "qwen"): {1, 2}, ("2026-12", "qwen"): {1}}


def test_requests_that_are_late_at_the_boundary_do_not_make_either_month_forget(counter):
    for now in (DECEMBER - 1, DECEMBER + 1):
        assert counter.sight(LICENSES, 1, now)
    for _ in range(3):
        assert not counter.sight(LICENSES, 1, DECEMBER - 1)
        assert not counter.sight(LICENSES, 1, DECEMBER + 1)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    st.lists(
        st.tuples(
            st.floats(-3 * 3600, 3 * 3600),
            st.integers(1, 4),
            st.sampled_from([("a",), ("a", "b"), ("b",)]),
            st.booleans(),
        ),
        max_size=40,
    ),
)
def test_a_run_of_sightings_across_the_boundary_loses_and_doubles_none(zone, events):
    ledger, truth = MemoryLedger(), {}
    with tempfile.TemporaryDirectory() as directory:
        counter = counter_on(ledger, Path(directory), zone=zone, now=DECEMBER, seen_capacity=4)
        for offset, user, names, flush in events:
            now = DECEMBER + offset
            counter.sight(names, user, now)
            for name in names:
                truth.setdefault((Calendar(zone).period(now).id, name), set()).add(user)
            if flush:
                counter.flush()
        counter.flush()
        assert ledger.rows == truth
        assert counter.first_sightings == sum(map(len, truth.values()))
        counter._spool.close()


EVENTS = st.sampled_from(["sight", "sight", "sight", "flush", "kill", "down", "up", "fail", "rotate", "adopt"])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.integers(1, 12), st.integers(0, 1)), max_size=60))
def test_whatever_happens_every_acknowledged_user_is_counted_once(events):
    ledger, acknowledged = MemoryLedger(), set()
    room = [True]

    def write(fd, data):
        if not room[0]:
            os.write(fd, data[:7])
            return 7
        return os.write(fd, data)

    with tempfile.TemporaryDirectory() as directory:

        def born():
            return counter_on(ledger, Path(directory), seen_capacity=4, segment_bytes=64, write=write)

        counters = [born(), born()]
        for event, user, which in events:
            counter = counters[which]
            try:
                if event == "sight":
                    counter.sight(LICENSES, user, NOW)
                    acknowledged.add(user)
                elif event == "fail":
                    room[0] = False
                    if counter.sight(LICENSES, user + 100, NOW):
                        pytest.fail("a sighting that was not written was acknowledged")
                elif event == "flush":
                    counter.flush()
                elif event == "kill":
                    abandon(counter)
                    counters[which] = born()
                elif event == "adopt":
                    counter._round(refresh=True, adopt=True)
                elif event == "rotate":
                    counter._spool.rotate(NOW + 100)
                else:
                    ledger.down = event == "down"
            except (LedgerUnavailable, SpoolError):
                pass
            finally:
                room[0] = True
        ledger.down = False
        for counter in counters:
            abandon(counter)
        last = born()
        last._spool.adopt(NOW)
        last.flush()
        assert ledger.rows.get(("2026-11", "qwen"), set()) == acknowledged
        assert last.damaged_records == 0
        assert last.spool_records == 0
        last._spool.close()


def test_threads_that_see_the_same_users_count_each_once(tmp_path):
    store = sqlite_ledger(tmp_path)
    counter = counter_on(store, tmp_path / "spool", seen_capacity=100_000)
    counter.start()
    firsts = []

    def work(seed):
        firsts.append(sum(counter.sight(STACK, 1 + (user * seed) % 500, NOW) for user in range(500)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 3, 7, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.stop(10)
    store.close()
    assert sum(firsts) == 500
    assert totals_of(tmp_path) == {("2026-11", "qwen"): 500, ("2026-11", "llama-3.1"): 500}
    assert len(rows_of(tmp_path)) == 1000


def test_a_locked_ledger_delays_nobody(tmp_path):
    store = sqlite_ledger(tmp_path)
    counter = counter_on(store, tmp_path / "spool")
    counter.start()
    bound = [limit(100_000)]
    counter.settle(counter.ask(bound, 5000, AtLimit.REFUSE_NEWCOMERS, NOW))
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for user in range(100):
        assert counter.sight(LICENSES, user, NOW)
    assert users(counter) == 100
    assert counter.reserve(bound, 5000, AtLimit.REFUSE_NEWCOMERS, NOW) is not None, "there are places in stock"
    other.execute("ROLLBACK")
    other.close()
    assert counter.stop(10)
    store.close()
    assert len(rows_of(tmp_path)) == 100


def test_the_definition_in_the_manual_is_the_codes():
    manual = (Path(__file__).parents[2] / "docs" / "mau.md").read_text()
    assert Calendar("UTC").definition() in " ".join(manual.split())


def test_november_is_november():
    assert Calendar().period(NOVEMBER).id == "2026-11"
    assert datetime.fromtimestamp(DECEMBER, UTC).day == 1
