"""What the index reports is checked again before it counts, and the strictest of it decides."""

import pytest
from gate_world import KEY, NOW, RULINGS, answer, gate, prose, records

from guard.licensing.verdict import Verdict
from guard.provenance.dataset import Counts, batches
from guard.provenance.frames import Label
from guard.provenance.judge import Use
from guard.provenance.marks import Key
from guard.provenance.scan import DIGEST, RECEIPT, Candidate
from guard.provenance.search import COMMON, Search
from guard.provenance.segment import ATTRIBUTABLE, ECHOED, FINGERPRINTED, Output
from guard.provenance.tiers import Tier

ALL = (1 << 20) - 1


@pytest.fixture
def search():
    (batch,) = batches(records([{"text": prose(1)}, {"id": "r-q7-0"}]), [Key(KEY)], Counts())
    search = Search(batch, Use(RULINGS.__getitem__))
    yield search
    search.close()


def candidate(
    mask, *, text=0, receipt="r-q1-0", digests=b"", flags=ATTRIBUTABLE | FINGERPRINTED, licenses=("llama-2",)
):
    output = Output(receipt, NOW, 0, flags, 120, 1, digests, b"")
    return Candidate(output, Label(0, "tiny", licenses, None), text, mask)


def found(search):
    return [(hit.tier, hit.evidence, hit.source.licenses) for hit in search.hits()]


def test_a_digest_of_which_only_some_bits_are_equal_is_none(search):
    search.take(0, candidate(1 << DIGEST, digests=bytes(16)))
    assert found(search) == []


def test_a_digest_counts_among_others(search):
    digest = Key(KEY).receipts.digest(b" ".join(prose(1).lower().replace(".", "").encode().split()))
    search.take(0, candidate(1 << DIGEST, digests=bytes(16) + digest))
    assert found(search) == [(Tier.A, "digest", ("llama-2",))]


def test_a_receipt_of_which_only_some_bits_are_equal_is_none(search):
    search.take(0, candidate(1 << RECEIPT, text=1, receipt="r-q8-0"))
    assert found(search) == []
    search.take(0, candidate(1 << RECEIPT, text=1, receipt="r-q7-0"))
    assert found(search) == [(Tier.A, "receipt", ("llama-2",))]


@pytest.mark.parametrize("flags", [0, FINGERPRINTED, FINGERPRINTED | ECHOED])
def test_an_output_that_cannot_be_attributed_is_found_by_no_fingerprint(search, flags):
    search.take(0, candidate(ALL, flags=flags))
    assert found(search) == []
    search.take(0, candidate(ALL))
    assert found(search) == [(Tier.B, "fingerprints", ("llama-2",))]


def test_one_shared_fingerprint_is_nothing(search):
    search.take(0, candidate(1 << 5))
    assert found(search) == []


@pytest.mark.parametrize("order", [1, -1])
def test_strong_evidence_of_what_is_forbidden_beats_proof_of_what_is_allowed(search, order):
    digest = Key(KEY).receipts.digest(b" ".join(prose(1).lower().replace(".", "").encode().split()))
    both = [candidate(1 << DIGEST, digests=digest, licenses=("apache",)), candidate(ALL)]
    for one in both[::order]:
        search.take(0, one)
    assert found(search) == [(Tier.B, "fingerprints", ("llama-2",))]


def test_equal_matches_are_kept_once(search):
    search.take(0, candidate(ALL, receipt="r-first-0"))
    size = search._size
    for number in range(1000):
        search.take(0, candidate(ALL, receipt=f"r-q{number}-0"))
    assert search._size == size
    assert [hit.receipt for hit in search.hits()] == ["r-first-0"]


def test_fingerprints_that_are_left_out_add_up(search):
    half = sum(search._batch.marks[0].lanes(0)) // 2
    search.take(0, candidate((1 << half + 1) - 1))
    search.leave_out(0, {0: (1 << half // 2) - 1})
    search.leave_out(0, {0: (1 << half) - (1 << half // 2)})
    ((tier, doubt),) = [(hit.tier, hit.doubt) for hit in search.hits()]
    assert (tier, doubt) == (Tier.C, COMMON)  # one is left of the half that does not count


def test_the_longer_answer_of_another_license_decides(tmp_path):
    answer(tmp_path / "index", {"free": prose(2)}, licenses=("apache",))
    answer(tmp_path / "index", {"forbidden": prose(2) + " " + prose(3, 30)})
    (hit,) = gate([{"text": prose(2)}], tmp_path / "index").hits
    assert (hit.verdict, hit.receipt) == (Verdict.DENY, "r-qforbidden-0")
