"""What follows from a configuration: rulings, fields, limits, identities, and models that are not listed."""

from datetime import date
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange.credential import digest_key
from guard.exchange.snapshot import Entitlement, FieldAction, FieldRule, Mode, Ruling
from guard.exchange.trusted import TrustedHeader
from guard.exchange.unscanned import PartAction, PartKind, every
from guard.policy.config import Config
from guard.policy.document import PolicyError
from guard.policy.load import load, policy_for
from guard.policy.locations import shipped_rules
from guard.policy.packs import shipped_packs
from guard.policy.rules import load_rules
from guard.policy.snapshot import model_policy, rulings
from guard.screening.categories import HAZARDS
from guard.screening.findings import Action
from guard.screening.segments import Segment, Source
from guard.usage.thresholds import AtLimit

PACKS = shipped_packs()
BLOCK, FLAG = Action.BLOCK, Action.FLAG


@pytest.mark.parametrize(("id_", "expected"), [
    ("llama-3.1", {"S4": BLOCK, "S6": FLAG, "S9": BLOCK, "S10": FLAG, "S11": BLOCK, "S12": FLAG, "S13": FLAG, "HR": FLAG}),
    ("gemma", {"S10": BLOCK, "S12": BLOCK, "S6": FLAG, "S9": BLOCK, "S1": BLOCK}),
    ("bigscience-openrail-m", {"S6": BLOCK, "S4": BLOCK, "S1": FLAG, "S10": FLAG, "S12": None, "S11": None}),
    ("deepseek-1.0", {"S4": BLOCK, "S9": BLOCK, "S6": None}),
    ("hunyuan-a13b", {"S14": BLOCK, "S2": FLAG, "S11": BLOCK}),
    ("kimi-k2", {"S4": None, "S9": None}),
])  # fmt: skip
def test_the_same_category_differs_between_licenses(id_, expected):
    found = policy_for(id_).rulings
    assert {category: found[category].action if category in found else None for category in expected} == expected


def test_a_ruling_cites_the_items_that_carry_it():
    found = policy_for("llama-3.1").rulings
    assert (found["S11"].license, found["S11"].item, found["S11"].clause) == ("llama-3.1", "self_harm", "AUP 2.e")
    assert found["S2"].clause == "AUP 2.b, AUP 2.c, AUP 3.a"
    assert found["S2"].item == "guns_illegal_weapons, drugs, fraud"
    assert policy_for("llama-3.2").rulings["S9"].item == "cbrn_statutes"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(PACKS)), min_size=1, max_size=4), st.sampled_from(sorted(PACKS)))
def test_a_stack_is_at_least_as_strict_as_each_of_its_licenses(ids, more):
    few, many = rulings([PACKS[id_] for id_ in ids], {}), rulings([PACKS[id_] for id_ in (*ids, more)], {})
    assert all(many[category].action >= ruling.action for category, ruling in few.items())


def test_an_action_of_ones_own_is_stricter_and_cites_no_license(write):
    path = write("models:\n  m: {license: llama-3.1}\nscreening:\n  actions: {HR: block, D1: log, S9: block}\n")
    policy = load(path).snapshot.models["m"]
    assert (policy.rulings["HR"].action, policy.rulings["HR"].license) == (BLOCK, None)
    assert policy.rulings["S9"].license == "llama-3.1"
    assert policy.rulings["D1"].action is Action.LOG
    assert "HR" in policy.blocking
    assert "D1" not in policy.blocking


RELAXED = """\
models:
  m: {license: llama-3.1}
screening:
  actions: {S6: off, S9: flag}
  relax:
    - {category: S9, owner: o, expires: 2026-06-30, reason: r}
    - {category: S6, owner: o, expires: 2030-01-01, reason: r}
"""


def test_something_relaxed_holds_to_its_last_day_and_then_the_license_does(write):
    path = write(RELAXED)
    last = load(path, today=date(2026, 6, 30))
    assert last.snapshot.models["m"].rulings["S9"].action is FLAG
    assert "S6" not in last.snapshot.models["m"].rulings
    assert last.expires == date(2026, 7, 1)
    after = load(path, today=date(2026, 7, 1))
    assert after.snapshot.models["m"].rulings["S9"].action is BLOCK
    assert after.expires == date(2030, 1, 2)
    assert after.snapshot.hash != last.snapshot.hash
    assert "screening.relax S9: expired on 2026-06-30; the license's action applies again" in after.snapshot.warnings


def test_fields_follow_from_the_license_and_cite_its_clause(write):
    path = write("models:\n  old: {license: llama-2}\n  new: {license: llama-3.1}\n")
    models = load(path).snapshot.models
    assert models["old"].fields["logprobs"] == FieldRule(FieldAction.DENY, None, "llama-2", "1.b.v")
    assert models["old"].fields["samples"] == FieldRule(FieldAction.CLAMP, 8, "llama-2", "1.b.v")
    assert "logprobs" not in models["new"].fields
    assert models["new"].fields["samples"] == FieldRule(FieldAction.CLAMP, 128)
    assert models["new"].fields["caller_ids"].action is FieldAction.STRIP
    assert "guided" not in models["old"].fields


def test_a_looser_field_is_taken_and_warned_about(write):
    path = write("models:\n  m: {license: llama-2}\noutputs:\n  fields: {logprobs: allow, samples: {clamp: 4}}\n")
    snapshot = load(path).snapshot
    assert "logprobs" not in snapshot.models["m"].fields
    assert snapshot.models["m"].fields["samples"].limit == 4
    assert [warning for warning in snapshot.warnings if warning.startswith("outputs.")] == [
        "outputs.fields.logprobs: looser than what follows from license llama-2 clause 1.b.v for m (deny)",
    ]


def test_limits_come_from_the_stack_and_from_the_operator(write):
    path = write(
        "models:\n  m: {license: [llama-3.1, qwen-2024]}\n"
        "usage:\n  at_limit: refuse_newcomers\n  approaching: 0.5\n  limits: {llama-3.1: 1_000_000}\n"
    )
    snapshot = load(path).snapshot
    limits = snapshot.models["m"].limits
    assert [(one.license, one.id, one.value, one.standing, one.clause) for one in limits] == [
        ("llama-3.1", "mau_700m", 700_000_000, False, "2"),
        ("llama-3.1", "operator", 1_000_000, True, ""),
        ("qwen-2024", "mau_100m", 100_000_000, True, "4"),
    ]
    assert {one.approaching_ratio for one in limits} == {0.5}
    assert snapshot.at_limit is AtLimit.REFUSE_NEWCOMERS
    assert snapshot.models["m"].counted == ("llama-3.1", "qwen-2024")


def test_revenue_is_no_limit_on_users(write):
    limits = load(write("models:\n  m: {license: kimi-k2}\n")).snapshot.models["m"].limits
    assert [one.id for one in limits] == ["mau_100m"]


def test_a_repository_finds_its_stack_alone_or_through_base(write):
    path = write(
        "models:\n  deepseek-ai/DeepSeek-R1-Distill-Llama-8B: {}\n  short: {base: deepseek-ai/DeepSeek-R1-Distill-Llama-70B}\n"
    )
    models = load(path).snapshot.models
    assert [one.id for one in models["deepseek-ai/DeepSeek-R1-Distill-Llama-8B"].licenses] == [
        "deepseek-mit",
        "llama-3.1",
    ]
    assert [one.id for one in models["short"].licenses] == ["deepseek-mit", "llama-3.3"]


def test_a_single_model_is_the_default_and_unknown_ones_are_refused(write):
    snapshot = load(write("models:\n  m: {license: gemma}\n")).snapshot
    assert snapshot.default_model is snapshot.models["m"]
    assert not snapshot.allow_unknown_models
    assert load(write("models:\n  m: {license: gemma}\n  n: {license: gemma}\n")).snapshot.default_model is None


def test_a_license_for_everything_covers_what_is_not_listed(write):
    snapshot = load(None, {"license": "llama-3.1", "upstream": "http://127.0.0.1:1"}).snapshot
    assert snapshot.allow_unknown_models
    assert snapshot.default_model.name == "default"
    assert [one.id for one in snapshot.default_model.licenses] == ["llama-3.1"]


def test_an_undetermined_model_is_flagged_counted_and_restricted(write):
    snapshot = load(write("unknown_models: undetermined\n")).snapshot
    model = snapshot.default_model
    assert snapshot.allow_unknown_models
    assert (model.licenses, model.blocking, model.counted) == ((), frozenset(), ("undetermined",))
    assert {category: ruling.action for category, ruling in model.rulings.items()} == dict.fromkeys(HAZARDS, FLAG)
    assert model.fields["logprobs"] == FieldRule(FieldAction.DENY)
    assert snapshot.warnings == ("undetermined: models that are not listed are served with license undetermined",)


def test_identity_holds_digests_only(write):
    path = write(
        "mode: shadow\nmodels:\n  m: {license: gemma}\nidentity:\n  trusted_from: [10.0.0.0/8]\n  trusted_headers: [X-User]\n"
        "  keys:\n    - {name: desk, key_env: DESK_KEY, purpose: serve}\n"
        f"    - {{name: lab, sha256: {digest_key('k2').upper()}, purpose: 'train:gemma', user: ann}}\n"
    )
    snapshot = load(path, environment={"DESK_KEY": "k1"}).snapshot
    assert snapshot.mode is Mode.SHADOW
    assert snapshot.identity.keys == {
        digest_key("k1"): Entitlement("desk", "serve", None),
        digest_key("k2"): Entitlement("lab", "train:gemma", "ann"),
    }
    assert snapshot.identity.trusted_headers == (TrustedHeader(b"x-user", (ip_network("10.0.0.0/8"),)),)
    assert snapshot.identity.trusted_from == (ip_network("10.0.0.0/8"),)


def test_surfaces_and_sizes_are_carried_over(write):
    path = write(
        "models:\n  m: {license: gemma}\nsurface: {enabled: [embeddings], max_body: 10, unknown_fields: deny}\n"
        "screening: {unscannable: allow}\n"
    )
    surface = load(path).snapshot.surface
    assert surface.enabled == frozenset({"embeddings"})
    assert (surface.max_body, surface.unknown_fields) == (10, "deny")
    assert surface.unscannable == every(PartAction.ALLOW)


def test_parts_that_no_rule_reads_are_ruled_on_by_kind(write):
    def kinds(text):
        return load(write(f"models:\n  m: {{license: gemma}}\n{text}")).snapshot.surface.unscannable

    assert kinds("") == every(PartAction.DENY)
    said = kinds("screening: {unscannable: {image: mark, video: allow}}\n")
    assert said == {**every(PartAction.DENY), PartKind.IMAGE: PartAction.MARK, PartKind.VIDEO: PartAction.ALLOW}
    assert kinds("screening: {unscannable: {audio: deny, default: mark}}\n") == {
        **every(PartAction.MARK),
        PartKind.AUDIO: PartAction.DENY,
    }


def test_a_stated_license_that_the_packs_contradict_is_a_warning(write):
    snapshot = load(write("models:\n  meta-llama/Llama-2-7b: {license: llama-3.1}\n")).snapshot
    assert [warning for warning in snapshot.warnings if warning.startswith("models.")] == [
        "models.meta-llama/Llama-2-7b: license is llama-3.1, but the packs list it under llama-2",
    ]


def test_unconfirmed_facts_in_use_are_warned_about_once(write):
    warnings = load(write("models:\n  a: {license: falcon-180b}\n  b: {license: falcon-180b}\n")).snapshot.warnings
    assert "license falcon-180b: the rule on outputs (5.2) is unconfirmed" in warnings
    assert any("wants a statement about hosting (9.1)" in warning for warning in warnings)
    assert len(warnings) == len(set(warnings))
    assert not any("gemma" in warning for warning in load(write("models:\n  a: {license: gemma}\n")).snapshot.warnings)


RULES = {rule.id: rule for rule in load_rules([shipped_rules()])[0]}


@pytest.mark.parametrize(("rule", "clauses"), [
    ("S2.phishing-message", {"llama-2": "AUP 3.a", "llama-4": "AUP 4.a", "gemma": "Prohibited Use Policy 2c", "grok-2": "xAI policy, head 1"}),
    ("S2.make-drugs", {"llama-2": "AUP 2.c", "gemma": "Prohibited Use Policy 2a", "deepseek-1.0": "Attachment A(1)"}),
    ("S2.illegal-guns", {"llama-3.3": "AUP 2.b", "falcon-180b": "AUP 1"}),
    ("S2.malware", {"llama-2": "AUP 1.g", "hunyuan-a13b": "Exhibit A(10)", "yi-2.1": "2.1-2.2"}),
    ("S9.explosive-making", {"llama-2": "AUP 2.b", "hunyuan-a13b": "Exhibit A(16)", "minimax-m2.7": "Appendix 2"}),
    ("S9.chemical-agent", {"llama-2": "AUP 2.a", "llama-3.2": "AUP 2.a", "gemma": "Prohibited Use Policy 2a"}),
    ("S10.exclude", {"llama-2": "AUP 1.c", "deepseek-1.0": "Attachment A(9), A(11)"}),
    ("S13.impersonate-official", {"llama-2": "AUP 3.d", "falcon-180b": "AUP 3"}),
])  # fmt: skip
def test_a_finding_cites_the_clause_on_what_its_rule_is_about(rule, clauses):
    for id_, clause in clauses.items():
        policy, of = policy_for(id_), RULES[rule]
        found = policy.ruling(of.category, of.items)
        assert (found.license, found.clause) == (id_, clause)
        assert found.action is policy.rulings[of.category].action


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(sorted(PACKS)), min_size=1, max_size=3), st.sampled_from(sorted(RULES)))
def test_what_is_cited_changes_neither_action_nor_license_and_stands_in_that_license(ids, rule):
    stack, of = [PACKS[id_] for id_ in ids], RULES[rule]
    policy = model_policy("m", stack, Config(), date(2026, 6, 1))
    ruling, found = policy.rulings.get(of.category), policy.ruling(of.category, of.items)
    assert (ruling is None) is (found is None)
    if found is not None:
        assert (found.action, found.license) == (ruling.action, ruling.license)
        clauses = {item.id: item.clause for item in PACKS[found.license].aup}
        named = found.item.split(", ")
        assert found.clause == ", ".join(dict.fromkeys(clauses[item] for item in named))
        assert found == ruling or (len(named) == 1 and named[0] in of.items)


def test_an_action_of_ones_own_cites_no_item_and_a_tenant_s_neither(write):
    path = write(
        "models:\n  m: {license: llama-3.1}\nscreening:\n  actions: {HR: block}\n"
        "tenants:\n  acme:\n    match: {namespace: [a]}\n    actions: {S10: block}\n"
        "identity: {trusted_from: [10.0.0.0/8]}\n"
    )
    snapshot = load(path).snapshot
    (acme,) = snapshot.tenants.ordered
    base, own = snapshot.models["m"], acme.view(snapshot).models["m"]
    assert (base.ruling("HR", ("harassment",)).license, own.ruling("HR", ("harassment",)).license) == (None, None)
    assert base.ruling("S10", ("discrimination_services",)).clause == "AUP 1.c"
    assert own.ruling("S10", ("discrimination_services",)) == Ruling(BLOCK)
    assert own.ruling("S2", ("fraud",)).clause == "AUP 3.a"


def test_rules_may_name_items_of_packs_of_ones_own(write):
    pack = write(
        """\
id: acme-1.0
name: Acme Model License 1.0
date: "2026-03-01"
status: confirmed
family: acme
version: acme
sources: ["Acme, revision 3f2a"]
output_use: {rule: unrestricted, status: confirmed}
aup:
  text: Acme Use Policy
  status: confirmed
  items:
    - {id: crime, means: crime, clause: "7", categories: [S2], coverage: full, decidable: content, action: block}
    - {id: house_rules, means: manners, clause: "8", categories: [HR], coverage: partial, decidable: content, action: flag}
""",
        "acme-1.0.yaml",
    )
    rule = write(
        "category: S2\nrules:\n  - {id: S2.own, anchors: [one two three], items: [house_rules]}\n", "rules.yaml"
    )
    both = f"license: acme-1.0\npolicies: [{pack}]\nscreening: {{rules: [{rule}]}}\n"
    snapshot = load(write(both)).snapshot
    (finding,) = snapshot.rules.scan([Segment(Source.USER, "one two three")])
    assert snapshot.ruling(snapshot.default_model, finding) == Ruling(BLOCK, "acme-1.0", "house_rules", "8")
    with pytest.raises(PolicyError, match="unknown item 'house_rules'"):
        load(write(f"license: llama-2\nscreening: {{rules: [{rule}]}}\n"))
