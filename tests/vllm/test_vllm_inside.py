"""Guard inside vLLM, as its outermost middleware."""

import openai
import pytest
from vllm_traffic import HELLO, Traffic, wait_for
from vllm_world import inside

from guard.cli.demo_scene.scene import SCENE, play, policy_hash
from guard.cli.demo_scene.stage import LIMIT, LLAMA, QWEN

pytestmark = pytest.mark.vllm

RELOADED = "guard_policy_last_reload_successful"


@pytest.fixture(scope="module")
def stage(installed, learnt, tmp_path_factory):
    with inside(tmp_path_factory.mktemp("inside"), installed, learnt) as stage:
        yield stage


class TestInside(Traffic):
    def test_a_policy_changes_while_answers_are_on_their_way(self, stage, openai_client):
        def served(user):
            try:
                openai_client.chat.completions.create(model=QWEN, messages=HELLO, user=user, max_tokens=2)
            except openai.PermissionDeniedError as error:
                return error.code != "usage_threshold"
            return True

        settings, usage = dict(stage.settings), stage.settings["usage"]
        assert [served(f"user-{number}") for number in range(LIMIT + 1)] == [True] * LIMIT + [False]
        before = policy_hash(stage)
        stream = openai_client.chat.completions.create(
            model=LLAMA, messages=HELLO, max_tokens=900, temperature=0, stream=True, extra_body={"ignore_eos": True}
        )
        try:
            raised = {"usage": {**usage, "limits": {"qwen-2024": LIMIT + 1}}}
            stage.configure(**raised, confirm=[f"usage.limits.qwen-2024: {LIMIT} -> {LIMIT + 1}"])
            took = wait_for(lambda: policy_hash(stage) != before)
            print(f"in force inside vLLM after {took:.1f} s")  # shown by pytest -rP
            assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "length"
            assert served(f"user-{LIMIT}")
            assert not served("one-too-many")
            good = policy_hash(stage)
            stage.configure(mode="maybe")
            wait_for(lambda: set(stage.metric(RELOADED).values()) == {0})
            assert (policy_hash(stage), served("user-0")) == (good, True)
            answer = stage.ask_admin("/-/reload", "POST")
            assert (answer.status, answer.json()["ok"]) == (422, False)
            assert "mode: 'maybe'" in answer.json()["problems"][0]
        finally:
            stage.settings = settings
            stage.configure()
            wait_for(lambda: set(stage.metric(RELOADED).values()) == {1} and policy_hash(stage) == before)


def test_the_whole_scene(installed, learnt, tmp_path):
    with inside(tmp_path, installed, learnt) as stage:
        outcomes = {step.name: play(step, stage) for step in SCENE}
    assert {name: outcome for name, outcome in outcomes.items() if not outcome.passed} == {}
    assert len(outcomes) == len(SCENE)
