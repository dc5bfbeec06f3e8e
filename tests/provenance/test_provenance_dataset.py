"""A batch holds what a data set can be recognized by, once for equal texts, and no more than it has room for."""

import pytest
from gate_world import KEY, RULINGS, answer, gate, indexed, prose, records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.licensing.verdict import Verdict
from guard.provenance import dataset, marks
from guard.provenance.dataset import Counts, batches
from guard.provenance.exclusion import Excluded, excluded_by
from guard.provenance.fingerprint import Fingerprinter, seal
from guard.provenance.gate import check
from guard.provenance.judge import Use
from guard.provenance.marks import Key
from guard.provenance.tiers import Tier
from guard.provenance.words import read


def batch_of(documents, *keys):
    counts = Counts()
    (batch,) = batches(records(documents), keys or [Key(KEY)], counts)
    return batch, counts


def test_equal_texts_are_held_once_and_stand_wherever_they_do():
    batch, counts = batch_of([{"text": prose(1)}, {"text": prose(2), "output": prose(1)}])
    assert (batch.texts, counts.texts, counts.records, counts.attributable) == (2, 2, 2, 2)
    assert [(place.record, place.path, place.text) for place in batch.places()] == [
        (0, "text", 0), (1, "text", 1), (1, "output", 0)
    ]  # fmt: skip


def test_equal_texts_of_two_authors_are_two():
    batch, _ = batch_of([{"text": prose(1), "model": "a"}, {"text": prose(1), "model": "b"}, {"text": prose(1)}])
    assert batch.models() == ["a", "b", ""]


def test_short_texts_count_where_they_answer_only():
    batch, counts = batch_of([{"label": "seven words are not enough for this"}, {"output": "No."}, {"output": "..."}])
    assert [place.record for place in batch.places()] == [1]
    assert (counts.records, counts.texts, counts.short, counts.attributable) == (3, 1, 1, 0)
    assert not batch.is_proof(0)


def test_a_long_text_is_held_in_pieces_of_which_each_stands_where_it_does():
    batch, counts = batch_of([{"text": prose(1, 2000)}, {"text": prose(1, 2000)}])
    assert counts.texts == 1
    assert batch.texts > 5
    assert [place.text for place in batch.places()] == [*range(batch.texts)] * 2
    assert all(batch.is_long(text) for text in range(batch.texts))


def test_what_is_searched_for_is_what_an_output_leaves():
    batch, _ = batch_of([{"text": prose(1)}, {"id": "r-q1-0"}])
    month = bytes(range(32))
    found = Fingerprinter(KEY).fingerprint(read(prose(1)))
    assert list(batch.marks[0].sealed(month)) == [seal(month, found.grams), b""]
    assert batch.marks[0].lanes(0) == found.lanes
    postings = batch.postings(batch.marks[0], month)
    assert len(postings) == len(seal(month, found.grams)) // 8 + 2  # and a digest, and a receipt


def test_fingerprints_wait_in_a_file_and_come_back_in_their_order_as_often_as_asked(monkeypatch):
    documents = [{"text": prose(number, 20 * number)} for number in range(1, 12)]
    batch, _ = batch_of(documents)
    held = [list(batch.marks[0].sealed(bytes([month] * 32))) for month in (1, 2)]
    monkeypatch.setattr(marks, "BLOCK", 100)  # no multiple of a fingerprint, less than most texts have
    (spilled,) = batch_of(documents)[0].marks
    assert [list(spilled.sealed(bytes([month] * 32))) for month in (1, 2)] == held
    assert sum(map(len, held[0])) == 8 * spilled.size > 10 * marks.BLOCK


def test_receipts_are_held_once():
    batch, _ = batch_of([{"id": "r-q1-0", "receipt": "r-q1-0"}, {"id": "r-q1-0"}, {"id": "r-q2-0"}])
    numbers = [place.text for place in batch.places()]
    assert len(set(numbers)) == 2
    assert batch.is_claim(numbers[0], "r-q1-0")
    assert not batch.is_claim(numbers[0], "r-q2-0")


def test_every_key_has_marks_of_its_own():
    keys = Key(KEY), Key(b"another key of this test")
    batch, _ = batch_of([{"text": prose(1)}, {"text": prose(2, 1500)}], *keys)
    ours, theirs = batch.marks
    assert ours.texts == theirs.texts == batch.texts
    assert next(ours.sealed(bytes(32))) != next(theirs.sealed(bytes(32)))
    assert ours.digest(0) != theirs.digest(0)


@pytest.mark.parametrize(("limit", "value"), [("GRAMS", 150), ("TEXTS", 4), ("NAMES", 3)])
def test_a_full_batch_is_followed_by_another_and_nothing_is_lost(monkeypatch, limit, value):
    monkeypatch.setattr(dataset, limit, value)
    documents = [{f"column{number}": prose(number), "output": prose(number + 100)} for number in range(7)]
    counts = Counts()
    made = list(batches(records(documents), [Key(KEY)], counts))
    assert len(made) >= 3
    places = [(place.record, place.path) for batch in made for place in batch.places()]
    assert places == [(number, path) for number, document in enumerate(documents) for path in document]
    assert (counts.records, counts.attributable, counts.texts) == (7, 7, 14)
    assert all(batch.full for batch in made[:-1])


def test_no_record_is_one_batch_that_can_be_searched():
    counts = Counts()
    (batch,) = batches([], [Key(KEY)], counts)
    assert (batch.texts, list(batch.places()), counts) == (0, [], Counts())
    assert len(batch.postings(batch.marks[0], bytes(32))) == 0


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 12), seeds=st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_the_size_of_a_batch_changes_no_result(tmp_path_factory, size, seeds):
    directory = tmp_path_factory.getbasetemp() / "batches"
    if not directory.exists():
        answer(directory, {"restricted": prose(1), "long": prose(2, 300)})
        answer(directory, {"obliged": prose(3)}, licenses=("llama-3.1",))
    documents = [{"output": prose(seed, 300) + " x", "reasoning": prose(seed + 1)} for seed in seeds]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "TEXTS", size)
        small = gate(documents, directory)
    whole = gate(documents, directory)
    assert list(small.hits) == list(whole.hits)
    assert small.verdict is whole.verdict
    assert (small.counts.records, small.counts.attributable) == (whole.counts.records, whole.counts.attributable)


def test_a_record_that_fills_several_batches_is_one_hit_the_strictest(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "TEXTS", 1)
    answer(tmp_path / "index", {"obliged": prose(1)}, licenses=("llama-3.1",))
    answer(tmp_path / "index", {"restricted": prose(2)})
    answer(tmp_path / "index", {"free": prose(3)}, licenses=("apache",))
    (hit,) = gate([{"a": prose(1), "b": prose(2), "c": prose(3)}], tmp_path / "index").hits
    assert (hit.path, hit.receipt) == ("b", "r-qrestricted-0")


def test_hits_are_kept_outside_of_memory_in_order(tmp_path):
    answer(tmp_path / "index", {"restricted": prose(1)})
    documents = [{"text": prose(1)} if number % 3 else {"text": prose(50)} for number in range(1200)]
    result = gate(documents, tmp_path / "index")
    assert [hit.record for hit in result.hits] == [number for number in range(1200) if number % 3]
    assert [hit.record for hit in result.hits][:2] == [1, 2]  # again from the beginning
    dropped = result.hits.dropped()
    assert len(result.hits) == len(dropped) == 800
    assert "9000" not in dropped
    assert 9000 not in dropped


def test_a_hit_with_a_very_long_path_is_kept_too(tmp_path):
    answer(tmp_path / "index", {"restricted": prose(1)})
    name = "x" * 600_000
    result = gate([{name: prose(1)}, {"text": prose(1)}], tmp_path / "index")
    assert [hit.path for hit in result.hits] == [name, "text"]


def test_phrases_the_whole_data_set_shares_hide_nothing(tmp_path):
    directory, closing = tmp_path / "index", " " + prose(60, 30)
    answer(directory, [prose(number, 60) + closing for number in range(8)])
    ours = [{"text": prose(number, 60) + closing} for number in range(100, 1110)]
    assert gate(ours, directory).verdict is Verdict.ALLOW
    result = gate([*ours, {"text": prose(3, 60) + " changed" + closing}], directory)
    assert result.verdict is Verdict.DENY
    assert [hit.record for hit in result.hits] == [1010]
    flooded = gate([{"text": f"{prose(60, 30)} {prose(2000 + number, 10)}"} for number in range(1010)], directory)
    assert flooded.unsearched > 1000
    assert flooded.verdict is Verdict.UNDETERMINED


def test_what_is_excluded_is_left_out_by_lane():
    excluded = Excluded(frozenset({1, 5}))
    grams = b"".join(number.to_bytes(8, "little") for number in (1, 2, 3, 4, 5))
    left, lanes = excluded.left(grams, (2, 1, 2))
    assert lanes == (1, 1, 1)
    assert left == b"".join(number.to_bytes(8, "little") for number in (2, 3, 4))
    assert excluded.left(b"", (0, 0, 0)) == (b"", (0, 0, 0))


def test_what_is_excluded_leaves_less_room_for_a_batch(monkeypatch):
    excluded = excluded_by(records([{"text": prose(5, 400)}]), [Fingerprinter(KEY)])[0]
    monkeypatch.setattr(dataset, "GRAMS", 200 + dataset.ROOM * len(excluded.grams))
    documents = [{"text": prose(number)} for number in range(20)]
    sizes = [
        len(list(batches(records(documents), [Key(KEY, without)], Counts()))) for without in (Excluded(), excluded)
    ]
    assert sizes[0] < sizes[1]


def test_progress_is_told_in_bytes_of_the_index_once_for_each_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "TEXTS", 2)
    answer(tmp_path / "index", {"restricted": prose(1)})
    (segment,) = (tmp_path / "index").rglob("*.segment")
    told = []
    documents = [{"text": prose(number)} for number in range(4)]
    check(records(documents), indexed(tmp_path / "index"), Use(RULINGS.__getitem__), lambda *told_: told.append(told_))
    size = segment.stat().st_size
    assert told == [(size, size), (2 * size, 2 * size)]


def test_tiers_of_a_program(tmp_path):
    program = "\n".join(
        f"def step_{n}(self, value):\n    return self.table[value + {n}] * {n * 7}\n" for n in range(30)
    )
    answer(tmp_path / "index", {"program": program})
    (hit,) = gate([{"text": program + "\nprint(1)\n"}], tmp_path / "index").hits
    assert hit.tier is Tier.B
    # Two thirds of its words, where case is another and it is still code: for review.
    other = program.upper()[: 2 * len(program) // 3] + program.replace("table", "rows").replace("value", "key")[::-1]
    (hit,) = gate([{"text": other[: len(program)]}], tmp_path / "index").hits
    assert hit.tier is Tier.C
