"""What a stream finds is what the whole text holds: whatever the pattern, whatever the split."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.checksums import CHECKS
from guard.screening.normalize import fold
from guard.screening.patterns import Pattern
from guard.screening.positions import MAX_LENGTH, joins
from guard.screening.walkers import Patterns

WRITTEN = [
    r"ab?c{0,3}",
    r"\ba{1,4}\b",
    r"(?:ab|abc|b)(?:c|cd){0,2}",
    r"\b(?:a b){1,3}",
    r"a{1,3}b|b{2,5}c?",
    r"(?:a|b){3}\b",
    r"(?:a?b?){1,3}c",
    r"[^a]a\w{0,2}",
    r"a.{0,3}b",
    r"\b(?:ab){1,2}(?: ab){0,2}\b",
    r"b(?:\.a){0,2}\.",
    r"é[a-c]\d{0,2}",
]
TEXTS = st.text(alphabet="aabbcd .é1世", max_size=24)


def inside(written, text):
    """Every match as the definition has it: the standard library says which spans match, nothing else."""
    core = written.removeprefix(r"\b").removesuffix(r"\b")
    expression = re.compile(core.replace("é", "e"))

    def edge(at):
        return (at > 0 and joins(text[at - 1])) is not (at < len(text) and joins(text[at]))

    def matches(start, end):
        left = not written.startswith(r"\b") or edge(start)
        right = not written.endswith(r"\b") or edge(end)
        return left and right and expression.fullmatch(text[start:end]) is not None

    return matches


def definition(written, text, passes=lambda _text: True):
    matches, found, at = inside(written, text), [], 0
    while at < len(text):
        ends = [end for end in range(len(text), at, -1) if matches(at, end) and passes(text[at:end])]
        found += [(at, ends[0])] if ends else []
        at = ends[0] if ends else at + 1
    return found


@pytest.mark.parametrize("written", WRITTEN)
@settings(max_examples=30, deadline=None)
@given(text=TEXTS)
def test_matches_are_the_longest_at_the_leftmost_place(written, text):
    text = fold(text)
    assert Pattern.parse(written).findall(text) == definition(written, text)


@pytest.fixture(scope="module", autouse=True)
def even():
    CHECKS["even"] = lambda text: len(text) % 2 == 0  # type: ignore[index]
    yield
    del CHECKS["even"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("written", WRITTEN)
@settings(max_examples=25, deadline=None)
@given(text=TEXTS)
def test_a_match_that_fails_its_check_hides_neither_a_shorter_nor_a_later_one(written, text):
    text = fold(text)
    assert Pattern.parse(written, "even").findall(text) == definition(written, text, CHECKS["even"])


@pytest.mark.parametrize("written", WRITTEN)
@settings(max_examples=25, deadline=None)
@given(text=TEXTS)
def test_a_walker_finds_the_same_and_never_lets_go_of_a_match_that_may_still_come(written, text):
    text = fold(text)
    pattern = Pattern.parse(written, "even")
    whole, walker, taken = pattern.findall(text), pattern.walker(), []
    for fed, character in enumerate(text, 1):
        walker.step(character)
        taken += walker.take()
        assert (walker.fed, walker.hold <= fed, fed - walker.hold <= pattern.longest + 1) == (fed, True, True)
        assert all(match in taken or match[0] >= walker.hold for match in whole)
    walker.finish()
    assert taken + walker.take() == whole


@settings(max_examples=100, deadline=None)
@given(text=TEXTS)
def test_many_patterns_together_find_what_each_finds_alone(text):
    text = fold(text)
    patterns = [Pattern.parse(written) for written in WRITTEN]
    walker = Patterns(patterns).walker()
    alone = [pattern.walker() for pattern in patterns]
    for character in text:
        walker.step(character)
        for one in alone:
            one.step(character)
        assert walker.hold == min(one.hold for one in alone)
        assert walker.held(frozenset({2})) == alone[2].hold
    walker.finish()
    found = walker.take()
    assert [sorted(span for place, *span in found if place == index) for index in range(len(patterns))] == [
        [[start, end] for start, end in pattern.findall(text)] for pattern in patterns
    ]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("a+", "no upper bound"),
        (r"a{3,}", "no upper bound"),
        (r"[a-z]{129}", f"longer than {MAX_LENGTH}"),
        (r"(?:[a-z]{64}x){2}", f"longer than {MAX_LENGTH}"),
        (r"(?=a)b", "lookaround"),
        (r"(?<!a)b", "lookaround"),
        (r"(a)\1", "backreference"),
        (r"^a", "only \\b is an anchor"),
        (r"a$", "only \\b is an anchor"),
        (r"a\bc", "only \\b is an anchor"),
        (r"a\Bc", "only \\b is an anchor"),
        (r"a{1,3}?b", "lazy"),
        (r"a{1,3}+b", "possessive"),
        (r"(?>a)b", "atomic"),
        (r"(?i)a", "flags"),
        (r"(?i:a)", "flags"),
        (r"a?", "empty"),
        (r"\b", "empty"),
        ("", "empty"),
        (r"a\*", "never stands in folded text"),
        (r"[*\u200b]a", "no character"),
        (r"(a", "unterminated"),
        (r"(?:ab|cd|ef|gh|ij|kl|mn|op|qr|st|uv|wx|yz|ac|bd|ce|df){64}", "too large"),
    ],
)
def test_what_cannot_be_matched_in_a_growing_text_is_refused_with_the_reason(written, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        Pattern.parse(written)


def test_patterns_are_folded_like_texts():
    assert Pattern.parse(r"\bCAFÉ-[0-9A-F]{2} - x").findall(fold("a café 3f   x")) == [(2, 11)]
    assert Pattern.parse(r"stra(?:ß)e").findall(fold("STRASSE Straße")) == [(0, 7), (8, 15)]
    assert Pattern.parse(r"\+\d{2}").findall(fold("+\uff14\uff19")) == [(0, 3)]


def test_a_pattern_that_needs_a_character_walks_only_around_it():
    pattern = Pattern.parse(r"\b[a-z]{1,10}@[a-z]{1,10}\b")
    assert pattern.findall("word " * 200 + "me@home and you@there " + "word " * 200) == [(1000, 1007), (1012, 1021)]


def test_a_search_ends_where_it_has_as_many_matches_as_were_asked_for(monkeypatch):
    looked = []
    monkeypatch.setitem(CHECKS, "noted", lambda text: looked.append(text) or True)
    pattern = Pattern.parse(r"\b\d{4}\b", "noted")
    assert pattern.findall("1234 " * 100, 3) == [(0, 4), (5, 9), (10, 14)]
    assert looked == ["1234"] * 3
    assert len(pattern.findall("1234 " * 100)) == 100
    assert pattern.findall("1234 1234", 2) == [(0, 4), (5, 9)]
    assert pattern.findall("1234 1234", 0) == []


def test_a_text_that_never_ends_costs_no_memory():
    pattern = Pattern.parse(r"[^a].{0,3}b")
    walker = pattern.walker()
    for _ in range(3000):
        walker.step("c")
    assert len(walker._read) <= 2 * 512
    assert walker.hold >= 3000 - pattern.longest
