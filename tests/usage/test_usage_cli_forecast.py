"""``guard usage forecast`` says when limits will be passed, how surely, or that it is too early to say."""

import random
import re
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from ledger_files import NOON, TODAY, gateway, guard_yaml, url_of, usage, usage_json
from usage_world import PRINT

from guard.cli.usage.expected import expected_lines
from guard.usage.address import open_ledger
from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Scope
from guard.usage.outlook.forecast import Verdict
from guard.usage.period import Kind


@pytest.fixture(autouse=True)
def noon(monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON)


def grow(path, days, per_day, back=0.5):
    """A gateway that new users come to every day, and of last month's some every day: a steady service."""
    rng, url = random.Random(1), url_of(path)
    ledger = open_ledger(url)
    ledger.bind("UTC")
    known, before, month = set(), set(), ""
    for ago in range(days - 1, -1, -1):
        day = (date.fromisoformat(TODAY) - timedelta(ago)).isoformat()
        if day[:7] != month:
            before, known, month = known, set(), day[:7]
            ledger.claim_key(month, PRINT)
        new = {rng.getrandbits(60) for _ in range(per_day)}
        returning = set(rng.sample(sorted(before), min(len(before), int(len(before) * back / 20))))
        known |= new | returning
        ledger.write({Scope(month, "qwen-2024"): new | returning}, {}, owner="a", day=day)
    ledger.close()
    return url


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """A steady service that is nearing a limit of its own. Returns its configuration."""
    directory = tmp_path_factory.mktemp("steady")
    grow(directory / "ledger.db", 110, 20)
    return guard_yaml(directory, "  limits: {qwen-2024: 1000}\n")


def limits(*arguments):
    return {each["limit"]["id"]: each for each in usage_json("forecast", *arguments)["limits"]}


def test_a_limit_that_growth_reaches_is_expected_on_a_day_with_an_interval(steady):
    text = usage("forecast", "--config", steady, "--license", "qwen-2024", "--chart")
    far, near = text.split("qwen-2024: 1,000 users a month (your own, standing)")
    count = usage_json("show", "--config", steady)["periods"][0]["licenses"][1]["users"]
    assert f"{count:,} users in 2026-11 so far" in near
    middle, early, late = re.search(
        r"expected to be passed by (\S+) \(one case of ten: by (\S+); nine of ten by (\S+)\)", near
    ).groups()
    assert TODAY <= early <= middle <= late
    assert "with a chance of 80%" in near
    assert "rests on: " in near
    assert "holds if: " in near
    assert "not expected to be passed by 2027-11-22 (chance below 1%)" in far
    assert text.count("qwen-2024, users in 2026-11 up to each day") == 2
    assert "qwen-2024 operator" in near


def test_too_little_data_is_said_and_not_guessed(tmp_path):
    gateway(tmp_path / "ledger.db", {"qwen-2024": [1, 2]})
    config = guard_yaml(tmp_path)
    forecast = limits("--config", config, "--license", "qwen-2024")["mau_100m"]["forecast"]
    assert forecast["verdict"] == "too_little_data"
    assert forecast["crossing"] is None
    assert forecast["missing"]
    text = usage("forecast", "--config", config)
    assert "llama-3.1: 700,000,000 users a month (clause 2, release snapshot: a count of today neither" in text
    assert "too little data to say when" in text
    assert "missing: " in text


def test_declared_and_merged_users_count_as_beyond_what_grows_here(tmp_path):
    url = gateway(tmp_path / "ledger.db", {"qwen-2024": range(30)})
    gateway(tmp_path / "ledger.db", {"qwen-2024": range(30, 70)}, day=None)
    ledger = open_ledger(url)
    ledger.declare(Declaration("qwen-2024", "2026-11", "app", Part.PRODUCT, 60, 0, "legal@example.org", TODAY))
    ledger.close()
    config = guard_yaml(tmp_path, "  limits: {qwen-2024: 120}\n")
    found = limits("--config", config, "--license", "qwen-2024")["operator"]["forecast"]
    assert (found["count"], found["beyond"], found["verdict"]) == (130, 100, "crossed")
    said = usage("forecast", "--config", config)
    assert "  at most 130 users in 2026-11 so far (70 measured, 40 of them came on no known day)\n" in said
    assert "  taken as passed; the day is not known (undated users): at most 130, and 120 are allowed\n" in said


def test_users_without_a_day_pass_a_limit_on_no_invented_day(tmp_path):
    gateway(tmp_path / "ledger.db", {"qwen-2024": range(7)})
    gateway(tmp_path / "ledger.db", {"qwen-2024": range(13)}, day=None)
    said = usage("forecast", "--config", guard_yaml(tmp_path, "  limits: {qwen-2024: 10}\n"))
    assert "  13 users in 2026-11 so far (6 of them came on no known day)\n" in said
    assert "  passed; the day is not known (undated users): 13 are more than 10\n" in said


def test_a_limit_that_counted_users_pass_is_passed_on_a_day(tmp_path):
    gateway(tmp_path / "ledger.db", {"qwen-2024": range(13)})
    said = usage("forecast", "--config", guard_yaml(tmp_path, "  limits: {qwen-2024: 12}\n"))
    assert "  13 users in 2026-11 so far\n" in said
    assert f"  passed on {TODAY}: 13 are more than 12\n" in said


def test_another_product_does_not_grow_one_that_is_looked_at_by_itself(tmp_path):
    url = gateway(tmp_path / "ledger.db", {"kimi-k2": range(30)})
    ledger = open_ledger(url)
    ledger.declare(Declaration("kimi-k2", "2026-11", "app", Part.PRODUCT, 60, 0, "legal@example.org", TODAY))
    ledger.close()
    config = guard_yaml(tmp_path, "  limits: {kimi-k2: 50}\n")
    config.write_text(config.read_text().replace("license: qwen-2024", "license: kimi-k2"))
    found = limits("--config", config, "--license", "kimi-k2")["operator"]
    assert found["limit"]["state"] == "over"
    assert (found["forecast"]["count"], found["forecast"]["beyond"]) == (30, 0)
    assert (found["larger"]["source"], found["measured"]) == ("app", 30)
    said = usage("forecast", "--config", config, "--license", "kimi-k2").partition("kimi-k2: 50 ")[2].splitlines()
    assert said[1:4] == [
        f"  app has most: 60 users, stated by legal@example.org on {TODAY}",
        "  that is over; of this gateway's product, which is looked at by itself:",
        "  30 users in 2026-11 so far",
    ]


def test_limits_on_days_are_forecast_from_days(tmp_path):
    ledger = open_ledger(gateway(tmp_path / "ledger.db", {}))
    for ago in range(40):
        day = (date.fromisoformat(TODAY) - timedelta(ago)).isoformat()
        ledger.write({Scope(day, "baichuan-2"): range(100 - ago)}, {}, owner="a", day=None)
    ledger.close()
    config = guard_yaml(tmp_path, "  windows: [day]\n")
    config.write_text(config.read_text().replace("license: qwen-2024", "license: baichuan-2"))
    said = usage("forecast", "--config", config, "--license", "baichuan-2")
    assert said.startswith("baichuan-2: 1,000,000 users a day (clause README, conditions 1-3, standing)\n")
    assert f"  100 users in {TODAY} so far" in said
    assert "not expected to be passed by 2027-11-22" in said


def test_without_limits_there_is_nothing_to_forecast(tmp_path):
    url = gateway(tmp_path / "ledger.db", {"gemma": [1]})
    config = guard_yaml(tmp_path)
    assert "limits follow from a configuration" in usage("forecast", "--ledger", url, code=2)
    config.write_text(config.read_text() + "license: gemma\n")
    assert "gemma has no limit on users" in usage("forecast", "--config", config, "--license", "gemma")
    said = usage("forecast", "--config", config, "--license", "qwen-2042", code=2)
    assert "did you mean 'qwen-2024'?" in said


@pytest.mark.parametrize(("chance", "said"), [
    (0.0, "below 1%"), (0.0099, "below 1%"), (0.01, "1%"), (0.42, "42%"), (0.99, "99%"), (0.9901, "above 99%"),
])  # fmt: skip
def test_no_chance_is_none_or_certain(chance, said):
    limit = SimpleNamespace(license="x", value=9, kind=Kind.MONTH, clause="4", standing=True, products="all")
    found = SimpleNamespace(
        count=1, beyond=0, period="2026-11", verdict=Verdict.NOT_EXPECTED, horizon="2027-11-22", chance_horizon=chance,
        final=None, missing=(), reasons=(), assumptions=(),
    )  # fmt: skip
    figure, tested = SimpleNamespace(users=1), SimpleNamespace(limit=limit, lower=1, omits=())
    assert f"(chance {said})" in list(expected_lines(figure, tested, found, None))[-1]


def test_a_ledger_that_nobody_has_counted_in_is_not_there_yet(tmp_path):
    said = usage("forecast", "--config", guard_yaml(tmp_path), code=78)
    assert said == f"there is no ledger at {tmp_path}/ledger.db yet\n"


def test_a_ledger_from_the_future_is_refused(tmp_path):
    gateway(tmp_path / "ledger.db", {"qwen-2024": [1]}, day="2026-11-23")
    said = usage("forecast", "--config", guard_yaml(tmp_path), "--license", "qwen-2024", code=65)
    assert said.startswith("qwen-2024: ")
