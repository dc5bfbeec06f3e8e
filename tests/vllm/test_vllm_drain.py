"""The end of a vLLM with Guard inside: vLLM decides how long answers may take, Guard closes its stores after them."""

import json
import os
import signal
import sqlite3

import openai
import pytest
from vllm_traffic import HELLO
from vllm_world import MIDDLEWARE, start

from guard.cli.demo_scene import vllm_server
from guard.cli.demo_scene.stage import LLAMA

pytestmark = pytest.mark.vllm


def test_a_stream_in_flight_finishes_and_everything_is_closed_in_order(installed, tmp_path):
    config, state = tmp_path / "guard.yaml", tmp_path / "state"
    config.write_text(f"admin: 'off'\nstate_dir: {state}\nmodels: {{{LLAMA}: {{license: llama-2}}}}\n")
    options = (*MIDDLEWARE, "--shutdown-timeout", "120")
    with start(installed, tmp_path, options, GUARD_CONFIG=str(config)) as server:
        server.wait_ready(vllm_server.READY_SECONDS)
        with openai.OpenAI(base_url=f"{server.base}/v1", api_key="any", max_retries=0) as client:
            stream = client.chat.completions.create(
                model=LLAMA, messages=HELLO, user="alice", max_tokens=1000, stream=True, extra_body={"ignore_eos": True}
            )
            next(stream)
            os.kill(server.pid, signal.SIGTERM)
            endings = [choice.finish_reason for chunk in stream for choice in chunk.choices if choice.finish_reason]
        assert endings == ["length"]
        assert server._process.wait(120) == 0
    with sqlite3.connect(state / "ledger.db") as ledger:
        assert ledger.execute("SELECT count(*) FROM sightings").fetchone() == (1,)
    ledger.close()
    kinds = [json.loads(line)["kind"] for line in (state / "audit" / "guard-0.jsonl").read_text().splitlines()]
    assert "stop" in kinds
    assert kinds[-1] == "close"
