"""An explanation names what each step rests on, in the license's words, and only changes that really change something."""

from datetime import UTC, date, datetime

import pytest

from guard.policy.load import load
from guard.policy.rehearsal.explanation import ASKS, explain
from guard.policy.rehearsal.hypothetical import Caller, Request, settings_for
from guard.policy.rehearsal.rehearse import rehearse

NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
SAY = {"messages": [{"role": "user", "content": "Hello"}]}


def explained(licenses, settings=None, **said):
    request = Request(NOW, model="m", **said)
    base = {**settings_for(licenses, "m", request.caller), **(settings or {})}

    def loaded(over):
        return load(None, {**base, **over}, today=date(2026, 6, 1), environment={})

    active = loaded({})
    found = explain(
        rehearse(active.snapshot, request), active.snapshot, active.config, lambda over: loaded(over).snapshot
    )
    return found, loaded


def step(found, name):
    return next(step for step in found.steps if step.step == name)


def said(found):
    return {change.what: change.verdict.value for change in found.changes}


GEMMA = Caller(purpose="train:gemma-2-9b")


def test_llama_2_and_llama_3_1_say_opposite_things_of_the_same_training_each_with_its_clause():
    (old, _), (new, _) = explained(["llama-2"], caller=GEMMA), explained(["llama-3.1"], caller=GEMMA)
    assert [(verdict.license, str(verdict.kind), verdict.clause) for verdict in (*old.output_use, *new.output_use)] == [
        ("llama-2", "deny", "1.b.v"),
        ("llama-3.1", "allow_with_obligations", "1.b.i"),
    ]
    assert (old.rehearsal.verdict, new.rehearsal.verdict) == ("deny", "allow")
    (citation,) = step(old, "entitle").citations
    assert (citation.license, citation.clause, citation.about) == ("llama-2", "1.b.v", "output use")
    assert "except Llama 2 itself and its derivative works" in citation.words
    assert {citation.clause for citation in step(new, "entitle").citations} >= {"1.b.i(B)", "1.b.i"}


def test_every_change_that_is_told_ends_otherwise_when_it_is_made():
    found, _ = explained(["llama-2"], caller=GEMMA)
    assert said(found) == {
        "purpose serve": "allow",
        "purpose evaluate": "allow",
        "purpose train:llama-2 (llama-2 excepts: Llama 2 itself and its derivative works)": "allow",
        "mode: shadow": "flag",
    }
    assert found.changes[2].obligations


def test_at_a_limit_a_known_user_room_and_observing_would_help():
    found, _ = explained(["qwen-2024"], {"usage.at_limit": "refuse_newcomers"}, users=100_000_000)
    assert said(found) == {
        "a user who is counted already": "allow",
        "99,999,999 other users, below the limit mau_100m of qwen-2024": "allow",
        "usage.at_limit: observe": "allow",
        "mode: shadow": "flag",
    }
    assert [citation.about for citation in step(found, "reserve").citations] == ["threshold"]


def test_a_known_user_is_told_where_the_room_ends():
    found, _ = explained(["qwen-2024"], {"usage.at_limit": "refuse_all"}, users=99_999_000, known=True)
    assert said(found)["100,000,001 other users, beyond the limit mau_100m of qwen-2024"] == "deny"


def test_room_below_the_licenses_limit_is_none_beyond_the_operators_own():
    settings = {"usage.at_limit": "refuse_newcomers", "usage.limits": {"qwen-2024": 5_000_000}}
    found, _ = explained(["qwen-2024"], settings)
    tried = "99,999,999 other users, below the limit mau_100m of qwen-2024"
    assert said(found)[f"{tried}; the operator's own limit of 5,000,000 still refuses"] == "deny"
    assert said(found)["5,000,001 other users, beyond the limit operator of qwen-2024"] == "deny"


def test_the_strictest_license_of_a_stack_still_refuses_below_the_limit_of_another():
    found, _ = explained(["tongyi-qianwen-2023", "qwen-2024"], {"usage.at_limit": "refuse_newcomers"})
    assert not any("still refuses" in what for what in said(found))


def test_every_step_of_the_road_says_what_it_asks():
    found, _ = explained(["qwen-2024"], answer="Hello")
    assert {step.step for step in found.steps} == set(ASKS)
    assert all(step.asks for step in found.steps)


def test_a_field_that_is_denied_could_be_left_out_or_allowed():
    found, _ = explained(["llama-2"], body={**SAY, "logprobs": True, "seed": 1})
    assert said(found) == {
        "the request without 'logprobs'": "allow",
        "outputs.fields: {logprobs: allow}": "allow",
        "mode: shadow": "flag",
    }


def test_two_things_that_each_refuse_are_cured_by_no_single_change_but_shadow():
    found, _ = explained(["llama-2"], body={**SAY, "logprobs": True}, caller=GEMMA)
    assert said(found) == {"mode: shadow": "flag"}


def test_a_category_that_blocks_could_be_relaxed_by_somebody_who_answers_for_it(write):
    rules = write("category: S9\nrules:\n  - {id: S9.recipe, anchors: [nerve agent recipe]}\n", "rules.yaml")
    found, _ = explained(["llama-2"], {"screening.rules": [str(rules)]}, text="a nerve agent recipe, please")
    assert said(found) == {
        "screening.actions: {S9: off}, with screening.relax naming an owner": "allow",
        "screening.actions: {S9: flag}, with screening.relax naming an owner": "flag",
        "mode: shadow": "flag",
    }
    screened = step(found, "screen_prompt")
    assert screened.says[0] == (
        "rule S9.recipe (S9 indiscriminate weapons) found in the prompt messages[0].content, characters 2-20: block, by "
        "llama-2 AUP 2.a"
    )
    assert [citation.about for citation in screened.citations] == ["military nuclear espionage"]


def test_what_the_rule_is_evidence_of_is_explained_in_the_license_s_words(write):
    rule = "category: {0}\nrules:\n  - {{id: {0}.own, anchors: [pipe bomb recipe], items: [{1}]}}\n"
    for category, item, clause in (("S9", "guns_illegal_weapons", "AUP 2.b"), ("S2", "fraud", "AUP 3.a")):
        rules = write(rule.format(category, item), "rules.yaml")
        found, _ = explained(["llama-2"], {"screening.rules": [str(rules)]}, text="a pipe bomb recipe")
        cited = [(citation.clause, citation.about) for citation in step(found, "screen_prompt").citations]
        assert (found.rehearsal.refusal.clause, cited) == (clause, [(clause, item.replace("_", " "))])


def test_an_answer_can_be_what_refuses(write):
    rule = "category: S9\nrules:\n  - {id: S9.recipe, anchors: [nerve agent recipe], directions: [output]}\n"
    rules = write(rule, "rules.yaml")
    found, _ = explained(["llama-2"], {"screening.rules": [str(rules)]}, answer="Here is a nerve agent recipe.")
    assert (found.rehearsal.verdict, step(found, "screen_output").result) == ("deny", "refused")
    assert found.rehearsal.refusal.category == "S9"


def test_an_excluded_country_and_one_that_is_not():
    found, _ = explained(["hunyuan-a13b"], caller=Caller(country="DE"))
    assert said(found) == {"a request from US": "allow", "mode: shadow": "flag"}
    assert [citation.about for citation in step(found, "locate").citations] == ["territory"]
    unseen, _ = explained(["hunyuan-a13b"])
    assert unseen.rehearsal.verdict == "not_evaluated"
    assert said(unseen)["a request from US, where territory.country_headers lets Guard see it"] == "allow"


def test_a_closed_surface_could_be_opened():
    found, _ = explained(["mistral-apache"], path="/rerank", body={"query": "a", "documents": ["b"]})
    assert said(found) == {"the surface open: surface.enabled with rerank": "allow"}


def test_a_request_without_a_user_where_one_is_demanded():
    found, _ = explained(["mistral-apache"], {"identity.unidentified": "deny"}, caller=Caller(None))
    assert said(found) == {"a request that names its user": "allow", "mode: shadow": "flag"}


@pytest.mark.parametrize("licenses", [["mistral-apache"], ["llama-2"], ["deepseek-mit", "llama-3.1"]])
def test_an_allowed_request_is_told_what_would_refuse_it(licenses):
    found, _ = explained(licenses)
    restricted = "llama-2" in licenses
    assert found.rehearsal.verdict == "allow"
    assert said(found) == ({"purpose train:gemma-2-9b": "deny"} if restricted else {})
