# ruff: noqa: RUF001 - characters that look alike are what is tested
"""What is found plainly is found in disguise, by every tier; what only looks disguised is left alone."""

import base64
import html
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screening_disguises import DISGUISES, GOALS, HARMLESS, LIMITS, PLAIN

from guard.policy.locations import shipped_rules
from guard.policy.rules import load_rules
from guard.screening.decode import MOST_VARIANTS, variants
from guard.screening.learned.learned import default
from guard.screening.normalize import fold
from guard.screening.plain import plain
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source
from guard.screening.signs import Sign, signs

SAMPLE = PLAIN[::4]
UNDONE = tuple(name for name in DISGUISES if name not in LIMITS)


@pytest.fixture(scope="module")
def tiers():
    """What reads a prompt, by name: each takes segments and returns findings."""
    return {
        "rules": RuleSet(load_rules([shipped_rules()])[0]).scan,
        "learned": lambda segments: default().scan(segments).findings,
    }


def categories(tier, text):
    return {finding.category for finding in tier([Segment(Source.USER, text)])}


def readings(text):
    """Every folded text that a rule gets to see."""
    return [fold(text), *(fold(variant.text) for variant in variants(text))]


def words(text):
    return "".join(filter(str.isalnum, fold(text)))


def test_there_are_enough_prompts():
    assert len(PLAIN) >= 40


@pytest.mark.parametrize("name", GOALS)
def test_nine_of_ten_found_plainly_are_found_in_disguise(tiers, name):
    for tier in tiers.values():
        plainly = [text for text in SAMPLE if categories(tier, text)]
        assert len(plainly) > 0.6 * len(SAMPLE)
        kept = [text for text in plainly if categories(tier, DISGUISES[name](text))]
        assert len(kept) >= 0.9 * len(plainly)


def test_nothing_is_found_in_what_only_looks_disguised(tiers):
    for tier in tiers.values():
        assert [text for text in HARMLESS if categories(tier, text)] == []


@pytest.mark.parametrize("name", UNDONE)
def test_a_disguise_is_undone(name):
    """Words without blanks are compared: letters that were spaced out leave some beside the punctuation."""
    undone = [text for text in SAMPLE if any(words(text) in words(read) for read in readings(DISGUISES[name](text)))]
    assert len(undone) >= 0.8 * len(SAMPLE)


@pytest.mark.parametrize("name", LIMITS)
def test_a_stated_limit_is_one(name):
    disguise = DISGUISES[name]
    assert not any(fold(text) in read for text in SAMPLE for read in readings(disguise(text)))


SCORED = tuple(
    name
    for name in UNDONE
    if name not in {"reversed, announced", "rot13, announced", "reversed words", "other separators"}
)


@pytest.mark.parametrize("name", SCORED)
def test_a_text_to_score_reads_as_it_was_meant(name):
    """Leetspeak may come back with an i for an l: most of the letters are right."""
    good = 0
    for text in SAMPLE:
        read = plain(DISGUISES[name](text)) or fold(DISGUISES[name](text))
        same = sum(one == other for one, other in zip(words(read), words(text), strict=False))
        good += words(text) in words(read) or same >= 0.9 * len(words(text))
    assert good >= 0.85 * len(SAMPLE)


@pytest.mark.parametrize(
    "text", [*SAMPLE, "Bonjour, c’est l’été à la plage — déjà ?", "今天天气很好。", "", "🎉 thanks 😊"]
)
def test_a_text_without_disguise_is_scored_as_it_is(text):
    assert plain(text) is None


def test_simple_escapes_are_undone_in_json_and_left_in_program_code():
    assert plain('{"q": "how\\nare you"}') == '{"q": "how are you"}'
    assert plain('print("how\\nare you")') is None


def test_a_few_words_with_digits_are_no_leetspeak():
    assert (
        plain("Deploy the k8s chart, then run the h4x0r script for all of the hosts that we have in the rack.") is None
    )


PARTS = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from([
            "how to make it ", "%62", "%", "&#111;", "&amp;", "a b c d ", "x.y.z.w ", "h0w 70 m4k3 ", "\\u0062", "\\\\n", "\\", "1l1 ",
            base64.b64encode(b"please tell me how it is made").decode(), quote("&#111;%62"), "reverse ", "rot13 ", "woh ot ekam ",
            "gur gb naq ", "68 65 6c 6c 6f ", b"hello there".hex(), html.escape("&#98;"), "_a_b_c_d_", "А", "\u200b", " ", "\n", "11!1",
        ]),
    ),
    max_size=8,
).map("".join)  # fmt: skip


@settings(max_examples=100)
@given(PARTS)
def test_the_work_is_bounded_by_the_size_of_the_text(text):
    found = list(variants(text, tuple(Sign)))
    assert len(found) <= MOST_VARIANTS
    assert all(len(variant.text) <= len(text) for variant in found)
    assert all(variant.transform for variant in found)


@settings(max_examples=100)
@given(PARTS, st.data())
def test_every_part_of_a_variant_stands_for_a_part_of_the_text(text, data):
    for variant in variants(text):
        if not variant.text:
            continue
        start = data.draw(st.integers(0, len(variant.text) - 1))
        end = data.draw(st.integers(start + 1, len(variant.text)))
        low, high = variant.span(start, end)
        assert 0 <= low < high <= len(text)
        wider = variant.span(max(start - 1, 0), min(end + 1, len(variant.text)))
        assert wider[0] <= low
        assert high <= wider[1]


HIDDEN = "the hidden words of a sentence"
RUNS = {
    "base64": base64.b64encode(HIDDEN.encode()).decode(),
    "percent": "".join(f"%{octet:02x}" for octet in HIDDEN.encode()),
    "hex": HIDDEN.encode().hex(),
    "escapes": "".join(f"\\u{ord(letter):04x}" for letter in HIDDEN),
    "base64+percent": base64.b64encode(quote(HIDDEN).replace("e", "%65").encode()).decode(),
    "reversed": HIDDEN[::-1],
    "spaced": " ".join(HIDDEN),
}


@settings(max_examples=60)
@given(st.sampled_from(sorted(RUNS)), st.text("xyz, ", max_size=20), st.text("xyz, ", max_size=20))
def test_what_was_hidden_maps_to_the_run_that_hid_it(name, before, after):
    if name == "reversed":
        before = "reversed: "
    text = f"{before}; {RUNS[name]} ;{after}"
    hits = [variant for variant in variants(text) if HIDDEN in variant.text and variant.transform == name]
    assert hits
    at = hits[0].text.index(HIDDEN)
    low, high = hits[0].span(at, at + len(HIDDEN))
    begin = text.index(RUNS[name])
    assert low <= begin
    assert high >= begin + len(RUNS[name])
    if name == "reversed":
        assert text[low:high] == HIDDEN[::-1]


@settings(max_examples=100)
@given(PARTS)
def test_reading_a_text_plainly_twice_changes_nothing(text):
    once = plain(text)
    if once is not None:
        assert plain(once) in {None, once}
        assert fold(once) == once


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_signs_are_there_whatever_the_text(text):
    assert set(signs(text)) <= set(Sign)
