"""Embeddings of a real vLLM through Guard: served without another setting, until the operator closes the surface."""

import openai
import pytest
from vllm_traffic import users
from vllm_world import NAMES, before

from guard.cli.demo_scene import vllm_server
from guard.cli.demo_scene.process import free_port
from guard.cli.demo_scene.scene import FORBIDDEN
from guard.cli.demo_scene.stage import LLAMA

pytestmark = pytest.mark.vllm

POOLING = ("--runner", "pooling", "--convert", "embed")


@pytest.fixture(scope="module")
def upstream(installed, tmp_path_factory):
    log = tmp_path_factory.mktemp("pooling") / "vllm.log"
    server = vllm_server.start(installed.command, installed.model, NAMES, free_port(), log, POOLING)
    with server:
        yield server.wait_ready(vllm_server.READY_SECONDS).base


def test_embeddings(upstream, learnt, tmp_path):
    with before(tmp_path, upstream, learnt) as stage:
        client = openai.OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=0)
        past_guard = openai.OpenAI(base_url=f"{upstream}/v1", api_key="any", max_retries=0)
        with client, past_guard:
            for more in ({}, {"encoding_format": "float"}):
                asked = {"model": LLAMA, "input": ["one", "two"], **more}
                expected = [entry.embedding for entry in past_guard.embeddings.create(**asked).data]
                assert [entry.embedding for entry in client.embeddings.create(**asked, user="user-1").data] == expected
            assert users(stage) == 1
            with pytest.raises(openai.PermissionDeniedError) as refused:
                client.embeddings.create(model=LLAMA, input=["one", FORBIDDEN])
            assert refused.value.code == "aup"


def test_closed_where_the_operator_says_so(upstream, learnt, tmp_path):
    with before(tmp_path, upstream, learnt, surface={"enabled": []}) as stage:
        client = openai.OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=0)
        with client, pytest.raises(openai.PermissionDeniedError) as refused:
            client.embeddings.create(model=LLAMA, input="one")
    assert refused.value.code == "surface_denied"
