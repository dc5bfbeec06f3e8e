"""What each shipped license says about using outputs, against a reviewed table and against the laws of the table."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.licensing.decisions import KINDS, UNHEARD_OF, decisions, lines, stand_in
from guard.licensing.lineage import resolve_target
from guard.licensing.purpose import Purpose
from guard.licensing.verdict import Verdict, output_use_verdict, stack_verdict
from guard.policy.packs import shipped_packs

GOLDEN = Path(__file__).parent / "output_use_golden.txt"
PACKS = shipped_packs()


def verdict(license_, kind):
    stated = stand_in(license_, kind)
    return output_use_verdict(license_, stated, resolve_target(stated.target, PACKS) if stated.target else None)


def test_every_license_and_purpose_gives_the_reviewed_verdict():
    assert list(lines(PACKS)) == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_the_table_has_a_line_for_every_license_and_purpose():
    found = list(decisions(PACKS))
    assert [(line.license, line.kind) for line in found] == [(id_, kind) for id_ in PACKS for kind in KINDS]
    assert all(line.verdict == verdict(PACKS[line.license], line.kind) for line in found)
    assert resolve_target(UNHEARD_OF, PACKS) is None


def test_llama_2_excepts_llama_2_and_not_llama_3():
    llama_2 = PACKS["llama-2"]
    own = output_use_verdict(llama_2, Purpose("train", "x"), resolve_target("meta-llama/Llama-2-13b", PACKS))
    newer = output_use_verdict(llama_2, Purpose("train", "x"), resolve_target("meta-llama/Meta-Llama-3-8B", PACKS))
    some = output_use_verdict(llama_2, Purpose("train", "x"), resolve_target("llama", PACKS))
    assert (own.kind, newer.kind, some.kind) == (Verdict.ALLOW_WITH_OBLIGATIONS, Verdict.DENY, Verdict.UNDETERMINED)
    assert newer.clause == "1.b.v"
    assert "any other large language model" in newer.reason


def test_hunyuan_excepts_every_hunyuan():
    target = resolve_target("tencent/Hunyuan-7B-Instruct", PACKS)
    assert (
        output_use_verdict(PACKS["hunyuan-a13b"], Purpose("train", "x"), target).kind is Verdict.ALLOW_WITH_OBLIGATIONS
    )


def test_llama_3_1_allows_any_target_and_says_what_is_owed():
    found = output_use_verdict(PACKS["llama-3.1"], Purpose("train", "x"), resolve_target("mistral-7b", PACKS))
    assert found.kind is Verdict.ALLOW_WITH_OBLIGATIONS
    assert {duty.kind for duty in found.obligations} >= {"display", "name_prefix"}
    assert {duty.clause for duty in found.obligations} >= {"1.b.i(B)", "1.b.i"}


def test_a_stack_is_as_strict_as_its_strictest_license_and_owes_what_all_ask():
    distilled = [PACKS["deepseek-mit"], PACKS["llama-3.1"], PACKS["gemma"]]
    found = stack_verdict(distilled, Purpose("train", "mistral-7b"), resolve_target("mistral-7b", PACKS))
    assert found.kind is Verdict.ALLOW_WITH_OBLIGATIONS
    assert {duty.license for duty in found.obligations} == {"llama-3.1", "gemma"}
    denied = stack_verdict([*distilled, PACKS["llama-2"]], Purpose("train", "x"), resolve_target("mistral-7b", PACKS))
    assert (denied.kind, denied.license, denied.obligations) == (Verdict.DENY, "llama-2", ())


def test_a_model_without_a_known_license_is_undetermined_even_for_serving():
    assert stack_verdict([], Purpose("serve"), None).kind is Verdict.UNDETERMINED


def test_an_unconfirmed_clause_says_so():
    found = verdict(PACKS["falcon-180b"], "train-other")
    assert found.kind is Verdict.ALLOW_WITH_OBLIGATIONS
    assert found.reason.endswith("(the clause is unconfirmed)")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(sorted(PACKS)), min_size=1, max_size=4), st.sampled_from(KINDS), st.data())
def test_adding_a_license_to_a_stack_never_frees_anything(ids, kind, data):
    stated = stand_in(PACKS[ids[0]], kind)
    target = resolve_target(stated.target, PACKS) if stated.target else None
    fewer = stack_verdict([PACKS[id_] for id_ in ids], stated, target)
    more = stack_verdict([PACKS[id_] for id_ in (*ids, data.draw(st.sampled_from(sorted(PACKS))))], stated, target)
    assert more.kind >= fewer.kind
    assert more.kind is Verdict.DENY or set(fewer.obligations) <= set(more.obligations)


@pytest.mark.parametrize("id_", sorted(PACKS))
def test_an_unknown_purpose_is_worth_no_more_than_training_an_unknown_target(id_):
    assert verdict(PACKS[id_], "unknown").kind is verdict(PACKS[id_], "train-unknown").kind
