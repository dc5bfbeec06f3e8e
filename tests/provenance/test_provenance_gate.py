"""The gate finds outputs in a data set, names clause and receipt, and never passes what it could not see."""

import pytest
from gate_world import KEY, NOW, RULINGS, answer, edited, gate, indexed, prose, records, shuffled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenance_world import Clock, keys_of

from guard.licensing.verdict import Verdict
from guard.provenance.exclusion import ExclusionError, excluded_by
from guard.provenance.fingerprint import Fingerprinter
from guard.provenance.gate import check
from guard.provenance.judge import Use, judge_of, related_by
from guard.provenance.marks import Key
from guard.provenance.search import COMMON, PUBLIC, PUT_THERE, RELATED
from guard.provenance.tiers import Tier


def one(documents, *directories, **options):
    result = gate(documents, *directories, **options)
    hits = list(result.hits)
    assert len(hits) == 1, hits
    return result, hits[0]


@pytest.fixture
def index(tmp_path):
    directory = tmp_path / "index"
    answer(directory, {"restricted": prose(1), "second": prose(2, 300), "short": "Forty two."})
    answer(directory, {"obliged": prose(3)}, licenses=("llama-3.1",))
    answer(directory, {"free": prose(4)}, licenses=("apache",))
    return directory


def test_a_data_set_of_other_texts_is_allowed(index):
    result = gate([{"text": prose(number)} for number in range(10, 20)] + [{"output": "Seven."}], index)
    assert result.verdict is Verdict.ALLOW
    assert list(result.hits) == []
    assert (result.counts.records, result.counts.texts, result.counts.short) == (11, 11, 1)
    assert result.counts.attributable == 10


def test_a_reformatted_copy_is_proof_and_names_receipt_and_clause(index):
    result, hit = one([{"text": prose(9)}, {"prompt": "p", "completion": prose(1).upper()}], index)
    assert result.verdict is Verdict.DENY
    assert (hit.tier, hit.evidence, hit.receipt) == (Tier.A, "digest", "r-qrestricted-0")
    assert (hit.time, hit.source.model, hit.source.licenses, hit.source.tenant) == (NOW, "tiny", ("llama-2",), "shop")
    assert (hit.source.ruling.license, hit.source.ruling.clause) == ("llama-2", "1.b.v")
    assert (hit.record, hit.line, hit.file, hit.path) == (1, 2, "data.jsonl", "completion")
    fancy = "## Sure!\n\n" + "**" + prose(1).upper().replace(" ", "\n* ")
    _, hit = one([{"text": fancy}], index)
    assert hit.tier is Tier.B  # a word was added, so it is no exact copy


def test_a_known_receipt_is_proof_an_unknown_one_is_nothing(index):
    named = [{"text": prose(9), "id": "r-qrestricted-0"}, {"text": prose(8), "id": "r-unknown-0"}, {"id": "r-qfree-0"}]
    result = gate(named, index)
    assert [(hit.record, hit.tier, hit.evidence, hit.verdict) for hit in result.hits] == [
        (0, Tier.A, "receipt", Verdict.DENY), (2, Tier.A, "receipt", Verdict.ALLOW)
    ]  # fmt: skip
    assert [number for number in range(4) if number in result.hits.dropped()] == [0]


def test_a_receipt_that_many_records_name_is_a_hit_in_each(index):
    result = gate([{"id": "r-qrestricted-0", "text": prose(20 + number)} for number in range(3)], index)
    assert [hit.record for hit in result.hits] == [0, 1, 2]


@pytest.mark.parametrize(
    "copy",
    [
        " ".join(prose(2, 300).split()[100:190]),
        edited(prose(2, 300), 0.05),
        edited(prose(2, 300), 0.1),
        shuffled(prose(2, 300)),
        prose(2, 300) + " " + prose(77, 200),
    ],
    ids=["excerpt", "5 % edited", "10 % edited", "shuffled sentences", "half of a longer text"],
)
def test_light_changes_are_strong_evidence(index, copy):
    result, hit = one([{"text": copy}], index)
    assert (hit.tier, result.verdict, hit.doubt) == (Tier.B, Verdict.DENY, "")
    assert 2 <= hit.matched <= hit.of


def test_a_lump_of_a_quarter_of_a_text_is_for_review_and_no_more(index):
    result, hit = one([{"text": " ".join(prose(2, 300).split()[:90]) + " " + prose(78, 250)}], index)
    assert hit.tier is Tier.C
    assert hit.source.ruling.kind is Verdict.DENY
    assert hit.verdict is result.verdict is Verdict.UNDETERMINED
    assert len(result.hits.dropped()) == 0
    assert (len(result.hits.dropped(review=True)), result.hits.for_review) == (1, 1)


def test_another_text_throughout_is_missed_as_the_page_says(index):
    assert list(gate([{"text": edited(prose(2, 300), 0.5)}], index).hits) == []


def test_an_output_inside_a_long_document_is_found(index):
    document = " ".join([prose(50, 2000), prose(2, 300), prose(51, 2000)])
    _, hit = one([{"text": document}], index)
    assert hit.tier is Tier.B
    assert hit.long


def test_a_renamed_column_or_a_user_turn_hides_nothing(index):
    for document in (
        {"notes": prose(1)},
        {"messages": [{"role": "user", "content": prose(1)}]},
        {"prompt": prose(1), "completion": prose(1)},
        {"completion": edited(prose(2, 300), 0.03), "prompt": edited(prose(2, 300), 0.03)},
    ):
        assert gate([document], index).verdict is Verdict.DENY


def test_equal_short_answers_prove_nothing_but_are_not_passed(index):
    result, hit = one([{"output": "FORTY-TWO"}], index)
    assert (hit.tier, hit.evidence, result.verdict) == (Tier.C, "digest", Verdict.UNDETERMINED)
    assert gate([{"label": "forty two", "text": prose(9)}], index).verdict is Verdict.ALLOW


def test_an_answer_that_repeats_its_prompt_proves_nothing(tmp_path):
    answer(tmp_path / "index", [prose(1)], prompt=f"Correct this: {prose(1)}")
    result, hit = one([{"output": prose(1)}], tmp_path / "index")
    assert (hit.tier, result.verdict) == (Tier.C, Verdict.UNDETERMINED)


def test_an_output_that_is_too_short_to_be_attributed_is_found_by_nothing_but_equality(tmp_path):
    answer(tmp_path / "index", [prose(1, 38)])
    assert one([{"output": prose(1, 38)}], tmp_path / "index")[1].tier is Tier.A
    assert gate([{"output": prose(1, 38) + " so"}], tmp_path / "index").verdict is Verdict.ALLOW
    answer(tmp_path / "index", [prose(1, 42)])
    assert one([{"output": prose(1, 42) + " so"}], tmp_path / "index")[1].tier is Tier.B


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
    dropped, fewer = result.hits.dropped(), result.hits.dropped(obliged=False)
    assert [number in dropped for number in range(len(texts))] == [seed != 4 for seed in texts]
    assert [number in fewer for number in range(len(texts))] == [seed == 1 for seed in texts]


def test_the_strictest_source_of_a_text_and_text_of_a_record_decide(tmp_path):
    for licenses in (("apache",), ("llama-2",), ()):
        answer(tmp_path / "index", [prose(1)], licenses=licenses)
    answer(tmp_path / "index", [prose(2)], licenses=("apache",))
    result, hit = one([{"chosen": prose(2), "rejected": prose(1)}], tmp_path / "index")
    assert (result.verdict, hit.source.licenses, hit.path) == (Verdict.DENY, ("llama-2",), "rejected")


def test_a_clean_result_over_a_partial_or_missing_index_is_undetermined(index, tmp_path):
    other = [{"text": prose(9)}]
    missing = gate(other, tmp_path / "nothing")
    assert (missing.verdict, missing.counts.records) == (Verdict.UNDETERMINED, 1)
    partial = tmp_path / "partial"
    answer(partial, {"restricted": prose(1), "free": prose(4)})
    (segment,) = partial.rglob("*.segment")
    segment.write_bytes(segment.read_bytes()[:-10])
    assert gate(other, partial).verdict is Verdict.UNDETERMINED
    assert gate([{"text": prose(1)}], partial).verdict is Verdict.DENY
    assert gate(other, index, key=b"another key of 16+ bytes").verdict is Verdict.UNDETERMINED
    keys_of(index).shred("2026-11")
    assert gate([{"text": prose(1)}], index).verdict is Verdict.UNDETERMINED


def test_every_record_of_a_repeated_text_is_a_hit(index):
    result = gate([{"text": prose(1)}, {"text": prose(9)}, {"text": prose(1)}], index)
    assert [hit.record for hit in result.hits] == [0, 2]
    assert result.counts.texts == 2


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_of_records_changes_no_verdict(index, data):
    documents = [{"text": prose(1)}, {"text": prose(9)}, {"text": prose(2, 300) + " x"}, {"output": "No."}]
    mixed = data.draw(st.permutations(documents))
    result = gate(mixed, index)
    assert result.verdict is Verdict.DENY
    assert {mixed[hit.record]["text"] for hit in result.hits} == {prose(1), prose(2, 300) + " x"}


# Months, several gateways.


def test_each_month_is_searched_with_its_own_key_and_only_the_months_asked_for(tmp_path):
    directory = tmp_path / "index"
    answer(directory, {"november": prose(1)})
    answer(directory, {"december": prose(2)}, clock=Clock(NOW + 20 * 86400))
    both = [{"text": prose(1)}, {"text": prose(2)}]
    assert [hit.receipt for hit in gate(both, directory).hits] == ["r-qnovember-0", "r-qdecember-0"]
    assert [hit.receipt for hit in gate(both, directory, since="2026-12").hits] == ["r-qdecember-0"]
    result = gate(both, directory, since="2026-11", until="2026-11")
    assert [hit.receipt for hit in result.hits] == ["r-qnovember-0"]
    assert list(result.coverages[0].months) == ["2026-11"]


def test_gateways_with_one_key_and_with_keys_of_their_own_are_searched_together(tmp_path):
    ours, theirs, others = (tmp_path / name for name in ("ours", "theirs", "others"))
    other = Key(b"the key of another gateway")
    answer(ours, {"ours": prose(1)})
    answer(theirs, {"theirs": prose(2)})
    answer(others, {"others": prose(3)}, key=other.master, licenses=("apache",))
    documents = [{"text": prose(seed) + " indeed"} for seed in (3, 1, 9, 2)] + [{"id": "r-qothers-0"}]
    both = [*indexed(ours, theirs), *indexed(others, key=other)]
    result = check(records(documents), both, Use(RULINGS.__getitem__))
    assert [hit.receipt for hit in result.hits] == ["r-qothers-0", "r-qours-0", "r-qtheirs-0", "r-qothers-0"]
    assert [hit.tier for hit in result.hits] == [Tier.B, Tier.B, Tier.B, Tier.A]
    assert len(result.coverages) == 3
    assert result.verdict is Verdict.DENY


# False friends.


def test_what_many_prompts_were_answered_with_is_for_review_at_most(tmp_path):
    directory, boilerplate = tmp_path / "index", prose(60, 320)
    document = [{"text": prose(100, 60) + " " + boilerplate}]
    answer(
        directory, [prose(number, 60) + " " + boilerplate for number in range(2)], prompt=lambda number: f"Ask {number}"
    )
    assert one(document, directory)[1].tier is Tier.B
    answer(directory, [prose(9, 60) + " " + boilerplate], prompt="Ask something else")
    _, hit = one(document, directory)
    assert (hit.tier, hit.doubt, hit.verdict) == (Tier.C, COMMON, Verdict.UNDETERMINED)
    longer = [{"text": prose(100, 160) + " " + boilerplate}]  # who asks three times makes any answer common
    assert one(longer, directory)[1].doubt == COMMON
    assert gate([{"text": prose(100, 160) + " " + " ".join(boilerplate.split()[:40])}], directory).hits.verdicts == {}
    copied = [{"text": prose(1, 60) + " " + prose(61, 20) + " " + boilerplate}]  # what is not common counts alone
    _, hit = one(copied, directory)
    assert (hit.tier, hit.doubt) == (Tier.B, "")


def test_asking_three_times_does_not_hide_an_edited_copy(tmp_path):
    directory, given = tmp_path / "index", prose(70, 300)
    answer(directory, [given] * 3, prompt=lambda number: f"Write it, attempt {number}")
    _, hit = one([{"text": edited(given, 0.08)}], directory)
    assert (hit.tier, hit.doubt, hit.verdict) == (Tier.C, COMMON, Verdict.UNDETERMINED)
    rendered = [{"text": prose(71, 45) + " " + given}]
    assert one(rendered, directory)[1].verdict is Verdict.UNDETERMINED


def test_the_same_prompt_asked_again_makes_no_phrase_common(tmp_path):
    directory = tmp_path / "index"
    answer(directory, [prose(number, 40) + " " + prose(60, 120) for number in range(5)])
    _, hit = one([{"text": prose(100, 40) + " " + prose(60, 120)}], directory)
    assert hit.tier is Tier.B


RELATIVES = {"family/base", "family/tuned"}


def related(author, model, _licenses):
    return {author, model} <= RELATIVES and author != model


def test_a_relative_of_the_model_is_only_reviewed(tmp_path):
    directory = tmp_path / "index"
    answer(directory, {"base": prose(2, 300)}, model="family/base")
    copy = prose(2, 300) + " indeed"
    _, hit = one([{"text": copy, "model": "family/tuned"}], directory, related=related)
    assert (hit.tier, hit.verdict, hit.doubt) == (Tier.C, Verdict.UNDETERMINED, RELATED)
    for author in ("family/base", "someone/else"):
        assert one([{"text": copy, "model": author}], directory, related=related)[1].tier is Tier.B
    # Equal words are proof whatever the record says, and equal texts of two authors are told apart.
    assert one([{"text": prose(2, 300), "model": "family/tuned"}], directory, related=related)[1].tier is Tier.A
    both = gate([{"text": copy, "model": "family/tuned"}, {"text": copy}], directory, related=related)
    assert [hit.tier for hit in both.hits] == [Tier.C, Tier.B]


def test_what_was_said_to_another_tenant_is_only_reviewed_where_the_exporter_is_named(tmp_path):
    directory = tmp_path / "index"
    answer(directory, {"shop": prose(2, 300)}, tenant="shop")
    copy = [{"text": prose(2, 300) + " indeed"}]
    _, hit = one(copy, directory, tenant="bank")
    assert (hit.tier, hit.verdict, hit.doubt) == (Tier.C, Verdict.UNDETERMINED, PUT_THERE)
    assert one(copy, directory, tenant="shop")[1].tier is Tier.B
    assert one(copy, directory)[1].tier is Tier.B
    unknown = tmp_path / "unknown"
    answer(unknown, {"nobody": prose(2, 300)}, tenant=None)
    assert one(copy, unknown, tenant="bank")[1].tier is Tier.B


def test_a_doubtful_source_hides_no_other(tmp_path):
    directory = tmp_path / "index"
    answer(directory, {"theirs": prose(2, 300)}, tenant="shop")
    answer(directory, {"ours": prose(2, 250)}, tenant="bank")
    _, hit = one([{"text": prose(2, 300) + " indeed"}], directory, tenant="bank")
    assert (hit.tier, hit.receipt, hit.doubt) == (Tier.B, "r-qours-0", "")


def test_public_texts_tell_no_more_than_exact_copies(tmp_path):
    directory, public = tmp_path / "index", prose(70, 900)
    recited = " ".join(public.split()[100:400])
    answer(directory, {"recited": recited, "mixed": recited + " " + prose(5, 300)})
    key = Key(KEY, excluded_by(records([{"text": public}]), [Fingerprinter(KEY)])[0])
    for text in (recited, recited + " indeed"):
        assert gate([{"text": text}], directory).verdict is Verdict.DENY
    assert gate([{"text": recited + " indeed"}], directory, key=key).verdict is Verdict.ALLOW
    result, hit = one([{"text": recited}], directory, key=key)
    assert (hit.tier, hit.evidence, hit.doubt) == (Tier.C, "digest", PUBLIC)
    assert result.verdict is Verdict.UNDETERMINED
    assert (result.counts.public, result.counts.thinned) == (1, 0)
    result, hit = one([{"text": recited + " " + prose(5, 300)}], directory, key=key)
    assert (hit.receipt, hit.tier) == ("r-qmixed-0", Tier.A)
    assert (result.counts.public, result.counts.thinned) == (0, 1)
    assert one([{"text": recited, "id": "r-qrecited-0"}], directory, key=key)[1].evidence == "receipt"


def test_too_many_public_texts_are_refused(monkeypatch):
    monkeypatch.setattr("guard.provenance.exclusion.MOST", 100)
    with pytest.raises(ExclusionError, match="allowed: so many"):
        excluded_by(records([{"text": prose(1, 1000)}]), [Fingerprinter(KEY)])


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


@pytest.mark.parametrize(
    ("author", "model", "licenses", "related"),
    [
        ("lmsys/vicuna-7b-v1.5", "meta-llama/Llama-2-7b-chat-hf", ("llama-2",), False),  # nothing says what it is of
        ("meta-llama/Llama-2-70b-chat-hf", "meta-llama/Llama-2-7b-chat-hf", ("llama-2",), True),
        ("meta-llama/Llama-2-7b-chat-hf", "meta-llama/Llama-2-7b-chat-hf", ("llama-2",), False),
        ("llama-2-7b-chat-hf", "meta-llama/Llama-2-7b-chat-hf", ("llama-2",), False),
        ("meta-llama/Llama-2-70b-chat-hf", "assistant-v3", ("llama-2",), False),  # it may be served under that name
        ("mistralai/Mistral-7B-v0.1", "meta-llama/Llama-2-7b-chat-hf", ("llama-2",), False),
        ("meta-llama/Llama-2-70b-chat-hf", "meta-llama/Llama-2-7b-chat-hf", ("withdrawn",), False),
    ],
)
def test_lineage_tells_relatives(author, model, licenses, related):
    from guard.policy.packs import shipped_packs

    assert related_by(shipped_packs())(author, model, licenses) is related
