"""The field table and the surfaces against vLLM's own request models and routes."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from guard.licensing.capability import CAPABILITIES
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
HARMLESS = [
    (surface, field)
    for entry in yaml.safe_load((HERE / "harmless.yaml").read_text(encoding="utf-8"))
    for surface in entry.get("surfaces", TABLES)
    for field in entry["fields"]
]
"""Fields on which nothing rules; every entry of the file says why."""


def test_the_extract_covers_every_table():
    assert EXTRACT["fields"].keys() == TABLES.keys()


@pytest.mark.parametrize("surface", TABLES)
def test_every_field_of_vllm_is_in_the_table_and_no_other(surface):
    assert set(TABLES[surface]) == set(EXTRACT["fields"][surface])


@pytest.mark.parametrize("surface", TABLES)
def test_every_field_of_vllm_is_ruled_on_or_judged_harmless(surface):
    """A field that vLLM adds is neither: whoever adds it to the table decides which."""
    ruled = {name for name, field in TABLES[surface].items() if field.capability is not None}
    harmless = {field for where, field in HARMLESS if where == surface}
    assert set(EXTRACT["fields"][surface]) - ruled - harmless == set()


def test_nothing_is_judged_harmless_that_is_ruled_on_or_gone():
    for surface, field in HARMLESS:
        found = TABLES[surface].get(field)
        # A field may be ruled on where it forces or bounds something, and be an ordinary one elsewhere.
        assert found is None or found.capability is None, (surface, field)
    names = {name for table in TABLES.values() for name in table}
    assert {field for _, field in HARMLESS} <= names
    assert len(HARMLESS) == len(set(HARMLESS))


def test_capabilities_are_the_published_names():
    used = {field.capability for table in TABLES.values() for field in table.values()}
    assert used - {None} == CAPABILITIES.keys()


@pytest.mark.parametrize("surface", TABLES)
def test_the_published_fields_of_every_capability_are_those_of_the_table(surface):
    """``guard.licensing.capability`` names for people what ``guard.wire.fields`` rules on; parsers add a few uses."""
    ruled = {(field.capability, name) for name, field in TABLES[surface].items() if field.capability is not None}
    named = {
        (capability, field.partition(":")[0])
        for capability, known in CAPABILITIES.items()
        for field in known.fields.get("embeddings" if surface == "cohere_embed" else surface, ())
    }
    if surface == "cohere_embed":  # one name for two paths
        assert ruled - named <= {("length", "max_tokens")}
        return
    assert ruled - named == set()
    assert {name for _, name in named} <= TABLES[surface].keys()
    assert {(capability, name) for capability, name in named - ruled if name not in BY_PARSERS} == set()


BY_PARSERS = {"prompt", "prompt_embeds", "messages", "input", "echo"}
"""Fields that are a use by what is in them, which the parser of the surface sees."""


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
