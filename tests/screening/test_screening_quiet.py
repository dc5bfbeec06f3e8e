"""What is called quiet is quiet: nothing fires, no pattern matches, nothing is hidden. Ordinary texts are called so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_screening_anchors import EVERY, MANY, PAIRS
from test_screening_anchors import TEXTS as ANCHORED
from test_screening_kernel import TEXTS as ODD

from guard.policy.locations import shipped_rules
from guard.policy.rules import load_rules
from guard.screening import anchors_twin
from guard.screening.anchors import BITS, anchors
from guard.screening.automaton import Sieve
from guard.screening.gates import gates
from guard.screening.normalize import folded
from guard.screening.patterns import Pattern
from guard.screening.rules import Context, Literal, Rule
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source

compiled = pytest.importorskip("guard.screening._kernel", reason="installed where there was no compiler")

PATTERNS = [
    Pattern.parse(written)
    for written in (
        r"\bassembl[ei][ -]?[0-9]{3,6}\b",  # begins with a word
        r"\b(?:red|blue)?fox\d\b",
        r"\b[^@ ]x",  # with a word or not
        r"[a-z0-9.]{1,20}@[a-z]{2,9}",  # needs a sign
        r"\d{3} \d{4}",  # needs a digit, of whatever script
        r"\bab\b",
        "\u65e5[\u672c\u66dc]",
    )
]
WORDS = [
    "assemble 123", "assembli-4567", "assembl", "fox1", "redfox2", "bluefox", "ox", "-x", "a@bc", "joe@example.org", "555 1234", "55 1234", "ab", "abc",
    "\u65e5\u672c", "\u65e5ab", "\u66dcab\u66dc", "\u0661\u0661\u0661 \u0661\u0661\u0661\u0661", "ASSEMBLE\u2013123", "f\u00f4x1", "sarin", "the",
]  # fmt: skip
GAPS = ["", " ", " ", "-", ". ", "\u200b", "\u2019", "_", "\n\n"]
PATTERNED = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=8).map(
    lambda parts: "".join(word + gap for word, gap in parts)
)
TEXTS = st.one_of(ANCHORED, PATTERNED, ODD, st.tuples(ANCHORED, ODD).map(" ".join))
WORDY = [(literal, rule) for literal, rule in PAIRS if literal.left and literal.text.isascii()]
"""Anchors that begin with a word of ASCII: those whose absence is proved by the words of a text."""


class Exact:
    """Tells which patterns match, where a sieve lets through what may."""

    def __init__(self, patterns):
        self.patterns = patterns
        self.sieve = Sieve([pattern.expression for pattern in patterns])

    def holds(self, said):
        found = any(pattern.findall(said) for pattern in self.patterns)
        assert not found or self.sieve.holds(said)
        return found


def both(wanted, patterns):
    return anchors(wanted, patterns), anchors_twin.Anchors(wanted, Exact(patterns))


WANTED = {
    "every kind": both(PAIRS, PATTERNS),
    "words": both(WORDY, PATTERNS),
    "words alone": both(WORDY, ()),
    "some patterns": both(WORDY, PATTERNS[:2]),
    "patterns": both((), PATTERNS[:4]),
    "nothing": both((), ()),
}


@settings(max_examples=600)
@given(st.sampled_from([*WANTED]), TEXTS, st.sampled_from([EVERY, BITS[Source.USER], 0]), st.sampled_from([MANY, 3]))
def test_both_say_alike_what_is_quiet(which, text, sources, most):
    one, two = WANTED[which]
    said = one.quiet(text, sources, most, None)
    if said == -1 and two._sieve.sieve.holds(folded(text)):
        return  # the gate let through what matches nothing after all
    assert said == two.quiet(text, sources, most, None)


@settings(max_examples=300)
@given(TEXTS)
def test_a_pattern_that_matches_is_always_let_through_its_gate(text):
    for pattern in PATTERNS:
        asked = []
        one = compiled.Anchors([], [], [], [], *gates([pattern]), lambda said, asked=asked: asked.append(said) or False)
        assert one.quiet(text, EVERY, MANY, None) == 0
        if pattern.findall(folded(text)):
            assert asked == [folded(text)]


@settings(max_examples=300)
@given(TEXTS, st.booleans())
def test_whatever_may_be_hidden_is_looked_at(text, hides):
    asked = []

    def disguised(given_text, said):
        asked.append((given_text, said))
        return hides

    one, _ = WANTED["nothing"]
    assert one.quiet(text, EVERY, MANY, disguised) == (-1 if asked and hides else 0)
    assert asked in ([], [(text, folded(text))])
    if not asked:
        assert not RuleSet([])._disguised(text, folded(text))


RULES = load_rules([shipped_rules()])[0]
OWN = Rule("S2.own", "S2", patterns=(Pattern.parse(r"\bassegra[nmo][a-z]{1,4} ?[0-9]{3,6}\b"),))


def test_ordinary_texts_are_proved_quiet(monkeypatch):
    rules = RuleSet([*RULES, OWN])
    prose = (
        "The committee met on Tuesday to talk about the garden, the library and the weather. My grandmother paints; "
        "everyone described the harvest, a letter came from the school, and it was \u201cvery long\u201d \u2013 they\u2019re glad. "
        "Ils sont tr\u00e8s contents de la ville. Die Br\u00fccke ist sch\u00f6n. \u6211\u4eec\u7684\u8001\u5e08\u5199\u4e86\u4e00\u5c01\u957f\u4fe1\u3002 "
    )
    monkeypatch.setattr(Sieve, "sift", lambda *_: pytest.fail("searched"))
    monkeypatch.setattr("guard.screening.ruleset.variants", lambda *_: pytest.fail("undone"))
    for text in (prose, prose * 10, prose.upper(), ""):
        assert rules.scan([Segment(Source.USER, text)]) == []


class _Unsure:
    """Never calls a text quiet."""

    def __init__(self, inner):
        self.fire = inner.fire

    def quiet(self, *_):
        return -1


_RULES = [*{rule.id: rule for _, rule in PAIRS}.values(), OWN]
FAST, SLOW = RuleSet(_RULES), RuleSet(_RULES)
SLOW._anchors = _Unsure(SLOW._anchors)


@settings(max_examples=300)
@given(TEXTS)
def test_a_rule_set_finds_what_it_finds_without_the_proof(text):
    segments = [Segment(Source.USER, text)]
    assert FAST.scan(segments) == SLOW.scan(segments)


def test_many_anchors_in_harmless_places_are_counted():
    rule = Rule("S9.x", "S9", (Literal("nerve agent"),), (Context((Literal("mix"), Literal("\u65e5")), 20),))
    one, two = both([(Literal("nerve agent"), rule)], ())
    for text in ("a nerve agent treaty. " * 63, "a nerve agent treaty. " * 500, "mixture of a nerve agent. " * 500):
        assert one.quiet(text, EVERY, MANY, None) == two.quiet(text, EVERY, MANY, None) == text.count("nerve agent")
        assert one.quiet(text, EVERY, 62, None) == two.quiet(text, EVERY, 62, None) == -1
    assert (
        one.quiet("mix the nerve agent", EVERY, MANY, None) == two.quiet("mix the nerve agent", EVERY, MANY, None) == -1
    )


def test_an_error_behind_the_proof_is_told():
    def broken(*_):
        raise RuntimeError("broken")

    one = compiled.Anchors([], [], [], [], *gates([Pattern.parse("[0-9]a")]), broken)
    with pytest.raises(RuntimeError, match="broken"):
        one.quiet("7a", EVERY, MANY, None)
    with pytest.raises(RuntimeError, match="broken"):
        one.quiet("cipher", EVERY, MANY, broken)
    with pytest.raises(TypeError):
        one.quiet(b"text", EVERY, MANY, None)
    with pytest.raises(TypeError):
        one.quiet("text", EVERY, MANY)
    for starts, tells in (([b"short"], bytes(130)), ([], b""), ((), bytes(130))):
        with pytest.raises(TypeError):
            compiled.Anchors([], [], [], [], starts, tells, broken)
