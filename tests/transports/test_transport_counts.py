"""What the admin port and the metrics say of the count: no number that nobody can stand by."""

from datetime import UTC, datetime

import pytest

from guard.exchange.snapshot import ModelPolicy
from guard.transports import counts
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.counter import UsageCounter
from guard.usage.ledger import LedgerUnavailable, Scope
from guard.usage.period import Calendar
from guard.usage.spool import Spool
from guard.usage.states import States
from guard.usage.thresholds import Limit, State

NOW = datetime(2026, 11, 15, tzinfo=UTC).timestamp()
QWEN = Scope("2026-11", "qwen")
LIMIT = Limit("qwen", "mau", 100, exclusive=False, standing=True, clause="4", consequence="no_rights",
              products="with_model", affiliates="excluded")  # fmt: skip


class Policy:
    """As much of a snapshot as counts are told with."""

    def __init__(self):
        self.models = {"m": ModelPolicy("m", (), {}, frozenset(), {}, (LIMIT,), ("qwen",))}
        self.default_model = None


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


def reading(counter, states):
    (row,) = counts.readings(Policy(), counter, states, NOW)
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
