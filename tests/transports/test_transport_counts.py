"""The admin API says of the users what ``guard usage show`` says: the same bounds, doubts, readings and limits."""

import asyncio
import json
import time

import pytest
from asgi_world import CONFIG, Inner, chat, guarded
from typer.testing import CliRunner

from guard.cli.usage import app
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.ledger import Scope
from guard.usage.period import Calendar, Kind, month_before

READ = CONFIG.replace(
    "usage: {{at_limit: refuse_newcomers, limits: {{qwen-2024: 2}}}}",
    "usage: {{windows: [day, rolling_30], readings: {{qwen-2024: people}}, affiliates: {{qwen-2024: exclude}}}}",
)
SAME = ("period", "users", "lower", "upper", "exact", "measured", "reading")
OF_LIMITS = ("id", "state", "attestation", "lower", "upper", "held_against", "not_included", "reasons")


def counted_before(tmp_path):
    """Let the ledger have counted in the month before, and on every day of it."""
    (tmp_path / "state").mkdir()
    calendar = Calendar("UTC", [Kind.DAY])
    before = calendar.parse(month_before(calendar.day(time.time())[:7]))
    ledger = open_ledger(sqlite_url(tmp_path / "state" / "ledger.db"))
    ledger.bind("UTC")
    for period in (before.id, calendar.day(before.start - 40 * 86400)):
        ledger.write({Scope(period, "qwen-2024"): [1]}, {}, owner="before", day=None)
    ledger.close()


async def rows_of(tmp_path, *requests):
    async with guarded(tmp_path, Inner(), READ) as guard:
        for request in requests:
            await guard.post(request)
        guard.runtime.counter.flush()
        guard.runtime.counter.refresh()
        return {row["license"]: row for row in guard.runtime.usage()}


def shown(tmp_path):
    """What the command prints of the same state: by kind of period and license."""
    result = CliRunner().invoke(app, ["show", "--config", str(tmp_path / "guard.yaml"), "--json"])
    assert result.exit_code == 0, result.output
    return {
        period["kind"]: {row["license"]: {**row, **period} for row in period["licenses"]}
        for period in json.loads(result.stdout)["periods"]
    }


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("user", ["alice", None])
def test_the_api_and_the_command_say_the_same(tmp_path, early, user):
    if early:
        counted_before(tmp_path)
    requests = [chat(user=user, model=model) for model in ("tiny", "qwen")]
    rows = asyncio.run(rows_of(tmp_path, *requests))
    told = shown(tmp_path)
    for license in ("llama-2", "qwen-2024"):
        row, month = rows[license], told["month"][license]
        assert [row[name] for name in SAME] == [month[name] for name in SAME]
        assert row["definition"] == month["definition"]
        assert bool(row["reasons"]) is bool(month["reasons"])
        for limit, other in zip(row["limits"], month["limits"], strict=True):
            names = [name for name in OF_LIMITS if name != "reasons"]
            assert [limit[name] for name in names] == [other[name] for name in names]
        for kind, facts in row["windows"].items():
            other = told[kind][license]
            assert [facts[name] for name in ("users", "lower", "upper", "exact")] == [
                other[name] for name in ("users", "lower", "upper", "exact")
            ]
    assert rows["qwen-2024"]["exact"] is (early and user is not None)
    assert (rows["qwen-2024"]["upper"] is None) is not rows["qwen-2024"]["exact"]


def test_what_one_gateway_cannot_see_is_not_bounded_and_a_past_month_is_not_tested(tmp_path):
    counted_before(tmp_path)
    row = asyncio.run(rows_of(tmp_path, chat(model="tiny")))["llama-2"]
    assert (row["users"], row["upper"], row["exact"], row["measured"]["exact"]) == (1, None, False, True)
    assert row["reasons"] == [
        "the license counts all products of the licensee and its affiliates; nothing was stated of others"
    ]
    (limit,) = row["limits"]
    assert (limit["state"], limit["attestation"], limit["held_against"]) == (None, "missing", 1)
    assert row["reading"] == "identities"


def test_a_ledger_that_could_not_be_asked_makes_nothing_exact_until_it_can(tmp_path):
    counted_before(tmp_path)

    async def story():
        async with guarded(tmp_path, Inner(), READ) as guard:
            stores = guard.runtime.stores
            known, stores.began = stores.began, {}
            (row,) = (row for row in guard.runtime.usage() if row["license"] == "qwen-2024")
            stores.look_back()
            (later,) = (row for row in guard.runtime.usage() if row["license"] == "qwen-2024")
            return row, later, stores.began == known

    row, later, same = asyncio.run(story())
    assert (row["upper"], row["reasons"]) == (None, ["the ledger could not be asked yet when counting began"])
    assert (later["upper"], later["exact"], same) == (0, True, True)
