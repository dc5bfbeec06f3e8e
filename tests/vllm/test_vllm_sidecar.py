"""Guard as a sidecar before a real vLLM."""

import re
import urllib.request

import pytest
from vllm_traffic import HELLO, Traffic, wait_for
from vllm_world import CONTEXT, before

from guard.cli.demo_scene.scene import SCENE, play
from guard.cli.demo_scene.stage import LLAMA

pytestmark = pytest.mark.vllm

RUNNING, GENERATED, FINISHED = "vllm:num_requests_running", "vllm:generation_tokens_total", "vllm:request_success_total"
TOKENS = CONTEXT - 1000
"""A minute of generation on two cores: far more than a starved machine takes to see that a client has left."""


@pytest.fixture(scope="module")
def stage(unguarded, learnt, tmp_path_factory):
    with before(tmp_path_factory.mktemp("sidecar"), unguarded, learnt) as stage:
        yield stage


class TestSidecar(Traffic):
    def test_a_client_that_leaves_stops_the_generation(self, unguarded, openai_client):
        wait_for(lambda: measured(unguarded, RUNNING) == 0)
        generated, finished = measured(unguarded, GENERATED), measured(unguarded, FINISHED)
        stream = openai_client.chat.completions.create(
            model=LLAMA, messages=HELLO, max_tokens=TOKENS, stream=True, extra_body={"ignore_eos": True}
        )
        next(iter(stream))
        wait_for(lambda: measured(unguarded, GENERATED) > generated)  # vLLM counts after it has handed the chunk over
        stream.close()
        wait_for(lambda: measured(unguarded, RUNNING) == 0)
        # Whether it ended by itself is told by vLLM's own counters, which an aborted request never reaches.
        assert measured(unguarded, FINISHED) == finished
        assert measured(unguarded, GENERATED) < generated + TOKENS


def measured(upstream, name):
    """The sum of vLLM's samples of that name."""
    with urllib.request.urlopen(f"{upstream}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^{name}\{{.*\}} (\S+)$", text, re.MULTILINE))


def test_the_whole_scene(unguarded, learnt, tmp_path):
    with before(tmp_path, unguarded, learnt) as stage:
        outcomes = {step.name: play(step, stage) for step in SCENE}
    assert {name: outcome for name, outcome in outcomes.items() if not outcome.passed} == {}
    assert len(outcomes) == len(SCENE)
