"""Whether a live count triggers a threshold depends on the license's window, and on nothing else."""

import pytest

from guard.licensing.license import Window
from guard.policy.load import load
from guard.policy.packs import shipped_packs
from guard.policy.rehearsal.hypothetical import Caller, settings_for
from guard.policy.rehearsal.live_count import live_counts
from guard.usage.thresholds import AtLimit

PACKS = shipped_packs()


def counted(id_, users, at_limit=AtLimit.OBSERVE, **settings):
    model = load(None, {**settings_for([id_], "m", Caller()), **settings}, environment={}).snapshot.models["m"]
    states = [(limit, limit.state(users)) for limit in model.limits]
    return {found.threshold: found for found in live_counts(model.licenses, states, users, at_limit)}


def test_a_standing_threshold_is_triggered_by_the_live_count():
    found = counted("qwen-2024", 100_000_001, AtLimit.REFUSE_NEWCOMERS)["mau_100m"]
    assert (found.triggers, found.state, found.clause) == (True, "over", "4")
    assert found.says == (
        "yes: 100,000,001 of 100,000,000 users, 1 too many; the license's condition holds at all times; newcomers are "
        "refused"
    )
    assert found.triggered


@pytest.mark.parametrize(
    ("users", "state", "begins"),
    [(0, "ok", "not now: 0 of"), (90_000_000, "approaching", "not now, approaching: 90,000,000 of")],
)
def test_below_a_standing_threshold_it_is_said_what_would_trigger_it(users, state, begins):
    found = counted("qwen-2024", users)["mau_100m"]
    assert (found.triggers, found.triggered, found.state) == (True, False, state)
    assert found.says == (
        f"{begins} 100,000,000 users; the license's condition holds at all times, so it would be triggered by a live "
        "count above 100,000,000"
    )
    refusing = counted("qwen-2024", users, AtLimit.REFUSE_ALL)["mau_100m"]
    assert refusing.says == f"{found.says}; newcomers that would bring it there are refused, and everybody beyond it"


def test_over_it_everybody_is_refused_where_the_operator_says_so():
    assert counted("qwen-2024", 10**9, AtLimit.REFUSE_ALL)["mau_100m"].says.endswith("everybody is refused")
    assert counted("qwen-2024", 10**9)["mau_100m"].says.endswith(
        "nothing is refused, because usage.at_limit is observe"
    )


def test_a_release_snapshot_is_neither_triggered_nor_cured_by_it():
    found = counted("llama-3.1", 900_000_000)["mau_700m"]
    assert (found.triggers, found.state, found.clause) == (False, "over", "2")
    assert "looks at 2024-06, the month before its release; a live count can neither trigger nor cure it" in found.says


@pytest.mark.parametrize(
    ("users", "said"),
    [
        (0, "not now: 0 of 100,000,000 users; the duty starts only above 100,000,000: the name is displayed"),
        (
            100_000_000,
            "not now, approaching: 100,000,000 of 100,000,000 users; the duty starts only above 100,000,000: ",
        ),
        (100_000_001, "yes: the duty has started (count: 100,000,001): the name is displayed"),
    ],
)
def test_a_duty_to_display_starts_and_refuses_nothing(users, said):
    found = counted("kimi-k2", users)["mau_100m"]
    assert found.triggers
    assert found.triggered is said.startswith("yes")
    assert found.says.startswith(said)
    assert found.says.endswith("nothing is refused")


def test_money_is_seen_by_no_gateway():
    found = counted("kimi-k2", 10**9)["revenue_20m_month"]
    assert (found.triggers, found.state) == (False, None)
    assert "which no gateway sees" in found.says


def test_users_of_a_day_are_seen_where_days_are_counted():
    found = counted("baichuan-2", 1_000_000)["dau_1m"]
    assert (found.triggers, found.state) == (False, None)
    assert found.says == "no: it is about daily active users, and days are not counted (usage.windows: [day])"
    found = counted("baichuan-2", 1_000_000, **{"usage.windows": ["day"]})["dau_1m"]
    assert (found.triggers, found.triggered, found.state) == (True, True, "over")
    assert found.says.startswith("yes: 1,000,000 of 999,999 users, 1 too many")


def test_an_operators_own_limit_acts_under_any_license():
    found = counted("llama-3.1", 5, AtLimit.REFUSE_ALL, **{"usage.limits": {"llama-3.1": 5}})["operator"]
    assert (found.triggers, found.state) == (True, "approaching")
    assert found.says == (
        "not now, approaching: 5 of 5 users; the operator's own limit acts on the live count, so it would be triggered by "
        "a live count above 5; newcomers that would bring it there are refused, and everybody beyond it"
    )


@pytest.mark.parametrize("id_", sorted(PACKS))
def test_every_threshold_of_every_license_gets_an_answer(id_):
    found = counted(id_, 10**9, **{"usage.windows": ["day"]})
    assert list(found) == [threshold.id for threshold in PACKS[id_].thresholds]
    for threshold in PACKS[id_].thresholds:
        counts = threshold.counts_users and threshold.window is Window.STANDING
        assert found[threshold.id].triggers is counts
        assert found[threshold.id].says.startswith("yes: " if counts else "no: ")
