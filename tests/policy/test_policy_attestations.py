"""What is attested of the month that a license looks at: what it shows, whom it takes to say so, and what follows."""

import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guard.policy import counted, lastgood
from guard.policy.attestations import filed
from guard.policy.checks.limits import estimated
from guard.policy.config import Config
from guard.policy.document import Document, PolicyError
from guard.policy.known import known_licenses
from guard.policy.load import load
from guard.policy.rehearsal.hypothetical import Request
from guard.policy.rehearsal.rehearse import rehearse
from guard.policy.watch import ActivePolicy
from guard.transports.readings import obligation_facts
from guard.usage.attestation import Attestation, sign

DAY = date(2026, 6, 1)
KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
SAID = Attestation(
    "Example GmbH", "llama-3.1", "mau_700m", "2024-06", 12_000_000, False, "all products",
    "the licensee and its affiliates", True, "an account", "analytics report 7", "legal@example.org", "2026-05-01",
)  # fmt: skip
AT = ("llama-3.1", "mau_700m")
SERVED = "models:\n  m: {license: llama-3.1}\nusage:\n"
NAMED = SERVED + "  attestations: [papers/a.json]\n"
REFUSING = NAMED + "  unattested: refuse\n"


def key_of(key):
    return b64encode(key.public_key().public_bytes_raw()).decode()


@pytest.fixture
def states(write):
    """Puts a signed statement into a file."""

    def state(name="papers/a.json", key=KEY, **values):
        return write(sign(replace(SAID, **values), key).to_json(), name)

    return state


def loaded(write, text, today=DAY):
    return load(write(text), today=today)


def said(snapshot):
    """The warnings without what any warning says about who signs."""
    return [warning for warning in snapshot.warnings if "usage.attestors names nobody" not in warning]


def test_without_one_the_license_is_warned_about_and_with_one_it_is_not(write, states):
    before = loaded(write, SERVED.replace("usage:\n", "")).snapshot
    assert (dict(before.attested), said(before)) == ({AT: False}, [
        ("m: license llama-3.1 looks at the users of 2024-06 (2), and no attestation in force says how many there were; "
        "see usage.attestations")
    ])  # fmt: skip
    states()
    after = loaded(write, NAMED).snapshot
    assert (dict(after.attested), said(after)) == ({AT: True}, [])
    assert after.warnings == ("usage.attestations: usage.attestors names nobody, so whoever signed them is believed",)


def test_a_license_that_looks_at_no_past_month_wants_none(write):
    snapshot = loaded(write, "models:\n  m: {license: qwen-2024}\nusage: {unattested: refuse}\n").snapshot
    assert (dict(snapshot.attested), snapshot.models["m"].unstated) == ({}, None)


def asked(snapshot, users=0):
    at = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
    return rehearse(snapshot, Request(at, model="m", users=users)).refusal


def test_where_that_is_wanted_requests_are_refused_until_it_is_attested(write, states):
    refusal = asked(loaded(write, REFUSING).snapshot)
    assert (refusal.status, refusal.code, refusal.license, refusal.clause) == (403, "license_terms", "llama-3.1", "2")
    assert refusal.message == (
        "This model is not served here: its license looks at the operator's users of one past month, and no statement "
        "of them is on record."
    )
    states()
    assert asked(loaded(write, REFUSING).snapshot) is None


@pytest.mark.parametrize("users", [0, 700_000_000, 5_000_000_000])
def test_users_of_today_change_nothing_either_way(write, states, users):
    refused = asked(loaded(write, REFUSING + "  at_limit: observe\n").snapshot, users)
    assert refused.code == "license_terms"
    states()
    assert asked(loaded(write, REFUSING).snapshot, users) is None
    states(users=700_000_001)
    assert asked(loaded(write, REFUSING).snapshot, users).code == "license_terms"


def test_more_users_than_allowed_are_no_rights_in_words_of_their_own(write, states):
    states(users=700_000_001)
    found = loaded(write, REFUSING)
    (caution,) = [each for each in found.cautions if each.strict]
    assert (caution.path, caution.line) == ("usage.attestations[0]", 4)
    assert caution.note == (
        "m: license llama-3.1 gives no rights: 700,000,001 users in 2024-06, stated by legal@example.org on 2026-05-01, "
        "are more than the 700,000,000 it allows (2)"
    )
    assert not found.snapshot.attested[AT]
    assert asked(found.snapshot).message == (
        "This model is not served here: by the statement on record of the operator's users its license gives no rights "
        "in it."
    )
    assert asked(loaded(write, NAMED).snapshot) is None, "only warned about"


@pytest.mark.parametrize(("users", "at_most", "shown"), [
    (700_000_000, False, True), (700_000_000, True, True), (700_000_001, True, False),
])  # fmt: skip
def test_a_bound_shows_what_it_bounds_and_one_above_the_limit_nothing(write, states, users, at_most, shown):
    states(users=users, at_most=at_most)
    snapshot = loaded(write, NAMED).snapshot
    assert snapshot.attested[AT] is shown
    assert any("leaves open whether there were more" in warning for warning in snapshot.warnings) is not shown
    assert not any("gives no rights" in warning for warning in snapshot.warnings)


def test_users_of_a_part_show_nothing_unless_they_are_too_many(write, states):
    part = {"products": "mobile app only", "affiliates": "none", "covers_all": False}
    states(**part)
    found = loaded(write, REFUSING)
    assert not found.snapshot.attested[AT]
    assert asked(found.snapshot).code == "license_terms"
    (warning,) = said(found.snapshot)
    assert warning.endswith(
        "12,000,000 users, stated by legal@example.org on 2026-05-01, are those of mobile app only; none, and nothing "
        "says that the license counts no others"
    )
    assert "of mobile app only; none; only a part; an active user" in found.snapshot.attestations[AT]
    states(**part, users=700_000_001)
    assert asked(loaded(write, REFUSING).snapshot).message.endswith("its license gives no rights in it.")
    states(**part | {"covers_all": True})
    assert loaded(write, NAMED).snapshot.attested[AT]


@pytest.mark.parametrize(("name", "shown"), [("Example GmbH", True), ("Example", False), ("example gmbh", False)])
def test_it_is_about_the_licensee_who_serves(write, states, name, shown):
    states()
    snapshot = loaded(write, f"operator: {{name: {name}}}\n{NAMED}").snapshot
    assert snapshot.attested[AT] is shown
    wrong = f"about the users of 'Example GmbH'; operator.name is '{name}'"
    assert any(warning.endswith(wrong) for warning in snapshot.warnings) is not shown


@pytest.mark.parametrize(("stated", "by_clock", "counts"), [
    ("2026-06-02", True, True), ("2026-06-03", True, False), ("2026-06-01", False, True), ("2026-06-02", False, False),
])  # fmt: skip
def test_a_clock_may_be_a_day_behind_and_a_day_that_is_named_is_that_day(write, states, stated, by_clock, counts):
    states(stated=stated)
    config = loaded(write, NAMED).config
    (found,) = filed(config, known_licenses(()), DAY, by_clock=by_clock)
    assert (found.wrong is None) is counts


HERE = Path(__file__).parent
SIGNED = [*HERE.glob("mistakes/strict/*/a.json"), *HERE.glob("sound/configuration/*.json")]


@pytest.mark.parametrize("path", SIGNED, ids=lambda path: path.parent.name)
def test_the_files_in_the_tests_are_signed_like_this(path):
    """So one is made anew when what is signed changes: its statement is edited, and this text is written into it."""
    told = json.loads(path.read_text()).get("attestation")
    if told is None or path.parent.name == "attestation-that-was-changed":
        return
    secret = bytes(32) if path.parent.name == "attestation-by-nobody-who-is-named" else bytes(range(32))
    made = sign(Attestation(**told), Ed25519PrivateKey.from_private_bytes(secret)).to_json()
    assert path.read_text() == made


SILENT = "(the license does not mention affiliates; this is a reading of it)"


@pytest.mark.parametrize(("license_", "reading", "words"), [
    ("llama-3.1", "exclude", "the licensee and its affiliates, taken together"),
    ("dbrx", None, "the licensee and its affiliates, taken together"),
    ("hunyuan-large", None, f"the licensee and its affiliates, taken together {SILENT}"),
    ("hunyuan-large", "exclude", f"the licensee without its affiliates {SILENT}"),
])  # fmt: skip
def test_a_statement_says_in_plain_words_whom_the_license_counts(license_, reading, words):
    (threshold,) = [part for part in known_licenses(())[license_].thresholds if part.attested]
    assert counted.affiliates(threshold, reading) == words
    said = counted.products(threshold)
    assert said == "all products and services made available by or for the licensee, with or without the model"


def test_where_a_license_is_silent_about_affiliates_its_page_does_not_say_only():
    texts = {part.counted_entities for license_ in known_licenses(()).values() for part in license_.thresholds}
    assert not [text for text in texts if "licensee only" in text]


def test_of_several_the_one_stated_last_counts_and_of_one_day_the_larger_number(write, states):
    names = "  attestations: [a.json, b.json, c.json]\n"
    states("a.json", users=900_000_000)
    states("b.json", stated="2026-05-02")
    states("c.json", stated="2026-05-02", users=13_000_000)
    snapshot = loaded(write, SERVED + names).snapshot
    assert snapshot.attested[AT]
    assert snapshot.attestations[AT].startswith("Example GmbH: 13,000,000 users in 2024-06, of all products; ")
    late = [warning for warning in snapshot.warnings if "was stated later and counts" in warning]
    assert [warning.split(": ")[0].rpartition("/")[2] for warning in late] == ["a.json", "b.json"]


def test_one_about_a_license_that_nothing_is_under_is_told_and_no_mistake(write, states):
    states()
    found = loaded(write, NAMED.replace("m: {license: llama-3.1}", "m: {license: gemma}"))
    assert [each.found for each in found.cautions if "attestors" not in each.found] == [
        "about license llama-3.1, which no model is under"
    ]
    assert not any(each.strict for each in found.cautions)


@pytest.mark.parametrize("form", ["base64", "file of base64", "file of PEM"])
def test_only_signatures_of_those_who_are_named_count(write, states, form):
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    write({"file of PEM": pem}.get(form, f"{key_of(KEY)}\n"), "papers/legal.pub")
    named = key_of(KEY) if form == "base64" else "papers/legal.pub"
    text = NAMED + f"  attestors: [{{name: legal@example.org, key: {named}}}]\n"
    states()
    snapshot = loaded(write, text).snapshot
    assert (snapshot.attested[AT], snapshot.warnings) == (True, ())
    assert snapshot.attestations[AT].endswith("signed by legal@example.org)")
    states(key=OTHER)
    snapshot = loaded(write, text).snapshot
    assert not snapshot.attested[AT]
    assert any(f"signed with {key_of(OTHER)}, the key of nobody" in warning for warning in snapshot.warnings)


def test_what_is_owed_says_what_is_attested_and_nothing_else_changes(write, states):
    plain = {item["text"]: item for item in obligation_facts(loaded(write, SERVED.replace("usage:\n", "")).snapshot)}
    states(expires="2026-12-31")
    attested = {item["text"]: item for item in obligation_facts(loaded(write, NAMED).snapshot)}
    differing = [text for text in plain if plain[text] != attested[text]]
    assert len(differing) == 1
    assert differing[0].startswith("monthly active users not above 700,000,000 in 2024-06")
    assert attested[differing[0]]["stated"] == (
        "Example GmbH: 12,000,000 users in 2024-06, of all products; the licensee and its affiliates; an active user is "
        "an account; analytics report 7 (legal@example.org, 2026-05-01, until 2026-12-31, signed with "
        f"{key_of(KEY)})"
    )


class Clock:
    def __init__(self, day):
        self.day = day

    def __call__(self):
        return datetime(self.day.year, self.day.month, self.day.day, 12, tzinfo=UTC).timestamp()


def test_a_file_that_comes_or_goes_or_changes_is_followed_without_a_restart(write, states):
    active = ActivePolicy(write(REFUSING), clock=Clock(DAY))
    assert active.snapshot.models["m"].unstated.about == "attestation"
    for change, known in (
        (states, True),
        (lambda: write("{}", "papers/a.json"), False),
        (lambda: states(users=800_000_000), False),
        (states, True),
        (lambda: states().unlink(), False),
    ):
        change()
        assert active.changed()
        assert active.reload().ok
        assert (active.snapshot.attested[AT], active.snapshot.models["m"].unstated is None) == (known, known)
        assert not active.changed()


def test_one_that_expires_stops_counting_on_that_day_without_an_edit(write, states):
    states(expires="2026-06-01")
    clock = Clock(DAY)
    active = ActivePolicy(write(REFUSING), clock=clock)
    assert (active.snapshot.attested[AT], active.loaded.expires) == (True, date(2026, 6, 2))
    clock.day = date(2026, 6, 2)
    assert active.changed()
    result = active.reload()
    assert (result.ok, result.changed, active.snapshot.attested[AT]) == (True, True, False)
    assert active.snapshot.models["m"].unstated is not None
    assert any(warning.endswith("expired on 2026-06-01") for warning in active.snapshot.warnings)


def test_a_statement_of_the_operators_stops_counting_on_its_day_too(write):
    text = (
        "models:\n  m: {license: falcon-180b}\noperator:\n  unstated: refuse\n  statements:\n"
        "    - {license: falcon-180b, about: hosting, says: order 7, owner: legal@example.org, expires: 2026-06-01}\n"
    )
    clock = Clock(DAY)
    active = ActivePolicy(write(text), clock=clock)
    before = active.snapshot.models["m"].unstated
    clock.day = date(2026, 6, 2)
    assert active.changed()
    assert active.reload().changed
    assert active.snapshot.models["m"].unstated.about == "hosting" != (before and before.about)


def test_the_last_good_copy_has_the_attestations_too(write, states, tmp_path):
    states()
    path = write(REFUSING)
    (tmp_path / "state").mkdir()
    lastgood.keep(tmp_path / "state", path, load(path, today=DAY))
    (tmp_path / "papers" / "a.json").unlink()
    copy = lastgood.find(tmp_path / "state", path)
    assert load(copy.config, today=DAY, place=copy.place).snapshot.attested[AT]


@pytest.mark.parametrize(("before", "after", "line"), [
    ("unattested: refuse", "unattested: warn", "usage.unattested: refuse -> warn"),
    ("affiliates: {qwen-2024: include}", "affiliates: {qwen-2024: exclude}",
     "usage.affiliates.qwen-2024: include -> exclude"),
    ("zone: UTC", "affiliates: {qwen-2024: exclude}", "usage.affiliates.qwen-2024: include -> exclude"),
    (f"attestors: [{{name: a, key: {key_of(KEY)}}}]", "zone: UTC", f"usage.attestors: {key_of(KEY)} -> none"),
    (f"attestors: [{{name: a, key: {key_of(KEY)}}}]", f"attestors: [{{name: a, key: {key_of(OTHER)}}}]",
     f"usage.attestors: {key_of(KEY)} -> {key_of(OTHER)}"),
])  # fmt: skip
def test_believing_more_or_asking_less_is_confirmed_and_the_way_back_is_not(write, before, after, line):
    served = "models:\n  m: {license: qwen-2024}\nusage:\n  "
    active = ActivePolicy(write(f"{served}{before}\n"), clock=Clock(DAY))
    write(f"{served}{after}\n")
    assert [problem.found for problem in active.reload().problems] == [f'a dangerous change: "{line}"']
    write(f"{served}{after}\nconfirm: ['{line}']\n")
    assert active.reload().ok
    write(f"{served}{before}\n")
    assert active.reload().ok is (key_of(OTHER) not in after)


def limits(write, text):
    return {limit.id: limit for limit in loaded(write, text).snapshot.models["m"].limits}


def test_a_limit_says_whose_users_the_license_counts(write):
    llama = limits(write, "models:\n  m: {license: llama-3.1}\n")["mau_700m"]
    assert (llama.kind, llama.products, llama.affiliates) == ("month", "all", "included")
    served = "models:\n  m: {license: kimi-k2}\n"
    kimi = limits(write, served)["mau_100m"]
    assert (kimi.products, kimi.affiliates) == ("each", "unmentioned")
    for reading, read_as in (("include", "included"), ("exclude", "excluded")):
        read = limits(write, f"{served}usage: {{affiliates: {{kimi-k2: {reading}}}}}\n")["mau_100m"]
        assert read == replace(kimi, affiliates_read=read_as)


def test_a_limit_of_the_operators_counts_whom_the_license_counts(write):
    own = limits(write, "models:\n  m: {license: qwen-2024}\nusage: {limits: {qwen-2024: 7}}\n")["operator"]
    assert (own.value, own.kind, own.products, own.affiliates) == (7, "month", "with_model", "unmentioned")
    assert (own.standing, own.exclusive, own.clause, own.acts) == (True, False, "", True)


def test_users_of_a_day_are_limited_where_days_are_counted(write):
    served = "models:\n  m: {license: baichuan-2}\n"
    assert limits(write, served) == {}
    daily = limits(write, f"{served}usage: {{windows: [day]}}\n")["dau_1m"]
    assert (daily.kind, daily.allowed, daily.acts) == ("day", 999_999, True)
    for text, warned in ((served, True), (f"{served}usage: {{windows: [rolling_30]}}\n", True),
                         (f"{served}usage: {{windows: [day]}}\n", False)):  # fmt: skip
        notes = [each for each in loaded(write, text).snapshot.warnings if "days are not counted" in each]
        assert bool(notes) is warned
    with pytest.raises(PolicyError, match="which has no threshold on monthly active users"):
        loaded(write, f"{served}usage: {{windows: [day], limits: {{baichuan-2: 7}}}}\n")


def test_a_ledger_that_estimates_cannot_refuse_newcomers():
    tenants = {"acme": {"match": {"keys": ["k"]}, "at_limit": "refuse_newcomers"}}
    found = Config.model_validate({"tenants": tenants, "usage": {"at_limit": "refuse_newcomers"}})
    document = Document("guard.yaml", {}, {})
    estimating = found.usage.model_copy(update={"ledger": "redis+hll://h"})
    problems = list(estimated(found.model_copy(update={"usage": estimating}), document))
    assert [str(problem) for problem in problems] == [
        f"guard.yaml: {path}: 'refuse_newcomers', but a redis+hll ledger estimates: it cannot tell who is known; allowed: "
        "observe or refuse_all, or an exact ledger"
        for path in ("usage.at_limit", "tenants.acme.at_limit")
    ]
    for ledger in (None, "sqlite:///var/l.db", "redis://h"):
        exact = found.usage.model_copy(update={"ledger": ledger})
        assert list(estimated(found.model_copy(update={"usage": exact}), document)) == []
