"""The progress bar of a long command is on standard error, and on a terminal only."""

import io
import sys

from guard.cli.main import run
from guard.cli.usage.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_it_is_drawn_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with progress("merging b.users", 2000) as told:
        told(500)
        told(1500)
    drawn = sys.stderr.getvalue()
    assert "merging b.users" in drawn
    assert "2,000/2,000 users" in drawn


def test_it_is_nowhere_else(capsys):
    with progress("merging b.users", 2000) as told:
        told(2000)
    assert capsys.readouterr() == ("", "")


def test_exit_codes_are_those_of_the_whole_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    (tmp_path / "guard.yaml").write_text("usage: {zzone: UTC}\n")
    assert run(["usage", "show"]) == 78
    assert "did you mean 'zone'?" in capsys.readouterr().err
    assert run(["usage", "show", "--ledger", "sqlite:///none/at/all.db"]) == 78
    assert run(["usage", "import", "--ledger", "sqlite:///none/at/all.db"]) == 64
    assert run(["usage", "import", "none.users", "--ledger", f"sqlite://{tmp_path}/l.db"]) == 65
