"""The gate finds outputs in a data set, names clause and receipt, and never passes what it could not see."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenance_world import KEY, NOW, prose, write_index

from guard.licensing.verdict import OutputVerdict, Verdict
from guard.provenance import dataset
from guard.provenance.gate import Tier, check
from guard.provenance.judge import judge_of
from guard.provenance.record import record_of
from guard.provenance.statement import statement

RULINGS = {
    ("llama-2",): OutputVerdict(Verdict.DENY, "llama-2", "1.b.v", (), "no other LLM"),
    ("llama-3.1",): OutputVerdict(Verdict.ALLOW_WITH_OBLIGATIONS, "llama-3.1", "1.b.i", (), "name it"),
    ("apache",): OutputVerdict(Verdict.ALLOW, "apache", "", (), "no rule"),
    (): OutputVerdict(Verdict.UNDETERMINED, None, "", (), "unknown"),
}


def records(documents):
    return [record_of(document, number, number + 1) for number, document in enumerate(documents)]


def gate(documents, index, **options):
    return check(records(documents), index, key=KEY, judge=lambda ids: RULINGS[ids], **options)


def one(documents, index):
    result = gate(documents, index)
    assert len(result.hits) == 1, result
    return result, result.hits[0].match


@pytest.fixture
def index(tmp_path):
    write_index(tmp_path, {"restricted": prose(1), "second": prose(2, 300), "short": "Forty two."})
    write_index(tmp_path, {"obliged": prose(3)}, licenses=("llama-3.1",))
    write_index(tmp_path, {"free": prose(4)}, licenses=("apache",))
    return tmp_path


def test_a_data_set_of_other_texts_is_allowed(index):
    result = gate([{"text": prose(number)} for number in range(10, 20)] + [{"output": "Seven."}], index)
    assert result.verdict is Verdict.ALLOW
    assert result.hits == ()
    assert (result.records, result.texts, result.short) == (11, 11, 1)


def test_a_reformatted_copy_is_proof_and_names_receipt_and_clause(index):
    fancy = "## Sure!\n\n".join(["", "**" + prose(1).upper().replace(" ", "\n* ")])
    result, match = one([{"text": prose(9)}, {"prompt": "p", "completion": prose(1).upper()}], index)
    assert result.verdict is Verdict.DENY
    assert (match.tier, match.evidence, match.receipt) == (Tier.A, "digest", "r-qrestricted-0")
    assert (match.time, match.model, match.licenses) == (NOW, "tiny", ("llama-2",))
    assert (match.ruling.license, match.ruling.clause) == ("llama-2", "1.b.v")
    assert (result.hits[0].record, result.hits[0].line, result.hits[0].path) == (1, 2, "completion")
    _, match = one([{"text": fancy}], index)
    assert match.tier is Tier.B  # a word was added, so it is no exact copy


def test_a_known_receipt_is_proof_an_unknown_one_is_nothing(index):
    result, match = one([{"text": prose(9), "id": "r-qrestricted-0"}, {"text": prose(8), "id": "r-unknown-0"}], index)
    assert (match.tier, match.evidence, match.verdict) == (Tier.A, "receipt", Verdict.DENY)
    assert result.dropped == {0}


def edited(text, share, seed=0):
    chance = random.Random(seed)
    return " ".join(word if chance.random() > share else f"edit{number}" for number, word in enumerate(text.split()))


def shuffled(text, seed=0):
    every = text.split()
    sentences = [every[at : at + 20] for at in range(0, len(every), 20)]
    random.Random(seed).shuffle(sentences)
    return " ".join(word for sentence in sentences for word in sentence)


@pytest.mark.parametrize(
    "copy",
    [
        " ".join(prose(2, 300).split()[100:190]),
        edited(prose(2, 300), 0.05),
        shuffled(prose(2, 300)),
        prose(2, 300) + " " + prose(77, 200),
    ],
    ids=["excerpt", "5 % edited", "shuffled sentences", "half of a longer text"],
)
def test_light_changes_are_strong_evidence(index, copy):
    result, match = one([{"text": copy}], index)
    assert (match.tier, result.verdict) == (Tier.B, Verdict.DENY)
    assert match.matched >= 2
    assert match.matched >= 0.4 * match.of


def test_a_quarter_of_a_text_is_for_review_and_no_more(index):
    result, match = one([{"text": " ".join(prose(2, 300).split()[:90]) + " " + prose(78, 250)}], index)
    assert match.tier is Tier.C
    assert match.ruling.kind is Verdict.DENY
    assert match.verdict is result.verdict is Verdict.UNDETERMINED
    assert result.dropped == frozenset()


def test_another_text_throughout_is_missed_as_the_page_says(index):
    assert gate([{"text": edited(prose(2, 300), 0.5)}], index).hits == ()


def test_an_output_inside_a_long_document_is_found(index):
    document = " ".join([prose(50, 2000), prose(2, 300), prose(51, 2000)])
    _, match = one([{"text": document}], index)
    assert match.tier is Tier.B


def test_a_renamed_column_or_a_user_turn_hides_nothing(index):
    for document in (
        {"notes": prose(1)},
        {"messages": [{"role": "user", "content": prose(1)}]},
        {"prompt": prose(1), "completion": prose(1)},
        {"completion": prose(1), "prompt": prose(1)},
        {"completion": edited(prose(2, 300), 0.03), "prompt": edited(prose(2, 300), 0.03)},
    ):
        assert gate([document], index).verdict is Verdict.DENY


def test_equal_short_answers_prove_nothing_but_are_not_passed(index):
    result, match = one([{"output": "FORTY-TWO"}], index)
    assert (match.tier, match.evidence, result.verdict) == (Tier.C, "digest", Verdict.UNDETERMINED)
    assert gate([{"label": "forty two", "text": prose(9)}], index).verdict is Verdict.ALLOW


def test_an_answer_that_repeats_its_prompt_proves_nothing(tmp_path):
    write_index(tmp_path, [prose(1)], prompt=f"Correct this: {prose(1)}")
    result, match = one([{"output": prose(1)}], tmp_path)
    assert (match.tier, result.verdict) == (Tier.C, Verdict.UNDETERMINED)


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        ([4], Verdict.ALLOW),
        ([3], Verdict.ALLOW_WITH_OBLIGATIONS),
        ([4, 3], Verdict.ALLOW_WITH_OBLIGATIONS),
        ([3, 1, 4], Verdict.DENY),
    ],
)
def test_the_strictest_record_decides(index, texts, verdict):
    result = gate([{"text": prose(seed)} for seed in texts], index)
    assert result.verdict is verdict
    assert len(result.hits) == len(texts)
    assert result.dropped == {number for number, seed in enumerate(texts) if seed != 4}


def test_the_strictest_source_of_a_text_decides(tmp_path):
    write_index(tmp_path, [prose(1)], licenses=("apache",))
    write_index(tmp_path, [prose(1)], licenses=("llama-2",))
    write_index(tmp_path, [prose(1)], licenses=())
    result, match = one([{"text": prose(1)}], tmp_path)
    assert (result.verdict, match.licenses) == (Verdict.DENY, ("llama-2",))


def test_a_clean_result_over_a_partial_or_missing_index_is_undetermined(index, tmp_path_factory):
    other = [{"text": prose(9)}]
    assert gate(other, index / "nothing").verdict is Verdict.UNDETERMINED
    partial = tmp_path_factory.mktemp("partial")
    write_index(partial, {"restricted": prose(1), "free": prose(4)})
    (segment,) = partial.rglob("*.segment")
    segment.write_bytes(segment.read_bytes()[:-10])
    assert gate(other, partial).verdict is Verdict.UNDETERMINED
    assert gate([{"text": prose(1)}], partial).verdict is Verdict.DENY
    result = check(records(other), index, key=b"another key of 16+ bytes", judge=lambda ids: RULINGS[ids])
    assert result.verdict is Verdict.UNDETERMINED


def test_phrases_the_whole_data_set_shares_cost_no_time_and_hide_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "COMMON", 5)
    closing = " " + prose(60, 30)
    write_index(tmp_path, [prose(number, 60) + closing for number in range(8)])
    ours = [{"text": prose(number, 60) + closing} for number in range(100, 110)]
    assert gate(ours, tmp_path).verdict is Verdict.ALLOW
    result = gate([*ours, {"text": prose(3, 60) + " changed" + closing}], tmp_path)
    assert result.verdict is Verdict.DENY
    assert result.dropped == {10}
    flooded = gate([{"text": f"{prose(60, 30)} {prose(200 + number, 10)}"} for number in range(10)], tmp_path)
    assert flooded.unsearched == 10
    assert flooded.verdict is Verdict.UNDETERMINED


def test_every_record_of_a_repeated_text_is_a_hit(index):
    result = gate([{"text": prose(1)}, {"text": prose(9)}, {"text": prose(1)}], index)
    assert [hit.record for hit in result.hits] == [0, 2]
    assert result.texts == 2


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_of_records_changes_no_verdict(index, data):
    documents = [{"text": prose(1)}, {"text": prose(9)}, {"text": prose(2, 300) + " x"}, {"output": "No."}]
    mixed = data.draw(st.permutations(documents))
    result = gate(mixed, index)
    assert result.verdict is Verdict.DENY
    assert {mixed[hit.record]["text"] for hit in result.hits} == {prose(1), prose(2, 300) + " x"}


def test_long_texts_are_cut_so_that_no_run_is():
    for size in (513, 757, 1000, 1001, 5000):
        every = [b"%d" % number for number in range(size)]
        pieces = list(dataset._pieces(every))
        covered = {tuple(piece[at : at + 13]) for piece in pieces for at in range(len(piece) - 12)}
        assert covered == {tuple(every[at : at + 13]) for at in range(size - 12)}
        assert all(dataset.PIECE <= len(piece) < 2 * dataset.PIECE for piece in pieces)
    assert list(dataset._pieces([b"x"] * 512)) == []


def test_the_statement_holds_everything_but_text(index):
    result = gate([{"text": prose(1)}, {"text": prose(9)}], index)
    document = statement(result, "some-model")
    assert document["verdict"] == "deny"
    assert document["hits"][0]["receipt"] == "r-qrestricted-0"
    assert document["hits"][0]["clause"] == "1.b.v"
    assert document["hits"][0]["answered"] == "2026-11-18T11:06:40Z"
    assert document["coverage"]["complete"] is True
    assert document["coverage"]["months"]["2026-11"]["answered"] == 5
    assert prose(1).split()[3] not in str(document)


def test_the_licensing_room_is_the_judge():
    from guard.policy.packs import shipped_packs

    packs = shipped_packs()
    judge = judge_of("mistralai/Mistral-7B-v0.1", packs)
    assert judge(("llama-2",)).kind is Verdict.DENY
    assert judge(("llama-2",)).clause == packs["llama-2"].output_use.clause
    assert judge(("llama-3.1",)).kind is Verdict.ALLOW_WITH_OBLIGATIONS
    assert judge(("llama-2", "withdrawn")).kind is Verdict.DENY
    lost = judge(("withdrawn",))
    assert (lost.kind, lost.license) == (Verdict.UNDETERMINED, "withdrawn")
    assert judge(("kimi-k2", "withdrawn")).kind is Verdict.UNDETERMINED
    assert judge(()).kind is Verdict.UNDETERMINED
    assert judge_of("meta-llama/Llama-2-13b-hf", packs)(("llama-2",)).kind < Verdict.UNDETERMINED
