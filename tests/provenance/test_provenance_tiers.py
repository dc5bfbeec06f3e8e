"""The rules see how many fingerprints are found, which share they are, and how evenly they are spread."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.tiers import ALIKE, REVIEW, STRETCHES, STRONG, STRONG_CODE, Tier, formal, strength
from guard.provenance.words import read

WORDS = (60, 0, 0)
CODE = (60, 0, 50)
PAGE = Path(__file__).parents[2] / "docs" / "export-check.md"


def evenly(count, of, first=0):
    """So many fingerprints at equal distances."""
    return sum(1 << first + place * of // count for place in range(count))


def run(start, end):
    """Fingerprints side by side."""
    return (1 << end) - (1 << start)


def least(rule, of):
    """How many of a text's fingerprints a rule wants."""
    return max(rule.least, -(-of * rule.percent // 100))


@pytest.mark.parametrize("rule", STRONG)
@pytest.mark.parametrize("of", [24, 40, 60, 113])
def test_so_many_found_and_so_evenly_spread_are_strong_evidence(rule, of):
    assert strength(evenly(least(rule, of), of), 0, (of, 0, 0)).tier is Tier.B


@pytest.mark.parametrize("of", [24, 40, 60, 113])
def test_fewer_than_any_rule_wants_are_not_however_they_are_spread(of):
    few = min(least(rule, of) for rule in STRONG) - 1
    assert strength(evenly(few, of), 0, (of, 0, 0)).tier is not Tier.B


@pytest.mark.parametrize("of", [40, 60, 113])
def test_a_lump_has_to_be_larger_than_what_is_spread(of):
    lump = min(least(rule, of) for rule in STRONG if not rule.stretches)
    assert strength(run(0, lump), 0, (of, 0, 0)).tier is Tier.B
    assert strength(run(0, lump - 1), 0, (of, 0, 0)).tier is Tier.C
    assert strength(run(0, lump // 2) | run(of - lump // 2 + 1, of), 0, (of, 0, 0)).tier is Tier.C  # two lumps


def test_a_little_is_for_review_and_less_is_nothing():
    assert strength(run(0, least(REVIEW, 60)), 0, WORDS).tier is Tier.C
    assert strength(run(0, least(REVIEW, 60) - 1), 0, WORDS).tier is None


@pytest.mark.parametrize("lanes", [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 1)])
def test_two_fingerprints_are_never_enough(lanes):
    assert strength(run(0, sum(lanes)), 0, lanes).tier is None
    assert strength(run(0, 120), 0, lanes).tier is None  # bits beyond the text's fingerprints count for nothing


def test_the_page_says_what_the_rules_are():
    page = PAGE.read_text(encoding="utf-8")
    for rule in (*STRONG, REVIEW):
        spread = f", in {rule.stretches} of {STRETCHES} stretches or more" if rule.stretches else ""
        assert f"m ≥ {rule.least} and m ≥ {rule.percent / 100:.2f} n{spread} |" in page
    for rule in (*STRONG_CODE, *ALIKE):
        assert f"{rule.least} fingerprints and {rule.percent / 100:.2f} of " in page


def test_what_is_shared_is_counted():
    assert strength(evenly(24, 60), 0, WORDS)[1:] == (24, 60, False)
    assert strength(evenly(24, 60), run(0, 2), WORDS)[1:] == (23, 58, False)


def test_common_fingerprints_count_neither_as_found_nor_as_looked_for():
    lump = min(least(rule, 60) for rule in STRONG if not rule.stretches)
    assert strength(run(0, lump), 0, WORDS).tier is Tier.B
    assert strength(run(0, lump), run(0, 20), WORDS).tier is Tier.C  # 10 of 40
    assert strength(run(0, lump), run(0, lump - 3), WORDS)._replace(matched=0, of=0) == (Tier.C, 0, 0, True)
    assert strength(run(20, 20 + lump), run(0, 20), WORDS).tier is Tier.B  # the rest is looked for alone


def test_a_text_of_common_phrases_only_is_for_review_and_says_so():
    found = strength(run(0, 60), run(0, 60), WORDS)
    assert (found.tier, found.matched, found.of, found.common) == (Tier.C, 60, 60, True)
    assert strength(run(0, 11), run(0, 60), WORDS).tier is None


def test_a_formal_text_has_to_be_found_by_its_code_or_by_nearly_all_of_its_words():
    tokens, words = least(STRONG_CODE[0], 50), least(ALIKE[0], 60)
    assert strength(run(60, 60 + tokens), 0, CODE, formal=True).tier is Tier.B
    assert strength(run(0, words), 0, CODE, formal=True).tier is Tier.B
    assert strength(evenly(24, 60), 0, CODE, formal=True).tier is Tier.B  # words replaced everywhere
    assert strength(evenly(23, 60), 0, CODE, formal=True).tier is Tier.C
    part = run(0, 45)  # six stretches of eight: another program with many of the same words
    for code_too in (part, part | run(60, 60 + tokens - 1)):
        assert strength(code_too, 0, CODE, formal=True).tier is Tier.C
    assert strength(part, 0, CODE).tier is Tier.B  # if it were prose
    assert strength(part, 0, (60, 0, 0), formal=True).tier is Tier.C  # a piece of a long program
    assert strength(run(0, tokens), 0, (0, 0, 50), formal=True).tier is Tier.B
    assert strength(run(0, tokens), 0, (0, 0, 50)).tier is Tier.B  # code in a long page of prose, by itself
    assert strength(run(0, tokens - 1), 0, (0, 0, 50)).tier is Tier.C


def is_formal(said):
    text = read(said)
    return formal(text, text.count)


def test_a_fifth_of_code_or_numbers_makes_a_text_formal():
    assert not is_formal("How do I sort a list of numbers? Please tell me in plain words, step by step.")
    program = "def add(a, b):\n    return a + b\n\n\nfor x in range(10):\n    print(add(x, x * 2))\n"
    assert is_formal(program)
    assert not is_formal("A sentence of prose that explains things. " * 20 + "\n\n\n" + program)
    assert is_formal("It leaves at 9:40 and needs 2.5 hours for 210 km, so it is there at 12:10.")
    assert not is_formal("It leaves in the morning, needs more than 2 hours for the road, and is there at noon.")


def test_unspaced_scripts_count_with_the_words():
    lump = min(least(rule, 60) for rule in STRONG if not rule.stretches)
    assert strength(run(0, lump), 0, (20, 40, 0)).tier is Tier.B
    assert strength(run(20, 20 + lump), 0, (20, 40, 0)).tier is Tier.B


LANES = st.tuples(st.integers(0, 60), st.integers(0, 20), st.integers(0, 40))
MASKS = st.integers(0, (1 << 120) - 1)
RANK = {None: 0, Tier.C: 1, Tier.B: 2}


@settings(max_examples=100, deadline=None)
@given(LANES, MASKS, MASKS, MASKS, st.booleans())
def test_to_share_more_is_never_weaker_evidence(lanes, mask, more, stops, code):
    before, after = (strength(shared, stops, lanes, formal=code) for shared in (mask, mask | more))
    assert RANK[after.tier] >= RANK[before.tier]


@settings(max_examples=100, deadline=None)
@given(LANES, MASKS, MASKS)
def test_tiers_keep_to_what_they_promise(lanes, mask, stops):
    found = strength(mask, stops, lanes)
    assert 0 <= found.matched <= found.of <= sum(lanes)
    assert found.tier is not Tier.A
    if found.tier is Tier.B:
        assert found.matched >= 2
        assert 4 * found.matched >= found.of
