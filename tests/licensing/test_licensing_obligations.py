"""What is owed for serving, and for training on outputs."""

from guard.licensing.obligations import all_obligations, training_obligations
from guard.policy.packs import shipped_packs

PACKS = shipped_packs()


def serving_obligations(licenses):
    return [owed for owed in all_obligations(licenses) if "serving" in owed.owed_for]


def kinds(obligations):
    return {(duty.kind, duty.clause) for duty in obligations}


def test_serving_llama_owes_the_display_line_the_disclosures_and_the_attested_month():
    owed = serving_obligations([PACKS["llama-3.1"]])
    assert {("display", "1.b.i(B)"), ("disclosure", "AUP 3.e"), ("disclosure", "AUP 4"), ("threshold", "2")} <= kinds(
        owed
    )
    threshold = next(duty for duty in owed if duty.kind == "threshold")
    assert "not above 700,000,000 in 2024-06, attested" in threshold.text
    assert "name_prefix" not in {duty.kind for duty in owed}


def test_items_no_text_shows_are_owed_as_duties():
    owed = serving_obligations([PACKS["llama-3.2"]])
    assert len([duty for duty in owed if duty.kind == "aup_duty"]) == 8


def test_conditions_of_use_are_listed_with_their_clauses():
    assert ("hosting", "9.1") in kinds(serving_obligations([PACKS["falcon-180b"]]))
    assert ("purpose", "3.2, 9") in kinds(serving_obligations([PACKS["mistral-mrl-0.1"]]))
    territory = [duty for duty in serving_obligations([PACKS["hunyuan-a13b"]]) if duty.kind == "territory"]
    assert territory[0].text.startswith("place of use (EU, GB, KR): no use")


def test_revenue_is_attested_because_no_gateway_sees_it():
    revenue = [duty for duty in serving_obligations([PACKS["kimi-k2"]]) if "revenue" in duty.text]
    assert "attested: no gateway sees it" in revenue[0].text


def test_a_stack_owes_what_all_its_licenses_ask_once():
    both = serving_obligations([PACKS["deepseek-mit"], PACKS["llama-3.1"], PACKS["llama-3.1"]])
    assert len(both) == len(set(both))
    assert set(serving_obligations([PACKS["llama-3.1"]])) <= set(both)


def test_training_owes_the_name_the_line_or_the_terms():
    assert ("name_prefix", "1.b.i") in kinds(training_obligations([PACKS["llama-3.1"]]))
    assert kinds(training_obligations([PACKS["qwen-2024"]])) == {("display", "5.b")}
    assert kinds(training_obligations([PACKS["gemma"]])) == {("inherit_terms", "1.1(e), 3.1")}
    assert training_obligations([PACKS["deepseek-mit"]]) == ()


def test_what_is_owed_for_other_occasions_says_so():
    owed = {duty.kind: duty.owed_for for duty in all_obligations([PACKS["llama-3.1"]]) if duty.kind != "aup_duty"}
    assert owed["display"] == ("serving", "distribution", "training")
    assert owed["name_prefix"] == ("training",)
    assert owed["notice_file"] == ("distribution",)
