"""The rooms keep their walls, and the docs mention everything that operators and clients meet."""

import ast
import re
from pathlib import Path

import pytest

from guard.exchange.refusal import Code

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "guard"
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}

CORE = ("exchange", "screening", "licensing", "usage", "provenance", "evidence", "behavior")
OUTER = ("transports", "wire", "policy", "observability", "console", "cli")
BANNED_IN_CORE = {"asyncio", "starlette", "redis", "yaml", "prometheus_client", "pydantic"}
DRIVERS = ("guard.usage.stores.", "guard.behavior.stores.")
"""Stores that need a driver live here, behind one small interface: the one exception."""
NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
LONGEST = 400
LONGER: dict[str, str] = {
    "guard.wire.fields": "one table: every request field of every surface, to be read beside vLLM's own models"
}
"""Modules that may be longer, each with its reason."""


def room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path):
    """Every module that ``path`` names in an import, wherever it stands, by line."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join([*package[: len(package) - node.level + 1], node.module or ""]) if node.level else node.module
            )
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


CORE_MODULES = [name for name in MODULES if room(name) in CORE]


def test_every_room_has_modules():
    assert {room(name) for name in MODULES} >= {*CORE, *OUTER}
    assert len(CORE_MODULES) > 30


@pytest.mark.parametrize("module", CORE_MODULES)
def test_the_core_knows_no_framework_and_no_outer_room(module):
    for name, line in imports(MODULES[module]):
        top = name.split(".")[0]
        allowed = module.startswith(DRIVERS) and top == "redis"
        assert top not in BANNED_IN_CORE or allowed, f"{module}:{line} imports {name}"
        assert not (top == "guard" and room(name) in OUTER), f"{module}:{line} imports {name}"
        if room(module) != "exchange":
            assert not (top == "guard" and room(name) == "exchange"), f"{module}:{line} imports {name}"


@pytest.mark.parametrize(("source", "expected"), [
    ("import asyncio", {"asyncio"}),
    ("def f():\n    from guard.wire import sse", {"guard.wire", "guard.wire.sse"}),
    ("from ..policy import load", {"guard.policy", "guard.policy.load"}),
])  # fmt: skip
def test_the_walk_sees_imports_in_every_form(source, expected, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "guard" / "usage" / "made_up.py"
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    assert {name for name, _ in imports(path)} == expected


def test_modules_are_named_for_what_they_hold():
    assert [name for name in MODULES if name.split(".")[-1] in NAMELESS] == []


def test_modules_are_short_or_have_a_reason():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST and name not in LONGER} == {}
    assert [name for name in LONGER if lengths.get(name, 0) <= LONGEST] == [], "a reason that is no longer needed"


def docs():
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md")))


def test_every_error_code_is_documented():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert [code.value for code in Code if f"`{code.value}`" not in page] == []


def test_no_documented_error_code_has_gone():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z_]+)` \| \d{3}", page, re.MULTILINE))
    assert documented == {code.value for code in Code}


def fields(model, seen=()):
    """The name of every field of a pydantic model and of the models below it."""
    for name, info in model.model_fields.items():
        yield info.alias or name
        for inner in models_in(info.annotation):
            if inner not in seen:
                yield from fields(inner, (*seen, inner))


def models_in(annotation):
    if hasattr(annotation, "model_fields"):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from models_in(argument)


def test_every_configuration_field_is_documented():
    from guard.policy.config import Config

    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    names = set(fields(Config))
    assert {"upstream", "sources", "limits"} <= names
    assert (
        sorted(name for name in names if not re.search(rf"`(?:[\w.<>*\[\]]+\.)?{name}`|^ *{name}:", page, re.MULTILINE))
        == []
    )


METRIC = re.compile(r"\"(guard_[a-z_]+)\"")


def test_every_metric_is_documented():
    sources = [path for name, path in MODULES.items() if room(name) == "observability"]
    names = {name for path in sources for name in METRIC.findall(path.read_text(encoding="utf-8"))}
    assert len(names) > 15
    text = docs()
    assert sorted(name for name in names if name not in text) == []
