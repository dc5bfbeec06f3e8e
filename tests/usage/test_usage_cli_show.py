"""``guard usage show`` says what is known, how surely, and what was counted."""

import json

import pytest
from ledger_files import MONTH, NOON, TODAY, gateway, guard_yaml, url_of, usage, usage_json
from usage_world import NOVEMBER, counter_on, sqlite_ledger

from guard.usage.address import open_ledger
from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Scope


@pytest.fixture
def state(tmp_path):
    """A gateway that has counted three users of qwen and two of kimi in November 2026, one of them still in the spool."""
    ledger = sqlite_ledger(tmp_path)
    ledger.write({Scope("2026-08", "other"): [1]}, {}, owner="before", day="2026-08-01")
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


def show(state, *arguments, code=0):
    return usage("show", "--ledger", url_of(state / "ledger.db"), *arguments, code=code)


def test_json_gives_counts_bounds_reasons_and_the_definition(state):
    found = json.loads(show(state, "--period", MONTH, "--json"))
    (period,) = found["periods"]
    assert found["ledger"] == url_of(state / "ledger.db")
    assert (period["period"], period["kind"], found["zone"]) == (MONTH, "month", "Europe/Berlin")
    assert (period["start"], period["end"]) == ("2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00")
    assert "calendar month in zone Europe/Berlin" in period["definition"]
    nothing = {"reading": None, "counted": True, "declared": [], "limits": None}
    assert period["licenses"] == [
        {
            "license": "kimi", "users": 2, "lower": 2, "upper": None, "exact": False,
            "reasons": ["1 answered request named no user"], "measured": {"lower": 2, "upper": None, "exact": False},
            "unidentified_requests": 1, "in_spool": 1, **nothing,
        },
        {
            "license": "qwen", "users": 3, "lower": 3, "upper": 3, "exact": True, "reasons": [],
            "measured": {"lower": 3, "upper": 3, "exact": True}, "unidentified_requests": 0, "in_spool": 0, **nothing,
        },
    ]  # fmt: skip


def test_without_the_spool_no_count_is_exact(state):
    (period,) = json.loads(show(state, "--period", MONTH, "--json", "--spool", state / "nowhere"))["periods"]
    assert [row["exact"] for row in period["licenses"]] == [False, False]
    assert "no spool was looked at" in period["licenses"][1]["reasons"][0]
    assert period["licenses"][0]["users"] == 1


def test_the_table_shows_the_same(state):
    lines = show(state, "--period", MONTH).splitlines()
    assert lines[0] == "Active users in 2026-11 (Europe/Berlin)"
    assert lines[3].split() == ["kimi", "2", "2", "unknown", "no"]
    assert lines[4].split() == ["qwen", "3", "3", "3", "yes"]
    assert lines[5:7] == ["kimi:", "- 1 answered request named no user"]
    assert lines[7].startswith("An active user is a distinct identity")


@pytest.mark.parametrize(
    ("period", "said"),
    [
        ("2025-01", "Not counted in 2025-01 (Europe/Berlin): counting began in 2026-08."),
        ("2026-10", "Not counted in 2026-10 (Europe/Berlin): nobody was counted in 2026-10: the ledger cannot tell"),
        ("2026-11-22", "Not counted in 2026-11-22 (Europe/Berlin): days are not tracked, or none was counted yet"),
        ("2026-11-22/30d", "Not counted in 2026-11-22/30d (Europe/Berlin): windows of 30 days are not tracked"),
    ],
)
def test_a_time_that_nobody_observed_is_not_zero_users(state, period, said, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON)
    config = guard_yaml(state)
    text = usage("show", "--config", config, "--period", period)
    assert text.startswith(said)
    assert "yes" not in text
    (found,) = usage_json("show", "--config", config, "--period", period)["periods"]
    assert {(row["counted"], row["users"], row["upper"], row["exact"]) for row in found["licenses"]} == {
        (False, None, None, False)
    }


def test_what_was_stated_of_a_time_that_nobody_observed_is_shown(state):
    ledger = open_ledger(url_of(state / "ledger.db"))
    ledger.declare(Declaration("qwen", "2026-07", "app", Part.PRODUCT, 50, 0, "legal@example.org", TODAY))
    ledger.close()
    lines = show(state, "--period", "2026-07").splitlines()
    assert lines[0] == "Not counted in 2026-07 (Europe/Berlin): counting began in 2026-08."
    assert lines[3].split() == ["qwen", "-", "50", "unknown", "no"]


def test_a_period_that_has_not_begun_has_no_count(state, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOVEMBER)
    assert show(state, "--period", "2027-01") == "2027-01 (Europe/Berlin) has not begun.\n"
    (found,) = json.loads(show(state, "--period", "2027-01", "--json"))["periods"]
    assert (found["begun"], found["licenses"]) == (False, [])


def test_the_month_in_which_counting_began_is_not_exact(tmp_path):
    gateway(tmp_path / "ledger.db", {"qwen-2024": [1, 2]})
    (tmp_path / "spool").mkdir()
    text = show(tmp_path, "--period", MONTH)
    assert text.splitlines()[3].split() == ["qwen-2024", "2", "2", "unknown", "no"]
    assert "- counting began on 2026-11-22 at the latest: who came before that is not in the number" in text


def test_without_a_period_it_is_the_current_one(state, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOVEMBER)
    assert [each["period"] for each in json.loads(show(state, "--json"))["periods"]] == [MONTH]


def test_a_configuration_names_ledger_spool_and_limits(state, tmp_path, monkeypatch):
    monkeypatch.setenv("GUARD_CONFIG", str(guard_yaml(state, "  limits: {qwen-2024: 1}\n")))
    rows = {row["license"]: row for row in usage_json("show", "--period", MONTH)["periods"][0]["licenses"]}
    assert {name: row["users"] for name, row in rows.items()} == {"kimi": 2, "qwen": 3, "llama-3.1": 0, "qwen-2024": 0}
    common = {
        "state": "ok", "attestation": None, "lower": 0, "upper": 0, "held_against": 0, "not_included": [],
        "products": "with_model", "affiliates": "unmentioned", "affiliates_read": None, "standing": True,
    }  # fmt: skip
    assert rows["qwen-2024"]["limits"] == [
        {
            "id": "mau_100m", "value": 100_000_000, "clause": "4", "consequence": "no_rights", **common,
        },
        {
            "id": "operator", "value": 1, "clause": "", "consequence": "operator", **common,
        },
    ]  # fmt: skip


def test_a_limit_on_a_past_month_has_no_state_but_an_attestation(state):
    config = guard_yaml(state)
    (limit,) = usage_json("show", "--config", config, "--period", MONTH)["periods"][0]["licenses"][1]["limits"]
    assert (limit["id"], limit["state"], limit["attestation"]) == ("mau_700m", None, "missing")
    text = " ".join(usage("show", "--config", config, "--period", MONTH).split())
    assert (
        "- limit 700,000,000 not tested by this count (clause 2, release snapshot); attestation: missing; as an early "
        "warning: 0; other products and services not included"
    ) in text


def test_a_license_that_counts_what_no_gateway_sees_is_not_bounded_by_one(tmp_path):
    gateway(tmp_path / "ledger.db", {"llama-3.1": [9]}, period="2026-10", day="2026-10-01")
    gateway(tmp_path / "ledger.db", {"llama-3.1": [1, 2]})
    config = guard_yaml(tmp_path)
    row = usage_json("show", "--config", config, "--period", MONTH)["periods"][0]["licenses"][0]
    assert (row["users"], row["lower"], row["upper"], row["exact"]) == (2, 2, None, False)
    assert row["measured"] == {"lower": 2, "upper": 2, "exact": True}
    text = usage("show", "--config", config, "--period", MONTH)
    assert "- the license counts all products of the licensee and its affiliates; nothing was stated of others" in text
    assert "- measured here: 2, exactly" in text


def test_the_reading_of_active_user_stands_with_the_definition(tmp_path):
    gateway(tmp_path / "ledger.db", {"qwen-2024": [1, 2]})
    config = guard_yaml(tmp_path, "  readings: {qwen-2024: people}\n")
    rows = usage_json("show", "--config", config, "--period", MONTH)["periods"][0]["licenses"]
    assert [(row["license"], row["reading"]) for row in rows] == [("llama-3.1", "identities"), ("qwen-2024", "people")]
    said = "qwen-2024 (usage.readings): read as people: an application's shared credential is no user."
    assert said in usage("show", "--config", config, "--period", MONTH)
    assert said not in usage("show", "--config", guard_yaml(tmp_path), "--period", MONTH)


def test_declared_numbers_widen_the_bounds_and_limits_look_at_the_upper_one(tmp_path):
    gateway(tmp_path / "ledger.db", {"qwen-2024": [99]}, period="2026-10", day="2026-10-01")
    gateway(tmp_path / "ledger.db", {"qwen-2024": range(1, 61)})
    ledger = open_ledger(url_of(tmp_path / "ledger.db"))
    ledger.declare(Declaration("qwen-2024", MONTH, "mobile app", Part.PRODUCT, 50, 0, "legal@example.org", TODAY))
    ledger.declare(Declaration("qwen-2024", MONTH, "sister", Part.AFFILIATE, 30, 0, "legal@example.org", TODAY))
    ledger.close()
    config = guard_yaml(tmp_path, "  limits: {qwen-2024: 100}\n")

    def row():
        return usage_json("show", "--config", config, "--period", MONTH)["periods"][0]["licenses"][1]

    assert (row()["users"], row()["lower"], row()["upper"], row()["exact"]) == (60, 60, 140, False)
    assert [limit["state"] for limit in row()["limits"]] == ["ok", "over"]
    assert [(each["source"], each["users"], each["owner"]) for each in row()["declared"]] == [
        ("mobile app", 50, "legal@example.org"), ("sister", 30, "legal@example.org"),
    ]  # fmt: skip
    config = guard_yaml(tmp_path, "  limits: {qwen-2024: 200}\n  affiliates: {qwen-2024: exclude}\n")
    limit = row()["limits"][0]
    assert (row()["upper"], limit["affiliates"], limit["affiliates_read"]) == (110, "unmentioned", "excluded")
    assert (
        "usage.affiliates reads that as excluded: 30 left out; counted they would make at most 140"
        in (row()["reasons"][-1])
    )


def test_days_and_windows_are_shown_where_they_are_tracked(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON)
    for period in (MONTH, TODAY, f"{TODAY}/30d"):
        gateway(tmp_path / "ledger.db", {"qwen-2024": [1, 2]}, period=period)
    (tmp_path / "spool").mkdir()
    periods = json.loads(show(tmp_path, "--json"))["periods"]
    assert [(each["period"], each["kind"], each["licenses"][0]["users"]) for each in periods] == [
        (MONTH, "month", 2), (TODAY, "day", 2), (f"{TODAY}/30d", "rolling_30", 2),
    ]  # fmt: skip
    assert "within the 30 days that end with the stated day" in periods[2]["definition"]
    assert [each["licenses"][0]["reasons"] for each in periods] == [
        [f"counting began on {TODAY} at the latest: who came before that is not in the number"],
        [f"days are tracked since {TODAY}: who came earlier on that day is not in the number"],
        [f"days were not tracked before {TODAY}: the window lacks 29 of them"],
    ]


def test_a_window_without_its_days_says_so(tmp_path):
    gateway(tmp_path / "ledger.db", {"qwen-2024": [1, 2]}, period="2026-10-20")
    gateway(tmp_path / "ledger.db", {"qwen-2024": [1, 2]}, period="2026-11-20")
    gateway(tmp_path / "ledger.db", {"qwen-2024": [3]}, period=f"{TODAY}/28d", key="00112233aabbccdd")
    reasons = json.loads(show(tmp_path, "--period", f"{TODAY}/28d", "--json"))["periods"][0]["licenses"][0]["reasons"]
    assert "no gateway has put the users of earlier days into the window" in reasons


def test_users_of_a_day_in_the_spool_are_counted_in_the_day_the_month_and_its_windows(tmp_path):
    ledger = sqlite_ledger(tmp_path)
    counter = counter_on(ledger, tmp_path / "spool", kinds=["day", "rolling_30"])
    counter.flush()
    counter.sight(("qwen",), 7, NOVEMBER)
    for period in (MONTH, "2026-11-15", "2026-11-15/30d", "2026-11-20/30d"):
        (row,) = json.loads(show(tmp_path, "--period", period, "--json"))["periods"][0]["licenses"]
        assert (row["users"], row["in_spool"]) == (1, 1), period
    assert json.loads(show(tmp_path, "--period", "2026-11-16", "--json"))["periods"][0]["licenses"] == []
    counter.stop(1)
    ledger.close()


def test_a_chart_draws_a_month(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON)
    for day in range(1, 23):
        gateway(tmp_path / "ledger.db", {"qwen-2024": range(day * 10, day * 10 + 10)}, day=f"2026-11-{day:02d}")
    drawn = usage("show", "--config", guard_yaml(tmp_path, "  limits: {qwen-2024: 250}\n"), "--chart")
    assert "qwen-2024, users in 2026-11 up to each day" in drawn
    assert "qwen-2024 operator" in drawn
    assert "no month" not in drawn
    assert "2026-11-22 is none" in show(tmp_path, "--chart", "--period", TODAY, code=2)


def test_looking_changes_nothing(state):
    before = {path.name: path.read_bytes() for path in (state / "spool").iterdir()}
    show(state, "--json")
    assert {path.name: path.read_bytes() for path in (state / "spool").iterdir()} == before


def test_bad_usage_and_bad_ledgers_are_told_apart(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "name a ledger" in usage("show", code=2)  # typer's own; ``guard`` turns every usage error into 64
    assert "period 'November'" in show(state, "--period", "November", code=2)
    assert "there is no ledger" in usage("show", "--ledger", url_of(tmp_path / "none.db"), code=78)
    assert "allowed: " in usage("show", "--ledger", "mysql://127.0.0.1/x", code=78)


def test_no_password_of_a_ledger_is_shown(tmp_path):
    said = usage("show", "--ledger", "redis://gateway:hunter2@127.0.0.1:1/0", code=78)
    assert "hunter2" not in said


def test_a_ledger_nobody_counted_into_is_empty(tmp_path):
    open_ledger(url_of(tmp_path / "ledger.db")).close()
    assert json.loads(show(tmp_path, "--period", MONTH, "--json"))["periods"][0]["licenses"] == []
