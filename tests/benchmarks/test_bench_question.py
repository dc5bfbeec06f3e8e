"""The command line of the questions: what is refused before anything is measured, and how Ctrl-C ends one."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import bench  # noqa: E402
import scale  # noqa: E402
from lab.question import options  # noqa: E402


@pytest.mark.parametrize("arguments", [
    ["--rounds", "0"], ["--rounds", "-1"], ["--rounds", "2.5"],
    ["--people", "0"], ["--requests", "0"], ["--requests", "-1"], ["--peak", "0"], ["--peak", "nan"],
    ["--json", "{folder}/nowhere/result.json"], ["--json", "{folder}"],
], ids=" ".join)  # fmt: skip
def test_what_cannot_be_asked_is_refused_before_it_is_measured(tmp_path, capsys, arguments):
    given = [each.format(folder=tmp_path) for each in arguments]
    with pytest.raises(SystemExit, match="2"):
        options("A question?", more=scale.more, argv=given)
    assert f"{given[0]}" in capsys.readouterr().err


@pytest.fixture
def hook(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # what options() sets is taken back


def test_what_is_asked_is_read(tmp_path, hook):
    argv = ["--rounds", "3", "--people", "7", "--peak", "1.5", "--json", str(tmp_path / "result.json")]
    given = options("A question?", more=scale.more, argv=argv)
    assert (given.rounds, given.people, given.peak, given.requests) == (3, 7, 1.5, 5.0)


def test_ctrl_c_is_one_line():
    script = "from lab.question import options\noptions('A question?', argv=[])\nraise {}"
    run = [
        subprocess.run([sys.executable, "-c", script.format(error)], capture_output=True, text=True, check=False,
                       cwd=ROOT / "benchmarks")
        for error in ("KeyboardInterrupt", "OSError(5)")
    ]  # fmt: skip
    assert (run[0].returncode, run[0].stderr.strip()) == (130, "interrupted; nothing is kept")
    assert (run[1].returncode, "Traceback" in run[1].stderr) == (1, True)  # a mistake is told whole


@pytest.mark.parametrize("quick", [True, False])
def test_a_look_says_nothing_of_the_goals(monkeypatch, capsys, hook, quick):
    """They go by the results that are kept, and a look keeps none."""
    monkeypatch.setattr(sys, "argv", ["bench.py", *(["--quick"] if quick else [])])
    monkeypatch.setattr(bench, "together", lambda _quick: [])
    monkeypatch.setattr(bench, "alone", lambda _name, _arguments: True)
    monkeypatch.setattr(bench.page, "main", lambda _arguments: None)
    with pytest.raises(SystemExit, match="False"):
        bench.main()
    said = capsys.readouterr().out
    assert ("Goals, by" in said, "nothing is kept" in said) == (not quick, quick)


def test_everything_has_the_workers_and_the_scale():
    assert {"workers", "scale"} <= set(bench.FULL)
    assert all((ROOT / "benchmarks" / f"{name}.py").exists() for name in bench.FULL)


def test_the_page_says_how_many_people_are_counted():
    default = options("A question?", more=scale.more, argv=[]).people
    assert f"with {default:,} users instead" in (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert f"--people {default}" in scale.__doc__
