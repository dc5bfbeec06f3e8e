"""What ``guard policy check`` takes a file for, and what it looks at with it."""

from datetime import date

import pytest

from guard.policy.inspection import Kind, inspect, kind_of

DAY = date(2026, 6, 1)
PACK = """\
id: %s
name: Acme
date: "2026"
status: confirmed
family: acme
version: acme
sources: [Acme]
output_use: {rule: unrestricted, status: confirmed}
"""
RULE = "category: S9\nrules:\n  - {id: S9.agent, anchors: [make nerve agent]}\n"


@pytest.mark.parametrize(("text", "kind"), [
    ("license: gemma\n", Kind.CONFIGURATION),
    ("", Kind.CONFIGURATION),
    ("- a\n", Kind.CONFIGURATION),
    ("id: acme\n", Kind.PACK),
    ("lists: {a: [b]}\n", Kind.RULES),
    ("license: gemma\ncases: []\n", Kind.CASES),
    ("id: [\n", None),
])  # fmt: skip
def test_a_file_is_what_the_names_in_it_say(write, text, kind):
    assert kind_of(write(text)) is kind


def test_what_is_no_yaml_is_taken_for_what_stands_beside_it(write, tmp_path):
    write(PACK % "acme-1.0", "acme-1.0.yaml")
    write("id: [\n", "acme-2.0.yaml")
    found = inspect([tmp_path], {}, DAY)
    assert [(problem.file, problem.line) for problem in found.problems] == [(f"{tmp_path}/acme-2.0.yaml", 2)]


def test_a_pack_is_checked_with_those_beside_it_which_are_not_told_of(write, tmp_path):
    write(PACK % "acme-1.0" + "models: [acme/a]\n", "acme-1.0.yaml")
    write("id: [\n", "broken.yaml")
    second = write(PACK % "acme-2.0" + 'models: ["acme/*"]\n', "acme-2.0.yaml")
    found = inspect([second], {}, DAY)
    assert [(problem.file, problem.path) for problem in found.problems] == [(str(second), "models[0]")]


def test_a_tree_is_looked_into_part_by_part(write, tmp_path):
    write(PACK % "acme-1.0", "licenses/acme-1.0.yaml")
    write(RULE, "aup/S9.yaml")
    write("license: gemma\ncases:\n  - {name: one, expect: {verdict: allow}}\n", "tests/gemma.yaml")
    write("license: gemma\n", "examples/least.yaml")
    found = inspect([tmp_path], {}, DAY)
    assert [(str(one.path.relative_to(tmp_path)), one.what) for one in found.checked] == [
        ("licenses", "license packs"), ("aup", "rules"), ("tests", "cases"), ("examples/least.yaml", "configuration"),
    ]  # fmt: skip
    assert found.problems == ()


def test_a_configuration_is_checked_with_its_packs_rules_and_cases(write, tmp_path):
    write(PACK % "acme-1.0", "packs/acme-1.0.yaml")
    write(RULE, "rules/S9.yaml")
    write("license: acme-1.0\ncases:\n  - {name: one, expect: {verdict: allow}}\n", "cases/acme.yaml")
    path = write("license: acme-1.0\npolicies: [packs]\ntests: [cases]\nscreening: {rules: [rules]}\n")
    assert inspect([path], {}, DAY).problems == ()
    write(PACK % "acme-2.0", "packs/acme-1.0.yaml")
    write(RULE.replace("S9.agent", "S1.agent"), "rules/S9.yaml")
    write("license: acme-1.0\ncases:\n  - {name: one}\n", "cases/acme.yaml")
    places = [str(problem).split(": ")[0].removeprefix(f"{tmp_path}/") for problem in inspect([path], {}, DAY).problems]
    assert [place.split(":")[0] for place in places] == ["cases/acme.yaml", "packs/acme-1.0.yaml", "rules/S9.yaml"]


def test_a_directory_of_several_kinds_is_told_file_by_file(write, tmp_path):
    write(PACK % "acme-1.0", "acme-1.0.yaml")
    write(RULE, "S9.yaml")
    assert {(one.path.name, one.what) for one in inspect([tmp_path], {}, DAY).checked} == {
        ("acme-1.0.yaml", "license pack"), ("S9.yaml", "rules"),
    }  # fmt: skip
