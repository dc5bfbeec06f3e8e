"""One vLLM without Guard for the whole session: the upstream of the sidecar, and what answers are compared with."""

import os
from pathlib import Path

import anthropic
import openai
import pytest
from vllm_world import Installed, Learnt, start

from guard.cli.demo_scene import vllm_server
from guard.cli.demo_scene.deployment import find_passage


@pytest.fixture(scope="session")
def installed():
    python = os.environ.get("GUARD_VLLM_PYTHON")
    if not python:
        pytest.fail("GUARD_VLLM_PYTHON is not set; `make test-vllm` installs vLLM and sets it")
    command = vllm_server.find(Path(python).parent.parent)
    assert command is not None, f"no vllm command beside {python}"
    return Installed(command, vllm_server.tiny_model(command))


@pytest.fixture(scope="session")
def unguarded(installed, tmp_path_factory):
    with start(installed, tmp_path_factory.mktemp("unguarded")) as server:
        yield server.wait_ready(vllm_server.READY_SECONDS).base


@pytest.fixture(scope="session")
def learnt(unguarded):
    return Learnt(*find_passage(unguarded))


@pytest.fixture(scope="session")
def past_guard(unguarded):
    """The official client, pointed at vLLM itself."""
    with openai.OpenAI(base_url=f"{unguarded}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def openai_client(stage):
    with openai.OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def anthropic_client(stage):
    with anthropic.Anthropic(base_url=stage.url, api_key="any", max_retries=0) as client:
        yield client
