"""Keys with settings of their own: what a stated purpose is good for, what no key gets, and that it is told."""

import json

import pytest

from guard.cli.main import run
from guard.exchange.credential import digest_key
from guard.exchange.snapshot import FieldAction, FieldRule
from guard.licensing.capability import BLINDING
from guard.policy.deltas import dangerous
from guard.policy.document import PolicyError
from guard.policy.load import RuleCache, load
from guard.policy.posture import posture
from guard.policy.rehearsal.hypothetical import Caller, Request
from guard.policy.rehearsal.rehearse import rehearse

HEAD = """\
models:
  old: {license: llama-2}
  new: {license: llama-3.1}
"""
RULES = RuleCache()
LAB = f"identity:\n  keys:\n    - name: lab\n      sha256: {digest_key('sk-lab')}\n"
ASKING = {"messages": [{"role": "user", "content": "hello"}]}


def loaded(tmp_path, text, head=HEAD):
    path = tmp_path / "guard.yaml"
    path.write_text(head + text)
    return load(path, rules=RULES)


def lab(purpose, fields, tenant=""):
    stated = f"      purpose: {purpose}\n" if purpose else ""
    return f"{LAB}{stated}      fields: {fields}\n{tenant}"


def decided(snapshot, model, tenant=None, **fields):
    request = Request(at=1_795_000_000.0, model=model, body={**ASKING, **fields}, caller=Caller("u", tenant=tenant))
    return rehearse(snapshot, request).refusal


def problem(tmp_path, text, head=HEAD):
    with pytest.raises(PolicyError) as error:
        loaded(tmp_path, text, head)
    [found] = error.value.problems
    return f"{found.line}: {str(found).partition(': ')[2]}"


def test_an_evaluation_team_gets_log_probabilities_where_others_do_not(tmp_path):
    snapshot = loaded(tmp_path, lab("evaluate", "{logprobs: allow, samples: {clamp: 64}}")).snapshot
    assert decided(snapshot, "old", tenant="lab", logprobs=True) is None
    assert decided(snapshot, "old", logprobs=True).license == "llama-2"
    assert decided(snapshot, "old", tenant="lab", prompt_logprobs=1).code == "field_denied", "and nothing else"
    [entitlement] = snapshot.identity.keys.values()
    assert entitlement.fields["llama-2",]["samples"] == FieldRule(FieldAction.CLAMP, 64)
    assert "logprobs" not in entitlement.fields["llama-2",]


def test_a_key_may_have_less_without_a_word_about_its_purpose(tmp_path):
    snapshot = loaded(tmp_path, lab("", "{logprobs: deny, guided: strip}")).snapshot
    assert decided(snapshot, "new", logprobs=True) is None
    assert decided(snapshot, "new", tenant="lab", logprobs=True).code == "field_denied"


def test_nothing_is_kept_for_keys_that_say_nothing_or_what_holds_anyway(tmp_path):
    for fields in ("{}", "{token_ids: deny, logprobs: deny}"):
        snapshot = loaded(tmp_path, lab("evaluate", fields), "models:\n  old: {license: llama-2}\n").snapshot
        assert [one.fields for one in snapshot.identity.keys.values()] == [{}]


MISTAKES = {
    "no purpose": (
        lab("", "{logprobs: allow}"),
        (
            "8: identity.keys[0].fields.logprobs: 'allow' is more than license llama-2 (1.b.v) gives for old ('deny'), "
            "and the key states no purpose; allowed: deny, or a purpose: serve, evaluate, train:TARGET or "
            "synthetic-data:TARGET"
        ),
    ),
    "a purpose that is denied": (
        lab("train:mistral-7b", "{logprobs: allow}"),
        (
            "9: identity.keys[0].fields.logprobs: 'allow' is more than license llama-2 (1.b.v) gives for old ('deny'), "
            "and license llama-2 (1.b.v) denies the purpose 'train:mistral-7b'; "
            "allowed: deny, or a purpose that is not denied"
        ),
    ),
    "a larger clamp": (
        lab("unknown", "{samples: {clamp: 64}}"),
        (
            "9: identity.keys[0].fields.samples: 'clamp to 64' is more than license llama-2 (1.b.v) gives for old "
            "('clamp to 8'), and the key states no purpose; allowed: {clamp: N} with N up to 8, or a purpose: serve, "
            "evaluate, train:TARGET or synthetic-data:TARGET"
        ),
    ),
    "a clamp of what is no number": (
        lab("evaluate", "{guided: {clamp: 3}}"),
        (
            "9: identity.keys[0].fields.guided: a clamp to 3 of guided, which is no number; "
            "allowed: allow, deny or strip; clamp goes with length, logprobs, prompt_logprobs, samples"
        ),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_a_key_may_not_have_is_told_with_what_it_may(tmp_path, name):
    text, expected = MISTAKES[name]
    assert problem(tmp_path, text) == expected


@pytest.mark.parametrize("capability", BLINDING)
def test_what_blinds_the_screen_is_opened_for_no_key_whatever_its_purpose(tmp_path, capability):
    told = problem(tmp_path, lab("evaluate", f"{{{capability}: allow}}"))
    assert BLINDING[capability] in told
    assert "outputs.fields does, for everybody" in told


def test_a_purpose_that_one_license_denies_is_good_for_the_models_of_others(tmp_path):
    head = "models:\n  old: {license: llama-2}\n  hun: {license: hunyuan-large}\n"
    found = loaded(tmp_path, lab("train:llama-2", "{logprobs: allow}"), head)
    assert decided(found.snapshot, "old", tenant="lab", logprobs=True) is None
    assert decided(found.snapshot, "hun", tenant="lab", logprobs=True).license == "hunyuan-large"
    told = [str(caution) for caution in found.cautions if "is more than" in caution.found]
    assert len(told) == 1
    assert "for old" in told[0]


def test_an_undetermined_license_gives_more_for_a_stated_purpose_too(tmp_path):
    snapshot = loaded(tmp_path, lab("evaluate", "{logprobs: allow}"), "unknown_models: undetermined\n").snapshot
    assert decided(snapshot, "any", tenant="lab", logprobs=True) is None
    assert decided(snapshot, "any", logprobs=True).code == "field_denied"


def test_a_tenant_bounds_the_keys_of_its_callers(tmp_path):
    tenant = "tenants:\n  acme:\n    match: {keys: [lab]}\n    fields: {logprobs: deny}\n"
    snapshot = loaded(tmp_path, lab("evaluate", "{logprobs: allow}", tenant)).snapshot
    assert decided(snapshot, "old", tenant="acme", logprobs=True).code == "field_denied"
    tenant = "tenants:\n  acme:\n    match: {keys: [lab]}\n    system_prompts: block\n"
    snapshot = loaded(tmp_path, lab("evaluate", "{logprobs: allow}", tenant)).snapshot
    assert decided(snapshot, "old", tenant="acme", logprobs=True) is None


def test_what_is_more_is_told_by_check_and_by_explain(tmp_path, capsys):
    loaded(tmp_path, lab("evaluate", "{logprobs: allow}"))
    assert run(["policy", "check", str(tmp_path / "guard.yaml")]) == 0
    printed = capsys.readouterr()
    said = (
        "identity.keys[0].fields.logprobs: logprobs 'allow' is more than license llama-2 (1.b.v) gives for old "
        "('deny'), for the purpose 'evaluate'"
    )
    assert said in " ".join((printed.out + printed.err).split())
    asked = ["--config", str(tmp_path / "guard.yaml"), "--model", "old", "--tenant", "lab", "--json"]
    assert run(["policy", "explain", *asked]) == 0
    [admit] = [step for step in json.loads(capsys.readouterr().out)["steps"] if step["step"] == "admit"]
    assert (
        "the key 'lab' has logprobs: allow, for the purpose 'evaluate'; others have deny, by llama-2 1.b.v"
        in (admit["says"])
    )


def test_to_give_a_key_more_is_a_change_that_has_to_be_confirmed(tmp_path):
    def facts(text):
        found = loaded(tmp_path, text)
        return posture(found.config, found.snapshot, {})

    before, after = facts(lab("evaluate", "{}")), facts(lab("evaluate", "{logprobs: allow}"))
    assert [delta.line for delta in dangerous(before, after)] == [
        "identity.keys.lab.models.old.fields.logprobs: deny -> allow"
    ]
    assert list(dangerous(after, before)) == []
    less = facts(lab("evaluate", "{guided: deny}"))
    assert list(dangerous(before, less)) == []
    assert {delta.line for delta in dangerous(less, before)} == {
        "identity.keys.lab.models.old.fields.guided: deny -> allow",
        "identity.keys.lab.models.new.fields.guided: deny -> allow",
    }


def test_keys_of_one_name_say_the_same(tmp_path, capsys, monkeypatch):
    config = tmp_path / "guard.yaml"
    config.write_text(HEAD + "identity: {keys_file: keys.yaml}\n")
    file = ["--file", str(tmp_path / "keys.yaml")]
    assert run(["keys", "add", "lab", "--purpose", "evaluate", *file]) == 0
    keys = tmp_path / "keys.yaml"
    keys.write_text(
        keys.read_text().replace("    purpose: evaluate\n", "    purpose: evaluate\n    fields: {logprobs: allow}\n")
    )
    assert run(["keys", "add", "lab", *file]) == 0, "a second key takes over what the first says"
    snapshot = load(config, rules=RULES).snapshot
    assert [sorted(one.fields) for _, one in snapshot.identity.stored.values()] == [[("llama-2",)]] * 2
    keys.write_text(keys.read_text().replace("fields: {logprobs: allow}", "fields: {echo: allow}", 1))
    with pytest.raises(PolicyError, match="other settings than for the key 'lab'"):
        load(config, rules=RULES)


# Bulk and claims, from the file to the snapshot.


@pytest.mark.parametrize(
    ("license_", "wanted"),
    [
        ("llama-2", "1.b.v"),
        ("llama-3.1", "1.b.i"),
        ("gemma", "1.1(e), 3.1, 3.3"),
        ("deepseek-mit", None),
        ("phi-2", None),
    ],
)
def test_a_bulk_needs_a_purpose_wherever_the_license_says_anything_that_depends_on_it(tmp_path, license_, wanted):
    snapshot = loaded(tmp_path, "", f"models:\n  m: {{license: {license_}}}\n").snapshot
    bulk = snapshot.models["m"].bulk
    assert (bulk and (bulk.samples, bulk.license, bulk.clause)) == (wanted and (16, license_, wanted))


def test_an_undetermined_license_needs_one_and_cites_none(tmp_path):
    bulk = loaded(tmp_path, "", "unknown_models: undetermined\n").snapshot.default_model.bulk
    assert bulk == (16, None, None)


def test_how_many_are_a_bulk_is_the_operators_and_whether_it_is_asked(tmp_path):
    few = loaded(tmp_path, "outputs: {bulk_samples: 4}\n")
    off = loaded(tmp_path, "outputs: {bulk: off}\n")
    assert few.snapshot.models["old"].bulk.samples == 4
    assert off.snapshot.models["old"].bulk is None
    facts = [posture(one.config, one.snapshot, {}) for one in (few, off)]
    assert {delta.line for delta in dangerous(*facts)} == {
        "outputs.bulk: require -> off",
        "outputs.bulk_samples: 4 -> 16",
    }


def test_the_claim_that_states_a_purpose_is_named_and_letting_it_go_is_confirmed(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "s" * 32)
    jwt = "identity: {jwt: {algorithms: [HS256], secret_env: SECRET%s}}\n"
    with_it, without = loaded(tmp_path, jwt % ", purpose_claim: use"), loaded(tmp_path, jwt % "")
    assert (with_it.snapshot.identity.jwt_purpose, without.snapshot.identity.jwt_purpose) == ("use", None)
    facts = [posture(one.config, one.snapshot, {}) for one in (with_it, without)]
    assert [delta.line for delta in dangerous(*facts)] == ["identity.jwt.purpose_claim: use -> none"]
    assert list(dangerous(*reversed(facts))) == []
