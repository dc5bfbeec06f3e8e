"""Damaged data is never read as less data: it is an error that names the file, the line and what is allowed."""

import gzip
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.formats import DataError, read

LINES = b"".join(json.dumps({"text": f"{number} " * 50}).encode() + b"\n" for number in range(2000))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b"", "a.jsonl: is empty; allowed: a file with a record in it"),
        ("a.json", b"", "a.json: is empty"),
        ("a.csv.gz", b"", "a.csv.gz: is empty"),
        ("a.parquet", b"", "a.parquet: is empty"),
        ("a.jsonl", b"\n \n", "a.jsonl: holds no record; allowed: one record or more"),
        ("a.jsonl.gz", gzip.compress(b""), "a.jsonl.gz: holds no record"),
        ("a.jsonl", b'{"text":"x"}\n{"text":', "a.jsonl:2: not JSON: Input data was truncated; allowed: one whole JSON object"),
        ("a.jsonl", b'{"text":"x"} {"text":"y"}\n', "a.jsonl:1: not JSON"),
        ("a.jsonl", b'{"text":"x"}\n\n[1]\n', "a.jsonl:3: a record is a list; allowed: an object or a text"),
        ("a.jsonl", b"7\n", "a.jsonl:1: a record is a number"),
        ("a.jsonl", b"NaN\n", "a.jsonl:1: a record is a number"),
        ("a.jsonl", b'{"text":"x"}\n{"text":"\xff"}\n', "a.jsonl:2: not UTF-8 text (byte 10 of the line); allowed: one whole"),
        ("a.jsonl", b'{"a":' * 200 + b"1" + b"}" * 200, "a.jsonl:1: a record is nested too deeply; allowed: 100 levels"),
        ("a.jsonl", b'{"a":' * 5000 + b"1" + b"}" * 5000, "a.jsonl:1: a record is nested too deeply"),
        ("a.jsonl", b"[" * 1_000_000, "a.jsonl:1: "),
        ("a.jsonl", "\ufeff".encode("utf-16") + b"x", "a.jsonl: is UTF-16; allowed: UTF-8"),
        ("a.jsonl", gzip.compress(b'"x"'), "a.jsonl: is gzip; allowed: a name that ends in .gz"),
        ("a.csv", b"PAR1....PAR1", "a.csv: is Parquet; allowed: a name that ends in .parquet"),
        ("a.csv", b"PK\x03\x04", "a.csv: is a ZIP archive"),
        ("a.jsonl.gz", b'"x"', "a.jsonl.gz: is not gzip"),
        ("a.jsonl.gz", gzip.compress(gzip.compress(b'"x"')), "a.jsonl.gz: is gzip"),
        ("a.jsonl.gz", gzip.compress(b'"x"\n') + b"more", "a.jsonl.gz:1: damaged compression: Error -3"),
        ("a.json", b"[]", "a.json: holds no record"),
        ("a.json", b" \n ", "a.json: holds no record"),
        ("a.json", b'[{"text":"x"},\n{"text":"y"}', "a.json:2: not JSON: a comma or the end of the array is missing"),
        ("a.json", b'[{"text":"x"}\n{"text":"y"}]', "a.json:2: not JSON: a comma"),
        ("a.json", b'[{"text":"x"},\n{"text":"y}]', "a.json:2: not JSON: Unterminated string"),
        ("a.json", b'[\n{"text":"x" "y"}, {"text":"and much more after this"}]', "a.json:2: not JSON: Expecting ','"),
        ("a.json", b'["x",\n7]', "a.json:2: a record is a number"),
        ("a.json", b'["x",\n"\xff"]', "a.json:2: not UTF-8 text; allowed: UTF-8"),
        ("a.json", b'["x"]\xc3', "a.json:1: not UTF-8 text"),
        ("a.json", b"[" + b'{"a":' * 100_000, "a.json:1: a record is nested too deeply"),
        ("a.json", b'["x",\n' + b'{"a":' * 900 + b'"\\ud800"' + b"}" * 900 + b"]", "a.json:2: a record is nested too deeply"),
        ("a.json", b"<!DOCTYPE html>", "a.json:1: not JSON: Expecting value"),
        ("a.csv", b"text\n", "a.csv: holds no record"),
        ("a.csv", b"a,b\n1,2\n3\n", "a.csv:3: 1 field; allowed: 2, as in the header"),
        ("a.tsv", b"a\tb\n1\t2\t3\n", "a.tsv:2: 3 fields; allowed: 2, as in the header"),
        ("a.csv", b"a,a\n1,2\n", "a.csv:1: the header names a column twice; allowed: each column once"),
        ("a.csv", b'a,b\n1,"2\n', "a.csv:2: not CSV: unexpected end of data; allowed: fields in double quotes"),
        ("a.csv", b'a,b\n1,"2"x\n', "a.csv:2: not CSV"),
        ("a.csv", b"a\nx\n\xff\n", "a.csv:3: not UTF-8 text; allowed: UTF-8"),
        ("a.parquet", b"PAR1", "a.parquet: not Parquet that can be read"),
        ("a.parquet", LINES, "a.parquet: not Parquet that can be read"),
    ],
)  # fmt: skip
def test_bad_data_is_named_by_file_and_line(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        list(read(tmp_path / name))
    assert str(error.value).startswith(f"{tmp_path}/{says}")
    assert "; allowed: " in str(error.value)
    assert (error.value.file, error.value.what) == (str(tmp_path / name), str(error.value).split(": ", 1)[1])


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_compressed_data_cut_or_damaged_anywhere_is_an_error_or_no_less(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("data") / "a.jsonl.gz"
    whole = gzip.compress(LINES)
    if data.draw(st.booleans()):
        path.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
    else:
        at = data.draw(st.integers(10, len(whole) - 1))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    try:
        found = [record.spans[0].text for record in read(path)]
    except DataError as error:
        assert re.match(rf"{path}:?[0-9]*: .*; allowed: ", str(error))  # noqa: PT017 - a bit may mean nothing
    else:  # bits between the last block and the checksum are filled up with anything
        assert found == [json.loads(line)["text"] for line in LINES.splitlines()]


def test_records_before_the_damage_are_counted(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(LINES)[:-4])
    with pytest.raises(
        DataError, match=r"a.jsonl.gz:2000: the compressed file ends too early; .* \(after this record\)"
    ):
        list(read(path))


def test_a_disk_that_fails_is_an_error_of_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES)
    from guard.provenance.formats import Source

    source = Source(path)
    path.unlink()
    with pytest.raises(DataError, match=r"a.jsonl: cannot be read: No such file"):
        list(read(source))


def test_a_folder_named_like_a_file_is_a_folder(tmp_path):
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(DataError, match=r"a.jsonl: holds no file of data"):
        list(read(tmp_path / "a.jsonl"))
