"""What of a finished request is handed to behavior over time: the last prompt, the ends of long texts, no conversation."""

from dataclasses import replace

import pytest
from exchange_world import World

from guard.behavior.ladder import BehaviorPolicy
from guard.behavior.observation import LONGEST
from guard.exchange.identity import Assurance, Identity
from guard.exchange.observe import PROMPTS, observe
from guard.exchange.record import ServedChoice
from guard.screening.segments import Segment, Source

ALICE = Identity("jwt", Assurance.VERIFIED, 7)


class Taken(list):
    def observe(self, observation, policy):
        self.append(observation)


def observed(segments=None, surface="chat", identity=ALICE, answered=True, served=(), policy=True, **inquiry):
    world, taken = World(behavior=BehaviorPolicy() if policy else None), Taken()
    world.services = replace(world.services, behavior=taken)
    exchange = world.exchange(segments=segments or user("hello"), **inquiry)
    exchange.inquiry.surface, exchange.identity, exchange.answered = surface, identity, answered
    observe(exchange, served)
    return taken


def user(*texts, path="messages[{}].content"):
    return [Segment(Source.USER, text, path.format(place)) for place, text in enumerate(texts)]


def test_of_a_conversation_the_last_prompt_and_the_instructions_are_handed_over():
    system = Segment(Source.SYSTEM, "be brief", "messages[0].content")
    again = Segment(Source.USER, "read together", "messages[1].content", again=True)
    (told,) = observed([system, *user("first", "last"), again], served=[ServedChoice(0, ("x",), "stop", 9, 30)])
    assert (told.identity, told.prompt, told.instructions, told.tokens) == (7, "last", ("be brief",), 30)


def test_of_a_body_only_what_is_looked_at_waits():
    document = {"model": "tiny", "messages": ["long"] * 99, "seed": 4, "tools": []}
    assert observed(document=document)[0].document == {"seed": 4, "tools": []}
    assert observed(document={"model": "tiny", "messages": []})[0].document == {}


def test_of_a_long_text_its_ends_wait():
    long = "a" * LONGEST + "b" * LONGEST
    (told,) = observed([Segment(Source.SYSTEM, long, "system"), *user(long)])
    assert told.size <= 2 * (LONGEST + 1)
    assert told.prompt.strip("a").strip() == "b" * (LONGEST // 2)
    assert told.instructions == (told.prompt,)


def test_a_list_of_prompts_is_as_many_requests_and_no_more_than_are_looked_at():
    many = user(*map(str, range(PROMPTS + 4)), path="prompt[{}]")
    told = observed(many, "completions", served=[ServedChoice(0, ("x" * 4 * PROMPTS,), "stop", None, None)])
    assert [each.prompt for each in told] == [str(place) for place in range(4, PROMPTS + 4)]
    assert {each.tokens for each in told} == {1}


@pytest.mark.parametrize("how", [
    {"policy": False}, {"answered": False}, {"identity": ALICE._replace(key=None)},
    {"identity": ALICE._replace(purpose="train:tiny")}, {"segments": [Segment(Source.SYSTEM, "alone", "system")]},
])  # fmt: skip
def test_nobody_is_watched_who_need_not_be(how):
    assert observed(**how) == []
