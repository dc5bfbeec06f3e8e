"""``guard policy test``, as people and continuous integration call it."""

import io
import json

import pytest

from guard.cli.main import run
from guard.policy import load as loading
from guard.policy.rehearsal import cases

GOOD = "license: mistral-apache\ncases:\n  - {name: hello, expect: {verdict: allow}}\n"
BAD = GOOD + "  - {name: goodbye, expect: {verdict: deny}}\n"


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """No shipped rules and two shipped cases: those that ship have a test of their own."""
    (tmp_path / "aup").mkdir()
    monkeypatch.setattr(loading, "shipped_rules", lambda: tmp_path / "aup")
    monkeypatch.setattr(cases, "shipped_cases", lambda: write(tmp_path / "shipped/mistral-apache.yaml", GOOD).parent)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_arguments_the_shipped_cases_run(tmp_path, capsys):
    assert run(["policy", "test"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/shipped/mistral-apache.yaml: 1 case passed, 0 failed",
        "1 case passed, 0 failed",
    ]


def test_the_cases_of_the_configuration_run_too(tmp_path, capsys):
    write(tmp_path / "guard.yaml", "models: {m: {license: llama-2}}\ntests: [own, more.yaml]\n")
    write(tmp_path / "own/a.yaml", "config: ../guard.yaml\nmodel: m\ncases:\n  - {name: a, expect: {verdict: allow}}\n")
    write(tmp_path / "more.yaml", GOOD)
    assert run(["policy", "test"]) == 0
    assert [line.split(": ")[0].rsplit("/", 1)[-1] for line in capsys.readouterr().out.splitlines()] == [
        "mistral-apache.yaml", "a.yaml", "more.yaml", "3 cases passed, 0 failed",
    ]  # fmt: skip


def test_a_case_that_fails_is_told_and_the_exit_code_is_1(tmp_path, capsys):
    path = write(tmp_path / "bad.yaml", BAD)
    assert run(["policy", "test", str(path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: 1 case passed, 1 failed",
        f"  {path}:4: goodbye: verdict: expected deny, found allow; nothing refused it up to count",
        "1 case passed, 1 failed",
    ]


def test_as_json(tmp_path, capsys):
    path = write(tmp_path / "bad.yaml", BAD)
    assert run(["policy", "test", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["passed"], found["failed"]) == (False, 1, 1)
    assert found["cases"][1] == {
        "file": str(path), "line": 4, "name": "goodbye", "ok": False,
        "failures": ["verdict: expected deny, found allow"], "verdict": "allow", "code": None, "license": None,
        "clause": None, "category": None, "step": "count",
    }  # fmt: skip


def test_files_with_mistakes_are_told_and_the_others_run(tmp_path, capsys):
    first = write(tmp_path / "c/a.yaml", GOOD.replace("allow", "alow"))
    write(tmp_path / "c/b.yaml", GOOD)
    last = write(tmp_path / "c/c.yaml", GOOD.replace("name: hello", "name: hello, settings: {mode: off}"))
    (tmp_path / "none").mkdir()
    arguments = ["policy", "test", *(str(tmp_path / name) for name in ("c", "none", "nowhere.yaml"))]
    assert run(arguments) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{first}: not run, 1 problem",
        f"{tmp_path}/c/b.yaml: 1 case passed, 0 failed",
        f"{last}: not run, 1 problem",
        f"{tmp_path}/none: not run, 1 problem",
        f"{tmp_path}/nowhere.yaml: not run, 1 problem",
        "1 case passed, 0 failed, 4 files not run",
    ]
    places = [line.split(": ")[0] for line in err.splitlines()]
    assert places == [f"{first}:3", f"{last}:3", f"{tmp_path}/none", f"{tmp_path}/nowhere.yaml:1"]
    assert run([*arguments, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["passed"], found["failed"], len(found["cases"])) == (False, 1, 0, 1)
    assert [(one["file"], one["path"]) for one in found["problems"][:2]] == [
        (str(first), "cases[0].expect.verdict"), (str(last), "cases[0].settings.mode"),
    ]  # fmt: skip


PACK = (
    "id: acme-1.0\nname: Acme\ndate: '2026'\nstatus: confirmed\nfamily: acme\nversion: acme\nsources: [Acme]\n"
    "output_use: {rule: unrestricted, status: confirmed}\n"
)


def test_cases_are_about_the_packs_of_the_configuration_and_those_that_are_named(tmp_path, monkeypatch, capsys):
    write(tmp_path / "packs/acme-1.0.yaml", PACK)
    path = write(tmp_path / "cases/acme.yaml", GOOD.replace("mistral-apache", "acme-1.0"))
    assert run(["policy", "test", str(path)]) == 1
    assert "unknown license 'acme-1.0'" in capsys.readouterr().err
    assert run(["policy", "test", str(path), "--packs", "packs"]) == 0
    config = write(tmp_path / "etc/guard.yaml", "policies: [../packs]\ntests: [../cases]\nlicense: acme-1.0\n")
    assert run(["policy", "test", str(path), "--config", str(config)]) == 0
    assert run(["policy", "test", "--config", str(config)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 cases passed, 0 failed"
    monkeypatch.setenv("GUARD_CONFIG", str(config))
    assert run(["policy", "test", str(path)]) == 0
    assert run(["policy", "check", str(path)]) == 0
    assert run(["policy", "check"]) == 0


@pytest.mark.parametrize(("patience", "shown"), [(-1, True), (1e9, False)])
def test_on_a_terminal_progress_is_shown_where_it_takes_long(patience, shown, tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("guard.cli.policy.test.PATIENCE", patience)
    assert run(["policy", "test", "--json"]) == 0
    assert ("mistral-apache.yaml" in terminal.getvalue()) is shown
    assert json.loads(capsys.readouterr().out)["ok"]


def test_the_table_of_output_use_has_the_operators_own_packs_in_it(tmp_path, capsys):
    own = (
        "id: house-1\nname: House License\ndate: '2026'\nstatus: confirmed\nfamily: house\nversion: house-1\n"
        "sources: [our own]\noutput_use: {rule: no_training_other_llm_except_family, scope: others, exception: House 1, "
        "clause: '7', status: confirmed}\n"
    )
    write(tmp_path / "packs/house-1.yaml", own)
    assert run(["policy", "test", "--table", str(tmp_path / "packs")]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["house-1", "train-other", "deny", "7"] in lines
    assert ["llama-2", "train-other", "deny", "1.b.v"] in lines
    write(tmp_path / "guard.yaml", "policies: [packs]\nmodels: {m: {license: house-1}}\n")
    assert run(["policy", "test", "--table", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    entry = next(entry for entry in found if (entry["license"], entry["kind"]) == ("house-1", "train-same"))
    assert (entry["purpose"], entry["verdict"], entry["clause"]) == ("train:house-1", "allow", "7")
