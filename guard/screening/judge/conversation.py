"""From the segments of a request to what is judged of it: the user's text, in pieces if it is long."""

from collections.abc import Sequence

from guard.screening.judge.question import Conversation
from guard.screening.segments import Segment, Source

MOST_PIECES = 8
"""Longer text is not judged at all: a judge that saw part of it would pass the rest."""
OVERLAP = 200
"""Characters that a piece repeats of the one before it, so that a request is not cut in two."""


class TooLong(Exception):
    """The text has more than MOST_PIECES pieces."""


def user_text(segments: Sequence[Segment]) -> str:
    """Return what users wrote in a request, in order: system prompts, tools and earlier answers are not judged.

    A judge that is shown the application's own instructions judges those.
    """
    return "\n\n".join(segment.text for segment in segments if segment.source is Source.USER and segment.text.strip())


def prompt_conversations(segments: Sequence[Segment], longest: int) -> list[Conversation]:
    """Return what to judge of a prompt; empty if no user wrote anything. Raises TooLong."""
    return [Conversation(piece) for piece in pieces(user_text(segments), longest)]


def answer_conversations(segments: Sequence[Segment], answer: str, longest: int) -> list[Conversation]:
    """Return what to judge of ``answer``, each piece with the end of what it answers. Raises TooLong."""
    asked = user_text(segments)[-longest:]
    return [Conversation(asked, piece) for piece in pieces(answer, longest)]


def pieces(text: str, longest: int) -> list[str]:
    """Return ``text`` in pieces of at most ``longest`` characters (more than OVERLAP). Raises TooLong."""
    if not text.strip():
        return []
    if len(text) <= longest:
        return [text]
    step = longest - OVERLAP
    found = [text[start : start + longest] for start in range(0, len(text) - OVERLAP, step)]
    if len(found) > MOST_PIECES:
        raise TooLong
    return found
