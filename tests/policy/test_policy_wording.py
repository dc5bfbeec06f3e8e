"""What two configurations say otherwise: every setting, in the words and at the place in which it is written."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.policy.load import RuleCache, load
from guard.policy.wording import wordings

TODAY = date(2026, 11, 22)
RULES = RuleCache()
BASE = "models:\n  tiny: {license: llama-2}\n"
KEY = "a" * 64
SAID = {
    "mode: shadow\n": "mode: enforce -> shadow",
    "usage: {limits: {llama-2: 5}}\n": "usage.limits.llama-2: - -> 5",
    "usage: {approaching: 0.5}\n": "usage.approaching: 0.8 -> 0.5",
    "surface: {enabled: [score]}\n": "surface.enabled: embeddings -> score",
    "screening: {actions: {S10: block}}\n": "screening.actions.S10: - -> block",
    "outputs: {fields: {samples: {clamp: 2}}}\n": "outputs.fields.samples: - -> clamp 2",
    "identity: {unidentified: deny}\n": "identity.unidentified: credential -> deny",
    "evidence: {decisions: all}\n": "evidence.decisions: notable -> all",
}


@pytest.fixture
def policy(tmp_path):
    """A policy with something more in it."""

    def made(more="", name="guard.yaml"):
        path = tmp_path / name
        path.write_text(BASE + more)
        return load(path, today=TODAY, rules=RULES)

    return made


@pytest.mark.parametrize(("more", "line"), SAID.items(), ids=SAID.values())
def test_a_setting_is_told_by_its_place_with_what_it_was_and_is(policy, more, line):
    before, after = policy(), policy(more)
    assert wordings(before, after) == [line]
    place, _, change = line.partition(": ")
    old, _, new = change.partition(" -> ")
    assert wordings(after, before) == [f"{place}: {new} -> {old}"]


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(list(SAID)))
def test_a_policy_says_what_it_says(tmp_path_factory, more):
    path = tmp_path_factory.mktemp("policy") / "guard.yaml"
    path.write_text(BASE + more)
    loaded = load(path, today=TODAY, rules=RULES)
    assert wordings(loaded, loaded) == []


def test_the_purpose_of_a_key_is_told_by_the_keys_name_wherever_it_stands(policy):
    desk = f"{{name: desk, sha256: {KEY}, purpose: 'train:gemma-2-9b'}}"
    lab = f"{{name: lab, sha256: {'b' * 64}}}"
    before = policy(f"identity: {{keys: [{desk}]}}\n")
    after = policy(f"identity: {{keys: [{lab}, {desk.replace('train:gemma-2-9b', 'serve')}]}}\n")
    assert "identity.keys[desk].purpose: train:gemma-2-9b -> serve" in wordings(before, after)
    assert "identity.keys[lab].name: - -> lab" in wordings(before, after)


def test_a_shadow_is_told_by_what_it_is_about(policy):
    shadow = "shadows: [{category: S9, owner: legal@example.org, expires: DAY, reason: being tried out}]\n"
    before, after = policy(shadow.replace("DAY", "2027-01-01")), policy(shadow.replace("DAY", "2027-02-01"))
    assert wordings(before, after) == ["shadows[S9].expires: 2027-01-01 -> 2027-02-01"]


def test_rules_are_told_by_what_they_look_for(policy, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("category: S9\nrules:\n  - {id: S9.mine, anchors: [one two three four]}\n")
    before, after = policy(), policy("screening: {rules: [rules.yaml]}\n")
    assert wordings(before, after)[-1] == "rule S9.mine: added"
    assert wordings(after, before)[-1] == "rule S9.mine: removed"
    rules.write_text("category: S9\nrules:\n  - {id: S9.mine, note: why, anchors: [one two three four]}\n")
    assert wordings(after, policy("screening: {rules: [rules.yaml]}\n")) == []
    rules.write_text("category: S9\nrules:\n  - {id: S9.mine, anchors: [one two three five]}\n")
    assert wordings(after, policy("screening: {rules: [rules.yaml]}\n")) == ["rule S9.mine: looks for something else"]


def test_what_is_only_about_changing_the_policy_is_not_told(policy):
    changing = 'candidate: other.yaml\nconfirm: ["mode: enforce -> shadow"]\n'
    assert wordings(policy(), policy(changing)) == []
