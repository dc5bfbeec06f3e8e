"""Acceptances in guard.yaml: what may be recorded, what becomes of it, and whose is missing."""

from datetime import date

import pytest

from guard.policy.document import PolicyError
from guard.policy.load import load

TODAY = date(2026, 11, 22)
HEAD = "models:\n  small: {license: gemma}\n  chat: {license: llama-3.1}\nidentity:\n"
KEYS = f"""\
  keys:
    - {{name: desk, sha256: {"a" * 64}, terms: [%s]}}
    - {{name: lab, sha256: {"b" * 64}}}
"""
ACCEPTED = "{license: gemma, accepted: 2026-05-01, by: legal@example.org, document: order 17}"


def of(warnings):
    return [warning for warning in warnings if warning.startswith("identity.keys ")]


def loaded(write, text):
    return load(write(text), today=TODAY).snapshot


def test_an_acceptance_stands_with_its_key_and_the_clause_with_its_model(write):
    snapshot = loaded(write, HEAD + KEYS % ACCEPTED)
    accepted = {entitlement.name: entitlement.terms for entitlement in snapshot.identity.keys.values()}
    assert accepted == {"desk": frozenset({"gemma"}), "lab": frozenset()}
    assert snapshot.models["small"].flow_down == (("gemma", "3.1"),)
    assert snapshot.models["chat"].flow_down == ()
    assert snapshot.identity.terms == "warn"


@pytest.mark.parametrize(("setting", "then"), [("warn", "served"), ("require", "refused")])
def test_every_key_without_one_is_warned_about(write, setting, then):
    warnings = loaded(write, HEAD + f"  terms: {setting}\n" + KEYS % ACCEPTED).warnings
    assert of(warnings) == [
        f"identity.keys lab: no acceptance of the terms of gemma (3.1) is on record; its requests are {then}"
    ]


def test_off_asks_nobody(write):
    snapshot = loaded(write, HEAD + "  terms: off\n" + KEYS % "")
    assert of(snapshot.warnings) == []
    assert snapshot.models["small"].flow_down == ()


def test_what_a_tenant_accepted_holds_for_its_keys(write):
    tenant = f"tenants:\n  acme:\n    match: {{keys: [lab]}}\n    terms: [{ACCEPTED}]\n"
    snapshot = loaded(write, HEAD + KEYS % ACCEPTED + tenant)
    assert of(snapshot.warnings) == []
    assert snapshot.tenants.ordered[0].terms == frozenset({"gemma"})


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            ACCEPTED.replace("gemma", "gemna"),
            "license: unknown license 'gemna'; allowed: the id of a pack whose terms flow down; did you mean 'gemma'?",
        ),
        (
            ACCEPTED.replace("gemma", "qwen-2024"),
            (
                "license: 'qwen-2024' asks no acceptance of whoever uses a hosted model; "
                "allowed: a license whose terms flow down"
            ),
        ),
        (
            ACCEPTED.replace("2026-05-01", "2026-11-24"),
            "accepted: '2026-11-24' is a day to come; allowed: the day of an acceptance",
        ),
        (ACCEPTED.replace(", by: legal@example.org", ""), "by: missing; allowed: a value is required here"),
    ],
)
def test_an_acceptance_that_is_none_is_told_for_keys_and_for_tenants(write, entry, problem):
    tenant = "tenants:\n  acme:\n    match: {keys: [lab]}\n    terms: [%s]\n"
    by_key, by_tenant = write(HEAD + KEYS % entry), write(HEAD + KEYS % ACCEPTED + tenant % entry, "tenant.yaml")
    for path, line, at in ((by_key, 6, "identity.keys[0]"), (by_tenant, 11, "tenants.acme")):
        with pytest.raises(PolicyError) as caught:
            load(path, today=TODAY)
        assert str(caught.value) == f"{path}:{line}: {at}.terms[0].{problem}"


def test_a_day_that_has_begun_somewhere_is_no_day_to_come(write):
    assert loaded(write, HEAD + KEYS % ACCEPTED.replace("2026-05-01", "2026-11-23")).models
