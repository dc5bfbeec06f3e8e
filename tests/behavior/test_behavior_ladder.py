"""The ladder goes one step at a time, only after its dwell, never beyond what the policy allows, and has a way back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.behavior.ladder import HOUR, THRESHOLDS, BehaviorPolicy, Standing, Step, advance

NOWHERE = Standing()
ALL = BehaviorPolicy(enforce=True, most=Step.SUSPEND)
looks = st.lists(st.tuples(st.floats(0, 1), st.floats(1, 200_000)), max_size=40)
standings = st.builds(Standing, st.sampled_from(Step), st.just(False), st.just(1.0), st.just(0.0), st.just(0.0))


def climb(risks, every, policy=ALL, standing=NOWHERE, start=1e9):
    found = []
    for number, risk in enumerate(risks):
        standing = advance(standing, risk, start + number * every, policy)
        found.append(standing.step)
    return found


def test_an_alert_comes_at_once_and_each_step_after_its_dwell():
    found = climb([1.0] * 120, HOUR)
    first = {step: found.index(step) for step in Step if step}
    assert first == {Step.ALERT: 0, Step.CLAMP: 7, Step.REQUIRE_PURPOSE: 32, Step.SUSPEND: 105}


def test_a_peak_shorter_than_the_dwell_takes_no_step():
    assert Step.CLAMP not in climb(([1.0] * 5 + [0.6]) * 20, HOUR)


def test_there_is_a_way_back_one_step_a_day():
    back = climb([0.0] * 100, HOUR, standing=Standing(Step.SUSPEND))
    assert [back.index(step) for step in (Step.REQUIRE_PURPOSE, Step.CLAMP, Step.ALERT, Step.METRIC)] == [
        24,
        49,
        74,
        99,
    ]


def test_just_below_a_threshold_nothing_moves():
    standing = Standing(Step.CLAMP)
    assert set(climb([THRESHOLDS[Step.CLAMP] - 0.05] * 100, HOUR, standing=standing)) == {Step.CLAMP}


@settings(max_examples=50)
@given(looks, st.sampled_from(Step), standings)
def test_never_more_than_one_step_nor_beyond_the_most(looks_, most, standing):
    policy, now = BehaviorPolicy(most=most), 1e9
    for risk, passed in looks_:
        before, now = standing, now + passed
        standing = advance(before, risk, now, policy)
        assert standing.step <= max(most, Step.METRIC)
        assert abs(standing.step - before.step) <= 1 or before.step > most


@settings(max_examples=50)
@given(looks, st.floats(0, 1))
def test_of_two_identities_the_riskier_one_stands_no_lower(looks_, more):
    low, high, now = Standing(), Standing(), 1e9
    policy = BehaviorPolicy(most=Step.SUSPEND, up=(0.0,) * 5, down=1e12)
    for risk, passed in looks_:
        now += passed
        low, high = advance(low, risk, now, policy), advance(high, min(1.0, risk + more), now, policy)
        assert high.step >= low.step


@settings(max_examples=50)
@given(looks)
def test_no_step_up_before_its_dwell_has_passed(looks_):
    standing, now, due = Standing(), 1e9, None
    for risk, passed in looks_:
        now += passed
        step = standing.step
        if step < Step.SUSPEND and risk >= THRESHOLDS[step + 1]:
            due = now if due is None else due
        else:
            due = None
        standing = advance(standing, risk, now, ALL)
        if standing.step > step:
            assert due is not None
            assert now - due >= ALL.up[standing.step]
        if standing.step != step:
            due = None


@given(st.floats(0, 1), st.sampled_from(Step))
def test_what_an_operator_holds_stays(risk, step):
    held = Standing(step, held=True, since=5.0)
    assert advance(held, risk, 1e10, ALL) is held


def test_a_policy_that_allows_less_takes_steps_back_at_once():
    assert advance(Standing(Step.SUSPEND), 1.0, 1e9, BehaviorPolicy(most=Step.ALERT)).step is Step.ALERT


@pytest.mark.parametrize("step", Step)
def test_steps_have_words(step):
    assert Step.parse(step.word) is step
