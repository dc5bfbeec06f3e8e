"""Guard as a sidecar before a real vLLM."""

import re
import time
import urllib.request

import pytest
from vllm_traffic import HELLO, Traffic
from vllm_world import before

from guard.cli.demo_scene.scene import SCENE, play
from guard.cli.demo_scene.stage import LLAMA

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def stage(unguarded, learnt, tmp_path_factory):
    with before(tmp_path_factory.mktemp("sidecar"), unguarded, learnt) as stage:
        yield stage


class TestSidecar(Traffic):
    def test_a_client_that_leaves_stops_the_generation(self, unguarded, openai_client):
        stream = openai_client.chat.completions.create(
            model=LLAMA, messages=HELLO, max_tokens=900, stream=True, extra_body={"ignore_eos": True}
        )
        next(iter(stream))
        assert running(unguarded) == 1
        stream.close()
        deadline = time.monotonic() + 2
        while running(unguarded) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running(unguarded) == 0


def running(upstream):
    """Requests that vLLM is working on."""
    with urllib.request.urlopen(f"{upstream}/metrics") as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(r"^vllm:num_requests_running\{.*\} (\S+)$", text, re.MULTILINE))


def test_the_whole_scene(unguarded, learnt, tmp_path):
    with before(tmp_path, unguarded, learnt) as stage:
        outcomes = {step.name: play(step, stage) for step in SCENE}
    assert {name: outcome for name, outcome in outcomes.items() if not outcome.passed} == {}
    assert len(outcomes) == len(SCENE)
