"""A score that reads along: where it may end the text, no word leaves before it is scored; else it holds nothing."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.findings import Action, Finding
from guard.screening.learned.learned import default
from guard.screening.rules import Context, Literal, Rule, Where
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Source

BOTH = frozenset(Direction)
RULES = RuleSet([
    Rule("S9.bomb", "S9", (Literal.parse("bad bomb"),), (Context((Literal.parse("make"),), 12, Where.BEFORE),), directions=BOTH),
    Rule("S9.late", "S9", (Literal.parse("nice*"),), (Context((Literal.parse("bad"),), 12, Where.AFTER),), directions=BOTH),
    Rule("S7.word", "S7", (Literal.parse("my secret word"),), directions=BOTH, action=Action.MASK, mask="[word]", acts=True),
])  # fmt: skip
HOLDING = frozenset({"own", "S9", "S1"})
WORDS = ["bad", "nice", "make", "bomb", "my secret", "word", "12", "ok", "é", "日本", "_", "bad bomb"]
GAPS = ["", " ", " ", "  ", ", ", "\n\n", "\u200b", "===="]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=12).map(
    lambda parts: "".join(word + gap for word, gap in parts)
)
CUTS = st.lists(st.integers(0, 120), max_size=10)


class Bads:
    """Ends the text at the third word ``bad``, in the category it is told; a word ends where no letter follows."""

    def __init__(self, category):
        self.category, self.seen, self.scored, self.blocked, self.word, self.bads = category, 0, 0, None, "", 0

    @property
    def findings(self):
        return [] if self.blocked is None else [self.blocked]

    def feed(self, text):
        for character in text:
            if self.blocked is not None:
                return
            if character.isascii() and character.isalpha():
                self.word += character
            else:
                self.end()
            self.seen += 1

    def end(self):
        if self.word:
            self.bads += self.word == "bad"
            if self.bads == 3:
                self.blocked = Finding("learned.S1", self.category, self.seen - 3, self.seen, Source.OUTPUT)
                return
            self.word, self.scored = "", self.seen

    def finish(self):
        self.end()


def pieces(text, cuts):
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[low:high] for low, high in pairwise(at)]


def streamed(parts, score, most=Action.BLOCK, blocking=HOLDING):
    screen, track = RULES.open(Source.OUTPUT, blocking, score, most), [(0, 0)]
    for part in parts:
        screen.feed(part)
        track.append((screen.seen, screen.cleared))
    screen.finish()
    return (screen.blocked, screen.cleared, screen.findings, screen.masks.spans), track


@settings(max_examples=100)
@given(TEXTS, CUTS, st.sampled_from(["S1", "S2"]))
def test_however_a_text_is_split_the_outcome_is_the_same(text, cuts, category):
    outcome, track = streamed(list(text), Bads(category))
    assert streamed([text], Bads(category))[0] == outcome
    split, other = streamed(pieces(text, cuts), Bads(category))
    assert split == outcome
    cleared = dict(track)
    assert all(cleared[seen] == released for seen, released in other)
    assert [released for _, released in track] == sorted(released for _, released in track)
    blocked, released, _, _ = outcome
    assert (blocked is None) == (released == len(text))
    assert blocked is None or released <= blocked.start or category == blocked.category == "S1"


def test_no_word_leaves_before_it_is_scored_and_what_is_none_waits_for_nothing():
    _, track = streamed(["nic", "e", " ok", "ay,", " ==", "==", "\n", "ok"], Bads("S1"), blocking=frozenset({"S1"}))
    assert [cleared for _, cleared in track[1:]] == [0, 0, 5, 10, 13, 15, 16, 16]


def test_a_score_that_ends_the_text_ends_it_before_the_word():
    (blocked, cleared, findings, _), _ = streamed(["bad, bad and bad", " again"], Bads("S1"))
    assert (blocked.rule, cleared, len(findings)) == ("learned.S1", 13, 1)
    (blocked, cleared, _, _), _ = streamed(["bad, bad and bad"], Bads("S1"))
    assert (blocked.rule, cleared) == ("learned.S1", 13)


def test_in_a_category_that_does_not_block_it_is_noted_and_holds_nothing_any_more():
    (blocked, cleared, findings, _), track = streamed(["bad bad bad ", "go on", "ok"], Bads("S2"))
    assert (blocked, cleared, [finding.rule for finding in findings]) == (None, 19, ["learned.S1"])
    assert track[-2:] == [(17, 17), (19, 19)]


def test_where_it_only_flags_it_holds_nothing_and_no_more_is_done():
    (blocked, cleared, [finding], _), track = streamed(
        ["bad ba", "d bad ok", "ay"], Bads("S1"), Action.FLAG, frozenset({"S1"})
    )
    assert (blocked, cleared, finding.most) == (None, 16, Action.FLAG)
    assert all(seen == cleared for seen, cleared in track)


def test_what_a_rule_ended_is_scored_no_further():
    for parts in (["make bad bomb bad bad bad"], list("make bad bomb bad bad bad")):
        score = Bads("S1")
        outcome, _ = streamed(parts, score, Action.FLAG)
        assert outcome[0].rule == "S9.bomb"
        assert score.seen == len("make bad bomb ")


@settings(max_examples=30)
@given(TEXTS, CUTS, st.sampled_from([Action.FLAG, Action.BLOCK]))
def test_the_learned_tier_reads_every_split_alike(text, cuts, most):
    def opened():
        return default().open(Source.OUTPUT, blocks=most is Action.BLOCK)

    asked = "here is how to kill your neighbor and hide the body. " + text + " then poison the water supply of the town"
    outcome, _ = streamed(list(asked), opened(), most)
    assert streamed([asked], opened(), most)[0] == streamed(pieces(asked, cuts), opened(), most)[0] == outcome
