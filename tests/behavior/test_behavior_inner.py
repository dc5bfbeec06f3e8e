"""The compiled inner loops and their twins in Python say the same, whatever they are given."""

import random
import subprocess
import sys
from array import array
from hashlib import blake2b
from itertools import pairwise
from unittest import mock

import pytest
from behavior_world import NOON
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.behavior import inner, study_twin
from guard.behavior.intent import _NEEDED
from guard.behavior.observation import plain as request
from guard.behavior.profile import Profile
from guard.behavior.reading import Reader, read_mark
from guard.behavior.study_twin import BUCKETS, HEAD, LENGTH, MARK, RECORD, SKETCH, TAIL
from guard.screening.normalize import fold

compiled = pytest.importorskip("guard.behavior._study", reason="installed where there was no compiler")


def digest(word):
    return blake2b(word, digest_size=8).digest()


WORDS = compiled.Words(digest), study_twin.Words(digest)
READER = Reader(b"b" * 32)
PARTS = ['"', '"', "\n", " ", " ", "1", "23", ".", ",", ":", "abc", "committee", "_", "x", "'", "-", "\u201c", "\u201d"]
PARTS += [
    "é",
    "straße",
    "日本",
    "٣",
    "w" * 24,
    "w" * 25,
    "é" * 13,
    '"a quote"',
    "1.5,2:3.",
    "12.",
    "snake_case",
    "a" * 399,
]
texts = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PARTS), max_size=120).map("".join)).map(fold)
shares = st.lists(st.floats(0, 1), max_size=20).map(lambda some: array("d", (some + [0.0] * BUCKETS)[:BUCKETS]))


@settings(max_examples=200, deadline=None)
@given(texts)
def test_they_read_the_same_sketch_and_subjects(text):
    masked = study_twin.blanked(text)
    plain = WORDS[1].read(masked)
    assert WORDS[0].read(masked) == plain
    if text.isascii():
        assert WORDS[0].read(text) == WORDS[1].read(text) == plain


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, HEAD + TAIL - 1, HEAD + TAIL, HEAD + TAIL + 1, 3000])
def test_of_many_words_both_ends_are_read(count):
    chance = random.Random(count)
    text = " ".join("".join(chance.choices("abcdefgh", k=chance.randint(1, 9))) for _ in range(count))
    assert WORDS[0].read(text) == WORDS[1].read(text)
    sketch, _ = WORDS[0].read(text)
    assert len(sketch) == min(SKETCH, max(count - 3, min(count, 1)))


@pytest.mark.parametrize("length", [1, 399, 400, 401])
@pytest.mark.parametrize("end", ['"', '" and on', '\n"', "", '""'])
def test_a_quote_is_masked_up_to_its_end(length, end):
    text = f'he said "{"a" * length}{end}'
    assert WORDS[0].read(text) == WORDS[1].read(text)


def test_words_that_share_a_place_are_told_apart():
    chance = random.Random(5)
    lots = ["".join(chance.choices("abcdefgh_é", k=chance.randint(1, 30))) for _ in range(20_000)]
    for at in range(0, len(lots), 300):
        text = study_twin.blanked(" ".join(lots[at : at + 300]))
        assert WORDS[0].read(text) == WORDS[1].read(text)


def test_a_digest_that_fails_is_heard():
    def fails(_word):
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        compiled.Words(fails).read("word")
    with pytest.raises(TypeError, match="8 bytes"):
        compiled.Words(lambda word: word).read("word")
    for given_ in ("é", 5, None):
        with pytest.raises(TypeError):
            WORDS[0].read(given_)


prompts = st.tuples(st.frozensets(st.integers(0, 30), max_size=SKETCH), st.integers(0, 2), st.integers(0, 6))


@settings(max_examples=60, deadline=None)
@given(st.lists(prompts, max_size=LENGTH + 8))
def test_they_remember_the_same_prompts(added):
    one, other = bytearray(), bytearray()
    for sketch, prompt, seed in added:
        values = frozenset(value * 0x0800_0001 for value in sketch)
        said = compiled.remember(one, values, prompt, seed)
        assert said == study_twin.remember(other, values, prompt, seed)
        assert one == other
    assert len(one) == min(LENGTH, len(added)) * RECORD.size


moments = st.one_of(st.floats(1.0, 60.0), st.floats(0.5, 1.5).map(lambda weeks: weeks * 7 * 86400.0), st.just(-5.0))
asked = st.tuples(moments, st.sampled_from(["orchard gravel violin", "one two", "a b c d e", 'say "x" 12'])
                  | texts.filter(str.isascii), st.integers(0, 4000), st.integers(0, 6))  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(asked, max_size=LENGTH + 8), st.integers(0, 5), st.floats(0, 48), st.data())
def test_marks_are_taken_in_at_once_as_requests_are_one_by_one(requests, known, evidence, data):
    profiles = one, other, plain = Profile(), Profile(), Profile()
    for profile in profiles:
        for number in range(known):
            profile.observe(READER.read(f"known {number}"), request(NOON - 600 + number, 5, 0))
        profile.evidence = evidence
        profile.reasons = [evidence / (place + 1) for place in range(16)]
    marks, at = [], NOON
    for passed, text, tokens, seed in requests:
        at += passed
        marks.append(WORDS[0].mark(text, at, tokens, seed))
        assert marks[-1] == WORDS[1].mark(text, at, tokens, seed)
        reading, *noted = read_mark(marks[-1])
        assert noted == [at, tokens, seed]
        assert (reading.sketch, reading.subjects) == WORDS[1].read(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(marks)), max_size=3)))
    runs = [marks[begin:end] for begin, end in pairwise((0, *cuts, len(marks)))]
    swept = sum(one.observe_all(b"".join(run)) for run in runs)
    with mock.patch("guard.behavior.profile.take", None):
        assert swept == other.observe_all(b"".join(marks))
    by_one = [plain.observe(reading, request(*noted)) for reading, *noted in map(read_mark, marks)]
    assert swept == len(by_one) - by_one.count(None)
    assert one.pack() == other.pack() == plain.pack()
    assert (one.first, one.last, one.evidence, one.reasons) == (plain.first, plain.last, plain.evidence, plain.reasons)


def test_shares_that_are_scaled_out_are_the_same_at_once():
    """After some hundred requests they are multiplied out."""
    one, plain = Profile(), Profile()
    marks = [WORDS[0].mark(f"word number{number % 7} again", NOON + number, 9, 0) for number in range(1500)]
    one.observe_all(b"".join(marks))
    for reading, *noted in map(read_mark, marks):
        plain.observe(reading, request(*noted))
    assert one.pack() == plain.pack()


@pytest.mark.parametrize("place", [0, 2, 3, 4, 5, 6, 9])
def test_what_is_no_mark_is_refused(place):
    given_ = [WORDS[0].mark("a b", NOON, 1, 0), 0, bytearray(), bytearray(128), array("d", bytes(8 * BUCKETS)),
              array("d", bytes(8 * BUCKETS)), [0.0] * 16, NOON, 0, (1.0,) * 14]  # fmt: skip
    assert compiled.take(*given_)[:3] == (MARK.size, 0, 1)
    given_[place] = given_[place][:-1] if len(given_[place]) else bytearray(5)
    with pytest.raises(ValueError, match="take"):
        compiled.take(*given_)


def test_a_mark_is_of_folded_ascii():
    for text, seed in (("é", 0), (b"a", 0), (5, 0)):
        with pytest.raises(TypeError, match="mark"):
            compiled.Words(digest).mark(text, NOON, 1, seed)
    for reader in (READER, Reader(b"k" * 32)):
        for text in ("straße", "x " * 9000, "plain"):
            reading, *noted = read_mark(reader.mark(text, NOON, 3, 9))
            assert (reading, noted) == (reader.read(text), [NOON, 3, 9])


def test_what_is_no_record_is_refused():
    for records, sketch in ((bytearray(5), frozenset()), (bytearray(), frozenset(range(17))), (b"", frozenset())):
        with pytest.raises(TypeError):
            compiled.remember(records, sketch, 1, 1)
    records = bytearray()
    with pytest.raises(TypeError):
        compiled.remember(records, {"a"}, 1, 1)
    assert records == b""


@settings(max_examples=60, deadline=None)
@given(shares, st.floats(1e-6, 1.0), st.frozensets(st.integers(0, BUCKETS - 1), max_size=40), st.floats(0, 1))
def test_they_reckon_with_the_same_shares(scaled, scale, subjects, weight):
    packed = compiled.halves(scaled, scale)
    assert packed == study_twin.halves(scaled, scale)
    assert compiled.doubles(packed) == study_twin.doubles(packed)
    other = array("d", scaled)
    compiled.add(scaled, subjects, weight)
    study_twin.add(other, subjects, weight)
    assert scaled == other


def test_shares_are_as_many_as_there_are_buckets():
    for few in (array("d", [0.5]), array("d")):
        with pytest.raises(ValueError, match="as many doubles"):
            compiled.halves(few, 1.0)
        with pytest.raises(ValueError, match="as many doubles"):
            compiled.add(few, frozenset({0}), 1.0)
    with pytest.raises(IndexError):
        compiled.add(array("d", bytes(8 * BUCKETS)), frozenset({BUCKETS}), 1.0)
    with pytest.raises(OverflowError):
        compiled.halves(array("d", [1e9] * BUCKETS), 1.0)
    with pytest.raises(TypeError):
        compiled.doubles(b"short")


FINDERS = compiled.Among(_NEEDED), study_twin.Among(_NEEDED)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([*_NEEDED, *(word[:-1] for word in _NEEDED), " ", "é", "日"]), max_size=30).map("".join)
)
def test_they_find_the_same_signs(text):
    found = FINDERS[0].find(text)
    assert found == FINDERS[1].find(text)
    assert [bool(found >> place & 1) for place in range(len(_NEEDED))] == [word in text for word in _NEEDED]


def test_what_is_looked_for_is_long_enough_and_not_too_much():
    with pytest.raises(ValueError, match="three octets"):
        compiled.Among(("ab",))
    with pytest.raises(ValueError, match="at most 64"):
        compiled.Among(("abc",) * 65)


def test_without_a_compiler_it_is_the_twin():
    code = (
        "import sys; sys.modules['guard.behavior._study'] = None\n"
        "from guard.behavior import inner, study_twin\n"
        "assert inner.Words is study_twin.Words and inner.remember is study_twin.remember and inner.take is None\n"
        "from guard.behavior.profile import Profile\n"
        "assert Profile.unpack(Profile().pack()).requests == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert inner.Words is compiled.Words
