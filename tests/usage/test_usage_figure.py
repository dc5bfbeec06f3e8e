"""A figure is what ledger, spool and stated numbers say together, with every doubt about it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_world import PRINT, MemoryLedger

from guard.usage.declaration import Declaration, Part
from guard.usage.figure import figures
from guard.usage.ledger import Scope, Totals
from guard.usage.period import Calendar, Kind
from guard.usage.spool import Leftover
from guard.usage.thresholds import Limit, State

MONTH, DAY = "2026-11", "2026-11-22"
NOTHING = Leftover({}, 0, {})


def began(ledger):
    """Let counting have begun in an earlier month, and that of days on an earlier day."""
    for period in ("2026-09", "2026-09-01"):
        ledger.write({Scope(period, "other"): {1}}, {}, owner="a", day=None)


@pytest.fixture
def ledger():
    ledger = MemoryLedger()
    ledger.claim_key(MONTH, PRINT)
    began(ledger)
    ledger.write({Scope(MONTH, "qwen"): {1, 2, 3}}, {}, owner="a", day=None)
    return ledger


def figure(ledger, period=MONTH, leftover=NOTHING, limits=None, license="qwen"):
    calendar = Calendar()
    found = figures(ledger, calendar, calendar.parse(period), leftover, limits)
    return next(each for each in found if each.license == license)


def limit(value, **scope):
    return Limit("qwen", "mau", value, exclusive=False, standing=True, clause="4", consequence="no_rights", **scope)


def stated(users, part=Part.PRODUCT, source="app"):
    return Declaration("qwen", MONTH, source, part, users, 0, "legal@example.org", DAY)


def test_where_nothing_is_in_doubt_the_figure_is_exact(ledger):
    found = figure(ledger)
    assert (found.users, found.lower, found.upper, found.exact, found.reasons) == (3, 3, 3, True, ())


@settings(max_examples=50, deadline=None)
@given(there=st.sets(st.integers(1, 30)), spooled=st.sets(st.integers(1, 30)))
def test_users_of_the_spool_count_once_wherever_else_they_are(there, spooled):
    ledger = MemoryLedger()
    began(ledger)
    ledger.write({Scope(MONTH, "qwen"): there}, {}, owner="a", day=None)
    found = figure(
        ledger,
        leftover=Leftover({Scope(MONTH, "qwen"): spooled, Scope(DAY, "qwen"): spooled}, 0, {}),
        limits={"qwen": []},
    )
    assert (found.users, found.in_spool) == (len(there | spooled), len(spooled - there))
    assert found.exact is bool(there or spooled), "nobody at all may be nobody who looked"


def test_an_estimate_keeps_its_bounds_and_takes_the_spool_for_new(ledger):
    class Estimate(MemoryLedger):
        exact = False

        def totals(self, period):
            return {"qwen": Totals(100, 0, 97, 103)}

        def periods(self):
            return ["2026-10", MONTH]

    found = figure(Estimate(), leftover=Leftover({Scope(MONTH, "qwen"): {1, 2}}, 0, {}))
    assert (found.users, found.lower, found.upper, found.exact) == (100, 97, 105, False)
    assert found.reasons == (
        "an estimate: between 97 and 103 with three standard errors",
        "2 users in the spool may be in the ledger already",
    )


@pytest.mark.parametrize(
    ("leftover", "said"),
    [(None, "no spool was looked at"), (Leftover({}, 4, {}), "4 damaged records in the spool")],
)
def test_what_the_spool_cannot_tell_leaves_the_figure_inexact(ledger, leftover, said):
    found = figure(ledger, leftover=leftover)
    assert not found.exact
    assert said in found.reasons[0]
    assert (found.upper, found.measured_upper, found.measured_exactly) == (None, None, False)


def test_with_unidentified_requests_there_is_no_upper_bound_and_limits_are_held_against_what_is_known(ledger):
    ledger.write({}, {Scope(MONTH, "qwen"): 1}, owner="a", day=None)
    found = figure(ledger, limits={"qwen": [limit(2, products="with_model", affiliates="unmentioned")]})
    assert (found.users, found.lower, found.upper, found.exact) == (3, 3, None, False)
    assert found.reasons == ("1 answered request named no user",)
    (tested,) = found.tests
    assert (tested.upper, tested.state, tested.omits) == (3, State.OVER, ("unidentified requests",))


def test_a_license_that_counts_more_than_a_gateway_sees_is_measured_exactly_and_not_bounded(ledger):
    wide = limit(5, products="all", affiliates="included")
    found = figure(ledger, limits={"qwen": [wide]})
    assert (found.users, found.lower, found.upper, found.exact) == (3, 3, None, False)
    assert (found.measured_exactly, found.measured_upper) == (True, 3)
    assert found.reasons == (
        "the license counts all products of the licensee and its affiliates; nothing was stated of others",
    )
    ledger.declare(stated(30))
    assert figure(ledger, limits={"qwen": [wide]}).upper == 33


def test_the_first_month_of_a_ledger_is_never_exact(ledger):
    ledger.write({Scope("2026-08", "qwen"): {1, 2}}, {}, owner="a", day="2026-08-22")
    found = figure(ledger, "2026-08")
    assert (found.users, found.upper, found.exact, found.measured_exactly) == (2, None, False, False)
    assert found.reasons == ("counting began on 2026-08-22 at the latest: who came before that is not in the number",)


@pytest.mark.parametrize("period", ["2020-01", "2026-10", "2026-08-31", "2026-11-02", f"{DAY}/30d"])
def test_zero_users_of_a_time_that_nobody_observed_are_no_count(ledger, period):
    found = figure(ledger, period, limits={"qwen": [limit(5)]})
    assert (found.counted, found.users, found.upper, found.exact, found.measured_exactly) == (
        False,
        0,
        None,
        False,
        False,
    )


def test_users_that_the_ledger_lost_leave_no_upper_bound(ledger):
    found = figure(ledger, leftover=Leftover({}, 0, {Scope(MONTH, "qwen"): 5}))
    assert (found.upper, found.reasons) == (None, ("the ledger lost 2 users that it had",))
    assert figure(ledger, leftover=Leftover({}, 0, {Scope(MONTH, "qwen"): 3})).exact


@pytest.mark.parametrize(
    ("scope", "lower", "upper"),
    [
        ({}, 40, 73), ({"products": "each"}, 40, 40), ({"products": "with_model"}, 40, 73),
        ({"affiliates": "excluded"}, 30, 33), ({"affiliates": "unmentioned"}, 40, 73),
    ],
)  # fmt: skip
def test_each_limit_counts_whom_its_license_counts_and_looks_at_the_upper_bound(ledger, scope, lower, upper):
    ledger.declare(stated(30))
    ledger.declare(stated(40, Part.AFFILIATE, "sister"))
    found = figure(ledger, limits={"qwen": [limit(39, **scope)]})
    assert (found.lower, found.upper) == (lower, upper)
    (tested,) = found.tests
    assert (tested.lower, tested.upper) == (lower, upper)
    assert tested.state is (State.OVER if upper > 39 else State.APPROACHING)


def test_limits_belong_to_their_kind_of_period(ledger):
    ledger.write({Scope(DAY, "qwen"): {1}}, {}, owner="a", day=None)
    limits = {"qwen": [limit(5), limit(1, kind=Kind.DAY)]}
    assert [each.limit.value for each in figure(ledger, limits=limits).tests] == [5]
    assert [each.limit.value for each in figure(ledger, DAY, limits=limits).tests] == [1]


def test_who_was_only_declared_or_only_has_a_limit_has_a_figure_too(ledger):
    ledger.declare(Declaration("kimi", MONTH, "app", Part.PRODUCT, 9, 0, "legal@example.org", DAY))
    found = figure(ledger, license="kimi", limits={"gemma": []})
    assert (found.users, found.lower, found.upper) == (0, 9, 9)
    assert not found.exact
    assert figure(ledger, license="gemma", limits={"gemma": []}).users == 0


def test_a_window_across_a_change_of_keys_says_so(ledger):
    ledger.claim_key("2026-10", "ffff222233334444")
    for period in ("2026-11-10", "2026-10-20", "2026-11-10/30d"):
        ledger.write({Scope(period, "qwen"): {1}}, {}, owner="a", day=None)
    assert "the pseudonym key was changed within the window: who came before and after it is two users" in (
        figure(ledger, "2026-11-10/30d").reasons
    )
    assert figure(ledger, "2026-11-10").exact


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("2026-10-25", ()),
        ("2026-10-26", ("days are tracked since 2026-10-26: who came earlier on that day is not in the number",)),
        ("2026-10-28", ("days were not tracked before 2026-10-28: the window lacks 2 of them",)),
    ],
)
def test_a_window_is_exact_when_all_its_days_were_tracked_and_are_in_it(first, said):
    ledger = MemoryLedger()
    for period in (first, "2026-11-21", DAY, f"{DAY}/28d"):
        ledger.write({Scope(period, "qwen"): {1}}, {}, owner="a", day=None)
    found = figure(ledger, f"{DAY}/28d")
    assert (found.reasons, found.exact) == (said, not said)
    ledger.write({Scope("2026-11-20", "qwen"): {2, 3}}, {}, owner="a", day=None)
    unmerged = "no gateway has put the users of earlier days into the window"
    assert figure(ledger, f"{DAY}/28d").reasons == (*said, unmerged)
