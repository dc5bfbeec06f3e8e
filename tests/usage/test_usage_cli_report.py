"""``guard usage report`` tells everything about one month, the same bytes whenever it is asked."""

import json
from hashlib import sha256

import pytest
from ledger_files import MONTH, NOON, TODAY, gateway, guard_yaml, url_of, usage, usage_json

import guard
from guard.policy.load import digest_of
from guard.policy.locations import shipped_licenses
from guard.usage.address import open_ledger
from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Scope


@pytest.fixture
def config(tmp_path):
    """A month with growth, an import, a declared number, a requests without user, and a limit that it is over."""
    gateway(tmp_path / "ledger.db", {"qwen-2024": [9]}, period="2026-09", day="2026-09-03")
    url = gateway(tmp_path / "ledger.db", {"qwen-2024": [1, 2, 3]}, period="2026-10", day="2026-10-30")
    gateway(tmp_path / "ledger.db", {"qwen-2024": [1, 2, 10]}, day="2026-11-02", unidentified=4)
    gateway(tmp_path / "ledger.db", {"qwen-2024": [11]}, day="2026-11-05", unidentified=4)
    ledger = open_ledger(url)
    ledger.declare(Declaration("qwen-2024", MONTH, "gateway-b", Part.GATEWAY, 0, 6, "gateway-b", TODAY))
    ledger.declare(Declaration("qwen-2024", MONTH, "mobile app", Part.PRODUCT, 120, 0, "legal@example.org", TODAY))
    ledger.write({Scope(MONTH, "qwen-2024"): [20, 21]}, {}, owner="import", day=None)
    ledger.close()
    return guard_yaml(tmp_path, "  limits: {qwen-2024: 100}\n  readings: {qwen-2024: people}\n")


def licenses(document):
    return {each["license"]: each for each in document["licenses"]}


def test_it_answers_what_a_lawyer_asks(config):
    found = usage_json("report", "--config", config, "--period", MONTH)
    assert (found["period"], found["zone"], found["as_of"]) == (MONTH, "UTC", "2026-11-05")
    assert (found["over"], found["sightings_until"], found["guard"]) == (False, "2026-11-05", guard.__version__)
    assert [each["name"] for each in found["limits_from"]] == ["guard.yaml", "licenses"]
    assert found["limits_from"][0]["digest"] == sha256(config.read_bytes()).hexdigest()
    assert found["limits_from"][1]["digest"] == digest_of([shipped_licenses()])
    assert found["definition"].startswith("An active user is a distinct identity")
    assert found["ledger"] == {
        "store": "sqlite", "exact": True, "error_bounds": None, "survives_power_loss": False, "forgetful": False,
        "key": "00112233aabbccdd",
    }  # fmt: skip
    qwen = licenses(found)["qwen-2024"]
    assert (qwen["name"], qwen["reading"]) == ("Qwen License Agreement", "people")
    assert (qwen["users"], qwen["lower"], qwen["upper"], qwen["exact"]) == (6, 120, None, False)
    assert qwen["reasons"] == [
        "4 answered requests named no user",
        "gateway-b: 6 answered requests named no user",
        "mobile app: 120 users, stated by legal@example.org on 2026-11-22: they may be among those counted here",
    ]
    assert {(limit["upper"], *limit["not_included"]) for limit in qwen["limits"]} == {(None, "unidentified requests")}
    assert [(limit["id"], limit["clause"], limit["state"], limit["held_against"]) for limit in qwen["limits"]] == [
        ("mau_100m", "4", "ok", 126), ("operator", "", "over", 126),
    ]  # fmt: skip
    assert qwen["declared"] == [
        {"source": "mobile app", "part": "product", "users": 120, "unidentified_requests": 0,
         "owner": "legal@example.org", "stated": TODAY}
    ]  # fmt: skip
    assert qwen["merged"] == [{"source": "gateway-b", "unidentified_requests": 6, "stated": TODAY}]
    assert qwen["growth"] == [
        {"day": "2026-11-02", "new": 1, "returning": 2}, {"day": "2026-11-05", "new": 1, "returning": 0},
    ]  # fmt: skip
    assert qwen["undated_users"] == 2
    assert found["not_in_the_number"][0] == "Who sent the 10 answered requests that named no user."


def test_the_text_says_the_same(config):
    text = usage("report", "--config", config, "--period", MONTH)
    lines = text.splitlines()
    assert lines[:2] == ["Users in 2026-11", "================"]
    assert "The month is not over in this ledger: its newest sighting is of 2026-11-05" in text
    ledger = text[text.index("ledger  ") : text.index("limits  ")]
    assert " ".join(ledger.split()) == (
        "ledger sqlite, exact; pseudonym key 00112233aabbccdd; what it has survives a killed process, its last writes "
        "maybe no power cut; it forgets nothing"
    )
    assert f"from guard.yaml, digest {sha256(config.read_bytes()).hexdigest()}; licenses, digest " in " ".join(
        text.split()
    )
    assert f"made    by Guard {guard.__version__}, as of 2026-11-05" in lines
    assert "Qwen License Agreement (qwen-2024)" in lines
    assert "6 users measured here so far; at least 120, no upper bound:" in lines
    assert "- limit 100 (your own, standing): over at 126; unidentified requests not included" in lines
    assert "mobile app  product    120  2026-11-22  legal@example.org" in lines
    assert "gateway-b    2026-11-22                           6" in lines
    assert "2026-11-02    1          2" in lines
    assert '"Active user" is read as people: an application\'s shared credential is no user.' in lines
    assert max(map(len, lines)) <= 100


def test_the_same_state_gives_the_same_bytes_at_any_time_and_place(config, tmp_path, monkeypatch):
    out = tmp_path / "report.txt"
    seen = set()
    for now, columns, zone in ((NOON, "40", "UTC"), (NOON + 1e8, "200", "Asia/Tokyo")):
        monkeypatch.setattr("time.time", lambda now=now: now)
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("TZ", zone)
        usage("report", "--config", config, "--out", out)
        seen.add((out.read_bytes(), usage("report", "--config", config), usage("report", "--config", config, "--json")))
    ((written, text, _),) = seen
    assert written.decode() == text


def test_without_a_period_it_is_the_newest_month_of_the_ledger(config):
    assert usage_json("report", "--config", config)["period"] == MONTH


def test_a_month_of_the_past_is_reported_as_it_was(config):
    found = licenses(usage_json("report", "--config", config, "--period", "2026-10"))["qwen-2024"]
    assert (found["users"], found["exact"], found["declared"]) == (3, True, [])
    text = usage("report", "--config", config, "--period", "2026-10")
    assert "3 users, exactly." in text
    assert "as of 2026-10-31" in text
    assert "not over" not in text


def test_a_report_ends_with_its_digest(config):
    text = usage("report", "--config", config)
    above, _, last = text.removesuffix("\n").rpartition("\n")
    assert last == f"sha256 of the lines above: {sha256((above + chr(10)).encode()).hexdigest()}"
    found = usage_json("report", "--config", config)
    digest = found.pop("sha256")
    canonical = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert digest == sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    ("period", "said"),
    [
        ("2020-01", "2020-01 was not counted: counting began in 2026-09"),
        ("2026-12", "2026-12 has not begun"),
    ],
)
def test_a_month_that_was_not_counted_has_no_report(config, period, said, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON)
    assert usage("report", "--config", config, "--period", period, code=65).strip() == said


def test_the_month_in_which_counting_began_is_not_reported_as_exact(config):
    text = usage("report", "--config", config, "--period", "2026-09")
    assert "1 user measured here; at least 1, no upper bound:" in text
    assert "- counting began on 2026-09-03 at the latest" in text


def test_a_limit_on_a_past_month_is_not_tested_by_this_count(config):
    text = " ".join(usage("report", "--config", config).split())
    assert "- limit 700,000,000 (clause 2, release snapshot): not tested by this count, as no count" in text
    assert "triggers or cures it; attestation: missing; as an early warning: 0" in text


def test_how_affiliates_are_read_is_not_said_to_be_the_licenses_word(config, tmp_path):
    ledger = open_ledger(url_of(tmp_path / "ledger.db"))
    ledger.declare(Declaration("qwen-2024", MONTH, "shop", Part.AFFILIATE, 90_000_000, 0, "legal@example.org", TODAY))
    ledger.close()
    config = guard_yaml(tmp_path, "  affiliates: {qwen-2024: exclude}\n")
    text = " ".join(usage("report", "--config", config).split())
    assert (
        "the license does not mention affiliates; usage.affiliates reads that as excluded: 90,000,000 left out; counted "
        "they would make at most 90,000,126"
    ) in text
    assert "- counts with model products, affiliates unmentioned, read as excluded (usage.affiliates)" in text


def test_thresholds_of_a_past_month_want_an_attestation(config):
    llama = licenses(usage_json("report", "--config", config))["llama-3.1"]
    assert [(each["reference_month"], each["ground"], each["statement"]) for each in llama["attestations"]] == [
        ("2024-06", "missing", "")
    ]
    assert "no attestation in force" in usage("report", "--config", config)


@pytest.fixture
def attested(config, tmp_path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from guard.usage.attestation import Attestation, sign

    said = Attestation(
        licensee="Example GmbH", license="llama-3.1", threshold="mau_700m", reference_month="2024-06",
        users=12_000_000, at_most=True, products="all of them", affiliates="none", covers_all=True,
        active_user="an account", statement="billing records, folder 7", owner="legal@example.org",
        stated="2026-12-02", expires="2027-11-30",
    )  # fmt: skip
    (tmp_path / "llama.json").write_text(sign(said, Ed25519PrivateKey.generate()).to_json())
    config.write_text(config.read_text() + "  attestations: [llama.json]\n")
    return config


def test_attestations_in_force_are_in_it_with_their_owner(attested, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON + 30 * 86400)
    found = usage_json("report", "--config", attested)
    assert found["as_of"] == "2026-12-02", "the day it was stated, which is after the month"
    (ground,) = licenses(found)["llama-3.1"]["attestations"]
    assert ground["ground"] == "shown"
    assert ground["statement"].startswith("Example GmbH: at most 12,000,000 users in 2024-06, of all of them; none; ")
    assert "billing records, folder 7 (legal@example.org" in ground["statement"]


@pytest.mark.parametrize("day", ["2026-11-15", "2026-12-01", "2027-12-01"])
def test_an_attestation_is_in_force_only_from_its_day_until_it_expires(attested, day, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON + 500 * 86400)
    found = usage_json("report", "--config", attested, "--at", day)
    assert found["as_of"] == day
    assert [each["ground"] for each in licenses(found)["llama-3.1"]["attestations"]] == ["missing"]


def test_what_is_stated_on_a_day_to_come_counts_for_nothing_and_no_report_is_of_such_a_day(attested, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON)
    found = usage_json("report", "--config", attested)
    assert found["as_of"] == "2026-11-05"
    assert [each["ground"] for each in licenses(found)["llama-3.1"]["attestations"]] == ["missing"]
    assert "a day to come; allowed: 2026-11-22" in usage("report", "--config", attested, "--at", "2026-11-23", code=2)


def test_the_highest_day_and_window_of_the_month_are_in_it(tmp_path):
    for day, users in (("2026-11-03", 5), ("2026-11-04", 9), ("2026-11-05", 7), ("2026-10-30", 99)):
        gateway(tmp_path / "ledger.db", {"baichuan-2": range(users)}, period=day, day=None)
    gateway(tmp_path / "ledger.db", {"baichuan-2": range(9)})
    config = guard_yaml(tmp_path, "  windows: [day]\n")
    config.write_text(config.read_text().replace("license: qwen-2024", "license: baichuan-2"))
    found = licenses(usage_json("report", "--config", config, "--period", MONTH))["baichuan-2"]
    (peak,) = found["peaks"]
    assert (peak["period"], peak["users"]) == ("2026-11-04", 9)
    assert [(limit["id"], limit["state"]) for limit in peak["limits"]] == [("dau_1m", "ok")]
    assert found["limits"] == []
    assert "- highest day: 2026-11-04 with 9 users, at least 9, no upper bound" in usage("report", "--config", config)


def test_limits_on_days_that_nobody_tracks_are_said(tmp_path):
    gateway(tmp_path / "ledger.db", {"baichuan-2": range(9)})
    config = guard_yaml(tmp_path)
    config.write_text(config.read_text().replace("license: qwen-2024", "license: baichuan-2"))
    assert "which baichuan-2 limits to 999,999" in usage_json("report", "--config", config)["not_in_the_number"][-1]


def test_by_its_url_a_ledger_is_reported_without_limits(config, tmp_path):
    url = url_of(tmp_path / "ledger.db")
    found = licenses(json.loads(usage("report", "--ledger", url, "--json")))
    assert found["qwen-2024"]["limits"] is None
    assert "none was given" in usage("report", "--ledger", url)


def test_bad_usage_is_told(config, tmp_path):
    assert "allowed: a month" in usage("report", "--config", config, "--period", TODAY, code=2)
    assert "period '2026-13'" in usage("report", "--config", config, "--period", "2026-13", code=2)
    assert "allowed: YYYY-MM-DD" in usage("report", "--config", config, "--at", "soon", code=2)
    assert "nowhere" in usage("report", "--config", config, "--out", tmp_path / "nowhere" / "x", code=73)
    open_ledger(url_of(tmp_path / "empty.db")).close()
    assert "counted nobody yet" in usage("report", "--ledger", url_of(tmp_path / "empty.db"), code=2)
