"""A text made to be slow is not checked, and says so; it is never passed."""

import pytest

from guard.screening.automaton import MOST_MATCHES, TooManyMatches
from guard.screening.rules import Literal, Rule
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Segment, Source


@pytest.fixture
def rules():
    return RuleSet(
        [
            Rule(
                id="S1.many",
                category="S1",
                directions=frozenset({Direction.PROMPT}),
                anchors=(Literal.parse("one two three"),),
            )
        ]
    )


def text(matches):
    return Segment(Source.USER, "one two three " * matches)


def test_a_text_of_as_many_matches_as_prose_could_hold_is_checked(rules):
    assert len(rules.scan([text(MOST_MATCHES - 1)])) == 1


def test_beyond_that_it_is_not_checked_in_one_segment_or_many(rules):
    with pytest.raises(TooManyMatches):
        rules.scan([text(MOST_MATCHES + 1)])
    with pytest.raises(TooManyMatches):
        rules.scan([text(MOST_MATCHES // 4 + 1)] * 4)
