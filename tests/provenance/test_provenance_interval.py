"""Intervals and tails agree with exact arithmetic, published values, and what they promise."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.interval import at_least, interval

COUNTS = st.integers(1, 60).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


def exactly(count, of, rate):
    """The tail in exact arithmetic, term by term."""
    rate = Fraction(rate)
    return sum(comb(of, k) * rate**k * (1 - rate) ** (of - k) for k in range(count, of + 1))


@settings(max_examples=100, deadline=None)
@given(COUNTS, st.integers(0, 100))
def test_the_tail_is_the_sum_of_its_terms(counts, percent):
    count, of = counts
    rate = Fraction(percent, 100)
    assert at_least(count, of, float(rate)) == pytest.approx(float(exactly(count, of, rate)), rel=1e-9, abs=1e-14)


@settings(max_examples=100, deadline=None)
@given(COUNTS, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_each_end_of_the_interval_leaves_half_of_the_doubt_outside(counts, confidence):
    count, of = counts
    lower, upper = interval(count, of, confidence)
    half = (1 - confidence) / 2
    assert 0 <= lower <= count / of <= upper <= 1
    assert count == 0 or at_least(count, of, lower) == pytest.approx(half, rel=1e-6)
    assert count == of or 1 - at_least(count + 1, of, upper) == pytest.approx(half, rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 99))
def test_the_true_share_lies_inside_at_least_as_often_as_promised(of, percent):
    rate = Fraction(percent, 100)
    inside = 0
    for count in range(of + 1):
        lower, upper = interval(count, of)
        if lower <= rate <= upper:
            inside += comb(of, count) * rate**count * (1 - rate) ** (of - count)
    assert inside >= 0.95 - 1e-9


@settings(max_examples=50, deadline=None)
@given(COUNTS)
def test_it_mirrors_and_narrows(counts):
    count, of = counts
    lower, upper = interval(count, of)
    mirrored = interval(of - count, of)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((lower, upper), abs=1e-9)
    wider = interval(10 * count, 10 * of)
    assert wider[1] - wider[0] < upper - lower


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # The "rule of three" and its exact form: 1 - 0.025 ** (1 / n).
        (0, 2317, 0.0, 0.0015908),
        (0, 20, 0.0, 0.1684335),
        # Agresti and Coull, The American Statistician 1998, example of 5 of 10 and textbook values of 10 of 100.
        (5, 10, 0.1870860, 0.8129140),
        (10, 100, 0.0490047, 0.1762226),
        (0, 0, 0.0, 1.0),
    ],
)
def test_known_values(count, of, low, high):
    assert interval(count, of) == pytest.approx((low, high), abs=2e-7)


def test_millions_of_records_take_no_time_and_no_overflow():
    lower, upper = interval(50_000, 10_000_000)
    assert 0.00495 < lower < 0.005 < upper < 0.00505
    assert at_least(50_000, 10_000_000, 0.005) == pytest.approx(0.5, abs=0.01)
    assert at_least(100_000, 10_000_000, 0.005) == 0.0
    assert at_least(0, 0, 0.005) == 1.0
    assert at_least(1, 0, 0.005) == 0.0


def test_more_than_all_is_no_share():
    with pytest.raises(ValueError, match="allowed: 0 to 3 of 3"):
        interval(4, 3)
