"""A receipt says that an answer was given and recognizes it, without holding any of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from provenance_world import KEY, NOW, finished, prose

from guard.licensing.license import License, OutputRule, OutputUse, Status
from guard.provenance.receipt import Receipts, key_id, receipt_id
from guard.provenance.words import words

MARKUP = st.sampled_from([" ", "\n", "\n\n- ", " **", "** ", "\t", " \u2014 ", "... ", "\u00a0"])


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
    llama = License(
        "llama-2", "Llama 2", "2023-07-18", Status.CONFIRMED, "llama", "llama-2",
        output_use=OutputUse(OutputRule.NO_TRAINING_OTHER_LLM, clause="1.b.v"),
    )  # fmt: skip
    receipts = Receipts(KEY)
    facts = finished("abc", 2, licenses=(llama, "own"), identity=-1, completion_tokens=9)
    receipt = receipts.make(facts, receipts.digest_prompt([b"hi"]), receipts.digest([b"hello"]))
    assert receipt.id == receipt_id("abc", 2) == facts.id == "r-abc-2"
    assert receipt.licenses == (("llama-2", "1.b.v"), ("own", ""))
    noted = receipt.facts()
    assert noted["identity"] == "ffffffffffffffff"
    assert noted["answered"] == NOW
    assert noted["output_digest"] == receipts.digest([b"hello"]).hex()
    assert "time" not in noted
    assert receipts.make(finished(identity=None), None, None).facts()["identity"] is None
