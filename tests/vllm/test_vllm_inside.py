"""Guard inside vLLM, as its outermost middleware."""

import pytest
from vllm_traffic import Traffic
from vllm_world import inside

from guard.cli.demo_scene.scene import SCENE, play

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def stage(installed, learnt, tmp_path_factory):
    with inside(tmp_path_factory.mktemp("inside"), installed, learnt) as stage:
        yield stage


class TestInside(Traffic):
    pass


def test_the_whole_scene(installed, learnt, tmp_path):
    with inside(tmp_path, installed, learnt) as stage:
        outcomes = {step.name: play(step, stage) for step in SCENE}
    assert {name: outcome for name, outcome in outcomes.items() if not outcome.passed} == {}
    assert len(outcomes) == len(SCENE)
