"""The seen cache may forget a user, but never takes one for another."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.usage.seen import SeenCache

KEYS = st.integers(-(2**63), 2**63 - 1) | st.integers(-40, 40).map(lambda n: n << 32)  # the latter collide in the table


@settings(deadline=None)
@given(st.integers(2, 24), st.lists(st.tuples(KEYS, st.integers(1, 7)), max_size=120))
def test_whatever_it_says_is_true(capacity, additions):
    cache, truth = SeenCache(capacity), {}
    for key, mask in additions:
        cache.add(key, mask)
        truth[key] = truth.get(key, 0) | mask
        for other in (*truth, key ^ 1, key + 2**20):
            assert cache.mask(other) & ~truth.get(other, 0) == 0
            for wanted in (1, 2, 3, 7):
                assert cache.has(other, wanted) == (cache.mask(other) & wanted == wanted)
        assert len(cache) <= capacity


@settings(deadline=None)
@given(st.sets(KEYS.filter(bool), max_size=50))
def test_nothing_is_forgotten_below_the_capacity(keys):
    cache = SeenCache(100)
    for key in keys:
        cache.add(key, 1)
    assert all(cache.has(key, 1) for key in keys)
    assert not any(cache.has(key, 2) for key in keys)


def test_the_older_half_is_forgotten_and_the_younger_kept():
    cache = SeenCache(1000)
    keys = [random.Random(n).getrandbits(62) + 1 for n in range(1600)]
    for key in keys:
        cache.add(key, 1)
    assert not any(cache.has(key, 1) for key in keys[:500])
    assert all(cache.has(key, 1) for key in keys[1000:])


def test_licenses_seen_in_both_generations_add_up():
    cache = SeenCache(4)
    cache.add(11, 1)
    cache.add(12, 1)
    cache.add(13, 1)  # 11 and 12 are in the older generation now
    cache.add(11, 2)
    assert cache.has(11, 3)
    assert cache.mask(11) == 3
    assert not cache.has(12, 3)


def test_zero_marks_empty_slots_and_is_never_known():
    cache = SeenCache(10)
    cache.add(0, 1)
    assert not cache.has(0, 1)
    assert len(cache) == 0


def test_the_highest_bit_of_a_mask_works():
    cache = SeenCache(10)
    cache.add(-5, 1 << 62)
    assert cache.has(-5, 1 << 62)


def test_a_capacity_that_cannot_work_is_refused():
    with pytest.raises(ValueError, match="allowed: 2 or more"):
        SeenCache(1)
