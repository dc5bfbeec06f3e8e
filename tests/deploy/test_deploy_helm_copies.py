"""What the chart repeats is what it repeats: rules, dashboard, versions, the table of its README, the schema."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

import guard

CHART = Path(__file__).parent.parent.parent / "deploy" / "helm" / "guard"
UPDATE = CHART.with_name("update.py")


def update():
    spec = importlib.util.spec_from_file_location("chart_update", UPDATE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_out_of_date():
    made = update()
    old = [path.name for path, text in made.current() if path.read_text(encoding="utf-8") != text]
    assert [*old, *made.stale()] == [], "run: python deploy/helm/update.py"


def test_the_chart_is_of_this_release():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == guard.__version__
    assert chart["kubeVersion"] == ">=1.27.0-0"


def test_the_table_has_every_value_with_its_default():
    rows = list(update().table("a:\n  # -- What b is.\n  b: [1, x]\n# -- What c is.\nc:\n  d: 1\n"))
    assert rows[2:] == ["| `a.b` | `[1, x]` | What b is. |", "| `c` | `{d: 1}` | What c is. |"]


def test_a_value_without_a_comment_is_a_mistake():
    with pytest.raises(ValueError, match=r"values without a comment: a\.c"):
        list(update().table("a:\n  # -- What b is.\n  b: 1\n  c: 2\n"))


def closed(schema, definitions):
    """The properties of a schema that names them all, or None."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema["properties"] if schema.get("additionalProperties") is False else None


def differences(values, schema, definitions, path=""):
    """Names that only the values or only the schema has."""
    properties = closed(schema, definitions)
    if properties is None or not isinstance(values, dict):
        return
    for name in sorted(set(values) ^ set(properties)):
        yield f"{path}{name}"
    for name in sorted(set(values) & set(properties)):
        yield from differences(values[name], properties[name], definitions, f"{path}{name}.")


MAY_BE_NULL = {"autoscaling.targetCPU"}
"""Values with a default that null, too, says something for."""


def undemanded(values, schema, definitions, path=""):
    """Names with a default that null could take away, and demanded ones that are null by default."""
    properties = closed(schema, definitions)
    if properties is None or not isinstance(values, dict):
        return
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    due = {name for name, value in values.items() if value is not None and f"{path}{name}" not in MAY_BE_NULL}
    for name in sorted(due ^ set(schema["required"])):
        yield f"{path}{name}"
    for name in sorted(set(values) & set(properties)):
        yield from undemanded(values[name], properties[name], definitions, f"{path}{name}.")


def test_the_schema_demands_every_value_that_null_would_take_away():
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert list(undemanded(values, schema, schema["definitions"])) == []
    schema["properties"]["vllm"]["required"].remove("image")
    assert list(undemanded(values, schema, schema["definitions"])) == ["vllm.image"]


def test_the_schema_knows_every_value_and_no_other():
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert list(differences(values, schema, schema["definitions"])) == []
    assert schema["additionalProperties"] is False
    assert list(differences({**values, "one": 1}, schema, schema["definitions"])) == ["one"]
