"""Tenants in guard.yaml: what an overlay may say, what it becomes, and that it never loosens anything."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from guard.exchange.credential import digest_key
from guard.exchange.snapshot import FieldAction, FieldRule, Mode, Ruling
from guard.licensing.capability import CAPABILITIES
from guard.policy.document import PolicyError
from guard.policy.load import RuleCache, load
from guard.policy.rehearsal.hypothetical import Caller, Request
from guard.policy.rehearsal.rehearse import rehearse
from guard.policy.settings.tenants import TenantConfig
from guard.policy.tenancy import tenant_facts
from guard.policy.tenants import tightens
from guard.policy.values import FieldSetting
from guard.policy.watch import ActivePolicy
from guard.screening.categories import CATEGORIES
from guard.screening.findings import Action
from guard.usage.thresholds import AtLimit

HEAD = f"""\
models:
  m: {{license: llama-3.1}}
  old: {{license: llama-2}}
identity:
  trusted_from: [10.0.0.0/8]
  keys:
    - {{name: desk, sha256: {digest_key("sk-desk")}}}
    - {{name: lab, sha256: {digest_key("sk-lab")}, purpose: "train:llama-2"}}
screening:
  actions: {{HR: block}}
usage: {{at_limit: refuse_newcomers, limits: {{llama-3.1: 1000000}}}}
tenants:
  acme:
"""
BY_KEY = "    match: {keys: [desk]}\n"
JWT = "identity:\n  jwt: {algorithms: [HS256], secret_env: SECRET}\n"

MISTAKES = {
    "looser than the license": (
        BY_KEY + "    actions: {S2: flag}\n",
        (
            "15: tenants.acme.actions.S2: 'flag' is looser than license llama-3.1 for m (AUP 2.b, AUP 2.c, AUP 3.a); "
            "allowed: block"
        ),
    ),
    "looser than the license that the base relaxed": (
        BY_KEY + "    actions: {S9: flag}\n",
        "15: tenants.acme.actions.S9: 'flag' is looser than license llama-3.1 for m (AUP 2.a); allowed: block",
    ),
    "looser than the base policy": (
        BY_KEY + "    actions: {HR: log}\n",
        "15: tenants.acme.actions.HR: 'log' is looser than screening.actions.HR ('block'); allowed: block",
    ),
    "a field looser than what follows from the license": (
        BY_KEY + "    models: [old]\n    fields: {logprobs: strip}\n",
        "16: tenants.acme.fields.logprobs: 'strip' is looser than license llama-2 for old (1.b.v); allowed: deny",
    ),
    "a larger clamp": (
        BY_KEY + "    fields: {samples: {clamp: 64}}\n",
        (
            "15: tenants.acme.fields.samples: 'clamp to 64' is looser than license llama-2 for old (1.b.v); "
            "allowed: {clamp: N} with N up to 8, or deny"
        ),
    ),
    "a strip where the base refuses what it cannot lower": (
        BY_KEY + "    models: [m]\n    fields: {samples: strip}\n",
        (
            "16: tenants.acme.fields.samples: 'strip' is looser than what holds for m; "
            "allowed: {clamp: N} with N up to 128, or deny"
        ),
    ),
    "looser at a limit": (
        BY_KEY + "    at_limit: observe\n",
        (
            "15: tenants.acme.at_limit: 'observe' is looser than usage.at_limit ('refuse_newcomers'); "
            "allowed: refuse_newcomers or refuse_all"
        ),
    ),
    "looser with system prompts": (
        BY_KEY + "    system_prompts: off\n",
        "15: tenants.acme.system_prompts: 'off' is looser than screening.system_prompts ('flag'); allowed: flag or block",
    ),
    "looser with what cannot be read": (
        BY_KEY + "    unscannable: allow\n",
        "15: tenants.acme.unscannable: 'allow' is looser than screening.unscannable ('deny'); allowed: deny",
    ),
    "looser with one kind": (
        BY_KEY + "    unscannable: {audio: deny, image: mark}\n",
        "15: tenants.acme.unscannable.image: 'mark' is looser than screening.unscannable ('deny'); allowed: deny",
    ),
    "shadow in a tenant": (
        BY_KEY + "    mode: shadow\n",
        "15: tenants.acme.mode: 'shadow'; allowed: enforce",
    ),
    "a purpose below its key's": (
        "    match: {keys: [lab]}\n    purpose: serve\n",
        (
            "15: tenants.acme.purpose: 'serve' is less than 'train:llama-2', the purpose of its key 'lab'; "
            "allowed: train:llama-2, or another purpose of the key"
        ),
    ),
    "relax": (
        BY_KEY + "    relax: [{category: S9, owner: o, expires: 2030-01-01, reason: r}]\n",
        (
            "15: tenants.acme.relax: unknown name; allowed: actions, at_limit, fields, match, mode, models, purpose, rules, "
            "system_prompts, terms, unscannable"
        ),
    ),
    "an unknown key": (
        "    match: {keys: [dask]}\n",
        (
            "14: tenants.acme.match.keys[0]: unknown key 'dask'; allowed: the name of one of identity.keys; "
            "did you mean 'desk'?"
        ),
    ),
    "an unknown model": (
        BY_KEY + "    models: [olt]\n",
        "15: tenants.acme.models[0]: unknown model 'olt'; allowed: one of models; did you mean 'old'?",
    ),
    "nobody": (
        "    match: {}\n",
        "14: tenants.acme.match: a mapping; allowed: at least one of keys, claim, namespace",
    ),
    "no match at all": (
        "    purpose: serve\n",
        "13: tenants.acme.match: missing; allowed: a value is required here",
    ),
    "a claim that nothing verifies": (
        "    match: {claim: {name: org, value: acme}}\n",
        (
            "14: tenants.acme.match.claim: a claim, but no token is verified; "
            "allowed: identity.jwt, and jwt in identity.sources"
        ),
    ),
    "the same key twice": (
        BY_KEY + "  other:\n    match: {keys: [desk]}\n",
        "16: tenants.other.match.keys[0]: key 'desk' is that of tenants.acme already; allowed: each once: the first applies",
    ),
    "the same namespace twice": (
        "    match: {namespace: [a, a]}\n",
        (
            "14: tenants.acme.match.namespace[1]: namespace 'a' is that of tenants.acme already; "
            "allowed: each once: the first applies"
        ),
    ),
    "rule file that is not there": (
        BY_KEY + "    rules: [none.yaml]\n",
        "none.yaml:1: document: cannot be read: No such file or directory",
    ),
    "an unknown category": (
        BY_KEY + "    actions: {S99: block}\n",
        f"15: tenants.acme.actions.S99: 'S99'; allowed: {', '.join(CATEGORIES)}; did you mean 'S9'?",
    ),
}
RELAXED = "  actions: {HR: block, S9: flag}\n  relax: [{category: S9, owner: o, expires: 2099-01-01, reason: r}]\n"


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_told_with_line_license_and_clause(kind, write, tmp_path):
    text, expected = MISTAKES[kind]
    head = HEAD
    if kind == "looser than the license that the base relaxed":
        head = HEAD.replace("  actions: {HR: block}\n", RELAXED)
        expected = expected.replace("15:", "16:")
    path = write(head + text)
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert str(caught.value).replace(f"{path}:", "").replace(f"{tmp_path}/", "") == expected


def test_namespaces_want_a_hop_that_is_trusted_and_a_header_of_their_own(write):
    text = HEAD.replace("  trusted_from: [10.0.0.0/8]\n", "  namespace_header: X-User-Id\n")
    path = write(text + "    match: {namespace: [a]}\n")
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert str(caught.value).replace(f"{path}:", "").splitlines() == [
        "4: identity.trusted_from: tenants are matched by namespace, but no hop is trusted to name it; allowed: networks",
        "5: identity.namespace_header: 'x-user-id' says something else of a caller; allowed: a header of its own",
    ]


OVERLAY = (
    BY_KEY
    + """\
    models: [m]
    actions: {S6: block, S9: block}
    rules: [acme.yaml]
    fields: {logprobs: deny, samples: {clamp: 2}}
    purpose: serve
    at_limit: refuse_all
    system_prompts: block
  team:
    match: {namespace: [team-a]}
    unscannable: deny
"""
)
RULES = "category: S6\nrules:\n  - {id: S6.acme, anchors: [the very secret remedy]}\n"


def test_an_overlay_becomes_a_view_and_shares_what_it_does_not_change(write):
    write(RULES, "acme.yaml")
    base = load(write(HEAD + OVERLAY)).snapshot
    acme, team = base.tenants.ordered
    view = acme.view(base)
    assert view.models["m"].rulings["S6"] == Ruling(Action.BLOCK)
    assert view.models["m"].rulings["S9"] is base.models["m"].rulings["S9"], "the license demands it, not the tenant"
    assert view.models["m"].blocking == base.models["m"].blocking | {"S6"}
    assert view.models["m"].fields["logprobs"] == FieldRule(FieldAction.DENY)
    assert view.models["old"].fields["logprobs"].license == "llama-2", "already as strict"
    assert view.models["old"].fields["samples"].limit == 2
    assert (view.at_limit, view.surface.system_prompts) == (AtLimit.REFUSE_ALL, Action.BLOCK)
    assert [rule.id for rule in view.rules.rules] == ["S6.acme"]
    assert [rule.id for rule in base.rules.rules] == []
    assert (acme.models, acme.purpose) == (frozenset({"m"}), "serve")
    assert (team.overlay, team.view(base).rules, team.view(base).models) == ({}, base.rules, base.models)
    assert base.identity.namespace_header == b"x-guard-namespace"


def test_the_default_model_is_tightened_with_the_others(write):
    view = tenant_view(write("models:\n  m: {license: llama-3.1}\n" + KEYED + "    actions: {S6: block}\n"))
    assert view.default_model is view.models["m"]
    assert "S6" in view.default_model.blocking
    view = tenant_view(write("license: llama-3.1\n" + KEYED + "    actions: {S6: block}\n"))
    assert "S6" in view.default_model.blocking


KEYED = f"identity: {{keys: [{{name: desk, sha256: {digest_key('sk-desk')}}}]}}\ntenants:\n  acme:\n" + BY_KEY


def tenant_view(path):
    snapshot = load(path).snapshot
    return snapshot.tenants.ordered[0].view(snapshot)


def test_what_is_in_shadow_is_so_for_tenants_and_a_tenant_may_be_enforced_alone(write):
    shadow = "shadows: [{category: S6, owner: o, expires: 2099-01-01, reason: r}]\n"
    path = write(
        "mode: shadow\nlicense: llama-3.1\n" + shadow + KEYED + "    mode: enforce\n    actions: {S6: block}\n"
    )
    view = tenant_view(path)
    assert view.mode is Mode.ENFORCE
    assert view.default_model.rulings["S6"].action is Action.BLOCK
    assert "S6" not in view.default_model.blocking


def test_a_configuration_without_tenants_has_none(write):
    snapshot = load(write("license: gemma\n")).snapshot
    assert snapshot.tenants is None
    assert snapshot.identity.namespace_header is None


def test_the_facts_say_who_a_tenant_is_and_what_it_tightens(write):
    write(RULES, "acme.yaml")
    acme, team = tenant_facts(load(write(HEAD + OVERLAY)).snapshot)
    assert acme == {
        "name": "acme",
        "match": {"keys": ["desk"], "claim": None, "namespaces": []},
        "models": ["m"],
        "purpose": "serve",
        "terms": [],
        "tightens": {
            "at_limit": "refuse_all",
            "system_prompts": "block",
            "rules": ["S6.acme"],
            "models": {"m": {"actions": {"S6": "block"}, "fields": {"logprobs": "deny", "samples": "clamp to 2"}}},
        },
    }
    assert (team["match"]["namespaces"], team["models"], team["tightens"]) == (["team-a"], None, {})
    json.dumps([acme, team])
    assert tenant_facts(load(write("license: gemma\n")).snapshot) == []


def test_a_reload_compiles_only_the_rules_whose_files_changed(write):
    own = write(RULES, "acme.yaml")
    write(RULES.replace("S6.acme", "S6.beta"), "beta.yaml")
    beta = "  beta:\n    match: {keys: [lab]}\n    rules: [beta.yaml]\n"
    path = write(HEAD + OVERLAY + beta)
    active = ActivePolicy(path)

    def compiled():
        snapshot = active.snapshot
        return [snapshot.rules, *(tenant.view(snapshot).rules for tenant in snapshot.tenants.ordered)]

    base, acme, team, of_beta = compiled()
    assert team is base
    path.write_text(HEAD + OVERLAY + beta + "evidence: {decisions: all}\n")
    assert active.changed()
    assert active.reload().changed
    assert compiled() == [base, acme, base, of_beta]
    own.write_text(RULES.replace("remedy", "cure"))
    assert active.changed(), "a tenant's rule file is watched"
    assert active.reload().changed
    assert compiled()[0] is base
    assert compiled()[1] is not acme
    assert compiled()[3] is of_beta


def test_compiled_rules_that_nobody_uses_any_more_are_let_go(write):
    write(RULES, "acme.yaml")
    cache = RuleCache()
    first = load(write(HEAD + OVERLAY), rules=cache).snapshot
    load(write("license: gemma\n"), rules=cache)
    again = load(write(HEAD + OVERLAY), rules=cache).snapshot
    assert again.tenants.ordered[0].view(again).rules is not first.tenants.ordered[0].view(first).rules


ACTIONS = st.sampled_from(["block", "flag", "log", "off"])
SETTINGS = st.one_of(
    st.sampled_from(["deny", "strip", "allow"]), st.sampled_from([1, 4, 8, 64, 500]).map(lambda limit: {"clamp": limit})
)
FIELDS = st.dictionaries(
    st.sampled_from(["logprobs", "samples", "length", "echo", "caller_ids", "guided"]), SETTINGS, max_size=2
)
LIMITED = {"llama-2", "llama-3.1", "kimi-k2"}
"""Licenses with a threshold on users, for which the operator may set a limit that acts at run time."""
BASES = st.fixed_dictionaries(
    {
        "license": st.sampled_from([*sorted(LIMITED), "gemma"]),
        "screening.actions": st.dictionaries(st.sampled_from(["S12", "D1"]), ACTIONS, max_size=1),
        "screening.unscannable": st.sampled_from(["deny", "allow", "mark", {"image": "mark"}]),
        "screening.system_prompts": st.sampled_from(["flag", "block", "off"]),
        "outputs.fields": FIELDS,
        "mode": st.sampled_from(["enforce", "enforce", "shadow"]),
    },
    optional={"usage.at_limit": st.sampled_from(["refuse_newcomers", "refuse_all"])},
)
OVERLAYS = st.fixed_dictionaries(
    {"match": st.just({"keys": ["desk"]})},
    optional={
        "actions": st.dictionaries(st.sampled_from(["S12", "D1", "S6"]), st.sampled_from(["block", "log"]), max_size=2),
        "fields": FIELDS,
        "unscannable": st.just("deny"),
        "system_prompts": st.sampled_from(["block", "flag"]),
        "purpose": st.sampled_from(["serve", "unknown", "train:gemma"]),
        "at_limit": st.just("refuse_all"),
        "mode": st.just("enforce"),
        "models": st.sampled_from([["m"], []]),
    },
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "n": st.sampled_from([1, 6, 100]),
        "logprobs": st.just(True),
        "max_completion_tokens": st.sampled_from([3, 1000]),
        "request_id": st.just("mine"),
        "use_beam_search": st.just(True),
        "response_format": st.just({"type": "json_object"}),
    },
)
SAID = "the very secret remedy"
OWN_RULES = f"""\
category: S12
rules:
  - {{id: S12.own, anchors: [{SAID}], directions: [prompt, output], sources: [user, system, output]}}
"""
RULE_CACHE = RuleCache()


def accepted(base, overlay, rules):
    """The snapshot of a configuration with one tenant, if the check takes it."""
    limited = base["license"] in LIMITED
    settings = {name: value for name, value in base.items() if name not in {"license", "usage.at_limit"}}
    if limited:
        settings["usage.limits"] = {base["license"]: 5}
        settings["usage.at_limit"] = base.get("usage.at_limit", "observe")
    settings["models"] = {"m": {"license": base["license"]}}
    settings["identity.keys"] = [{"name": "desk", "sha256": digest_key("sk-desk")}]
    settings["screening.rules"] = [str(rules)]
    settings["tenants"] = {"acme": overlay}
    try:
        return load(None, settings, rules=RULE_CACHE).snapshot
    except PolicyError:
        return reject()


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(
    base=BASES,
    overlay=OVERLAYS,
    body=BODIES,
    role=st.sampled_from(["user", "system"]),
    stated=st.sampled_from([None, "serve", "train:gemma", "train:mistral-7b"]),
    users=st.sampled_from([0, 5, 6]),
)
def test_whatever_the_check_accepts_a_tenant_is_decided_at_least_as_strictly(
    write, base, overlay, body, role, stated, users
):
    snapshot = accepted(base, overlay, write(OWN_RULES, "own.yaml"))
    request = Request(
        at=1_795_000_000.0,
        headers=(("authorization", "Bearer sk-desk"),),
        model="m",
        body={"messages": [{"role": role, "content": SAID}], **body},
        caller=Caller(purpose=stated),
        users=users,
        known=users > 5,
        answer=SAID,
    )
    loose, strict = rehearse(replace(snapshot, tenants=None), request), rehearse(snapshot, request)
    assert strict.exchange.tenant.name == "acme"
    own, common = strict.exchange.snapshot.models["m"], snapshot.models["m"]
    assert own.blocking >= common.blocking
    assert all(own.rulings[category].action >= ruling.action for category, ruling in common.rulings.items())
    if loose.refusal is not None:
        assert strict.refusal is not None
    elif strict.refusal is None:
        at_least_as_strict(loose.exchange, strict.exchange)


def at_least_as_strict(loose, strict):
    """Neither was refused: what reaches the server is no more, and what was found is taken no lighter."""
    before, after = loose.inquiry.document, strict.inquiry.document
    assert set(after) - {"max_completion_tokens"} <= set(before)
    assert after.get("n", 1) <= before.get("n", 1)
    if "max_completion_tokens" in before and "max_completion_tokens" in after:  # the tenant may strip it
        assert after["max_completion_tokens"] <= before["max_completion_tokens"]
    found = {(direction, finding.rule): ruling.action for direction, finding, ruling in strict.findings}
    assert all(found[direction, finding.rule] >= ruling.action for direction, finding, ruling in loose.findings)


RULES_BY_STRENGTH = st.builds(FieldRule, st.sampled_from(list(FieldAction)), st.sampled_from([1, 8, 64]))


@given(st.sampled_from(sorted(CAPABILITIES)), RULES_BY_STRENGTH, RULES_BY_STRENGTH, RULES_BY_STRENGTH)
def test_tightening_is_an_order(capability, one, two, three):
    def tighter(own, base):
        limit = own.limit if own.action is FieldAction.CLAMP else None
        return tightens(capability, FieldSetting(own.action, limit), base)

    assert tighter(one, one)
    assert tighter(one, FieldRule(FieldAction.ALLOW))
    if tighter(one, two) and tighter(two, three):
        assert tighter(one, three) or three.action is FieldAction.ALLOW


@pytest.mark.parametrize(
    ("own", "holds"), [({"clamp": 50}, True), ({"clamp": 200}, False), ("deny", False), ("strip", False)]
)
def test_a_limit_on_length_is_tightened_by_a_smaller_limit_alone(write, own, holds):
    """A request that states no length gets the clamp's; denied or stripped, it would get the server's: the longest."""
    fields = f"outputs: {{fields: {{length: {{clamp: 100}}}}}}\n{KEYED}    fields: {{length: {json.dumps(own)}}}\n"
    path = write("license: gemma\n" + fields)
    if holds:
        assert tenant_view(path).default_model.fields["length"].limit == 50
    else:
        with pytest.raises(PolicyError, match=r"allowed: \{clamp: N\} with N up to 100$"):
            load(path)


def test_an_overlay_that_says_nothing_is_valid():
    assert TenantConfig.model_validate({"match": {"keys": ["desk"]}}).actions == {}
