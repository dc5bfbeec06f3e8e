"""At a standing limit: who may still come in, and that the users never exceed it."""

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_world import NOVEMBER, MemoryLedger, counter_on, limit, sqlite_ledger

from guard.usage.counter import Admission, Reservation
from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import LedgerUnavailable, Scope
from guard.usage.period import Kind
from guard.usage.thresholds import AtLimit

NOW = NOVEMBER
LICENSES = ("qwen",)
OBSERVE, NEWCOMERS, ALL = AtLimit.OBSERVE, AtLimit.REFUSE_NEWCOMERS, AtLimit.REFUSE_ALL


@pytest.fixture
def ledger():
    return MemoryLedger()


@pytest.fixture
def counter(ledger, tmp_path):
    return counter_on(ledger, tmp_path / "spool")


def ask(counter, key, mode, *limits) -> Reservation:
    limits = limits or (limit(3),)
    return counter.reserve(limits, key, mode, NOW) or counter.ask(limits, key, mode, NOW)


def admitted(counter, key, mode, *limits) -> bool:
    return ask(counter, key, mode, *limits).admission is Admission.ADMITTED


def serve(counter, key, mode, *limits, licenses=LICENSES) -> bool:
    """One whole request."""
    reservation = ask(counter, key, mode, *limits)
    if reservation.admission is Admission.ADMITTED:
        counter.sight(licenses, key, NOW)
    counter.settle(reservation)
    return reservation.admission is Admission.ADMITTED


def test_observe_admits_everybody_and_asks_nobody(counter, ledger):
    ledger.unreadable = True
    assert all(serve(counter, user, OBSERVE) for user in (*range(1, 10), None))
    assert counter.counts(NOW)["qwen"].users == 9
    assert ledger.claims == 0


@pytest.mark.parametrize("mode", [NEWCOMERS, ALL])
def test_newcomers_stop_at_the_limit_and_the_known_go_on(counter, mode):
    assert [serve(counter, user, mode) for user in range(1, 6)] == [True, True, True, False, False]
    assert [serve(counter, user, mode) for user in (1, 2, 3, 4)] == [True, True, True, False]
    assert counter.counts(NOW)["qwen"].users == 3


@pytest.mark.parametrize("mode", [NEWCOMERS, ALL])
def test_a_refusal_names_the_limit(counter, mode):
    lowest = limit(0)
    assert ask(counter, 1, mode, lowest) == Reservation(Admission.REFUSED, lowest)


@pytest.mark.parametrize("mode", [NEWCOMERS, ALL])
def test_a_limit_that_is_a_snapshot_of_the_past_refuses_nobody(counter, mode):
    assert all(serve(counter, user, mode, limit(1, standing=False)) for user in range(1, 5))


def test_over_the_limit_refuse_newcomers_serves_the_known_and_refuse_all_nobody(counter):
    for user in range(1, 5):
        serve(counter, user, OBSERVE)
    counter.flush()
    assert admitted(counter, 1, NEWCOMERS)
    assert not admitted(counter, 1, ALL)
    assert not admitted(counter, 9, NEWCOMERS)
    assert not admitted(counter, 9, ALL)


def test_users_on_their_way_to_the_ledger_may_be_there_already_and_refuse_no_known_one(ledger, tmp_path):
    ledger.rows["2026-11", "qwen"] = {1, 2, 3}
    counter = counter_on(ledger, tmp_path)
    counter.refresh()
    assert serve(counter, 1, ALL)
    assert counter.counts(NOW)["qwen"].users == 4, "the ledger has not said yet that it knew user 1"
    assert serve(counter, 1, ALL)
    assert serve(counter, 2, ALL)


def test_exactly_at_the_limit_refuse_all_still_serves_the_known(counter):
    for user in range(1, 4):
        serve(counter, user, OBSERVE)
    assert admitted(counter, 1, ALL)
    assert not admitted(counter, 9, ALL)


@pytest.mark.parametrize("mode", [NEWCOMERS, ALL])
def test_a_user_of_before_the_restart_is_no_newcomer(ledger, tmp_path, mode):
    ledger.rows[Scope("2026-11", "qwen")] = {1, 2, 3}
    counter = counter_on(ledger, tmp_path)
    assert serve(counter, 1, mode)
    assert not serve(counter, 4, mode)
    assert counter.spool_records == 0, "the ledger has user 1: nothing to tell it"
    ledger.unreadable = True
    assert serve(counter, 1, mode), "found once, known from memory"


@pytest.mark.parametrize("mode", [NEWCOMERS, ALL])
def test_without_an_identity_one_is_a_newcomer_for_ever(counter, mode):
    for user in (1, 2):
        assert serve(counter, user, mode)
        assert serve(counter, None, mode)
    held = ask(counter, 3, mode)
    assert not admitted(counter, None, mode), "the last place is taken"
    counter.settle(held)
    assert admitted(counter, None, mode)
    assert serve(counter, 3, mode)
    assert not admitted(counter, None, mode)


def test_places_of_requests_in_flight_count(counter):
    first, second, third = (ask(counter, user, NEWCOMERS) for user in (1, 2, 3))
    assert not admitted(counter, 4, NEWCOMERS)
    counter.settle(second)
    assert admitted(counter, 4, NEWCOMERS)
    assert first.held == third.held == ("qwen",)


def test_settling_twice_gives_back_one_place(counter):
    one, other = ask(counter, 1, NEWCOMERS), ask(counter, 1, NEWCOMERS)
    ask(counter, 2, NEWCOMERS)
    ask(counter, 3, NEWCOMERS)
    counter.settle(one)
    counter.settle(one)
    assert not admitted(counter, 4, NEWCOMERS), "user 1 has another request in flight"
    counter.settle(other)
    assert admitted(counter, 4, NEWCOMERS)


def test_one_newcomers_parallel_requests_need_one_place(counter):
    assert all(admitted(counter, 1, NEWCOMERS, limit(1)) for _ in range(5))
    assert not admitted(counter, 2, NEWCOMERS, limit(1))


def test_a_counted_users_place_is_free_though_the_answer_still_streams(counter):
    streaming = []
    for user in (1, 2, 3):
        streaming.append(ask(counter, user, NEWCOMERS))
        assert streaming[-1].admission is Admission.ADMITTED, "counted users must not be counted as places too"
        counter.sight(LICENSES, user, NOW)
    for reservation in streaming:
        counter.settle(reservation)
    assert counter.counts(NOW)["qwen"].users == 3


def test_the_strictest_of_several_limits_decides_and_nothing_is_held_on_refusal(counter):
    limits = (limit(5), limit(0, license="kimi"))
    refused = ask(counter, 1, NEWCOMERS, *limits)
    assert (refused.admission, refused.limit, refused.held) == (Admission.REFUSED, limits[1], ())
    assert all(admitted(counter, user, NEWCOMERS, limit(5)) for user in range(1, 6))


def test_two_limits_of_one_license_hold_one_place(counter):
    reservation = ask(counter, 1, NEWCOMERS, limit(2), limit(3, id="other"))
    assert reservation.held == ("qwen",)
    assert admitted(counter, 2, NEWCOMERS, limit(2), limit(3, id="other"))
    counter.settle(reservation)


@pytest.mark.parametrize("mode", [NEWCOMERS, ALL])
@pytest.mark.parametrize("key", [9, None])
def test_if_the_ledger_cannot_be_read_a_newcomer_cannot_be_decided_on(counter, ledger, mode, key):
    serve(counter, 1, OBSERVE)
    ledger.unreadable = True
    assert admitted(counter, 1, mode)
    with pytest.raises(LedgerUnavailable):
        ask(counter, key, mode)


def test_siblings_users_are_seen_at_the_decision(ledger, tmp_path):
    ours, theirs = counter_on(ledger, tmp_path), counter_on(ledger, tmp_path)
    serve(theirs, 1, NEWCOMERS)
    serve(theirs, 2, NEWCOMERS)
    theirs.flush()
    assert serve(ours, 3, NEWCOMERS)
    assert not serve(ours, 4, NEWCOMERS)
    ours.flush()
    assert not serve(theirs, 4, NEWCOMERS)
    assert serve(theirs, 3, NEWCOMERS), "counted by the sibling, so no newcomer"


def test_near_the_limit_a_sighting_is_sent_to_the_ledger_at_once(counter, monkeypatch):
    nudges = []
    monkeypatch.setattr(counter._flusher, "nudge", lambda: nudges.append(1))
    serve(counter, 1, NEWCOMERS, limit(10**6))
    assert nudges == []
    serve(counter, 2, NEWCOMERS, limit(900))
    assert nudges == [1]


def test_the_sixty_fourth_license_has_limits_too(counter):
    names = tuple(f"license-{number}" for number in range(70))
    last = limit(2, license=names[-1])
    assert [serve(counter, user, NEWCOMERS, last, licenses=names) for user in (1, 2)] == [True, True]
    counter.flush()
    assert [serve(counter, user, NEWCOMERS, last, licenses=names) for user in (1, 3)] == [True, False]


STEP = st.tuples(
    st.integers(0, 2),
    st.sampled_from(["come", "come", "answer", "answer", "fail", "flush", "refresh"]),
    st.integers(1, 9),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 6), st.sampled_from([NEWCOMERS, ALL]), st.lists(STEP, max_size=60))
def test_in_any_order_of_steps_three_gateways_never_exceed_the_limit_together(allowed, mode, steps):
    ledger = MemoryLedger()
    bound = limit(allowed)
    with tempfile.TemporaryDirectory() as directory:
        gateways = [counter_on(ledger, Path(directory) / str(number), seen_capacity=4) for number in range(3)]
        flying: list[dict[int, Reservation]] = [{}, {}, {}]
        counted: set[int] = set()
        for number, step, user in steps:
            gateway, ours = gateways[number], flying[number]
            if step == "come" and user not in ours:
                reservation = ask(gateway, user, mode, bound)
                if user in ledger.rows.get(("2026-11", "qwen"), ()):
                    assert reservation.admission is Admission.ADMITTED, "the known go on"
                if reservation.admission is Admission.ADMITTED:
                    ours[user] = reservation
            elif step == "answer" and user in ours:
                gateway.sight(LICENSES, user, NOW)
                counted.add(user)
            elif step == "fail" and user in ours:
                gateway.settle(ours.pop(user))
            elif step == "flush":
                gateway.flush()
            elif step == "refresh":
                gateway.refresh()
            assert len(counted) <= allowed
        for gateway in gateways:
            gateway.flush()
            gateway._spool.close()
        assert ledger.rows.get(Scope("2026-11", "qwen"), set()) == counted


def test_far_from_the_limit_a_newcomer_needs_no_trip_to_the_ledger(counter, ledger):
    bound = limit(100_000)
    assert serve(counter, 1, NEWCOMERS, bound)
    trips = ledger.claims
    ledger.down = ledger.unreadable = True
    assert all(serve(counter, user, NEWCOMERS, bound) for user in range(2, 900))
    assert ledger.claims == trips


def test_places_that_were_not_renewed_are_not_given_away(counter, ledger):
    bound = (limit(100_000),)
    counter.settle(counter.ask(bound, 1, NEWCOMERS, NOW))
    assert counter.reserve(bound, 2, NEWCOMERS, NOW + 1799) is not None
    assert counter.reserve(bound, 3, NEWCOMERS, NOW + 1801) is None, "the ledger has to be asked"


def test_a_claim_whose_answer_is_lost_leaves_no_free_place(counter, ledger, monkeypatch):
    bound = (limit(100_000),)
    counter.settle(counter.ask(bound, 1, NEWCOMERS, NOW))
    monkeypatch.setattr(ledger, "claim", lambda *args, **named: (_ for _ in ()).throw(LedgerUnavailable("timed out")))
    with pytest.raises(LedgerUnavailable):
        counter.refresh()
    assert counter.reserve(bound, 2, NEWCOMERS, NOW) is None


def test_a_stopped_gateway_gives_its_places_back(ledger, tmp_path):
    ours, theirs = counter_on(ledger, tmp_path / "a"), counter_on(ledger, tmp_path / "b")
    ask(ours, 1, NEWCOMERS)
    ask(ours, 2, NEWCOMERS)
    assert not serve(theirs, 4, NEWCOMERS, limit(2))
    assert ours.stop(5)
    assert serve(theirs, 4, NEWCOMERS, limit(2))


def test_declared_users_leave_fewer_places(counter, ledger):
    ledger.declare(Declaration("qwen", "2026-11", "app", Part.PRODUCT, 2, 0, "legal@example.org", "2026-11-20"))
    counter.refresh()
    assert [serve(counter, user, NEWCOMERS) for user in (1, 2)] == [True, False]


def test_users_of_each_product_by_itself_leave_the_others_alone(counter, ledger):
    ledger.declare(Declaration("qwen", "2026-11", "app", Part.PRODUCT, 2, 0, "legal@example.org", "2026-11-20"))
    counter.refresh()
    each = replace(limit(3), products="each")
    assert [serve(counter, user, NEWCOMERS, each) for user in (1, 2, 3, 4)] == [True, True, True, False]


def test_a_limit_on_days_counts_days(ledger, tmp_path):
    counter = counter_on(ledger, tmp_path, kinds=(Kind.DAY,))
    daily = replace(limit(1), kind=Kind.DAY)
    tomorrow = NOW + 86400

    def comes(user, now):
        reservation = counter.reserve([daily], user, NEWCOMERS, now) or counter.ask([daily], user, NEWCOMERS, now)
        if reservation.admission is Admission.ADMITTED:
            counter.sight(LICENSES, user, now)
        counter.settle(reservation)
        return reservation.admission is Admission.ADMITTED

    assert [comes(user, NOW) for user in (1, 2, 1)] == [True, False, True]
    assert [comes(user, tomorrow) for user in (2, 1, 2)] == [True, False, True]


def test_a_limit_on_a_period_that_is_not_counted_refuses_nobody(counter):
    daily = replace(limit(0), kind=Kind.DAY)
    assert admitted(counter, 1, NEWCOMERS, daily)


def test_a_crowd_at_the_last_places_fills_them_exactly(tmp_path):
    store = sqlite_ledger(tmp_path)
    counter = counter_on(store, tmp_path / "spool")
    counter.start()
    bound, barrier, verdicts = limit(20), threading.Barrier(8), []

    def crowd(number):
        barrier.wait()
        for user in range(number * 10, number * 10 + 10):
            verdicts.append(serve(counter, user + 1, NEWCOMERS, bound))

    threads = [threading.Thread(target=crowd, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.stop(10)
    assert sum(verdicts) == 20
    assert store.users(Scope("2026-11", "qwen")) == 20
    store.close()


@pytest.mark.parametrize("mode", list(AtLimit))
def test_limits_none_of_which_acts_admit_everybody_and_hold_no_place(counter, ledger, mode):
    """So nobody need ask (``ModelPolicy.limited``)."""
    idle = (replace(limit(1), consequence="display_duty"), replace(limit(1), standing=False))
    for key in (*range(1, 5), None):
        assert counter.reserve(idle, key, mode, NOW) == Reservation(Admission.ADMITTED)
    assert ledger.claims == 0
