"""A real request is explained from the audit chain alone: ids and clauses, never text."""

import json
from datetime import UTC, datetime

import pytest

from guard.evidence.chain import Journal
from guard.exchange.record import Ending, facts, verdict
from guard.policy.load import load
from guard.policy.packs import shipped_packs
from guard.policy.rehearsal.hypothetical import Caller, Request, settings_for
from guard.policy.rehearsal.recorded import find, tell
from guard.policy.rehearsal.rehearse import rehearse
from guard.provenance.receipt import Finished, Receipts

PACKS = shipped_packs()
NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "audit", instance="one")
    journal.start()
    yield journal
    journal.close()


def decision(reference, *licenses, settings=None, **said):
    """The facts that a request leaves, as ``record`` makes them."""
    request = Request(NOW, model="m", **said)
    policy = load(None, {**settings_for(licenses, "m", request.caller), **(settings or {})}, environment={}).snapshot
    exchange = rehearse(policy, request).exchange
    return {**facts(exchange, verdict(exchange), Ending.REFUSED), "reference": reference}


def told(recorded):
    return [(fact.says, [citation.clause for citation in fact.citations]) for fact in tell(recorded, shipped_packs())]


def test_a_refusal_is_found_by_its_reference_and_told_with_the_clause(journal, tmp_path):
    journal.append("decision", decision("a" * 20, "mistral-apache"))
    journal.append("decision", decision("b" * 20, "llama-2", caller=Caller(purpose="train:gemma-2-9b")))
    journal.flush()
    recorded = find(tmp_path / "audit", "b" * 20)
    assert recorded.places == (f"{journal.path}:3",)
    lines = told(recorded)
    assert lines[0] == ("model m, under llama-2", [])
    assert lines[1][0].startswith("user ")
    assert lines[1][0].endswith("(a pseudonym), by body (asserted), purpose train:gemma-2-9b")
    assert lines[-1] == ("refused: output_use, llama-2 1.b.v", ["1.b.v"])


def test_findings_duties_and_what_was_only_recorded_are_told(journal, tmp_path, write):
    rules = write("category: S9\nrules:\n  - {id: S9.recipe, anchors: [nerve agent recipe]}\n", "rules.yaml")
    settings = {"screening.rules": [str(rules)], "mode": "shadow"}
    text = "my secret nerve agent recipe"
    caller = Caller(purpose="train:gemma-2-9b")
    journal.append("decision", decision("c" * 20, "llama-3.1", settings=settings, text=text, caller=caller))
    journal.flush()
    lines = told(find(tmp_path / "audit", "c" * 20))
    finding = next(line for line, _ in lines if line.startswith("rule"))
    assert (
        finding
        == "rule S9.recipe (S9 indiscriminate weapons) found in the prompt messages[0].content, characters 10-28: block"
    )
    assert any(line.startswith('owed: "Built with Llama"') and clauses == ["1.b.i(B)"] for line, clauses in lines)
    shadowed = [
        (line, clauses) for line, clauses in lines if line.startswith("only recorded, in shadow: aup, llama-3.1")
    ]
    assert len(shadowed) == 1
    assert shadowed[0][1]
    assert "secret" not in json.dumps(lines)


def test_a_plain_allow_is_known_by_its_receipts(journal, tmp_path):
    served = [PACKS["llama-2"]]
    for reference, choice in (("d" * 20, 0), ("d" * 20, 1), ("e" * 20, 0)):
        finished = Finished(reference, choice, NOW, None, None, "m", served, "0" * 64, "serve", "chat")
        journal.append("receipt", Receipts(bytes(32)).make(finished, None, None).facts())
    journal.flush()
    recorded = find(tmp_path / "audit", "d" * 20)
    assert recorded.places == (f"{journal.path}:2", f"{journal.path}:3")
    assert find(tmp_path / "audit", "d" * 19) is None
    assert recorded.decision is None
    assert told(recorded) == [
        ("allowed: a plain allow leaves no entry of its own, but 2 receipts, one for every finished choice", []),
        ("model m, under llama-2, purpose serve", []),
    ]


def test_a_license_that_is_no_longer_a_pack_is_said_to_be_gone(journal, tmp_path):
    journal.append("decision", {**decision("e" * 20, "llama-2"), "licenses": ["house-1"]})
    journal.flush()
    assert "license house-1 is not among the packs here" in [
        line for line, _ in told(find(tmp_path / "audit", "e" * 20))
    ]


def test_an_unknown_reference_and_an_empty_directory_have_nothing(journal, tmp_path):
    journal.append("decision", decision("a" * 20, "mistral-apache"))
    journal.flush()
    assert find(tmp_path / "audit", "f" * 20) is None
    assert find(tmp_path / "audit", "a" * 19) is None
    assert find(tmp_path / "elsewhere", "a" * 20) is None
