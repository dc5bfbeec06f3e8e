"""A ledger says how much of a period was observed: of the time before it counted it knows nobody."""

import pytest
from usage_world import MemoryLedger

from guard.usage.coverage import coverage, extent
from guard.usage.ledger import Scope


@pytest.fixture
def ledger():
    """Counting began on 2026-08-22, that of days on 2026-10-05; nobody came in September, nor on 2026-11-03."""
    ledger = MemoryLedger()
    for month, day in (("2026-08", "2026-08-22"), ("2026-08", "2026-08-30"), ("2026-10", "2026-10-05")):
        ledger.write({Scope(month, "qwen"): {hash(day)}}, {}, owner="a", day=day)
    for period in ("2026-10-05", "2026-11-02", "2026-11-04", "2026-11-02/30d"):
        ledger.write({Scope(period, "qwen"): {1}}, {}, owner="a", day=None)
    ledger.write({Scope("2026-11", "qwen"): {1}}, {}, owner="a", day="2026-11-02")
    return ledger


@pytest.mark.parametrize(
    ("period", "counted", "said"),
    [
        ("2026-07", False, "counting began in 2026-08"),
        ("2026-08", True, "counting began on 2026-08-22 at the latest: who came before that is not in the number"),
        ("2026-09", False, "nobody was counted in 2026-09: the ledger cannot tell whether anything was served then"),
        ("2026-10", True, ""),
        ("2026-12", False, "nobody was counted in 2026-12: the ledger cannot tell whether anything was served then"),
        ("2026-10-04", False, "days are tracked since 2026-10-05"),
        ("2026-10-05", True, "days are tracked since 2026-10-05: who came earlier on that day is not in the number"),
        ("2026-11-02", True, ""),
        (
            "2026-11-03",
            False,
            "nobody was counted in 2026-11-03: the ledger cannot tell whether anything was served then",
        ),
        (
            "2026-11-02/28d",
            False,
            "windows of 28 days are not tracked, or none was counted yet (usage.windows: [rolling_28])",
        ),
        ("2026-11-01/30d", False, "windows of 30 days are tracked since 2026-11-02"),
        ("2026-11-02/30d", True, "days were not tracked before 2026-10-05: the window lacks 1 of them"),
    ],
)
def test_what_was_observed_follows_from_what_the_ledger_has(ledger, period, counted, said):
    assert coverage(ledger, period) == (counted, said)


def test_sightings_in_the_spool_were_observed_too():
    ledger = MemoryLedger()
    assert coverage(ledger, "2026-11") == (False, "the ledger has counted nobody yet")
    assert coverage(ledger, "2026-11", {"2026-10-20", "2026-11-03"}) == (True, "")
    assert coverage(ledger, "2026-11-10/30d", {"2026-10-11", "2026-11-03"}).counted


def test_a_month_of_merged_users_only_began_on_no_known_day():
    ledger = MemoryLedger()
    ledger.write({Scope("2026-11", "qwen"): {1}}, {}, owner="import", day=None)
    assert coverage(ledger, "2026-11").reason.startswith("counting began in 2026-11, on no known day")


def test_how_far_a_month_goes_is_said_by_the_ledger_and_no_clock(ledger):
    assert extent(ledger, "2026-08") == (True, "2026-08-30")
    assert extent(ledger, "2026-11") == (False, "2026-11-04")
    assert extent(ledger, "2026-11", {"2026-11-22"}) == (False, "2026-11-22")
    assert extent(ledger, "2026-11", {"2026-12"}) == (True, "2026-11-04")
    assert extent(ledger, "2026-09") == (True, None)
