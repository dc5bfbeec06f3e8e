"""Every kind of mistake people make: a broken file each, with the exact text beside it that they get.

``mistakes/KIND/NAME/`` holds the files that ``guard policy check`` is given and ``expected.txt``, what it prints; those
of the kind ``strict`` are mistakes with ``--strict`` only. ``sound/KIND/`` holds a file of each kind that has none.
"""

import json
import re
from pathlib import Path

import pytest
from policy_mistakes import MISTAKES

from guard.cli.main import run
from guard.policy.config import Config
from guard.policy.document import PolicyError
from guard.policy.load import load
from guard.policy.locations import yaml_files

HERE = Path(__file__).parent
SOUND = sorted(HERE.glob("sound/*"))


def named(directory):
    return f"{directory.parent.name}/{directory.name}"


def check(directory, *options):
    return run(["policy", "check", *options, *map(str, yaml_files(directory))])


@pytest.mark.parametrize("mistake", MISTAKES, ids=named)
def test_a_mistake_is_told_with_file_line_path_and_what_is_allowed(mistake, capsys):
    code = check(mistake, *(["--strict"] if mistake.parent.name == "strict" else []))
    printed = capsys.readouterr()
    assert printed.err.replace(f"{mistake}/", "") == (mistake / "expected.txt").read_text(encoding="utf-8")
    assert (code, printed.out) == (1, "")


@pytest.mark.parametrize("mistake", [path for path in MISTAKES if path.parent.name == "strict"], ids=named)
def test_what_strict_refuses_is_a_warning_without_it(mistake, capsys):
    assert check(mistake) == 0
    warnings = capsys.readouterr().err.replace(f"{mistake}/", "").splitlines()
    expected = (mistake / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert {f"warning: {line}" for line in expected} <= set(warnings)


@pytest.mark.parametrize("directory", SOUND, ids=lambda path: path.name)
def test_a_sound_file_of_each_kind_passes(directory, capsys):
    assert check(directory, "--strict") == 0, capsys.readouterr().err
    assert " ok, " in capsys.readouterr().out


def test_every_mistake_has_a_file_and_every_setting_at_the_top_a_mistake():
    assert {path.name for path in HERE.glob("mistakes/*")} == {"configuration", "packs", "rules", "cases", "strict"}
    assert {path for path in HERE.glob("mistakes/*/*") if path.is_dir()} == set(MISTAKES)
    told = "".join((path / "expected.txt").read_text(encoding="utf-8") for path in MISTAKES)
    settings = set(re.findall(r"^guard\.yaml:\d+: ([a-z_]+)", told, re.MULTILINE))
    assert set(Config.model_fields) - settings == {"tests"}  # what is mistaken there stands in the case files
    assert {path.name for path in SOUND} == {"configuration", "packs", "rules", "cases", "tenants"}


def test_scripts_get_errors_and_warnings_with_the_same_fields(tmp_path, capsys):
    path = tmp_path / "guard.yaml"
    path.write_text("models:\n  m: {license: falcon-180b}\nusage: {zone: Mars}\n")
    assert run(["policy", "check", "--json", str(path)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "ok": False,
        "checked": [],
        "errors": [
            {
                "file": str(path), "line": 3, "path": "usage.zone", "found": "unknown time zone 'Mars'",
                "allowed": "an IANA name such as UTC or Europe/Berlin", "nearest": None,
            }
        ],
        "warnings": [],
    }  # fmt: skip
    path.write_text("models:\n  m: {license: falcon-180b}\n")
    assert run(["policy", "check", "--json", str(path)]) == 0
    sound = json.loads(capsys.readouterr().out)
    assert (sound["ok"], sound["errors"], sound["checked"][0]["kind"]) == (True, [], "configuration")
    assert {frozenset(warning) for warning in sound["warnings"]} == {frozenset(found["errors"][0])}
    assert run(["policy", "check", "--json", "--strict", str(path)]) == 1
    strict = json.loads(capsys.readouterr().out)
    assert not strict["ok"]
    assert {one["path"] for one in strict["errors"]} >= {"output_use.status", "models.m"}
    assert {Path(one["file"]).name for one in strict["errors"]} == {"falcon-180b.yaml", "guard.yaml"}


def test_several_files_are_checked_at_once_and_told_by_file_and_line(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    for name, text in {"b.yaml": "license: gema\nmode: x\n", "a/guard.yaml": "license: gema\n"}.items():
        (tmp_path / name).write_text(text)
    assert run(["policy", "check", *(str(tmp_path / name) for name in ("b.yaml", "a/guard.yaml", "b.yaml"))]) == 1
    places = [line.split(": ")[0].removeprefix(f"{tmp_path}/") for line in capsys.readouterr().err.splitlines()]
    assert places == ["a/guard.yaml:1", "b.yaml:1", "b.yaml:2"]


def test_a_value_from_the_command_line_is_told_as_such(write):
    path = write("models:\n  m: {license: gemma}\n")
    with pytest.raises(PolicyError) as caught:
        load(path, {"usage.zone": "Mars", "listen": "nowhere"})
    assert str(caught.value).splitlines() == [
        "command line: listen: 'nowhere'; allowed: HOST:PORT or unix:///path.sock",
        "command line: usage.zone: unknown time zone 'Mars'; allowed: an IANA name such as UTC or Europe/Berlin",
    ]
    with pytest.raises(PolicyError, match=r"^defaults: models: no model can be served"):
        load(None)


def test_a_limit_that_only_the_command_line_asks_for_may_be_none(write):
    path = write("models:\n  m: {license: gemma}\n")
    assert load(path, {"usage.at_limit": "refuse_all"}).config.usage.at_limit == "refuse_all"


def told(path, **more):
    with pytest.raises(PolicyError) as caught:
        load(path, **more)
    return [(problem.line, problem.path, problem.found) for problem in caught.value.problems]


def test_misspelled_names_hide_nothing_and_are_not_blamed_twice(write):
    path = write("modles:\n  m: {license: qwen-2024}\nlicence: gemma\nusage:\n  limits: {qwen: 5, qwen-2024: 7}\n")
    assert told(path) == [
        (1, "modles", "unknown name"),
        (3, "licence", "unknown name"),
        (5, "usage.limits.qwen", "unknown license 'qwen'"),
    ]


def test_a_mistake_of_form_hides_no_unknown_license(write):
    path = write("license: llama3.1\nusage:\n  limits: {qwen: 5, llama-3.1: 5}\nsurface:\n  enabled: [tokenise]\n")
    assert told(path) == [
        (1, "license", "unknown license 'llama3.1'"),
        (3, "usage.limits.qwen", "unknown license 'qwen'"),
        (5, "surface.enabled[0]", "'tokenise'"),
    ]


@pytest.mark.parametrize(("text", "expected"), [
    ("admin: 0.0.0.0:1\nadmin_token_file: [x, y]\nlicense: gemma\n", ["admin_token_file"]),
    ("admin: 127.0.0.1:8080\nlisten: 8080\nlicense: gemma\n", ["listen"]),
    ("license: gemma\nupstream: localhost:8000\nadmin: 0.0.0.0:9090\nusage: {ledger: x, zone: Mars}\n",
     ["upstream", "admin", "usage.ledger", "usage.zone"]),
    ("upstream: http:/x\nupstream_ca: ca.pem\nlicense: gemma\n", ["upstream"]),
    ("models:\n  m: {license: 5}\n", ["models.m.license"]),
    ("models:\n  m: {license: 5}\nusage: {at_limit: refuse_all}\n", ["models.m.license"]),
    ("license: gemma\nusage: {at_limit: refuse_all, limits: 5}\n", ["usage.limits"]),
    ("models:\n  m: {licence: gemma}\ndefault_model: m\n", ["models.m.licence"]),
    ("models: {m: 5}\ndefault_model: m\n", ["models.m"]),
    ("license: gemma\nscreening: {actions: {S6: deny}, relax: [{category: S6, owner: o, expires: 2030-01-01, reason: r}]}\n", ["screening.actions.S6"]),
    ("license: llama-3.1\nscreening: {actions: {S9: flag}, relax: [{category: S9, owner: o, expires: 2026-02-31, reason: r}]}\n", ["screening.relax[0].expires"]),
    ("license: mine\npolicies: 5\nusage: {limits: {mine: 5}}\n", ["policies"]),
    ("license: gemma\nmode: shadow\nmode: enforce\nusage: {zone: Mars}\n", ["mode", "usage.zone"]),
    ("license: gemma\nidentity: {registered_only: true, keys: 5}\n", ["identity.keys"]),
    ("license: gemma\nidentity: {sources: [jwt], jwt: 5}\n", ["identity.jwt"]),
    (f"license: gemma\nidentity: {{keys: [{{name: a, sha256: x}}, {{nam: b, key_env: B}}, {{name: c, sha256: {'c' * 64}}}, {{name: c, sha256: {'d' * 64}}}]}}\n",
     ["identity.keys[0].sha256", "identity.keys[1].nam", "identity.keys[3].name"]),
    ("license: gemma\nidentity:\n  jwt: {algorithms: [none], secret_env: S}\nusage: {zone: Mars}\n",
     ["identity.jwt.algorithms[0]", "usage.zone"]),
])  # fmt: skip
def test_what_was_dropped_is_told_once_and_nothing_follows_from_it(write, text, expected):
    assert [problem[1] for problem in told(write(text), environment={})] == expected


PACK = """\
id: acme-1.0
name: Acme
date: "2026"
status: confirmed
family: acme
version: acme
sources: [Acme]
output_use: {rule: unrestricted, status: confirmed}
"""


@pytest.mark.parametrize(("pack", "settings", "expected"), [
    ("id: [\n", "license: acme-1.0\n", [("acme-1.0.yaml", "")]),
    (PACK + "modles: [acme/a]\n", "models: {acme/a: {}}\n", [("acme-1.0.yaml", "modles")]),
    (PACK + "thresholds: 5\n", "license: acme-1.0\nusage: {at_limit: refuse_all, limits: {acme-1.0: 7}}\n", [("acme-1.0.yaml", "thresholds")]),
    (PACK.replace("id: ", "ident: "), "license: acme-1.0\n", [("acme-1.0.yaml", "id"), ("acme-1.0.yaml", "ident")]),
    (PACK.replace("rule: unrestricted", "rule: none"), "license: acme-2.0\n", [("guard.yaml", "license"), ("acme-1.0.yaml", "output_use.rule")]),
])  # fmt: skip
def test_what_a_mistaken_pack_lacks_is_not_blamed_on_the_configuration(write, pack, settings, expected):
    write(pack, "packs/acme-1.0.yaml")
    with pytest.raises(PolicyError) as caught:
        load(write(f"policies: [packs]\n{settings}"))
    assert [(Path(problem.file).name, problem.path) for problem in caught.value.problems] == expected


def test_a_mistaken_list_of_words_is_not_blamed_on_the_rules_that_use_it(tmp_path, capsys):
    (tmp_path / "lists.yaml").write_text("lists: {making: make}\n")
    rule = "category: S9\nrules:\n  - {id: S9.agent, anchors: [nerve agent], requires: [{any: [$making]}]}\n"
    (tmp_path / "rules.yaml").write_text(rule)
    assert run(["policy", "check", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/lists.yaml:1: lists.making: 'make'; allowed: a list\n"


def test_a_name_is_no_loopback_address(write):
    assert [problem[1] for problem in told(write("license: gemma\nadmin: 127.example.org:1\n"))] == ["admin"]


def test_the_example_of_the_documentation_is_what_the_command_prints(write, tmp_path, capsys):
    page = (HERE.parents[1] / "docs" / "checking.md").read_text(encoding="utf-8")
    written, printed = re.search(r"```yaml\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL).groups()
    assert run(["policy", "check", str(write(written))]) == 1
    assert capsys.readouterr().err.replace(f"{tmp_path}/", "") == printed
