"""The statement holds everything but text, and says how certain its figures are."""

import json

import pytest
from gate_world import KEY, NOW, answer, gate, indexed, prose, records
from provenance_world import keys_of

from guard.evidence.envelope import canonical
from guard.licensing.obligations import Obligation, Status
from guard.licensing.verdict import OutputVerdict, Verdict
from guard.provenance import statement as module
from guard.provenance.gate import check
from guard.provenance.judge import Use
from guard.provenance.statement import Asked, Digest, attestation, share, statement

OWED = Obligation(
    "name_prefix", "Begin the name with Llama.", "you distribute it", "llama-3.1", "1.b.i", Status.CONFIRMED
)
ASKED = Asked("some-model", "0.1.0", {"llama-2": "ab" * 32, "other": "cd" * 32}, [Digest("train.jsonl", "ef" * 32)])


@pytest.fixture
def result(tmp_path):
    answer(tmp_path / "index", {"restricted": prose(1)})
    answer(tmp_path / "index", {"obliged": prose(2)}, licenses=("llama-3.1",))

    def judge(licenses):
        if licenses == ("llama-2",):
            return OutputVerdict(Verdict.DENY, "llama-2", "1.b.v", (), "no other LLM")
        return OutputVerdict(Verdict.ALLOW_WITH_OBLIGATIONS, "llama-3.1", "1.b.i", (OWED,), "name it")

    return gate(
        [{"text": prose(1)}, {"text": prose(9)}, {"text": prose(2)}, {"text": prose(2)}],
        tmp_path / "index",
        judge=judge,
    )


def test_it_holds_everything_but_text(result):
    document = statement(result, ASKED, NOW)
    assert (document["verdict"], document["target"], document["checked"]) == (
        "deny",
        "some-model",
        "2026-11-18T11:06:40Z",
    )
    assert document["tool"] == {"name": "guard", "version": "0.1.0"}
    assert document["files"] == [{"name": "train.jsonl", "sha256": "ef" * 32}]
    assert document["packs"] == {"llama-2": "ab" * 32, "llama-3.1": None}
    first = document["hits"][0]
    assert (first["receipt"], first["clause"], first["answered"], first["tenant"]) == (
        "r-qrestricted-0", "1.b.v", "2026-11-18T11:06:40Z", "shop"
    )  # fmt: skip
    assert document["found"] == {
        "records": 3,
        "tiers": {"A": 3, "B": 0, "C": 0},
        "verdicts": {"deny": 1, "undetermined": 0, "allow_with_obligations": 2, "allow": 0},
    }
    assert document["coverage"]["complete"] is True
    assert document["coverage"]["indexes"][0]["months"]["2026-11"]["answered"] == 2
    assert prose(1).split()[3] not in json.dumps(document)


def test_each_obligation_is_owed_once_and_every_hit_names_its_own(result):
    document = statement(result, ASKED, NOW)
    assert [owed["text"] for owed in document["obligations"]] == ["Begin the name with Llama."]
    assert [len(hit["obligations"]) for hit in document["hits"]] == [0, 1, 1]


def test_hits_are_capped_and_the_others_counted(result, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 2)
    document = statement(result, ASKED, NOW)
    assert (len(document["hits"]), document["hits_omitted"]) == (2, 1)


def test_an_attestation_is_about_the_files_and_can_be_signed(result):
    document = attestation(result, ASKED, NOW)
    assert document["subject"] == [{"name": "train.jsonl", "digest": {"sha256": "ef" * 32}}]
    assert document["predicate"]["verdict"] == "deny"
    assert "hits" not in document["predicate"]
    assert json.loads(canonical(document)) == document


def test_gaps_name_their_index_where_there_are_several(tmp_path):
    for name in ("ours", "theirs"):
        answer(tmp_path / name, {"a": prose(1)})
    keys_of(tmp_path / "theirs").shred("2026-11")
    result = check(
        records([{"text": prose(9)}]), indexed(tmp_path / "ours", tmp_path / "theirs", key=KEY), Use(lambda _: None)
    )
    document = statement(result, ASKED, NOW)
    assert document["verdict"] == "undetermined"
    assert [gap.partition(":")[0] for gap in document["coverage"]["gaps"]] == ["index 2"]
    assert document["coverage"]["indexes"][1]["shredded"] == ["2026-11"]


def test_a_copy_in_the_index_is_named_and_is_no_gap(tmp_path):
    answer(tmp_path / "index", {"a": prose(1)})
    (path,) = (tmp_path / "index").rglob("*.segment")
    path.with_name("copy.segment").write_bytes(path.read_bytes())
    coverage = statement(gate([{"text": prose(9)}], tmp_path / "index"), ASKED, NOW)["coverage"]
    assert (coverage["complete"], coverage["gaps"]) == (True, [])
    assert coverage["indexes"][0]["copies"] == [f"2026-11: copy.segment is a copy of 2026-11/{path.name}"]
    assert coverage["indexes"][0]["months"]["2026-11"]["answered"] == 1


def test_the_share_says_how_certain_it_is_and_whether_chance_explains_it():
    some = share(50, 1000)
    assert (some["share"], some["confidence"]) == (0.05, 0.95)
    assert some["interval"] == pytest.approx([0.0373, 0.0654], abs=1e-4)
    assert some["by_chance"] < 1e-20
    assert share(5, 1000)["by_chance"] == pytest.approx(0.56, abs=0.01)  # as many as other models' answers may give
    assert share(0, 1000)["by_chance"] == 1.0
    assert share(0, 0) == {
        "outputs": 0, "attributable": 0, "share": None, "confidence": 0.95, "interval": [0.0, 1.0],
        "false_positives": 0.005, "by_chance": 1.0,
    }  # fmt: skip


def test_only_texts_that_can_be_told_by_their_words_are_counted_in_the_share(tmp_path):
    answer(tmp_path / "index", {"long": prose(1), "short": prose(2, 20)})
    result = gate([{"text": prose(1)}, {"text": prose(2, 20)}, {"text": prose(9)}], tmp_path / "index")
    facts = statement(result, ASKED, NOW)["share"]
    assert (len(result.hits), facts["outputs"], facts["attributable"]) == (2, 1, 2)
