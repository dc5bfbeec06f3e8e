"""A clean copy has every record but those left out, in the form of the data set, and is there whole or not at all."""

import gzip
import io
import sys
from array import array

import pytest

from guard.provenance.formats import DataError, Source, check_target, copy_without, read


def folder(path):
    path.mkdir(parents=True)
    (path / "a.jsonl").write_text('"0"\n"1"\n')
    (path / "sub").mkdir()
    (path / "sub" / "b.csv").write_text("text\n2\n3\n")
    with gzip.open(path / "sub" / "c.json.gz", "wt") as file:
        file.write('["4", "5"]')
    (path / "README.md").write_text("# Data")
    return path


def texts(path):
    return [record.spans[0].text for record in read(path)]


def test_a_folder_is_copied_as_a_folder(tmp_path):
    source = Source(folder(tmp_path / "data"))
    assert copy_without(source, tmp_path / "clean", array("Q", [1, 4])) == 4
    assert texts(tmp_path / "clean") == ["0", "2", "3", "5"]
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("clean*/**/*.*")) == [
        "clean/a.jsonl", "clean/sub/b.csv", "clean/sub/c.json.gz"
    ]  # fmt: skip
    assert (tmp_path / "clean/sub/c.json.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_files_without_a_record_left_are_left_out(tmp_path):
    source = Source(folder(tmp_path / "data"))
    assert copy_without(source, tmp_path / "clean", {2, 3, 4, 5}) == 2
    assert [path.name for path in (tmp_path / "clean").rglob("*")] == ["a.jsonl"]
    assert copy_without(source, tmp_path / "none", range(6)) == 0
    assert list((tmp_path / "none").iterdir()) == []


def test_several_paths_are_copied_into_one_folder(tmp_path):
    folder(tmp_path / "data")
    (tmp_path / "x.tsv").write_text("text\n6\n")
    paths = [tmp_path / "x.tsv", tmp_path / "data"]
    (tmp_path / "clean").mkdir()
    assert copy_without(paths, tmp_path / "clean", {1}) == 6
    assert texts(tmp_path / "clean" / "x.tsv") == ["6"]
    assert texts(tmp_path / "clean" / "data") == ["1", "2", "3", "4", "5"]
    assert [part.inside.as_posix() for part in Source(paths).parts][:2] == ["x.tsv", "data/a.jsonl"]


def test_compressed_lines_are_equal_and_stay_compressed(tmp_path):
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(b'"0"\n') + gzip.compress(b' "1" \r\n"2"'))
    assert copy_without(path, tmp_path / "clean.jsonl.gz", {0}) == 2
    assert gzip.decompress((tmp_path / "clean.jsonl.gz").read_bytes()) == b' "1" \r\n"2"'


def test_standard_output_gets_the_copy(tmp_path, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    with Source("-", format="jsonl", stdin=io.BytesIO(b'"0"\n"1"\n')) as source:
        assert copy_without(source, "-", {0}) == 1
    assert out.buffer.getvalue() == b'"1"\n'
    (tmp_path / "bad.jsonl").write_text('"0"\n"1')
    with pytest.raises(DataError):
        copy_without(tmp_path / "bad.jsonl", "-", {0})
    assert out.buffer.getvalue() == b'"1"\n'


@pytest.mark.parametrize("content", ['{"text":"x"}\nnonsense\n', '{"text":"x"}\n7\n{'])
def test_a_copy_of_bad_data_leaves_nothing_behind(tmp_path, content):
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(DataError):
        copy_without(path, tmp_path / "clean.jsonl", set())
    with pytest.raises(DataError):
        copy_without([path, folder(tmp_path / "set")], tmp_path / "clean", set())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "set"]


def test_a_copy_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path, clean = tmp_path / "a.jsonl", tmp_path / "clean.jsonl"
    path.write_text('"0"\n"1"\n')
    clean.write_text("old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        copy_without(path, clean, {0})
    assert clean.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "clean.jsonl"]
    monkeypatch.undo()
    copy_without(path, clean, {0})
    assert clean.read_text() == '"1"\n'


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("a.jsonl", "a.jsonl", "would replace the data set itself; allowed: another file"),
        ("a.jsonl", "b.json", "b.json; allowed: a name in .jsonl, as the data set"),
        ("a.jsonl", "b.jsonl.gz", "allowed: a name in .jsonl, as the data set"),
        ("a.jsonl", "set", "is a folder; allowed: a file, as the data set"),
        ("set", "-", "several files cannot be written to standard output; allowed: a folder"),
        ("set", "set/clean", "is within the data set; allowed: a folder outside of it"),
        ("set", "other", "is there already; allowed: a new folder, or an empty one"),
        ("set", "a.jsonl", "is there already; allowed: a new folder, or an empty one"),
        ("a.jsonl+other/a.jsonl", "new", "two files are named a.jsonl; allowed: each name once"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(tmp_path, source, target, says):
    (tmp_path / "a.jsonl").write_text('"0"\n')
    folder(tmp_path / "set")
    folder(tmp_path / "other")
    source = Source([tmp_path / name for name in source.split("+")])
    target = tmp_path / target if target != "-" else target
    from pathlib import Path

    with pytest.raises(ValueError, match=says):
        check_target(source, Path(target))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=says):
        copy_without(source, target, set())
    assert sorted(tmp_path.rglob("*")) == before


def test_ndjson_is_jsonl_by_another_name(tmp_path):
    (tmp_path / "a.ndjson").write_text('"0"\n')
    assert copy_without(tmp_path / "a.ndjson", tmp_path / "b.jsonl", set()) == 1
