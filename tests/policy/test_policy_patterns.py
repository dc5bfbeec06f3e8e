"""Whether two patterns of repository names can fit one repository, told without listing repositories."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.policy.patterns import organization, overlap, within


@pytest.mark.parametrize(("one", "other", "meet"), [
    ("acme/large", "acme/large", True),
    ("acme/large", "Acme/Large", True),
    ("acme/large", "acme/small", False),
    ("acme/*", "acme/large", True),
    ("acme/a*-chat", "acme/*b-chat", True),
    ("acme/a*-chat", "acme/*-base", False),
    ("acme/?b", "acme/7b", True),
    ("acme/[78]b", "acme/7b", True),
    ("acme/[78]b", "acme/9b", False),
    ("acme/[78]b", "acme/[!7]b", True),
    ("acme/[78]b", "acme/[!78]b", False),
    ("*/large", "acme/*", True),
    ("acme/*", "apex/*", False),
    ("acme/large", "acme/large@3f2a*", False),
    ("acme/large@3f2a*", "acme/large@3f2ab", True),
    ("acme/large@3f2a*", "acme/large@7*", False),
    ("acme/[", "acme/[", True),
])  # fmt: skip
def test_two_patterns_meet_if_a_repository_fits_both(one, other, meet):
    assert overlap(one, other) is overlap(other, one) is meet


PATTERNS = st.text("ab*?", min_size=1, max_size=6)


@given(PATTERNS, PATTERNS, st.lists(st.text("ab", max_size=6), max_size=20))
@settings(max_examples=100, deadline=None)
def test_what_fits_two_patterns_shows_that_they_meet(one, other, names):
    both = [name for name in names if fnmatchcase(name, one) and fnmatchcase(name, other)]
    assert overlap(one, other) or not both
    if within(one, other) and "?" not in other:
        assert all(fnmatchcase(name, other) for name in names if fnmatchcase(name, one))


@given(st.text("ab", min_size=1, max_size=6), PATTERNS)
@settings(max_examples=100, deadline=None)
def test_a_name_meets_exactly_the_patterns_that_it_fits(name, pattern):
    assert overlap(name, pattern) is fnmatchcase(name, pattern)


@pytest.mark.parametrize(("one", "other", "inside"), [
    ("acme/large", "acme/*", True),
    ("acme/*", "acme/large", False),
    ("acme/large-*", "acme/l*", True),
    ("acme/large@3f2a", "acme/large", True),
    ("acme/large", "acme/large@3f2a", False),
])  # fmt: skip
def test_a_pattern_within_another_says_more(one, other, inside):
    assert within(one, other) is inside


def test_the_organization_is_known_where_it_is_spelled_out():
    assert [organization(pattern) for pattern in ("Acme/*", "*/large", "large", "ac?e/x")] == ["acme", None, None, None]
