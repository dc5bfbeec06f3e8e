"""The guard command: what it lists, what it imports to do so, and how it ends."""

import errno
import io
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

import guard
from guard.cli.main import COMMANDS, run
from guard.policy.document import PolicyError, Problem

HEAVY = ("uvicorn", "starlette", "hyperscan", "pydantic", "msgspec", "yaml", "prometheus_client", "rich", "openai")


def test_help_lists_every_command(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert f"  {name} " in shown
        assert entry.help in " ".join(shown.split())


def test_as_the_first_process_of_a_container_it_can_be_ended_while_it_loads():
    """Which gets no signal that it has no handler for, and loads for seconds."""
    script = (
        "import os, sys; own, os.getpid = os.getpid, lambda: {pid};\n"
        "import signal, guard.__main__\n"
        "os.kill(own(), signal.SIGTERM); print('goes on')"
    )
    for pid, code in ((1, 143), (2, -15)):  # any other process keeps what it was started with
        run = subprocess.run([sys.executable, "-c", script.format(pid=pid)], capture_output=True, check=False)
        assert (run.returncode, run.stdout) == (code, b""), run.stderr


def test_help_imports_none_of_what_commands_need():
    script = (
        "import json, sys; from guard.cli.main import run; code = run(['--help']);"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert [name for name in HEAVY if name in modules] == []
    assert [name for name in modules if name.startswith("guard")] == ["guard", "guard.cli", "guard.cli.main"]


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"guard {guard.__version__}\n"


@pytest.mark.parametrize("arguments", [["nope"], ["--nope"], ["demo", "--nope"], ["demo", "--vllm-venv"], []])
def test_bad_usage_ends_with_64(arguments, capsys):
    assert run(arguments) == 64
    printed = capsys.readouterr()
    assert "Usage: guard" in printed.err or "Error: " in printed.err
    assert printed.out == ""


def test_a_misspelled_command_gets_the_nearest_name(capsys):
    assert run(["demon"]) == 64
    assert "Did you mean 'demo'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_imported_and_has_help(name, capsys):
    assert run([name, "--help"]) == 0
    assert f"Usage: guard {name}" in capsys.readouterr().out


def play(monkeypatch, action):
    """Run ``guard demo`` with ``action`` in place of the demo."""
    command: typer.models.CommandFunctionType = action
    monkeypatch.setattr(import_module(COMMANDS["demo"].module), COMMANDS["demo"].attribute, command)
    return run(["demo"])


def test_a_policy_error_prints_its_problems_and_ends_with_78(monkeypatch, capsys):
    def fail() -> None:
        raise PolicyError([Problem("guard.yaml", 3, "mode", "'enforc'", "enforce, shadow", "enforce"),
                           Problem("guard.yaml", 9, "listen", "missing")])  # fmt: skip

    assert play(monkeypatch, fail) == 78
    assert capsys.readouterr().err.splitlines() == [
        "guard.yaml:3: mode: 'enforc'; allowed: enforce, shadow; did you mean 'enforce'?",
        "guard.yaml:9: listen: missing",
    ]


@pytest.mark.parametrize("code", [0, 1, 2, 3, 65])
def test_a_command_has_exit_codes_of_its_own(monkeypatch, code):
    def leave() -> None:
        raise typer.Exit(code)

    assert play(monkeypatch, leave) == code


def test_any_other_error_is_not_hidden(monkeypatch):
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(monkeypatch, fail)


@pytest.mark.parametrize("arguments", [["policy", "list"], ["policy", "show", "llama-3.1"], ["--help"]])
def test_a_reader_that_goes_away_ends_a_command_quietly(arguments):
    """As ``| head`` does: a pipe that nobody reads any more when the first line is written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "guard", *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(("arguments", "code"), [
    (["usage", "import", "x.jsonl"], 65), (["usage", "attest", "--verify", "x.jsonl"], 65),
    (["usage", "show", "--config", "x.jsonl"], 78),
    (["export", "check", "x.jsonl", "--target", "y", "--config", "guard.yaml"], 65), (["audit", "verify", "x.jsonl"], 65),
    (["policy", "check", "x.jsonl"], 1), (["policy", "test", "x.jsonl"], 1), (["keys", "list", "--file", "x.jsonl"], 78),
])  # fmt: skip
def test_a_file_that_cannot_be_read_is_bad_input_or_bad_configuration(tmp_path, monkeypatch, arguments, code, capsys):
    """Not bad usage, which the option parser would make of it."""
    access = os.access

    def refusing(opener):
        def refused(file, *rest, **options):
            if not isinstance(file, int) and Path(os.fspath(file)).name == "x.jsonl":
                raise PermissionError(errno.EACCES, "Permission denied", str(file))
            return opener(file, *rest, **options)

        return refused

    def unreadable(path, mode, **options):
        return Path(os.fspath(path)).name != "x.jsonl" and access(path, mode, **options)

    (tmp_path / "x.jsonl").write_text("{}")
    (tmp_path / "guard.yaml").write_text("license: gemma\n")
    (tmp_path / "guard-state").mkdir()
    (tmp_path / "guard-state" / "provenance.key").write_bytes(bytes(range(32)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    for name, opener in {"io.open": io.open, "builtins.open": open, "os.open": os.open}.items():
        monkeypatch.setattr(name, refusing(opener))
    monkeypatch.setattr("os.access", unreadable)
    assert run(arguments) == code
    printed = capsys.readouterr()
    assert "Permission denied" in printed.out + printed.err


def test_python_m_guard_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "guard", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"guard {guard.__version__}\n"
    assert Path(guard.__file__).with_name("__main__.py").exists()
