"""The look ahead: forecasts behind the metrics and the API, and nothing but the forecast missing when it fails."""

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta
from threading import Thread

import pytest
from asgi_world import CONFIG, Inner, chat, guarded

from guard.observability.metrics import exposition
from guard.transports import outlook as module
from guard.transports.outlook import Outlook
from guard.usage.ledger import Scope
from guard.usage.period import Calendar, Kind
from guard.usage.stores.sqlite import SqliteLedger
from guard.usage.thresholds import Limit

TODAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


def limit(value, id="mau"):
    return Limit("qwen", id, value, exclusive=False, standing=True, clause="4", consequence="termination")


@pytest.fixture
def ledger(tmp_path):
    """Forty users a day since September, of whom a third come back in the month after."""
    path = tmp_path / "ledger.db"
    store = SqliteLedger(str(path))
    store.bind("UTC")
    user, day = 0, date(2026, 9, 1)
    known = []
    while day <= TODAY:
        month = day.isoformat()[:7]
        back = known[::3][day.day - 1 :: 31]
        new = list(range(user, user + 40))
        user += 40
        store.write({Scope(month, "qwen"): {*new, *back}}, {}, owner="o", day=day.isoformat())
        tomorrow = day + timedelta(days=1)
        if tomorrow.month != day.month:
            known = list(range(user))
        day = tomorrow
    store.close()
    return path


def looked(path, limits, now=NOW):
    outlook = Outlook(f"sqlite://{path}", path.parent / "spool", Calendar(), lambda: now)
    outlook.look({"qwen": limits})
    return outlook


def test_days_are_given_until_a_limit_is_passed(ledger):
    outlook = looked(ledger, [limit(500, "passed"), limit(1700, "near"), limit(10**9, "far")])
    readings = {reading.limit: reading for reading in outlook.readings(NOW)}
    assert readings["passed"][2:] == (0, 0)
    assert 0 < readings["near"].earliest <= readings["near"].middle < 40
    assert "far" not in readings
    later = {reading.limit: reading for reading in outlook.readings(NOW + 2 * 86400)}
    assert later["near"].middle == readings["near"].middle - 2  # by the day of the scrape, not of the look
    facts = outlook.facts("qwen", "near", Kind.MONTH)
    assert facts["verdict"] == "expected"
    assert facts["earliest"] <= facts["middle"] <= facts["latest"]
    assert any("new users on an average day" in reason for reason in facts["rests_on"])
    assert outlook.facts("qwen", "passed", Kind.MONTH)["verdict"] == "crossed"
    assert outlook.facts("qwen", "mau", Kind.MONTH) is None


def test_growth_is_cumulative_and_ends_today(ledger):
    rows = looked(ledger, [limit(500)]).found.growth["qwen"]
    assert [row["day"] for row in rows] == [f"2026-11-{day:02}" for day in range(1, 23)]
    totals = [row["users"] for row in rows]
    assert totals == sorted(totals)
    store = SqliteLedger(str(ledger), read_only=True)
    assert totals[-1] == store.totals("2026-11")["qwen"].users
    store.close()


def test_the_forecast_is_that_of_the_command(ledger, monkeypatch):
    import json

    from typer.testing import CliRunner

    from guard.cli.main import app

    config = ledger.parent / "guard.yaml"
    config.write_text(
        f"state_dir: {ledger.parent}\nmodels: {{m: {{license: qwen-2024}}}}\nupstream: http://127.0.0.1:9\n"
    )
    store = SqliteLedger(str(ledger))
    store.merge(Scope("2026-11", "qwen-2024"), [Scope("2026-11", "qwen")])
    store.close()
    monkeypatch.setattr("time.time", lambda: NOW)
    result = CliRunner().invoke(app, ["usage", "forecast", "--config", str(config), "--json"])
    (row,) = json.loads(result.stdout)["limits"]
    aim = Limit("qwen-2024", row["limit"]["id"], row["limit"]["value"], exclusive=False, standing=True, clause="4",
                consequence="termination")  # fmt: skip
    outlook = Outlook(f"sqlite://{ledger}", ledger.parent / "spool", Calendar(), lambda: NOW)
    outlook.look({"qwen-2024": [aim]})
    (found,) = (forecast for at, forecast in outlook.found.forecasts.items() if at.license == "qwen-2024")
    assert (found.count, found.verdict.value) == (row["forecast"]["count"], row["forecast"]["verdict"])
    assert list(found.missing) == row["forecast"]["missing"]


def test_it_is_time_at_first_every_fifteen_minutes_and_with_other_limits(ledger):
    now = [NOW]
    outlook = Outlook(f"sqlite://{ledger}", ledger.parent / "spool", Calendar(), lambda: now[0])
    limits = {"qwen": [limit(500)]}
    assert outlook.due(limits)
    outlook.look(limits)
    assert not outlook.due(limits)
    assert outlook.due({"qwen": [limit(600)]})
    now[0] += 901
    assert outlook.due(limits)


def test_a_failure_leaves_no_forecast_and_a_line_in_the_log(ledger, caplog):
    outlook = looked(ledger, [limit(500)])
    ledger.write_bytes(b"no ledger at all" * 1000)
    with caplog.at_level(logging.WARNING, "guard"):
        outlook.look({"qwen": [limit(500)]})
    assert not outlook.found.forecasts
    assert outlook.readings(NOW) == []
    assert "there is no forecast" in caplog.text


def test_a_password_is_in_no_line(tmp_path, caplog):
    outlook = Outlook("redis://:hunter2@127.0.0.1:1/0", tmp_path, Calendar(), lambda: NOW)
    outlook.look({"qwen": [limit(500)]})
    assert "there is no forecast" in caplog.text
    assert "hunter2" not in caplog.text


def test_of_two_looks_at_once_one_is_made(ledger, monkeypatch):
    outlook, made = Outlook(f"sqlite://{ledger}", ledger.parent / "spool", Calendar(), lambda: NOW), []
    opened = module.open_ledger

    def open_ledger(*args, **kwargs):
        made.append(args)
        other = Thread(target=outlook.look, args=({"qwen": [limit(9)]},))
        other.start()
        other.join()
        return opened(*args, **kwargs)

    monkeypatch.setattr(module, "open_ledger", open_ledger)
    outlook.look({"qwen": [limit(500)]})
    assert len(made) == 1


def test_a_running_process_has_forecasts_in_usage_and_metrics(tmp_path, monkeypatch):
    monkeypatch.setattr("guard.transports.runtime.WATCH_SECONDS", 0.02)

    async def story():
        config = CONFIG.replace("qwen-2024: 2", "qwen-2024: 1").replace("refuse_newcomers", "observe")
        async with guarded(tmp_path, Inner(), config) as guard:
            for user in ("ann", "bob"):
                await guard.post(chat(model="qwen", user=user))
            guard.runtime.counter.flush()
            runtime, row = guard.runtime, {}
            for _ in range(500):
                runtime.overview.outlook._looked = 0.0
                row = next(each for each in runtime.usage() if each["license"] == "qwen-2024")
                if row["growth"] and row["growth"][-1]["users"] == 2:
                    break
                await asyncio.sleep(0.02)
            assert row["growth"][-1]["users"] == 2
            assert {limit["forecast"]["verdict"] for limit in row["limits"]} == {"crossed", "too_little_data"}
            found = exposition(runtime.registry)
            assert b'guard_license_forecast_days{bound="middle",license="qwen-2024"' in found
            assert b"} 0.0" in found

    asyncio.run(story())
