"""Each segment names the one that its instance wrote before it, whatever the clock said."""

import shutil

import pytest
from provenance_world import Clock, finished, prose, read_index, writer_of
from segment_world import NOW as BEGIN

from guard.provenance.chain import MOST, begins_of, copies, last_of
from guard.provenance.segment import SegmentWriter, read_begin

MONTH_LONG = 31 * 86_400.0
STEPS = (0.0, MONTH_LONG, -MONTH_LONG, 2 * MONTH_LONG)
"""November, December, November again, January."""


def written(directory, now=BEGIN, instance="a", before=None):
    """Write an empty segment; return its path."""
    named = last_of(directory, instance) if before is None else before
    writer = SegmentWriter(directory, instance, b"key id..", now, named)
    writer.end(now)
    return writer.path


def name(path):
    return f"{path.parent.name}/{path.name}"


def back_and_forth(directory, *, restart):
    """Answer once in each of four months, in the order of a clock that goes back."""
    clock = Clock()
    writer = writer_of(directory, clock=clock)
    writer.start()
    for number, step in enumerate(STEPS):
        if restart and number:
            writer.close()
            clock.now += step
            writer = writer_of(directory, clock=clock)
            writer.start()
        clock.now += 0.0 if restart else step
        writer.submit(finished(f"q{number}", time=clock.now), "What is it?", prose(number))
        while writer.waiting:
            pass
    writer.close()


def test_a_segment_names_the_last_of_its_own_instance(tmp_path):
    first = written(tmp_path)
    other = written(tmp_path, instance="b")
    longer = written(tmp_path, instance="a.b")
    second = written(tmp_path, BEGIN + 60)
    december = written(tmp_path, BEGIN + 14 * 86_400)
    assert [read_begin(path).before for path in (first, other, longer)] == ["", "", ""]
    assert read_begin(second).before == name(first)
    assert read_begin(december).before == name(second)
    assert last_of(tmp_path, "a") == name(december)
    assert last_of(tmp_path, "a.b") == name(longer)


@pytest.mark.parametrize("restart", [False, True], ids=["one process", "restarted each time"])
def test_a_clock_that_goes_back_a_month_breaks_no_chain(tmp_path, restart):
    index = tmp_path / "index"
    back_and_forth(index, restart=restart)
    assert read_index(index)[1].complete
    segments = sorted(index.rglob("*.segment"))
    assert len(segments) == 4
    unnoticed = []
    for gone in segments:
        content = gone.read_bytes()
        gone.unlink()
        if read_index(index)[1].complete:
            unnoticed.append(gone)
        gone.write_bytes(content)
    assert [path.parent.name for path in unnoticed] == ["2027-01"]  # the very last: nothing followed it


def test_where_segments_are_gone_all_that_nobody_names_are_named(tmp_path):
    paths = [written(tmp_path, BEGIN + number) for number in range(5)]
    paths[1].unlink()
    paths[3].unlink()
    assert last_of(tmp_path, "a").split("\n") == [name(path) for path in (paths[0], paths[2], paths[4])]
    next_one = written(tmp_path, BEGIN + 9)
    assert last_of(tmp_path, "a") == name(next_one)


def test_a_beginning_stays_readable_however_many_are_gone(tmp_path):
    for number in range(MOST + 9):
        written(tmp_path, BEGIN + number, before=f"2026-10/gone-{number}.segment")
    last = last_of(tmp_path, "a").split("\n")
    assert len(last) == MOST
    assert last[-1].endswith(max(path.name for path in tmp_path.rglob("*.segment")))
    assert len(read_begin(written(tmp_path, BEGIN + 99)).before.split("\n")) == MOST


def test_a_segment_whose_beginning_is_damaged_is_named_all_the_same(tmp_path):
    path = written(tmp_path)
    path.write_bytes(b"")
    assert last_of(tmp_path, "a") == name(path)
    assert last_of(tmp_path, "b") == ""


def test_a_copy_is_not_named_as_the_last(tmp_path):
    first, second = written(tmp_path), written(tmp_path, BEGIN + 60)
    for path in (first, second):
        shutil.copy(path, path.with_name(f"a.copy-{path.name}"))
    assert last_of(tmp_path, "a") == name(second)
    assert set(copies(begins_of(tmp_path)).values()) == {first, second}


def test_segments_of_one_moment_are_not_copies_of_each_other(tmp_path):
    first, second = written(tmp_path), written(tmp_path)
    assert first != second
    assert copies(begins_of(tmp_path)) == {}
    shutil.copy(second, second.with_name("a.copy.segment"))
    assert copies(begins_of(tmp_path)) == {second.with_name("a.copy.segment"): second}
