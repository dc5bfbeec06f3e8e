"""``guard export shred`` deletes a month for good, after a question, and puts that on record first."""

import fcntl
import json
import os
import time

import pytest

from guard.cli.main import run
from guard.provenance.layout import Layout, month_of
from guard.provenance.months import MonthKeys


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    (tmp_path / "guard.yaml").write_text("state_dir: state\n")
    layout = Layout(tmp_path / "state")
    for month in ("2025-08", "2025-09"):
        MonthKeys(layout.keys).of(month, create=True)
        (layout.provenance / month).mkdir(parents=True)
        (layout.provenance / month / "guard-0.segment").write_bytes(b"x")
    return layout


def shred(*arguments):
    return run(["export", "shred", *arguments])


def entries(layout):
    return [json.loads(line) for line in (layout.audit / "export.jsonl").read_text().splitlines()]


def test_the_key_and_the_segments_go_and_that_is_on_record(layout, capsys):
    assert shred("--month", "2025-08", "--yes") == 0
    assert capsys.readouterr().out == "2025-08: shredded, 1 segments; the receipts in the audit chain stay\n"
    keys = MonthKeys(layout.keys)
    assert (keys.months(), keys.shredded()) == (["2025-09"], ["2025-08"])
    assert [path.name for path in layout.provenance.iterdir()] == ["2025-09"]
    (entry,) = [entry for entry in entries(layout) if entry["kind"] == "shredded"]
    assert entry["facts"] == {"month": "2025-08", "segments": 1}


def test_nothing_goes_where_the_answer_is_no(layout, monkeypatch):
    monkeypatch.setattr("typer.confirm", lambda _question: False)
    assert shred("--month", "2025-08") == 1
    assert MonthKeys(layout.keys).months() == ["2025-08", "2025-09"]
    assert not layout.audit.exists()


def test_a_month_without_anything_is_said_with_those_that_there_are(layout, capsys):
    assert shred("--month", "2024-01", "--yes") == 1
    assert capsys.readouterr().err.endswith("nothing of 2024-01; there are: 2025-08, 2025-09\n")
    assert MonthKeys(layout.keys).shredded() == []


def test_what_is_no_month_is_bad_usage(layout, capsys):
    assert shred("--month", "august", "--yes") == 64
    assert "allowed: a year and a month such as 2026-11" in capsys.readouterr().err


@pytest.mark.parametrize("ahead", [0.0, 40 * 86_400.0])
def test_a_month_that_is_not_over_is_refused_because_gateways_would_have_to_write_to_it(layout, capsys, ahead):
    now = time.time()
    month = month_of(now + ahead)
    MonthKeys(layout.keys).of(month, create=True)
    assert shred("--month", month, "--yes") == 64
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert f"{month} is not over (UTC)" in said
    assert f"allowed: a month before {month_of(now)}" in said
    assert month in MonthKeys(layout.keys).months()
    assert not layout.audit.exists()


def test_a_month_that_a_gateway_writes_to_is_left_alone(layout, capsys):
    file = os.open(layout.provenance / "2025-09" / "guard-0.segment", os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        assert shred("--month", "2025-09", "--yes") == 1
    finally:
        os.close(file)
    assert "is being written; allowed: a month that is over" in capsys.readouterr().err
    assert "2025-09" in MonthKeys(layout.keys).months()


def test_nothing_goes_that_cannot_be_put_on_record(layout, capsys):
    layout.audit.write_text("a file")
    assert shred("--month", "2025-08", "--yes") == 73
    assert "nothing was changed" in capsys.readouterr().err
    assert MonthKeys(layout.keys).months() == ["2025-08", "2025-09"]
