"""A receipt says that an answer was given and recognizes it, without holding any of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from provenance_world import KEY, NOW, finished, prose

from guard.evidence.entry import Canonical
from guard.evidence.envelope import canonical
from guard.licensing.license import License, OutputRule, OutputUse, Status
from guard.provenance.declaration import KEPT, Declaration, Declarations
from guard.provenance.receipt import Receipts, key_id, receipt_id
from guard.provenance.words import read

MARKUP = st.sampled_from([" ", "\n", "\n\n- ", " **", "** ", "\t", " \u2014 ", "... ", "\u00a0"])
LLAMA = License(
    "llama-2", "Llama 2", "2023-07-18", Status.CONFIRMED, "llama", "llama-2",
    output_use=OutputUse(OutputRule.NO_TRAINING_OTHER_LLM, clause="1.b.v"),
)  # fmt: skip


def words(text):
    return read(text).words


@settings(max_examples=25, deadline=None)
@given(st.lists(st.from_regex("[a-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=10), st.data())
def test_reformatting_keeps_the_digest_and_another_word_does_not(text, data):
    receipts = Receipts(KEY)
    looks = "".join(
        data.draw(st.sampled_from([str.upper, str.title, str.lower]))(word) + data.draw(MARKUP) for word in text
    )
    digest = receipts.digest(words(" ".join(text)))
    assert receipts.digest(words(looks)) == digest
    at = data.draw(st.integers(0, len(text) - 1))
    assert receipts.digest(words(" ".join([*text[:at], text[at] + "x", *text[at + 1 :]]))) != digest
    assert receipts.digest(words(" ".join([*text, "more"]))) != digest


def test_digests_depend_on_the_key_and_on_what_they_are_of():
    text = words(prose(1))
    ours, theirs = Receipts(KEY), Receipts(b"another key of 16+ bytes")
    assert ours.digest(text) != theirs.digest(text)
    assert ours.digest(text) != ours.digest_prompt(text)
    assert key_id(KEY) != key_id(b"another key of 16+ bytes")


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_key_is_16_to_64_bytes_long(size):
    with pytest.raises(ValueError, match="allowed: 16 to 64"):
        Receipts(b"k" * size)


def test_a_receipt_names_licenses_with_their_clause_on_outputs():
    receipts = Receipts(KEY)
    facts = finished("abc", 2, licenses=(LLAMA, "own"), identity=-1, completion_tokens=9)
    receipt = receipts.make(facts, receipts.digest_prompt(b"hi"), receipts.digest(b"hello"))
    assert receipt.id == receipt_id("abc", 2) == facts.id == "r-abc-2"
    assert receipt.licenses == (("llama-2", "1.b.v"), ("own", ""))
    noted = receipt.facts()
    assert noted["identity"] == "ffffffffffffffff"
    assert noted["answered"] == NOW
    assert noted["policy"] == "f00d"
    assert noted["output_digest"] == receipts.digest(b"hello").hex()
    assert "time" not in noted
    assert receipts.make(finished(identity=None), None, None).facts()["identity"] is None


@pytest.mark.parametrize("told", [2**60, -1, 2.5, "12", True, {"a": 1}, None])
def test_what_the_server_behind_tells_can_always_be_signed(told):
    receipt = Receipts(KEY).make(finished(prompt_tokens=told, finish_reason=["stop"]), None, None)
    assert (receipt.prompt_tokens, receipt.finish_reason) == (None, None)
    assert canonical(receipt.facts())
    assert Receipts(KEY).make(finished(prompt_tokens=7), None, None).prompt_tokens == 7


@settings(max_examples=120, deadline=None)
@given(
    st.text(max_size=20), st.floats(1.0, 4e9) | st.integers(1, 4 * 10**9).map(float), st.none() | st.text(max_size=20),
    st.none() | st.integers(-(2**64), 2**64), st.none() | st.integers(0, 2**53 - 1), st.booleans(),
)  # fmt: skip
def test_what_the_journal_takes_is_the_canonical_json_of_the_facts(text, time, tenant, identity, tokens, stack):
    receipt = Receipts(KEY).make(
        finished(text, 3, (LLAMA, text) if stack else [text], time=time, tenant=tenant, identity=identity, model=text,
                 prompt_tokens=tokens, finish_reason=text),
        bytes(16) if stack else None, bytes(16),
    )  # fmt: skip
    assert receipt.entry() == Canonical(receipt.id, canonical(receipt.facts()))


@pytest.mark.parametrize(
    "changes",
    [
        {"time": 0.0}, {"time": -5.5}, {"time": 1e300}, {"time": float("nan")}, {"time": float("inf")},
        {"model": object()}, {"finish_reason": "\ud800"}, {"finish_reason": "x" * 70_000},
    ],
)  # fmt: skip
def test_a_receipt_that_is_not_plain_reaches_the_journal_as_it_is(changes):
    receipt = Receipts(KEY).make(finished(**changes), None, None)
    assert list(receipt.entry()) == list(receipt.facts())
    assert receipt.entry()["finish_reason"] == changes.get("finish_reason")


def test_licenses_are_looked_at_again_where_they_are_others():
    receipts = Receipts(KEY)
    assert receipts.make(finished(licenses=(LLAMA,)), None, None).licenses == (("llama-2", "1.b.v"),)
    assert receipts.make(finished(licenses=("own",)), None, None).licenses == (("own", ""),)
    growing = ["own"]
    assert receipts.make(finished(licenses=growing), None, None).licenses == (("own", ""),)
    growing.append(LLAMA)
    assert receipts.make(finished(licenses=growing), None, None).licenses == (("own", ""), ("llama-2", "1.b.v"))


def declaration(**changes):
    facts = {
        "reference": "q1", "time": NOW, "tenant": "shop", "identity": -1, "source": "header", "purpose": "train:mine",
        "model": "tiny", "licenses": (LLAMA, "own"), "verdict": "deny", "clause": "1.b.v",
    }  # fmt: skip
    return Declaration(**facts | changes)


def test_a_declaration_says_who_stated_what_and_what_became_of_it():
    assert declaration().facts() == {
        "id": "d-q1", "declared": NOW, "tenant": "shop", "identity": "ffffffffffffffff", "source": "header",
        "purpose": "train:mine", "model": "tiny", "licenses": (("llama-2", "1.b.v"), ("own", "")), "verdict": "deny",
        "clause": "1.b.v",
    }  # fmt: skip
    assert canonical(declaration(model=None, identity=None, licenses=()).facts())


def test_the_same_is_declared_once_a_day():
    declarations = Declarations()
    assert declarations.new(declaration())
    assert not declarations.new(declaration(reference="q2", time=NOW + 60, licenses=("llama-2",)))
    for other in (
        {"tenant": "other"}, {"identity": 8}, {"source": "key"}, {"purpose": "serve"}, {"model": "big"},
        {"verdict": "allow"}, {"clause": "2"},
    ):  # fmt: skip
        assert declarations.new(declaration(**other)), other
        assert not declarations.new(declaration(**other)), other
    assert declarations.new(declaration(time=NOW + 86_400))


def test_what_is_remembered_of_declarations_has_an_end(monkeypatch):
    monkeypatch.setattr("guard.provenance.declaration.KEPT", 3)
    declarations = Declarations()
    assert KEPT > 1000
    assert [declarations.new(declaration(identity=user)) for user in (1, 2, 3, 1, 4, 1)] == [
        True, True, True, False, True, True,
    ]  # fmt: skip
    assert len(declarations._known) <= 3
