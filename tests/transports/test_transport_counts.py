"""What the admin port and the metrics say of the count: no number that nobody can stand by."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange.snapshot import ModelPolicy
from guard.transports import counts
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.counter import Count, UsageCounter
from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import LedgerUnavailable, Scope, Totals
from guard.usage.period import Calendar, Kind
from guard.usage.spool import Spool
from guard.usage.states import States
from guard.usage.thresholds import Limit, State

NOW = datetime(2026, 11, 15, tzinfo=UTC).timestamp()
QWEN = Scope("2026-11", "qwen")
LIMIT = Limit("qwen", "mau", 100, exclusive=False, standing=True, clause="4", consequence="no_rights",
              products="with_model", affiliates="excluded")  # fmt: skip


class Policy:
    """As much of a snapshot as counts are told with."""

    def __init__(self, *limits):
        self.models = {"m": ModelPolicy("m", (), {}, frozenset(), {}, limits or (LIMIT,), ("qwen",))}
        self.default_model = None
        self.grounds = {}


@pytest.fixture
def ledger(tmp_path):
    store = open_ledger(sqlite_url(tmp_path / "ledger.db"))
    yield store
    store.close()


@pytest.fixture
def start(ledger, tmp_path):
    """Another process on the ledger."""
    spools = []

    def start_():
        spools.append(Spool(tmp_path / f"spool-{len(spools)}", lambda month: "f" * 16))
        return UsageCounter(ledger, spools[-1], Calendar(), clock=lambda: NOW)

    yield start_
    for spool in spools:
        spool.close()


BEGAN = {Kind.MONTH: "2026-10", Kind.DAY: "2026-10-31", Kind.ROLLING_28: "2026-10-31/28d"}
"""Counting began in October."""


def reading(counter, states, began=BEGAN):
    (row,) = counts.readings(Policy(), counter, states, Calendar(), began, NOW)
    return row


def test_a_count_that_was_read_is_bounded_on_both_sides(start):
    counter, states = start(), States()
    counter.sight(("qwen",), 1, NOW)
    counter.flush()
    counter.refresh()
    row = reading(counter, states)
    assert (row.users, row.lower, row.upper, row.exact) == (1, 1, 1, True)
    assert [(each.lower, each.held, each.upper) for each in row.limits] == [(1, 1, 1)]
    assert [each.state for each in row.limits] == [State.OK]


def test_before_the_ledger_was_read_nothing_bounds_the_count_and_no_state_is_told(start, ledger, monkeypatch):
    ledger.write({QWEN: range(200)}, {}, owner="sibling", day="2026-11-15")
    counter, states = start(), States()
    counter.sight(("qwen",), 1, NOW)
    row = reading(counter, states)
    assert (row.users, row.lower, row.upper) == (1, 0, None)
    assert [(each.lower, each.held, each.upper) for each in row.limits] == [(0, 1, None)]
    assert states.crossings() == []
    counter.flush()
    counter.refresh()
    row = reading(counter, states)
    assert (row.users, row.upper) == (200, 200)
    assert [(each.before, each.after) for each in states.crossings()] == [(None, State.OVER)]


def test_while_the_ledger_does_not_answer_nothing_bounds_the_count(start, ledger, monkeypatch):
    counter, states = start(), States()
    counter.refresh()

    def away(*_):
        raise LedgerUnavailable("away")

    monkeypatch.setattr(ledger, "totals", away)
    with pytest.raises(LedgerUnavailable):
        counter.refresh()
    counter.sight(("qwen",), 1, NOW)
    assert reading(counter, states).upper is None


def test_known_users_on_their_way_put_no_limit_over(start, ledger):
    ledger.write({QWEN: range(1, 100)}, {}, owner="sibling", day="2026-11-15")
    counter, states = start(), States()
    counter.flush()
    counter.refresh()
    for user in range(1, 6):
        counter.sight(("qwen",), user, NOW)
    row = reading(counter, states)
    assert (row.users, row.lower, row.upper) == (104, 99, 104)
    assert [each.state for each in row.limits] == [State.APPROACHING]
    assert [each.after for each in states.crossings()] == [State.APPROACHING]


def test_users_that_the_ledger_lost_leave_no_upper_bound(start, monkeypatch):
    counter, states = start(), States()
    counter.sight(("qwen",), 1, NOW)
    counter.flush()
    counter.refresh()
    counter._tallies.by_scope[QWEN].highest = 3
    row = reading(counter, states)
    assert (row.users, row.upper, row.lost) == (1, None, 2)
    assert [each.state for each in row.limits] == [State.OK]


def test_damaged_records_may_be_anybody(start, tmp_path):
    counter, states = start(), States()
    counter.refresh()
    counter.sight(("qwen",), 1, NOW)
    (tmp_path / "spool-0" / "x.7.damaged").write_bytes(b"")
    counter._spool.adopt(NOW)
    counter.flush()
    assert counter.damaged_records == 7
    assert reading(counter, states).upper is None


@pytest.mark.parametrize("began", [{}, {**BEGAN, Kind.MONTH: "2026-11"}], ids=["unknown", "this month"])
def test_in_the_month_in_which_counting_began_nothing_bounds_the_count(start, began):
    counter, states = start(), States()
    counter.sight(("qwen",), 1, NOW)
    counter.flush()
    counter.refresh()
    row = reading(counter, states, began)
    assert (row.users, row.lower, row.upper) == (1, 1, None)
    assert [(each.lower, each.held, each.upper) for each in row.limits] == [(1, 1, None)]
    assert [each.state for each in row.limits] == [State.OK]  # it goes by all users that are known of


class Known:
    """A counter that is in any state at all."""

    def __init__(self, kinds, found, exact, ledger_up, unspooled, damaged_records):
        self.kinds, self.found, self.exact, self.ledger_up = kinds, found, exact, ledger_up
        self.unspooled, self.damaged_records = unspooled, damaged_records

    def counts(self, now, kind):
        return {"qwen": self.found[kind]} if kind in self.found else {}


PERIODS = Calendar("UTC", tuple(Kind)).periods(NOW)
few = st.integers(0, 3)


@st.composite
def count(draw, kind):
    users, spread = draw(st.integers(0, 200)), draw(few)
    totals = Totals(users, draw(few), max(0, users - spread), users + spread)
    pending, period = draw(few), PERIODS[kind]
    stated = [
        Declaration("qwen", period, f"source {at}", part, number, unidentified, "legal@example.org", "2026-11-01")
        for at, (part, number, unidentified) in enumerate(draw(st.lists(st.tuples(st.sampled_from(Part), few, few))))
    ]
    return Count("qwen", kind, period, users + pending, totals, totals.unidentified + draw(few), pending, draw(few),
                 tuple(stated), draw(st.booleans()), draw(st.booleans()))  # fmt: skip


@st.composite
def worlds(draw):
    """A policy, a counter, and when counting began."""
    kinds = (Kind.MONTH, *draw(st.sets(st.sampled_from([each for each in Kind if each is not Kind.MONTH]))))
    found = {kind: draw(count(kind)) for kind in kinds if draw(st.integers(0, 4))}
    sound = st.sampled_from([0, 0, 0, 1])
    counter = Known(kinds, found, draw(st.booleans()), draw(st.booleans()), draw(sound), draw(sound))
    limits = [
        replace(LIMIT, id=f"limit {at}", kind=kind, products=products)
        for at, (kind, products) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from(Kind), st.sampled_from(["all", "with_model", "each"])), max_size=4))
        )
    ]
    began = draw(st.sampled_from([{}, PERIODS, {**PERIODS, Kind.MONTH: "2026-10"}, BEGAN]))
    missing = {kind: began.get(kind, PERIODS[kind]) for kind in (*kinds, Kind.DAY)} if began else {}
    return Policy(*limits), counter, missing


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_metrics_and_api_never_say_different_numbers(world):
    policy, counter, began = world
    calendar = Calendar("UTC", counter.kinds)
    (metrics,) = counts.readings(policy, counter, States(), calendar, began, NOW)
    (told,) = counts.usage_facts(policy, counter, States(), calendar, began, NOW)
    assert (metrics.users, metrics.lower, metrics.upper) == (
        told["users"], told["measured"]["lower"], told["measured"]["upper"]
    )  # fmt: skip
    assert [(each.window, each.users, each.lower, each.upper) for each in metrics.windows] == [
        (name, each["users"], each["measured"]["lower"], each["measured"]["upper"])
        for name, each in told["windows"].items()
    ]
    assert [(each.id, each.state, each.lower, each.held, each.upper) for each in metrics.limits] == [
        (each["id"], each["state"], each["lower"], each["held_against"], each["upper"]) for each in told["limits"]
    ]
    if not began or began[Kind.MONTH] == PERIODS[Kind.MONTH]:
        assert metrics.upper is told["upper"] is None
