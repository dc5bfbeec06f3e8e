"""Rules that act by themselves: what is done, for whom, and what to know of those that do nothing."""

from datetime import date

import pytest

from guard.exchange.snapshot import Ruling
from guard.policy.load import load
from guard.screening.findings import Action, Finding
from guard.screening.segments import Source

TODAY = date(2026, 11, 22)
RULES = """\
category: S7
rules:
  - {id: S7.block, patterns: ['\\bkey \\d{4}\\b'], action: block}
  - {id: S7.flag, patterns: ['\\bkey \\d{4}\\b'], action: flag}
  - {id: S7.silent, patterns: ['\\bkey \\d{4}\\b']}
"""
CONFIG = """\
upstream: http://127.0.0.1:9
models: {{m: {{license: {license}}}}}
screening: {{rules: [{rules}], rule_packs: [{packs}]{more}}}
{end}
"""


@pytest.fixture
def loaded(tmp_path):
    def make(license="llama-3.1", rules="own.yaml", packs="", more="", end="", text=RULES):
        (tmp_path / "own.yaml").write_text(text)
        (tmp_path / "guard.yaml").write_text(
            CONFIG.format(license=license, rules=rules, packs=packs, more=more, end=end)
        )
        return load(tmp_path / "guard.yaml", today=TODAY, environment={})

    return make


def ruling(snapshot, rule, category="S7", most=Action.BLOCK):
    return snapshot.ruling(snapshot.models["m"], Finding(rule, category, 0, 1, Source.USER, most=most))


def test_a_rule_that_says_its_action_does_it_whatever_the_license_says_of_its_category(loaded):
    snapshot = loaded().snapshot
    assert ruling(snapshot, "S7.block") == Ruling(Action.BLOCK)  # the license only flags: it is cited for nothing more
    flagged = ruling(snapshot, "S7.flag", most=Action.FLAG)
    assert (flagged.action, flagged.license) == (Action.FLAG, "llama-3.1")
    assert ruling(snapshot, "S7.silent").action is Action.FLAG
    assert snapshot.holding(snapshot.models["m"]) == snapshot.models["m"].blocking | {"own"}


def test_where_a_category_is_off_only_a_rule_that_says_its_action_does_anything_and_the_other_is_told_of(loaded):
    found = loaded(license="mistral-apache")
    assert (ruling(found.snapshot, "S7.block"), ruling(found.snapshot, "S7.silent")) == (Ruling(Action.BLOCK), None)
    idle = [str(caution) for caution in found.cautions if "does nothing" in str(caution)]
    assert len(idle) == 1
    assert "rule S7.silent does nothing: its category S7 is off for every model" in idle[0]
    on = loaded(license="mistral-apache", more=", actions: {S7: flag}")
    assert not [caution for caution in on.cautions if "does nothing" in str(caution)]


def test_a_looser_rule_of_ones_own_never_loosens_what_other_rules_find(loaded):
    snapshot = loaded(more=", actions: {S7: block}").snapshot
    assert ruling(snapshot, "S7.flag", most=Action.FLAG).action is Action.FLAG
    assert ruling(snapshot, "S7.silent").action is Action.BLOCK


def test_the_privacy_rules_act_only_where_they_are_asked_for(loaded):
    without, asked = loaded(license="mistral-apache"), loaded(license="mistral-apache", packs="privacy")
    assert not any(rule.action is Action.MASK for rule in without.snapshot.rules.rules)
    assert ruling(asked.snapshot, "S7.email", most=Action.MASK) == Ruling(Action.MASK)
    assert "S7.email" in asked.snapshot.rules.acting
    assert asked.own_rules["screening", "rules", "S7.email"] == "mask"


@pytest.mark.parametrize("entry", ["rule: S7.block", "category: S7", "check: aup"])
def test_a_rule_that_acts_by_itself_can_be_in_shadow(loaded, entry):
    shadow = f"shadows: [{{{entry}, owner: o@example.org, expires: 2027-01-01, reason: being tried}}]"
    snapshot = loaded(end=shadow).snapshot
    finding = Finding("S7.block", "S7", 0, 1, Source.USER)
    assert ruling(snapshot, "S7.block").action is Action.BLOCK
    assert not snapshot.enforced(snapshot.models["m"], finding)
    assert "own" not in snapshot.holding(snapshot.models["m"])


def test_a_tenants_rule_acts_for_the_tenant(loaded, tmp_path):
    end = (
        "identity: {trusted_from: [10.0.0.0/8], namespace_header: x-ns}\n"
        "tenants: {acme: {match: {namespace: [acme]}, rules: [own.yaml]}}"
    )
    found = loaded(license="mistral-apache", rules="", end=end)
    view = found.snapshot.tenants.ordered[0].view(found.snapshot)
    assert ruling(found.snapshot, "S7.block") is None
    assert ruling(view, "S7.block") == Ruling(Action.BLOCK)
    assert any("tenants.acme.rules" in str(caution) and "S7.silent" in str(caution) for caution in found.cautions)
