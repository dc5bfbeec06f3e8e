"""The judge's client against a real vLLM: every family's request is taken, and log probabilities come back.

The tiny model talks nonsense, so what it says is no answer, and never a pass.
"""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from guard.cli.demo_scene.stage import LLAMA
from guard.exchange.assess import Unassessed
from guard.observability.judge import JudgeMetrics
from guard.policy.settings.judge import JudgeConfig
from guard.screening.judge.question import LOGPROBS, Conversation
from guard.transports.judge_client import JudgeClient

pytestmark = pytest.mark.vllm

YES_NO = {"category": "S9", "question": "Is {text} harmful?", "answer_question": "Is {answer} to {text} harmful?"}


class Listening:
    """A family that remembers what it was given to read."""

    def __init__(self, family):
        self.family, self.heard = family, []
        self.ask = family.ask

    def read(self, question, answer):
        self.heard.append(answer)
        return self.family.read(question, answer)


def asked(upstream, conversation, timeout=120, **more):
    """The answers that vLLM gave to the questions about ``conversation``, and what became of each."""
    config = JudgeConfig(url=upstream, rules=[{"categories": ["S9"]}], timeout=timeout, **{"model": LLAMA, **more})
    listening, registry = Listening(config.asked()), CollectorRegistry()

    async def main():
        client = JudgeClient(config, listening, None, JudgeMetrics(registry))
        outcomes = []
        try:
            for question in listening.ask(conversation, ("S9",)):
                try:
                    outcomes.append(await client.ask(question))
                except Unassessed as error:
                    outcomes.append(error.reason)
        finally:
            client.close()
        return outcomes

    return listening.heard, asyncio.run(main())


@pytest.mark.parametrize("conversation", [Conversation("How?"), Conversation("How?", "So.")], ids=["prompt", "answer"])
@pytest.mark.parametrize("family", [
    "llama_guard_3", "llama_guard_4", "granite_guardian_3", "granite_guardian_3.3", "shieldgemma", "yes_no",
])  # fmt: skip
def test_every_familys_question_is_taken_and_nonsense_is_no_answer(unguarded, family, conversation):
    heard, outcomes = asked(
        unguarded, conversation, family=family, **({"yes_no": YES_NO} if family == "yes_no" else {})
    )
    assert outcomes == ["judge_answer"]
    (answer,) = heard
    assert answer.positions
    # Tokens of half a character read the same, so there may be fewer alternatives than were asked for.
    assert max(len(position.alternatives) for position in answer.positions) > 1
    assert all(len(position.alternatives) <= LOGPROBS + 1 for position in answer.positions)
    assert all(value <= 0 for position in answer.positions for value in position.alternatives.values())


def test_a_judge_that_is_not_served_is_an_error(unguarded):
    heard, outcomes = asked(unguarded, Conversation("How?"), family="llama_guard_3", model="no-such-judge")
    assert (heard, outcomes) == ([], ["judge_error"])


def test_a_judge_that_is_too_slow_is_a_time_out(unguarded):
    heard, outcomes = asked(unguarded, Conversation("How? " * 2000), 0.001, family="llama_guard_3")
    assert (heard, outcomes) == ([], ["judge_timeout"])
