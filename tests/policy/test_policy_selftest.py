"""A policy that does not do what it says does not come into force."""

import os
from dataclasses import replace

import pytest

from guard.exchange.refusal import Code, Refusal
from guard.exchange.snapshot import Ruling
from guard.policy import selftest
from guard.policy.load import load
from guard.policy.selftest import SelfTest, example, probe
from guard.policy.watch import ActivePolicy
from guard.screening.findings import Action
from guard.screening.ruleset import RuleSet

NOW = 1_800_000_000.0
GOOD = "models:\n  tiny: {license: llama-2}\n"
RULE = "category: S9\nrules:\n  - {id: S9.own, directions: [prompt, output], anchors: [enriched cake recipe]}\n"
ALARMED = "category: S9\nrules:\n  - {id: S9.own, anchors: [the tallest mountain]}\n"
CASES = (
    "config: guard.yaml\ncases:\n"
    "  - {name: a bomb is refused, request: {text: the enriched cake recipe please}, expect: {verdict: deny, code: aup}}\n"
)


@pytest.fixture
def test():
    return SelfTest(os.environ)


def test_the_shipped_rules_find_their_own_examples_and_nothing_in_harmless_text(monkeypatch):
    monkeypatch.undo()
    rules = load(None, {"license": "llama-2"}).snapshot.rules
    assert len(rules.rules) > 100
    assert [rule.id for rule in rules.rules if example(rule) is None] == []
    assert probe(rules) == selftest.Probed((), {})


def test_rules_that_find_nothing_are_a_problem(write, test):
    write(RULE, "rules.yaml")
    loaded = load(write(GOOD + "screening: {rules: [rules.yaml]}\n"))
    assert test.problems(loaded, NOW) == []

    class Deaf(RuleSet):
        def scan(self, segments):
            return []

    deaf = replace(loaded, snapshot=replace(loaded.snapshot, rules=Deaf(loaded.snapshot.rules.rules)))
    (problem,) = test.problems(deaf, NOW)
    assert str(problem).endswith(
        "guard.yaml:3: screening.rules: rule S9.own does not find an example of its own; allowed: rules that work"
    )


def test_a_rule_that_refuses_harmless_text_is_a_problem_where_it_blocks(write, test):
    write(ALARMED, "rules.yaml")
    blocking = GOOD + "screening: {rules: [rules.yaml]}\n"
    (problem,) = test.problems(load(write(blocking)), NOW)
    assert "rule S9.own finds harmless text, which tiny would refuse (S9)" in str(problem)
    relaxed = GOOD.replace("llama-2", "mistral-apache") + "screening: {rules: [rules.yaml]}\n"
    assert test.problems(load(write(relaxed)), NOW) == []


def test_a_stated_refusal_is_an_answer(write, test):
    denying = "identity: {unidentified: deny, sources: [api_key]}\n"
    assert test.problems(load(write(GOOD + denying)), NOW) == []
    excluded = "models: {h: {license: hunyuan-a13b}}\nterritory: {country_headers: [cf-ipcountry]}\n"
    assert test.problems(load(write(excluded + "identity: {trusted_from: [10.0.0.0/8]}\n")), NOW) == []


@pytest.mark.parametrize("outcome", [Refusal(503, Code.SCREENING_UNAVAILABLE, "no"), RuntimeError("broken")])
def test_a_harmless_request_that_fails_is_a_problem_of_its_model(write, test, monkeypatch, outcome):
    def admit(exchange):
        if isinstance(outcome, Exception):
            raise outcome
        return exchange.refuse(outcome)

    monkeypatch.setattr("guard.policy.rehearsal.rehearse.BEFORE_TEXT", (admit,))
    (problem,) = test.problems(load(write(GOOD)), NOW)
    assert (problem.line, problem.path) == (2, "models.tiny")
    assert "a harmless request" in problem.found


def test_a_ruling_of_no_license_is_a_problem(write, test):
    loaded = load(write(GOOD))
    model = loaded.snapshot.models["tiny"]
    astray = replace(model, rulings={"S9": Ruling(Action.BLOCK, "llama-22", None, "1")})
    loaded = replace(loaded, snapshot=replace(loaded.snapshot, models={"tiny": astray}))
    (problem,) = test.problems(loaded, NOW)
    assert "something of 'llama-22', which is no pack" in str(problem)


def test_models_that_are_not_listed_are_tested_too(write, test, monkeypatch):
    asked = []
    real = selftest.rehearse
    monkeypatch.setattr(
        selftest, "rehearse", lambda snapshot, request: asked.append(request.model) or real(snapshot, request)
    )
    assert test.problems(load(write(GOOD + "license: llama-3.1\n")), NOW) == []
    assert asked == ["tiny", selftest.UNHEARD_OF]


def test_rules_in_service_are_not_scanned_with_again(write, test, monkeypatch):
    write(RULE, "rules.yaml")
    active = ActivePolicy(write(GOOD + "screening: {rules: [rules.yaml]}\n"))
    monkeypatch.setattr(active.snapshot.rules, "scan", lambda _: pytest.fail("another thread may be using them"))
    write(GOOD + "screening: {rules: [rules.yaml]}\nusage: {approaching: 0.5}\n")
    assert active.reload().changed


def test_the_operators_own_cases_have_to_pass(write):
    write(RULE, "rules.yaml")
    cases = write(CASES, "cases.yaml")
    text = GOOD + "screening: {rules: [rules.yaml]}\ntests: [cases.yaml]\n"
    active = ActivePolicy(write(text))
    before = active.snapshot
    write(CASES.replace("verdict: deny, code: aup", "verdict: allow"), "cases.yaml")
    assert active.changed()
    (problem,) = active.reload().problems
    assert (problem.file, problem.line, problem.path) == (str(cases), 3, "a bomb is refused")
    assert "verdict: expected allow, found deny" in problem.found
    write("cases: [", "cases.yaml")
    assert not active.reload().ok
    assert active.snapshot is before
    write(CASES, "cases.yaml")
    assert active.reload().ok
