"""``guard usage`` over a real Redis: exact, and as an estimate."""

import pytest
from ledger_files import MONTH, NOON, RUN, TODAY, app, gateway, usage, usage_json, users_in
from redis_world import shared_server  # noqa: F401  (a fixture)
from usage_world import PRINT

from guard.usage.address import open_ledger
from guard.usage.ledger import Scope

pytestmark = pytest.mark.slow


def url_on(server, name, scheme="redis"):
    return server.url(scheme, query=f"prefix={name}")


def count(url, users, *, unidentified=0):
    ledger = open_ledger(url)
    try:
        ledger.bind("UTC")
        ledger.claim_key(MONTH, PRINT)
        ledger.write({Scope("2026-10", "other"): [1]}, {}, owner="a", day="2026-10-01")  # this month was seen whole
        scope = Scope(MONTH, "qwen-2024")
        ledger.write({scope: list(users)}, {scope: unidentified}, owner="a", day=TODAY)
    finally:
        ledger.close()
    return url


@pytest.fixture(autouse=True)
def noon(monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON)


def test_a_ledger_in_redis_is_shown_by_its_url(shared_server, tmp_path):  # noqa: F811
    url = count(url_on(shared_server, "shown"), range(1, 101), unidentified=3)
    (row,) = usage_json("show", "--ledger", url, "--spool", tmp_path)["periods"][0]["licenses"]
    assert (row["users"], row["lower"], row["upper"], row["unidentified_requests"]) == (100, 100, None, 3)
    assert row["reasons"] == ["3 answered requests named no user"]
    report = usage_json("report", "--ledger", url)
    assert (report["ledger"]["store"], report["ledger"]["exact"]) == ("redis", True)
    assert report["licenses"][0]["growth"] == [{"day": TODAY, "new": 100, "returning": 0}]
    assert usage("report", "--ledger", url) == usage("report", "--ledger", url)


def test_users_travel_between_redis_and_files_to_the_union(shared_server, tmp_path):  # noqa: F811
    ours = count(url_on(shared_server, "ours"), range(1, 20_001), unidentified=5)
    theirs = gateway(tmp_path / "b.db", {"qwen-2024": range(10_001, 30_001)})
    to, fro = tmp_path / "a.users", tmp_path / "b.users"
    usage("export", "--ledger", ours, "--period", MONTH, "--source", "a", "--out", to)
    usage("export", "--ledger", theirs, "--period", MONTH, "--source", "b", "--out", fro)
    usage("import", to, "--ledger", theirs)
    assert [(row["read"], row["new"], row["users"]) for row in usage_json("import", fro, "--ledger", ours)] == [
        (20_000, 10_000, 30_000)
    ]
    assert usage_json("import", fro, "--ledger", ours)[0]["new"] == 0
    assert users_in(ours) == users_in(theirs) == set(range(1, 30_001))


def test_an_estimate_takes_users_and_gives_none(shared_server, tmp_path):  # noqa: F811
    theirs = gateway(tmp_path / "b.db", {"qwen-2024": range(10_001, 30_001)})
    file = tmp_path / "b.users"
    usage("export", "--ledger", theirs, "--period", MONTH, "--source", "b", "--out", file)
    url = count(url_on(shared_server, "estimated", "redis+hll"), range(1, 20_001))
    (taken,) = usage_json("import", file, "--ledger", url)
    assert (taken["read"], taken["new"]) == (20_000, None)
    (row,) = usage_json("show", "--ledger", url, "--spool", tmp_path)["periods"][0]["licenses"]
    assert row["lower"] <= 30_000 <= row["upper"]
    assert row["lower"] < row["upper"]
    assert row["reasons"][0].startswith("an estimate: between ")
    said = usage("export", "--ledger", url, "--period", MONTH, "--out", tmp_path / "x.users", code=65)
    assert "the ledger estimates" in said
    assert not (tmp_path / "x.users").exists()
    assert "an estimate (three standard errors" in usage("report", "--ledger", url)


def test_a_stated_number_is_kept_in_redis(shared_server, tmp_path):  # noqa: F811
    url = count(url_on(shared_server, "stated"), range(1, 11))
    usage("import", "--declared", "50", "--license", "qwen-2024", "--period", MONTH, "--source", "mobile app",
          "--owner", "legal@example.org", "--ledger", url)  # fmt: skip
    (row,) = usage_json("show", "--ledger", url, "--spool", tmp_path)["periods"][0]["licenses"]
    assert (row["lower"], row["upper"]) == (50, 60)
    (row,) = usage_json("show", "--ledger", url)["periods"][0]["licenses"]
    assert row["upper"] is None, "what other gateways' spools hold nobody knows"


def test_a_redis_that_nobody_counted_in_or_that_is_away_is_said_without_its_password(shared_server):  # noqa: F811
    assert usage("show", "--ledger", url_on(shared_server, "nobody"), code=78).strip()
    result = RUN.invoke(app, ["show", "--ledger", "redis://gateway:hunter2@127.0.0.1:1/0"])
    assert result.exit_code == 78
    assert result.output.strip()
    assert "hunter2" not in result.output


def test_a_prefix_that_nobody_counted_under_is_no_ledger_unless_asked_for(shared_server):  # noqa: F811
    url = url_on(shared_server, "typo")
    stated = ("import", "--declared", "50", "--license", "qwen-2024", "--period", MONTH, "--source", "mobile app",
              "--owner", "legal@example.org", "--ledger", url)  # fmt: skip
    said = usage(*stated, code=78)
    assert "nothing was counted under the prefix" in said
    assert "; --create makes one" in said
    assert usage(*stated, "--create").startswith("qwen-2024 in 2026-11: 50 users of mobile app")
