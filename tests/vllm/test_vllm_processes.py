"""Guard inside a vLLM with two API processes: what one process knows is not the whole."""

from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from vllm_traffic import HELLO, users
from vllm_world import inside

from guard.cli.demo_scene.stage import LIMIT, LLAMA, QWEN

pytestmark = pytest.mark.vllm

USERS = 40


@pytest.fixture(scope="module")
def stage(installed, learnt, tmp_path_factory):
    with inside(tmp_path_factory.mktemp("processes"), installed, learnt, ("--api-server-count", "2")) as stage:
        yield stage


def ask(openai_client, model, user):
    """Return ``served``, or the code of the refusal."""
    try:
        openai_client.chat.completions.create(model=model, messages=HELLO, user=user, max_tokens=2)
    except openai.PermissionDeniedError as error:
        return error.code
    return "served"


def test_users_are_exact_over_both_processes(stage, openai_client):
    everybody = [f"user-{number}" for number in range(USERS)] * 3
    with ThreadPoolExecutor(16) as pool:
        served = list(pool.map(lambda user: ask(openai_client, LLAMA, user), everybody))
    assert served == ["served"] * len(everybody)
    guards = sorted(path.name for path in (stage.folder / "state" / "instances").iterdir())
    assert guards == ["guard-0.lock", "guard-1.lock"]
    assert users(stage) == USERS


def test_a_threshold_holds_over_both_processes(stage, openai_client):
    known = [f"known-{number}" for number in range(LIMIT)]
    assert [ask(openai_client, QWEN, user) for user in known] == ["served"] * LIMIT
    newcomers = [f"newcomer-{number}" for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        served = list(pool.map(lambda user: ask(openai_client, QWEN, user), newcomers))
        again = list(pool.map(lambda user: ask(openai_client, QWEN, user), known * 4))
    assert served == ["usage_threshold"] * len(newcomers)
    assert again == ["served"] * len(again)
