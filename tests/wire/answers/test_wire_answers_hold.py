"""Events wait for their texts, in order, and no longer than they must."""

import pytest
from wire_toy_gate import ToyGate

from guard.wire.answers.hold import CONTEXT, Lane
from guard.wire.dialect import Channel, GarbledAnswer


class Story:
    """A lane whose events are named after the text they bring."""

    def __init__(self, *words: str, limit: int = 10_000) -> None:
        self.gate = ToyGate(*words)
        self.out: list[bytes] = []
        self.lane = Lane(0, self.gate, self.out, limit)

    def say(self, name: str, piece: str) -> list[bytes]:
        self.lane.say(name, piece)
        self.lane.offer(f"{name}={piece}".encode())
        return self.left()

    def left(self) -> list[bytes]:
        left, self.out[:] = list(self.out), []
        return left


def test_an_event_waits_for_its_last_character_and_those_behind_it_wait_too():
    story = Story("abc")
    assert story.say("content", "x") == [b"content=x"]
    assert story.say("content", "ab") == []
    assert story.say("content", "x") == [b"content=ab", b"content=x"]


def test_an_event_without_text_waits_its_turn():
    story = Story("abc")
    story.say("content", "a")
    story.lane.offer(b"bare")
    assert story.left() == []
    assert story.say("content", ".") == [b"content=a", b"bare", b"content=."]


def test_a_text_ends_when_another_begins():
    story = Story("abc")
    assert story.say("reasoning", "so ab") == []
    assert story.say("content", "hi") == [b"reasoning=so ab", b"content=hi"]
    assert Channel(0, "reasoning") in story.gate.finished


def test_a_text_that_resumes_is_seen_with_what_it_said_before():
    story = Story("abc")
    story.say("content", "ab")
    story.say("reasoning", "-")
    story.say("content", "c")
    assert story.gate.blocked(0) is not None
    assert story.gate.texts[Channel(0, "content.2")] == "abc"


def test_only_the_end_of_a_long_text_is_seen_again():
    story = Story("abc")
    story.say("content", "x" * 5000)
    story.say("reasoning", "-")
    story.say("content", "y")
    assert story.gate.texts[Channel(0, "content.2")] == "x" * CONTEXT + "y"


def test_going_back_and_forth_clears_nothing_before_the_end():
    story = Story("abc")
    story.say("content", "-")
    story.say("reasoning", "-")
    assert story.say("content", "a") == []
    assert story.say("reasoning", "b") == []
    story.lane.finish()
    story.lane.drain()
    assert story.left() == [b"content=a", b"reasoning=b"]


def test_tokens_beside_the_text_hold_their_event_and_end_no_text():
    story = Story("abc")
    story.lane.say("content", "x")
    story.lane.beside("logprobs", "ab")
    story.lane.offer(b"one")
    assert story.left() == []
    story.lane.say("content", "y")
    story.lane.beside("logprobs", "!")
    story.lane.offer(b"two")
    assert story.left() == [b"one", b"two"]
    assert not story.gate.finished


def test_an_event_that_is_held_waits_for_the_end_of_its_choice():
    story = Story()
    story.lane.offer(b"ids", held=True)
    assert story.say("content", "x") == []
    story.lane.finish()
    story.lane.drain()
    assert story.left() == [b"ids", b"content=x"]


def test_a_cut_stops_in_the_middle_of_the_first_event_that_is_not_clear():
    story = Story("abc")
    story.say("content", "x a")
    story.lane.say("content", "bc")
    story.lane.say("reasoning", "never")
    [first] = story.lane.cut(b"last")
    assert (first.raw, first.whole) == (b"content=x a", False)
    assert first.budget.take("content", "x a") == "x "
    assert story.lane.read() == ("x ",)
    assert story.lane.over


def test_a_string_that_comes_whole_gives_no_allowance_to_a_text_of_its_name():
    """An annotation that is clear must not let characters of the blocked text out."""
    story = Story("abc")
    story.lane.whole("content", "twelve chars")
    story.lane.say("content", "abc")
    [only] = story.lane.cut(b"event")
    assert only.budget.take("content", "abc") == ""


def test_what_waits_is_bounded():
    story = Story("abc", limit=40)
    story.say("content", "a")
    for _ in range(3):
        story.lane.offer(b"0123456789")
    with pytest.raises(GarbledAnswer, match="more than 40 bytes"):
        story.lane.offer(b"0123456789")


def test_what_was_released_is_told_per_text():
    story = Story("abc")
    for name, piece in (
        ("reasoning", "so"),
        ("content", "x"),
        ("content", "y"),
        ("tool.0.name", "f"),
        ("content", "a"),
    ):
        story.say(name, piece)
    assert story.lane.read() == ("so", "xy", "f")
