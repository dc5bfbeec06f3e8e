"""The compiled scorer, its twin in Python and the features of the training add up the same rows, whatever the text."""

import random
import sys
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.learned.scorer import scorer
from guard.screening.learned.twin import BITS, HEADS, START, Twin
from guard.screening.normalize import fold
from guard.screening.train.features import indices, words

kernel = pytest.importorskip("guard.screening.learned._kernel", reason="installed where there was no compiler")

TABLES = [
    random.Random(3).randbytes(HEADS << BITS),
    random.Random(4).randbytes(HEADS << BITS),
    b"\x80" * (HEADS << BITS),
    b"\x7f" * (HEADS << BITS),
]
PAIRS = [(kernel.Kernel(table), Twin(table)) for table in TABLES]

KNOWN = [
    "kill",
    "a",
    "Process",
    "1",
    "12",
    "123",
    "20260101",
    "?",
    "漢",
    "かな",
    "straße",
    "naïve",
    "ﬁ",
    "x" * 30,
    "é" * 25,
]
KNOWN += [
    "_",
    "snake_case",
    "no1",
    "1st",
    "٣٤",
    "²",
    "Ⅷ",
    "한국어",
    "\U00020000",
    "\U0001f600",
    "ｱ",
    "\ud800",
    "\0",
    "ǆ",
]
texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=80),
    st.lists(st.one_of(st.sampled_from(KNOWN), st.sampled_from([" ", "\n", "-", "'"])), max_size=60).map("".join),
)
numbers = st.integers(0, 2**32 - 1)


def both(pair, *arguments):
    """What the two say, and the sums they leave."""
    found = []
    for one in pair:
        sums = array("i", range(-8, HEADS - 8))
        found.append((one.take(*arguments, sums), sums))
    return found


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PAIRS), texts, st.integers(0, 90), st.integers(0, 70), numbers, numbers)
def test_they_give_the_same_sums(pair, text, start, limit, second, first):
    compiled, plain = both(pair, text, start, limit, second, first)
    assert compiled == plain


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(PAIRS), texts, st.lists(st.integers(1, 9), max_size=20))
def test_a_text_read_in_steps_is_the_text_read_at_once(pair, text, limits):
    for one in pair:
        at, second, first, taken, sums = 0, 0, START, 0, array("i", bytes(4 * HEADS))
        for limit in [*limits, 1000]:
            at, more, second, first = one.take(text, at, limit, second, first, sums)
            taken += more
            assert more <= limit
        whole = array("i", bytes(4 * HEADS))
        assert (at, taken, second, first) == one.take(text, 0, 1000, 0, START, whole)
        assert sums == whole


@settings(max_examples=50, deadline=None)
@given(texts)
def test_the_training_adds_the_rows_that_serving_adds(text):
    table, (_, plain) = TABLES[0], PAIRS[0]
    sums = array("i", bytes(4 * HEADS))
    _, taken, *_ = plain.take(fold(text), 0, 10_000, 0, START, sums)
    found = words(text)
    assert taken == len(found)
    signed = memoryview(table).cast("b")
    rows = [signed[index * HEADS : (index + 1) * HEADS] for index in indices(found)]
    assert list(sums) == [sum(row[head] for row in rows) for head in range(HEADS)]


def test_every_letter_of_unicode_is_a_letter_to_both():
    text = " ".join(map(chr, [*range(0x20000), *range(0x20000, sys.maxunicode + 1, 64)]))
    compiled, plain = both(PAIRS[0], text, 0, 1 << 20, 0, START)
    assert compiled == plain
    assert compiled[0][1] > 60_000  # words: every ideograph of the first plane, among others


def test_a_table_must_have_every_row():
    with pytest.raises(ValueError, match=f"a table of 5 bytes; allowed: {HEADS << BITS}"):
        kernel.Kernel(b"short")


def test_the_compiled_one_keeps_to_the_sums_it_is_given():
    one = kernel.Kernel(TABLES[0])
    with pytest.raises(ValueError, match="as many C ints as there are heads"):
        one.take("text", 0, 1, 0, START, array("i", [0] * (HEADS - 1)))
    with pytest.raises(ValueError, match="start is not negative"):
        one.take("text", -1, 1, 0, START, array("i", bytes(4 * HEADS)))
    with pytest.raises(TypeError):
        one.take(b"text", 0, 1, 0, START, array("i", bytes(4 * HEADS)))
    with pytest.raises((BufferError, TypeError)):
        one.take("text", 0, 1, 0, START, bytes(4 * HEADS))


def test_what_was_compiled_is_used(monkeypatch):
    assert isinstance(scorer(TABLES[0]), kernel.Kernel)
    monkeypatch.setitem(sys.modules, "guard.screening.learned._kernel", None)
    assert isinstance(scorer(TABLES[0]), Twin)
