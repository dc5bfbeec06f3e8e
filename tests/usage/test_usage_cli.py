"""``guard usage show`` says what is known, how surely, and what was counted."""

import json

import pytest
from typer.testing import CliRunner
from usage_world import NOVEMBER, PRINT, counter_on, sqlite_ledger

from guard.cli.usage import app
from guard.usage.ledger import open_ledger, sqlite_url

RUN = CliRunner()


@pytest.fixture
def state(tmp_path):
    """A gateway that has counted three users of qwen and two of kimi in November 2026, one of them still in the spool."""
    ledger = sqlite_ledger(tmp_path)
    ledger.bind("Europe/Berlin")
    counter = counter_on(ledger, tmp_path / "spool", zone="Europe/Berlin")
    for user in (1, 2, 3):
        counter.sight(("qwen",), user, NOVEMBER)
    counter.sight(("kimi",), 1, NOVEMBER)
    counter.sight(("kimi",), None, NOVEMBER)
    counter.flush()
    counter.sight(("kimi",), 2, NOVEMBER)
    yield tmp_path
    counter.stop(1)
    ledger.close()


def show(state, *arguments):
    return RUN.invoke(app, ["show", "--ledger", sqlite_url(state / "ledger.db"), *arguments])


def test_json_gives_counts_bounds_reasons_and_the_definition(state):
    result = show(state, "--period", "2026-11", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert report["ledger"] == sqlite_url(state / "ledger.db")
    assert (report["period"], report["zone"]) == ("2026-11", "Europe/Berlin")
    assert (report["start"], report["end"]) == ("2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00")
    assert "calendar month in zone Europe/Berlin" in report["definition"]
    assert report["licenses"] == [
        {
            "license": "kimi",
            "users": 2,
            "bound": "lower",
            "reasons": ["1 answered requests named no user"],
            "unidentified_requests": 1,
            "in_spool": 1,
            "limits": None,
        },
        {
            "license": "qwen",
            "users": 3,
            "bound": "exact",
            "reasons": [],
            "unidentified_requests": 0,
            "in_spool": 0,
            "limits": None,
        },
    ]


def test_without_the_spool_every_count_is_a_lower_bound(state):
    report = json.loads(show(state, "--period", "2026-11", "--json", "--spool", str(state / "nowhere")).output)
    assert [row["bound"] for row in report["licenses"]] == ["lower", "lower"]
    assert f"no spool at {state / 'nowhere'}" in report["licenses"][1]["reasons"][0]
    assert report["licenses"][0]["users"] == 1


def test_the_table_shows_the_same(state):
    output = " ".join(show(state, "--period", "2026-11").output.split())
    assert "Active users in 2026-11 (Europe/Berlin)" in output
    assert "\u2265 2" in output
    assert "1 answered requests" in output
    assert "An active user is a distinct identity" in output


def test_a_month_without_users_says_so(state):
    assert "Nobody was counted in 2025-01 (Europe/Berlin)" in show(state, "--period", "2025-01").output


def test_without_a_period_it_is_the_current_one(state, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOVEMBER)
    assert json.loads(show(state, "--json").output)["period"] == "2026-11"


def test_a_configuration_names_ledger_and_spool(state, monkeypatch):
    config = state / "guard.yaml"
    config.write_text(
        f"upstream: http://127.0.0.1:8000\nstate_dir: {state}\nlicense: qwen\nusage: {{zone: Europe/Berlin}}\n"
    )
    result = RUN.invoke(app, ["show", "--config", str(config), "--period", "2026-11", "--json"])
    assert result.exit_code == 0, result.output
    assert [row["users"] for row in json.loads(result.output)["licenses"]] == [2, 3]


def test_a_configuration_shows_the_limits_of_every_license(tmp_path, monkeypatch):
    ledger = sqlite_ledger(tmp_path)
    counter = counter_on(ledger, tmp_path / "spool")
    for user in (1, 2):
        counter.sight(("qwen-2024",), user, NOVEMBER)
    counter.stop(1)
    ledger.close()
    (tmp_path / "guard.yaml").write_text(
        f"state_dir: {tmp_path}\nmodels:\n  a: {{license: qwen-2024}}\n  b: {{license: llama-3.1}}\n  c: {{license: gemma}}\n"
        "usage: {limits: {qwen-2024: 1}}\n"
    )
    monkeypatch.setenv("GUARD_CONFIG", str(tmp_path / "guard.yaml"))
    rows = json.loads(RUN.invoke(app, ["show", "--period", "2026-11", "--json"]).output)["licenses"]
    assert {row["license"]: row["limits"] for row in rows} == {
        "gemma": [],
        "llama-3.1": [{"id": "mau_700m", "value": 700_000_000, "state": "ok", "standing": False, "clause": "2"}],
        "qwen-2024": [
            {"id": "mau_100m", "value": 100_000_000, "state": "ok", "standing": True, "clause": "4"},
            {"id": "operator", "value": 1, "state": "over", "standing": True, "clause": ""},
        ],
    }
    monkeypatch.setenv("COLUMNS", "160")
    table = RUN.invoke(app, ["show", "--period", "2026-11"]).output
    assert "700,000,000 ok (clause 2, release snapshot)" in table
    assert "1 over (your own, standing)" in table


def test_looking_changes_nothing(state):
    before = {path.name: path.read_bytes() for path in (state / "spool").iterdir()}
    show(state, "--json")
    assert {path.name: path.read_bytes() for path in (state / "spool").iterdir()} == before


def test_bad_usage_and_bad_ledgers_are_told_apart(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert RUN.invoke(app, ["show"]).exit_code == 2  # typer's own; ``guard`` turns every usage error into 64
    assert show(state, "--period", "November").exit_code == 2
    missing = RUN.invoke(app, ["show", "--ledger", sqlite_url(tmp_path / "none.db")])
    assert missing.exit_code == 78
    assert "unable to open database file" in missing.output
    unknown = RUN.invoke(app, ["show", "--ledger", "mysql://127.0.0.1/x"])
    assert unknown.exit_code == 78
    assert "allowed: an absolute path such as sqlite:///" in unknown.output


def test_a_ledger_nobody_counted_into_is_empty(tmp_path):
    open_ledger(sqlite_url(tmp_path / "ledger.db"), PRINT).close()
    result = show(tmp_path, "--period", "2026-11", "--json")
    assert json.loads(result.output)["licenses"] == []
