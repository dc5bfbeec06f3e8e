"""The field table and the surfaces against vLLM's own request models and routes."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from guard.wire import fields, surfaces

HERE = Path(__file__).parent
EXTRACT = json.loads((HERE / "vllm-fields.json").read_text(encoding="utf-8"))
TABLES = {
    "chat": fields.CHAT,
    "batch": fields.BATCH,
    "completions": fields.COMPLETIONS,
    "responses": fields.RESPONSES,
    "messages": fields.MESSAGES,
    "count_tokens": fields.COUNT_TOKENS,
    "embeddings": fields.EMBEDDINGS,
    "cohere_embed": fields.COHERE_EMBED,
    "pooling": fields.POOLING,
    "classify": fields.CLASSIFY,
    "score": fields.SCORE,
    "rerank": fields.RERANK,
    "tokenize": fields.TOKENIZE,
    "detokenize": fields.DETOKENIZE,
}
CAPABILITIES = {
    "logprobs", "prompt_logprobs", "logprob_token_ids", "token_ids", "echo", "samples", "logit_bias", "guided",
    "prompt_embeds", "kv_transfer", "routed_experts", "chat_template", "stored", "extra_args", "watermark_opt_out",
    "prefill", "length", "caller_ids",
}  # fmt: skip


def test_the_extract_covers_every_table():
    assert EXTRACT["fields"].keys() == TABLES.keys()


@pytest.mark.parametrize("surface", TABLES)
def test_every_field_of_vllm_is_in_the_table_and_no_other(surface):
    assert set(TABLES[surface]) == set(EXTRACT["fields"][surface])


def test_capabilities_are_the_published_names():
    used = {field.capability for table in TABLES.values() for field in table.values()}
    assert used - {None} == CAPABILITIES


@pytest.mark.parametrize("route", EXTRACT["routes"])
def test_every_route_of_vllm_is_served_or_refused_by_name(route):
    method, path = route.split()
    match = surfaces.match(method, path.replace("{response_id}", "resp_1"))
    unknown = surfaces.match("POST", "/no/such/path")
    assert match != unknown
    if isinstance(match, surfaces.Surface):
        assert method == "POST"
    if isinstance(match, surfaces.Passthrough):
        assert method == "GET"


def test_every_path_served_is_one_of_vllm():
    routes = set(EXTRACT["routes"])
    assert {f"POST {path}" for path in surfaces.SURFACES} <= routes
    mounted = {"/metrics"}  # a mounted app, which the extract of decorated routes does not hold
    assert {f"GET {path}" for path in surfaces.PASSTHROUGH if path not in mounted} <= routes


@pytest.mark.vllm
def test_the_installed_vllm_has_the_fields_and_routes_of_the_extract():
    python = os.environ.get("GUARD_VLLM_PYTHON")
    if not python:
        pytest.skip("GUARD_VLLM_PYTHON is unset: it names the interpreter of an installed vLLM")
    run = subprocess.run(
        [python, str(HERE / "extract_fields.py")], capture_output=True, text=True, check=True, timeout=300, cwd="/"
    )
    installed = json.loads(run.stdout[run.stdout.index("{") :])
    assert installed["fields"] == EXTRACT["fields"]
    assert installed["routes"] == EXTRACT["routes"]
