"""The gate fails for what became slower, and only for that."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import gate  # noqa: E402
from lab import base  # noqa: E402
from lab.figures import Figures  # noqa: E402
from memory_soak import growth  # noqa: E402

NGINX = 20.0


def measured(now, before, rounds=5):
    """Figures in which the base costs ``before`` nginx and the working tree ``now``, on a machine that speeds up."""
    figures = Figures()
    for figures.round in range(rounds):
        pace = NGINX / (1 + figures.round)
        for what in ("request", "chunk"):
            figures.add("nginx", what, pace)
            for name in gate.SETTINGS:
                figures.add(f"{name}@base", what, pace * before)
                figures.add(name, what, pace * now)
    return figures


def recorded(monkeypatch, ratio):
    known = {"ratios": {f"{name} / nginx": {"median": ratio} for name in gate.SETTINGS}}
    monkeypatch.setattr(gate, "read", lambda _name: known if ratio else None)


@pytest.mark.parametrize(("now", "before", "known", "kept"), [
    (4.0, 4.0, 4.0, True),
    (4.9, 4.0, 4.0, True),  # within the slack
    (5.1, 4.0, None, False),  # slower than the base
    (5.1, 5.1, 4.0, False),  # as slow as the base, and both slower than what is recorded
    (2.0, 4.0, 4.0, True),
])  # fmt: skip
def test_it_fails_for_a_fourth_more(monkeypatch, now, before, known, kept):
    recorded(monkeypatch, known)
    rows = gate.compare(measured(now, before), 0.25)
    assert all(row[-1] for row in rows) is kept
    assert len(rows) == (8 if known else 4)


def test_a_single_pair_is_no_ground(capsys):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "gate.py", "--pairs", "1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "5 or more" in done.stderr) == (1, True)


def test_a_base_that_is_none_is_said(tmp_path):
    with pytest.raises(ValueError, match="'no-such-thing' is no revision"):
        base.checkout("no-such-thing", tmp_path)


def test_growth_is_that_of_the_second_half():
    rising = [(second, 100.0 + max(0, second - 50)) for second in range(100)]
    assert growth(rising) == pytest.approx((100 + 44.5) / (100 + 4.5) - 1)
    settled = [(second, min(100.0, 50.0 + second)) for second in range(100)]
    assert growth(settled) == pytest.approx(0)
