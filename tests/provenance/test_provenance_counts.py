"""The counters beside a segment say what was done, or nothing at all."""

import pytest

from guard.provenance.counts import LAYOUT, SETTLED, Counts, counts_path, read_counts


@pytest.fixture
def segment(tmp_path):
    path = tmp_path / "a.20261118T110640.000000Z.segment"
    path.write_bytes(b"frames")
    return path


def test_the_numbers_are_read_as_they_were_stored(segment):
    counts_path(segment).write_bytes(LAYOUT.pack(9, 8, 7, 5, 1) + bytes(100))
    assert counts_path(segment).name == "a.20261118T110640.000000Z.segment.counts"
    assert read_counts(segment) == Counts(begun=9, ended=8, answered=7, written=5, dropped=1, settled=False)


def test_words_of_eight_bytes_are_the_layout(segment):
    page = bytearray(LAYOUT.size)
    memoryview(page).cast("Q")[3] = 1 << 40
    memoryview(page).cast("Q")[2] = 1 << 40
    counts_path(segment).write_bytes(page)
    assert read_counts(segment).written == 1 << 40


@pytest.mark.parametrize(
    "content", [None, b"", bytes(39), LAYOUT.pack(1, 2, 0, 0, 0), LAYOUT.pack(1, 1, 3, 2, 2)],
    ids=["missing", "empty", "cut", "more ended than begun", "more done than answered"],
)  # fmt: skip
def test_what_cannot_be_true_is_not_believed(segment, content):
    if content is not None:
        counts_path(segment).write_bytes(content)
    assert read_counts(segment) is None


def test_counters_that_were_settled_say_so(segment):
    counts_path(segment).write_bytes(LAYOUT.pack(3, 3, 2, 2, 0) + SETTLED + bytes(100))
    assert read_counts(segment) == Counts(3, 3, 2, 2, 0, settled=True)
