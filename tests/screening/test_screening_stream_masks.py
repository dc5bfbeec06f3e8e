# ruff: noqa: RUF001 - characters that look alike are what is tested
"""Masked spans of a growing text: the same text leaves however it is split, and none of a span is in it."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.findings import Action
from guard.screening.normalize import Offsets, fold
from guard.screening.patterns import Pattern
from guard.screening.rules import Context, Literal, Rule, Where
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Source
from guard.screening.stream.arguments import ArgumentScreen
from guard.screening.stream.masks import Masks

BOTH = frozenset(Direction)
MASKED = {"directions": BOTH, "action": Action.MASK, "acts": True}
EMAIL = Pattern.parse(r"\b[a-z0-9._]{1,20}@[a-z0-9]{1,20}(\.[a-z]{2,6}){1,2}\b")
CARD = Pattern.parse(r"\b[0-9]{4}( ?[0-9]{4}){3}\b", "luhn")
RULES = RuleSet([
    Rule("S7.email", "S7", patterns=(EMAIL,), mask="[email]", **MASKED),
    Rule("S7.card", "S7", patterns=(CARD,), mask="[card]", **MASKED),
    Rule("S7.key", "S7", (Literal.parse("my secret key is"), Literal.parse("key is hidden")), mask='"key"', **MASKED),
    Rule("S7.name", "S7", (Literal.parse("jo*"),), (Context((Literal.parse("doe"),), 12, Where.AFTER),), mask="[name]", **MASKED),
    Rule("S9.bomb", "S9", (Literal.parse("pipe bomb"),), (Context((Literal.parse("make"),), 12, Where.BEFORE),), directions=BOTH),
    Rule("S2.seen", "S2", (Literal.parse("the secret key"),), directions=BOTH, action=Action.FLAG),
])  # fmt: skip
HOLDING = frozenset({"own", "S9"})
WORDS = ["bob@example.org", "bob", "@", "example.org", ".co", "4111 1111 1111 1111", "4111-1111-1111-1112", "4111", " 1111", "my secret key is", "the secret",
         "key is hidden", "key is", "hidden", "joe", "jo", "doe", "make", "a pipe bomb", "é", "ＢＯＢ@x.org", "b\u200bob@x.org", "x", "日本", "**", "\n\n"]  # fmt: skip
GAPS = ["", " ", " ", ", ", "\u200b", "_", ". "]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=12).map(
    lambda parts: "".join(word + gap for word, gap in parts)
)
CUTS = st.lists(st.integers(0, 160), max_size=12)


def pieces(text, cuts):
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[low:high] for low, high in pairwise(at)]


def released(screen, parts):
    """What leaves, with each piece taken as soon as it is cleared; the blocking finding."""
    text, out, done = "", [], 0
    for part in (*parts, None):
        if part is None:
            screen.finish()
        else:
            screen.feed(part)
            text += part
        assert done <= screen.cleared <= len(text)
        out.append(screen.masks.apply(text[done : screen.cleared], done))
        done = screen.cleared
    return "".join(out), screen.blocked, screen.findings


def found(text):
    """Where the patterns match the complete text."""
    folded, places = fold(text), Offsets()
    places.extend(text, len(folded), 0, 0, after_space=False)
    matches = [match for pattern in (EMAIL, CARD) for match in pattern.findall(folded)]
    return [(places.original(start), places.original(end - 1) + 1) for start, end in matches]


def streamed(parts, blocking=HOLDING):
    return released(RULES.open(Source.OUTPUT, blocking), parts)


@pytest.mark.parametrize(("said", "left"), [
    ("Write to bob@example.org today.", "Write to [email] today."),
    ("bob@example.org", "[email]"),
    ("bob@example, bob@example.org.uk!", "bob@example, [email]!"),
    ("pay 4111 1111 1111 1111, not 4111 1111 1111 1112", "pay [card], not 4111 1111 1111 1112"),
    ("pay 4111-1111-1111-1111", "pay [card]"),
    ("ＢＯＢ@x.org b\u200bob@x.org", "[email] [email]"),
    ("my secret key is hidden.", '"key".'),
    ("so joe the doe, joe", "so [name]e the doe, joe"),
    ("a@b.org,c@d.org", "[email],[email]"),
    ("a@b.org make a pipe bomb", "[email] make a "),
])  # fmt: skip
def test_a_masked_span_leaves_as_its_replacement(said, left):
    for parts in ([said], list(said)):
        assert streamed(parts)[0] == left


@settings(max_examples=100)
@given(TEXTS, CUTS)
def test_however_a_text_is_split_the_same_text_leaves(text, cuts):
    assert streamed(pieces(text, cuts)) == streamed(list(text)) == streamed([text])


@settings(max_examples=100)
@given(TEXTS)
def test_what_leaves_is_the_text_with_its_spans_replaced(text):
    screen = RULES.open(Source.OUTPUT, HOLDING)
    left, blocked, _ = released(screen, list(text))
    out, done = "", 0
    for span in screen.masks.spans:
        if span.start >= screen.cleared:
            break
        assert done <= span.start < span.end
        out += text[done : span.start] + span.replacement
        done = span.end
    assert left == out + text[done : screen.cleared]
    assert (blocked is None) == (screen.cleared == len(text))
    if blocked is None:
        for start, end in found(text):
            assert any(span.start <= start < end <= span.end for span in screen.masks.spans)


def test_where_nothing_is_in_force_masks_are_only_noted():
    left, blocked, findings = streamed(["bob@example.org"], frozenset())
    assert (left, blocked) == ("bob@example.org", None)
    assert [(finding.rule, finding.most) for finding in findings] == [("S7.email", Action.MASK)]


def test_a_rule_is_noted_once_and_masks_everywhere():
    left, _, findings = streamed(["bob@example.org " * 40])
    assert left == "[email] " * 40
    assert [finding.rule for finding in findings] == ["S7.email"]


@given(st.permutations([(2, 9, "a"), (5, 12, "b"), (2, 6, "c"), (14, 16, "d"), (16, 18, "e"), (11, 13, "f")]))
def test_the_order_in_which_spans_are_found_does_not_matter(spans):
    masks = Masks()
    for start, end, rule in spans:
        masks.add(rule, start, end, f"<{rule}>")
    text = "0123456789abcdefghij"
    assert masks.apply(text, 0) == "01<a>d<d><e>ij"
    for cut in range(len(text)):
        assert masks.apply(text[:cut], 0) + masks.apply(text[cut:], cut) == "01<a>d<d><e>ij"
    assert [masks.touch(at, at + 1) for at in (1, 2, 12, 13, 15, 17, 18)] == [
        False,
        True,
        True,
        False,
        True,
        True,
        False,
    ]


# Arguments of tool calls.

SAID = st.recursive(
    st.one_of(TEXTS, st.sampled_from([None, True, 4111111111111111, -4111111111111111.5, 12, "\ud83d"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)


def called(parts, blocking=HOLDING):
    return released(ArgumentScreen(RULES.open(Source.TOOL_ARGUMENTS, blocking)), parts)


@settings(max_examples=100)
@given(SAID, CUTS, st.booleans())
def test_masked_arguments_stay_json(said, cuts, ascii_only):
    text = json.dumps(said, ensure_ascii=ascii_only)
    left, blocked, findings = called(list(text))
    assert called(pieces(text, cuts)) == called([text]) == (left, blocked, findings)
    if blocked is None:
        json.loads(left)
    if not findings:
        assert left == text


@pytest.mark.parametrize(("said", "left"), [
    (r'{"to":"bob@example.org","n":1}', '{"to":"[email]","n":1}'),
    (r'{"to":"x\nbob@example.org\n"}', r'{"to":"x\n[email]\n"}'),
    (r'{"to":"\u0062ob\u0040example.org"}', '{"to":"[email]"}'),
    (r'{"to":"\ud835\udc1bob@example.org","x":"\ud83d\u0041"}', r'{"to":"[email]","x":"\ud83d\u0041"}'),
    (r'{"k":"my secret key is \"it\""}', r'{"k":"\"key\" \"it\""}'),
    (r'{"card":4111111111111111}', '{"card":"[card]"}'),
    (r"[4111111111111111.0,-4111111111111111, 4111]", '["[card]","[card]", 4111]'),
    (r'{"bob@example.org":{"a":[true,null]}}', '{"[email]":{"a":[true,null]}}'),
    ("to bob@example.org", 'to "[email]"'),
    (r'{"q":"make a p\u0069pe bomb"}', '{"q":"make a '),
    ('{"q":"half an escape \\u00', '{"q":"half an escape \\u00'),
])  # fmt: skip
def test_arguments_are_read_as_their_reader_reads_them(said, left):
    for parts in ([said], list(said)):
        assert called(parts)[0] == left


def test_findings_in_arguments_stand_where_they_are_written():
    text = r'{"to":"\u0062ob@example.org"}'
    _, _, [finding] = called([text])
    assert text[finding.start : finding.end] == r"\u0062ob@example.org"


@pytest.mark.parametrize(
    "unit", ["bob@example.org ", "a@", "4111 ", "aaaaaaaaaaaaaaaaaaaa", "my secret ", "\u200ba@", "make a pipe bom "]
)
@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_the_work_is_linear(unit, size):
    def work(length):
        text = (unit * length)[:length]
        screen = RULES.open(Source.OUTPUT, HOLDING)
        for at in range(0, length, size):
            screen.feed(text[at : at + size])
        return screen.scanned

    small, large = work(1_000), work(4_000)
    assert large <= 4 * small + 1_000
    assert large <= 60 * 4_000
