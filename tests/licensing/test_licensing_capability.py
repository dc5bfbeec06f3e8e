"""The capability surface under licenses of both kinds."""

import pytest

from guard.licensing.capability import CAPABILITIES, Setting, setting
from guard.policy.packs import shipped_packs

PACKS = shipped_packs()
RESTRICTED = {
    "alpaca", "baichuan-2", "cohere-cc-by-nc", "dbrx", "glm-5.3", "grok-2", "hunyuan-3d-2.1", "hunyuan-a13b",
    "hunyuan-large", "llama-1", "llama-2", "llama-3", "minimax-m3", "mistral-mnpl-0.1", "mistral-mrl-0.1",
    "qwen3.8-max", "stability-community-2024", "tongyi-qianwen-2023", "tongyi-qianwen-research-2023",
}  # fmt: skip
TEACHER = {"logprobs", "prompt_logprobs", "logprob_token_ids", "echo", "logit_bias", "samples"}


@pytest.mark.parametrize("id_", sorted(PACKS))
def test_a_license_that_limits_outputs_closes_what_gives_teacher_grade_output(id_):
    changed = {name for name in CAPABILITIES if setting(name, [PACKS[id_]])[1] is not None}
    assert changed == (TEACHER if id_ in RESTRICTED else set())


def test_the_cause_of_a_restriction_is_the_license_and_its_clause():
    found, cause = setting("logprobs", [PACKS["deepseek-mit"], PACKS["llama-2"]])
    assert (found, cause.id, cause.output_use.clause) == (Setting("deny"), "llama-2", "1.b.v")


def test_an_undetermined_license_is_restricted_and_cites_none():
    assert setting("logprobs", []) == (Setting("deny"), None)
    assert setting("samples", []) == (Setting("clamp", 8), None)


@pytest.mark.parametrize("name", ["prompt_embeds", "kv_transfer", "stored", "extra_args", "chat_template", "token_ids"])
def test_what_no_rule_can_read_is_denied_under_any_license(name):
    assert setting(name, [PACKS["deepseek-mit"]]) == (Setting("deny"), None)


def test_the_restricted_setting_is_never_looser():
    for capability in CAPABILITIES.values():
        assert capability.restricted.strictness >= capability.default.strictness


def test_every_capability_says_what_it_is_and_which_fields_it_stands_for():
    for name, capability in CAPABILITIES.items():
        assert capability.what, name
        assert all(capability.fields.values()), name


def test_settings_sort_from_free_to_denied():
    ordered = [Setting("allow"), Setting("clamp", 128), Setting("clamp", 8), Setting("strip"), Setting("deny")]
    assert sorted(ordered, key=lambda one: one.strictness) == ordered
    assert [str(one) for one in ordered] == ["allow", "clamp to 128", "clamp to 8", "strip", "deny"]
