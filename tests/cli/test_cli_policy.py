"""``guard policy list``, ``show`` and ``check``, as people and scripts call them."""

import json
import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from guard.cli.main import run
from guard.policy import load as loading
from guard.policy.packs import shipped_packs


@pytest.fixture(autouse=True)
def no_shipped_rules(tmp_path_factory, monkeypatch):
    """The shipped screening rules have tests of their own, and take longest to compile."""
    directory = tmp_path_factory.mktemp("aup")
    monkeypatch.setattr(loading, "shipped_rules", lambda: directory)


def test_list_has_a_line_for_every_license(capsys):
    assert run(["policy", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["LICENSE", *shipped_packs()]
    assert max(map(len, lines)) <= 120
    told = " ".join(" ".join(lines).split())
    assert all(f"{license_.id} {license_.status.value} " in told for license_ in shipped_packs().values())
    assert "MAU > 100,000,000 (standing)" in next(line for line in lines if line.startswith("qwen-2024"))


def test_list_as_json(capsys):
    assert run(["policy", "list", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert {entry["id"] for entry in entries} == set(shipped_packs())


@pytest.mark.parametrize("id_", sorted(shipped_packs()))
def test_show_gives_every_clause_to_a_reader_and_to_a_script(id_, capsys):
    license_ = shipped_packs()[id_]
    assert run(["policy", "show", id_]) == 0
    text = capsys.readouterr().out
    unwrapped = " ".join(text.split())
    for fact in (*license_.thresholds, *license_.duties, *license_.aup):
        assert f"[{fact.clause}]" in unwrapped
    assert max(len(line) for line in text.splitlines()) <= 100
    assert run(["policy", "show", id_, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["id"] == id_
    assert [item["action"] for item in facts["aup"]] == [item.action.name.lower() for item in license_.aup]


def test_show_marks_what_is_not_confirmed(capsys):
    run(["policy", "show", "falcon-180b"])
    assert "UNCONFIRMED, not seen in a license text" in " ".join(capsys.readouterr().out.split())


def test_an_unknown_license_is_bad_usage_with_the_nearest_name(capsys):
    assert run(["policy", "show", "llama-31"]) == 64
    assert "did you mean 'llama-3.1'?" in capsys.readouterr().err
    assert run(["policy", "show", "zzz"]) == 64
    assert "unknown license 'zzz'; `guard policy list` names those that" in capsys.readouterr().err


def test_check_of_a_good_configuration_prints_its_hash(tmp_path, capsys):
    path = tmp_path / "guard.yaml"
    path.write_text("models:\n  m: {license: falcon-180b}\n")
    assert run(["policy", "check", str(path)]) == 0
    out = capsys.readouterr()
    assert out.out.startswith(f"{path}: configuration ok, ")
    assert "falcon-180b.yaml:" in out.err
    assert ": output_use.status: the rule on outputs (5.2) is unconfirmed\n" in out.err


def test_check_prints_every_problem_and_exits_1(tmp_path, capsys):
    path = tmp_path / "guard.yaml"
    path.write_text("models:\n  m: {license: gema}\nusage: {zone: Mars}\n")
    assert run(["policy", "check", str(path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{path}:2: models.m.license: unknown license 'gema'; allowed: the id of a pack; did you mean 'gemma'?",
        f"{path}:3: usage.zone: unknown time zone 'Mars'; allowed: an IANA name such as UTC or Europe/Berlin",
    ]
    assert run(["policy", "check", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(problem["line"], problem["nearest"]) for problem in found["errors"]] == [(2, "gemma"), (3, None)]


@pytest.mark.parametrize("target", ["licenses", "licenses/gemma.yaml"])
def test_check_takes_packs_and_directories_of_them(target, capsys):
    from guard.policy.locations import shipped_policies

    assert run(["policy", "check", str(shipped_policies() / target)]) == 0
    assert "license pack" in capsys.readouterr().out


def test_check_takes_rules(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("category: S1\nrules:\n  - {id: S1.x, anchors: [one two three four]}\n")
    assert run(["policy", "check", str(path)]) == 0
    assert run(["policy", "check", str(tmp_path)]) == 0
    path.write_text("category: S99\nrules: []\n")
    assert run(["policy", "check", str(path)]) == 1
    assert "unknown category 'S99'" in capsys.readouterr().err


def test_the_rule_file_of_the_documentation_is_sound_alone(tmp_path, capsys):
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    lines = page.split("\n    category: S9\n")[1].split("\n\n| key")[0]
    path = tmp_path / "r.yaml"
    path.write_text(dedent("    category: S9\n" + lines))
    assert run(["policy", "check", str(path)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("kind", ["licenses", "aup"])
def test_a_copy_of_what_ships_is_sound(tmp_path, kind, capsys):
    from guard.policy.locations import shipped_policies

    shutil.copytree(shipped_policies() / kind, tmp_path / kind)
    assert run(["policy", "check", str(tmp_path / kind)]) == 0, capsys.readouterr().err
    assert run(["policy", "check", str(shipped_policies() / kind)]) == 0


def test_without_a_path_it_is_the_configuration_named_by_the_environment(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.yaml").write_text("license: gemma\n")
    monkeypatch.setenv("GUARD_CONFIG", "none.yaml")
    assert run(["policy", "check"]) == 1
    assert "none.yaml:1: document: cannot be read" in capsys.readouterr().err
    monkeypatch.setenv("GUARD_CONFIG", "other.yaml")
    assert run(["policy", "check"]) == 0
    assert capsys.readouterr().out.startswith("other.yaml: configuration ok")


def test_check_of_nothing_says_so(tmp_path, capsys):
    assert run(["policy", "check", str(tmp_path / "none.yaml")]) == 1
    assert run(["policy", "check", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "cannot be read: No such file or directory" in err
    assert "no YAML files; allowed: a directory of packs, rules or cases" in err


def test_without_a_path_or_a_configuration_it_is_everything_that_ships(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    assert run(["policy", "check"]) == 0, capsys.readouterr().err
    checked = [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert [Path(path).name for path in checked[:4]] == ["licenses", "aup", "rule-packs", "tests"]
    assert {Path(path).parent.name for path in checked[4:]} == {"examples"}
