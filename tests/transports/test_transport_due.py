"""What is open or comes due, by what the policy and the disk say on a day."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from asgi_world import RULES
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.exchange.credential import StoredKey
from guard.exchange.snapshot import Entitlement
from guard.policy.attestations import filed
from guard.policy.load import load
from guard.transports.due import Kept, due_facts
from guard.transports.scrape import lapses
from guard.usage.attestation import Attestation, sign

DAY = date(2026, 6, 1)
KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
SAID = Attestation(
    "Example GmbH", "llama-3.1", "mau_700m", "2024-06", 12_000_000, False, "all products",
    "the licensee and its affiliates", True, "an account", "analytics report 7", "legal@example.org", "2026-05-01",
)  # fmt: skip


def noon(day):
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()


class World:
    """A configuration on a day."""

    def __init__(self, tmp_path):
        self.path = tmp_path / "guard.yaml"

    def due(self, text, today=DAY, months=(), keys=None):
        self.path.write_text(text, encoding="utf-8")
        loaded = load(self.path, today=today, rules=RULES)
        snapshot = loaded.snapshot
        if keys is not None:
            snapshot = replace(snapshot, identity=replace(snapshot.identity, stored=keys))
        kept = Kept(tuple(filed(loaded.config, snapshot.packs, today)), months)
        self.snapshot = snapshot
        return due_facts(snapshot, loaded.config, kept, noon(today))

    def state(self, **values):
        (self.path.parent / "a.json").write_text(sign(replace(SAID, **values), KEY).to_json(), encoding="utf-8")


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


def about(rows, *words):
    return [(row["what"], row["state"], row["by"]) for row in rows if all(word in row["what"] for word in words)]


LLAMA = "models: {m: {license: llama-3.1}}\nusage: {attestations: [a.json]}\n"


LEFT_OPEN = "what is attested of the users of 2024-06 leaves open whether there were more than 700,000,000"


@pytest.mark.parametrize(("values", "expected"), [
    ({"expires": "2026-06-20"}, ("the users of 2024-06 are attested", "soon", "2026-06-20")),
    ({"expires": "2027-06-20"}, ("the users of 2024-06 are attested", "met", "2027-06-20")),
    ({}, ("the users of 2024-06 are attested", "met", None)),
    ({"expires": "2026-05-31"}, ("the attestation of the users of 2024-06 has lapsed", "overdue", "2026-05-31")),
    ({"users": 800_000_000}, ("the users of 2024-06 are more than the 700,000,000 that the license allows, as attested",
                              "overdue", None)),
    ({"users": 800_000_000, "at_most": True}, (LEFT_OPEN, "open", None)),
])  # fmt: skip
def test_an_attestation_is_met_lapses_or_is_wanted(world, values, expected):
    world.state(**values)
    rows = world.due(LLAMA)
    assert about(rows, "users of 2024-06") == [expected]
    (row,) = (row for row in rows if "users of 2024-06" in row["what"])
    assert (row["license"], row["clause"]) == ("llama-3.1", "2")


def test_one_that_is_missing_says_how_to_make_it(world):
    (row,) = (row for row in world.due("models: {m: {license: llama-3.1}}\n") if "attested" in row["what"])
    assert row["state"] == "open"
    assert row["how"].startswith("guard usage attest --license llama-3.1 --threshold mau_700m --users N")


def test_an_attestation_lapses_at_the_end_of_its_day_in_utc(world):
    world.state(expires="2026-06-20")
    world.due(LLAMA)
    at = ("llama-3.1", "mau_700m")
    assert lapses(world.snapshot.attested_until) == {at: datetime(2026, 6, 21, tzinfo=UTC).timestamp()}
    world.state()
    world.due(LLAMA)
    assert lapses(world.snapshot.attested_until) == {}
    world.state(users=800_000_000, at_most=True, expires="2026-06-20")  # it shows nothing
    world.due(LLAMA)
    assert lapses(world.snapshot.attested_until) == {}


def test_a_statement_is_wanted_given_and_runs_out(world):
    text = "models: {m: {license: falcon-180b}}\n"
    (wanted,) = (row for row in world.due(text) if "operator.statements" in row["how"])
    assert (wanted["state"], wanted["license"]) == ("open", "falcon-180b")
    given = text + (
        "operator:\n  statements: [{license: falcon-180b, about: hosting, says: order 7, owner: legal@example.org, "
        "expires: %s}]\n"
    )
    assert about(world.due(given % "2027-01-01"), "stated about hosting") == [
        ("stated about hosting: order 7", "met", "2027-01-01")
    ]
    assert about(world.due(given % "2026-06-11"), "stated about hosting")[0][1:] == ("soon", "2026-06-11")
    (late,) = about(world.due(given % "2026-05-11"), "has expired")
    assert late[1:] == ("overdue", "2026-05-11")


def test_what_is_looser_for_a_time_ends_by_itself(world):
    (world.path.parent / "own.yaml").write_text(
        "category: S9\nrules:\n  - id: S9.own\n    anchors: [nerve agent kit]\n    exceptions:\n"
        "      - {phrase: nerve agent kit for training, owner: safety@example.org, expires: 2026-06-09}\n",
        encoding="utf-8",
    )
    rows = world.due(
        "models: {m: {license: llama-3.1}}\nscreening:\n  rules: [own.yaml]\n  actions: {S6: log}\n"
        "  relax: [{category: S6, owner: legal@example.org, expires: 2027-06-30, reason: contract 17}]\n"
        "shadows: [{check: territory, owner: safety@example.org, expires: 2026-06-02, reason: tried out}]\n"
    )
    assert about(rows, "shadow of") == [("shadow of check territory ends (safety@example.org)", "soon", "2026-06-02")]
    assert about(rows, "relaxation") == [("relaxation of category S6 ends (legal@example.org)", "met", "2027-06-30")]
    assert about(rows, "exception of rule S9.own") == [
        ("exception of rule S9.own ends (safety@example.org)", "soon", "2026-06-09")
    ]


def test_keys_about_to_expire_are_named_by_their_id(world):
    def key(day, revoked=False):
        end = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        return StoredKey(b"s" * 16, b"h" * 32, end, revoked), Entitlement("app")

    rows = world.due("models: {m: {license: mistral-apache}}\n", keys={
        "near": key(date(2026, 6, 16)), "far": key(date(2027, 6, 16)), "gone": key(date(2026, 5, 1)),
        "revoked": key(date(2026, 6, 16), revoked=True), "endless": (StoredKey(b"s", b"h"), Entitlement("app")),
    })  # fmt: skip
    assert about(rows, "API key") == [
        ("API key near of app expires", "soon", "2026-06-15"),
        ("API key far of app expires", "met", "2027-06-15"),
    ]


@pytest.mark.parametrize(("today", "state"), [(date(2026, 6, 1), "met"), (date(2026, 6, 27), "soon")])
def test_the_oldest_month_goes_when_its_months_are_over(world, today, state):
    text = "models: {m: {license: mistral-apache}}\noutputs: {keep_months: 2}\n"
    rows = world.due(text, today, months=("2026-04", "2026-05", "2026-06"))
    assert about(rows, "shredded") == [
        ("the index of 2026-04 is shredded after outputs.keep_months", state, "2026-06-30")
    ]
    without = world.due("models: {m: {license: mistral-apache}}\n", today, months=("2026-04",))
    assert about(without, "shredded") == []


def test_words_to_be_shown_are_met_where_guard_sends_them(world):
    text = "models: {m: {license: llama-3.1}}\n"
    (shown,) = (row for row in world.due(text) if row["what"].startswith("show: "))
    assert (shown["state"], shown["what"]) == ("open", "show: Built with Llama")
    (sent,) = (row for row in world.due(text + "notices: {carriers: [header]}\n") if row["what"].startswith("show: "))
    assert sent["state"] == "met"


def test_the_most_urgent_comes_first(world):
    world.state(expires="2026-05-31")
    rows = world.due(LLAMA + "shadows: [{check: aup, owner: a@example.org, expires: 2026-06-02, reason: r}]\n")
    assert [row["state"] for row in rows][:3] == ["overdue", "soon", "open"]
