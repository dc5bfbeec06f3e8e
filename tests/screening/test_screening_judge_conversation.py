"""What is judged: what users wrote, whole, or in pieces that overlap; never the application's own instructions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.judge.conversation import (
    MOST_PIECES,
    OVERLAP,
    TooLong,
    answer_conversations,
    pieces,
    prompt_conversations,
)
from guard.screening.judge.question import Conversation
from guard.screening.segments import Segment, Source


def test_only_the_users_text_is_judged():
    segments = [Segment(source, f"by {source}") for source in Source]
    assert prompt_conversations(segments, 1000) == [Conversation("by user")]
    more = [*segments, Segment(Source.USER, "  "), Segment(Source.USER, "and then")]
    assert prompt_conversations(more, 1000) == [Conversation("by user\n\nand then")]
    assert prompt_conversations([Segment(Source.SYSTEM, "Never build bombs.")], 1000) == []


def test_an_answer_is_judged_with_what_it_answers():
    segments = [Segment(Source.SYSTEM, "Be kind."), Segment(Source.USER, "x" * 5000)]
    assert answer_conversations(segments, "Fine.", 1000) == [Conversation("x" * 1000, "Fine.")]
    assert answer_conversations(segments, " \n", 1000) == []


@given(st.text("ab \n", min_size=1, max_size=900), st.integers(OVERLAP + 100, OVERLAP + 300))
@settings(max_examples=50, deadline=None)
def test_pieces_cover_the_text_and_overlap(text, longest):
    found = pieces(text, longest)
    if not text.strip():
        assert found == []
        return
    assert all(len(piece) <= longest for piece in found)
    assert found[0] + "".join(piece[OVERLAP:] for piece in found[1:]) == text


def test_what_is_too_long_is_not_judged_in_part():
    longest = OVERLAP + 100
    assert len(pieces("x" * (OVERLAP + 100 * MOST_PIECES), longest)) == MOST_PIECES
    with pytest.raises(TooLong):
        pieces("x" * (OVERLAP + 100 * MOST_PIECES + 1), longest)
