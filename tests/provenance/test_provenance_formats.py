"""Data sets are read record by record, wherever their chunks end, and a bad record is named by its line."""

import csv
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance import formats
from guard.provenance.formats import DataError, copy_without, read
from guard.provenance.record import record_of

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.text(st.characters(codec="utf-8"), max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text('abc[]{}"\\,', max_size=4), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
RECORDS = st.lists(
    st.dictionaries(st.sampled_from(["text", "output", "meta"]), VALUES, max_size=3), min_size=1, max_size=6
)


def texts(document, *, answers=None):
    spans = record_of(document, 0, 1).spans
    return [span.text for span in spans if answers is None or span.answers is answers]


@pytest.mark.parametrize(
    ("document", "answering"),
    [
        ("a text by itself", ["a text by itself"]),
        ({"text": "T"}, ["T"]),
        ({"prompt": "P", "completion": "C"}, ["C"]),
        ({"instruction": "I", "input": "X", "output": "O"}, ["O"]),
        ({"Question": "Q", "Response": "R"}, ["R"]),
        ({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]}, ["A"]),
        ({"messages": [{"role": "assistant", "content": [{"type": "text", "text": "A"}], "reasoning_content": "R"}]}, ["A", "R"]),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "n", "arguments": "{}"}}]}]}, ["{}"]),
        ({"conversations": [{"from": "human", "value": "H"}, {"from": "gpt", "value": "G"}]}, ["G"]),
        ({"prompt": "P", "chosen": "C", "rejected": "R"}, ["C", "R"]),
        ({"chosen": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "C"}]}, ["C"]),
        ({"deep": {"down": {"output": ["O1", {"text": "O2"}]}}}, ["O1", "O2"]),
    ],
)  # fmt: skip
def test_answers_are_told_from_the_rest_by_their_fields(document, answering):
    assert texts(document, answers=True) == answering


@settings(max_examples=50)
@given(VALUES.filter(lambda value: isinstance(value, str | dict)))
def test_no_text_of_a_record_is_overlooked(document):
    def every(value):
        if isinstance(value, str):
            return [value]
        inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
        return [text for item in inner for text in every(item)]

    assert sorted(texts(document)) == sorted(every(document))


def test_receipt_ids_are_found_in_any_field():
    record = record_of({"meta": {"guard": ["r-7f3a-0", "r-", "see r-7f3a-0", "r-a-b-12"]}, "text": "x"}, 3, 9)
    assert record.receipts == ("r-7f3a-0", "r-a-b-12")
    assert (record.number, record.line) == (3, 9)
    assert record.spans[0].path == "meta.guard[0]"


@settings(max_examples=25, deadline=None)
@given(RECORDS, st.integers(5, 60), st.sampled_from([None, 1, "\t"]))
def test_an_array_is_read_and_copied_alike_wherever_chunks_end(tmp_path_factory, records, chunk, indent):
    path = tmp_path_factory.mktemp("data") / "data.json"
    path.write_text(" \n" + json.dumps(records, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
    kept, formats.CHUNK = formats.CHUNK, chunk
    try:
        found = list(read(path))
        assert [record.spans for record in found] == [record_of(record, 0, 1).spans for record in records]
        assert [record.number for record in found] == list(range(len(records)))
        clean = path.with_name("clean.json")
        assert copy_without(path, clean, {0}) == len(records) - 1
        assert json.loads(clean.read_text(encoding="utf-8")) == records[1:]
    finally:
        formats.CHUNK = kept


def test_json_lines_are_copied_byte_for_byte(tmp_path):
    path = tmp_path / "data.jsonl"
    lines = [b'{"text": "one" }', b'  {"text":"\xc3\xa9"}', b'"three"']
    path.write_bytes(b"\xef\xbb\xbf" + lines[0] + b"\r\n\n" + lines[1] + b"\n" + lines[2])
    assert [(record.line, record.spans[0].text) for record in read(path)] == [(1, "one"), (3, "é"), (4, "three")]
    assert copy_without(path, tmp_path / "clean.jsonl", {1}) == 2
    assert (tmp_path / "clean.jsonl").read_bytes() == lines[0] + b"\n" + lines[2] + b"\n"
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["clean.jsonl", "data.jsonl"]


def test_csv_rows_are_records(tmp_path):
    path = tmp_path / "data.csv"
    rows = [["prompt", "completion"], ["P\n1", 'say "hi", twice'], ["P2", "x" * 200_000], ["", "C"]]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(rows)
    found = list(read(path))
    assert [[span.text for span in record.spans] for record in found] == rows[1:]
    assert [span.answers for span in found[0].spans] == [False, True]
    assert [record.line for record in found] == [2, 4, 5]
    assert copy_without(path, tmp_path / "clean.csv", {1}) == 2
    with (tmp_path / "clean.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [rows[0], rows[1], rows[3]]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.parquet", b"PAR1", "the format '.parquet'; allowed: .jsonl, .json, .csv"),
        ("a", b"", "allowed: .jsonl, .json, .csv"),
        ("a.jsonl", b"", "holds no record"),
        ("a.jsonl", b'{"text":"x"}\n{"text":', "a.jsonl:2: not JSON"),
        ("a.jsonl", b'{"text":"x"}\n\n[1]\n', "a.jsonl:3: a record is a list; allowed: an object or a text"),
        ("a.jsonl", b"7\n", "a.jsonl:1: a record is a number"),
        ("a.jsonl", b'{"text":"\xff"}\n', "a.jsonl:1: not"),
        ("a.jsonl", b'{"a":' * 5000 + b"1" + b"}" * 5000, "a.jsonl:1: "),
        ("a.json", b"", "a.json:1: not a JSON array of records"),
        ("a.json", b'{"text":"x"}', "a.json:1: not a JSON array of records"),
        ("a.json", b"[]", "holds no record"),
        ("a.json", b'[{"text":"x"},\n{"text":"y"}', "a.json:2: not JSON: a comma or the end of the array is missing"),
        ("a.json", b'[{"text":"x"}\n{"text":"y"}]', "a.json:2: not JSON: a comma"),
        ("a.json", b'[{"text":"x"},\n{"text":"y}]', "a.json:2: not JSON: Unterminated string"),
        ("a.json", b'[\n{"text":"x" "y"}, {"text":"and much more after this"}]', "a.json:2: not JSON: Expecting ','"),
        ("a.json", b'[{"text":"x"}]\n\n]', "a.json:3: not JSON: something follows the array"),
        ("a.json", b'["x",\n"\xff"]', "not UTF-8 text"),
        ("a.json", b"[" + b'{"a":' * 100_000, "a.json:1: "),
        ("a.csv", b"text\n", "holds no record"),
        ("a.csv", b"a,b\n1,2\n3\n", "a.csv:3: 1 fields; allowed: 2, as in the header"),
        ("a.csv", b"a,a\n1,2\n", "a.csv:1: the header names a column twice"),
        ("a.csv", b'a,b\n1,"2\n', "a.csv:2: not CSV"),
        ("a.csv", b"a\n\xff\n", "not UTF-8 text"),
    ],
)  # fmt: skip
def test_bad_data_is_named_by_file_and_line(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        list(read(tmp_path / name))
    assert says in str(error.value)


def test_a_missing_file_is_bad_data(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        list(read(tmp_path / "no.jsonl"))


def test_a_copy_of_bad_data_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text":"x"}\nnonsense\n')
    with pytest.raises(DataError):
        copy_without(path, tmp_path / "clean.jsonl", set())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_memory_does_not_grow_with_the_file(tmp_path, suffix, monkeypatch):
    import tracemalloc

    monkeypatch.setattr(formats, "CHUNK", 1 << 14)

    def peak(count):
        path = tmp_path / f"{count}{suffix}"
        rows = [json.dumps({"text": "word " * 60})] * count
        plain = "text\n" + ("word " * 60 + "\n") * count
        path.write_text({".jsonl": "\n".join(rows), ".json": "[" + ",".join(rows) + "]", ".csv": plain}[suffix])
        del rows, plain
        tracemalloc.start()
        for record in read(path):
            assert record.spans
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(4000) < peak(1000) + 200_000  # the file grew by 900,000 bytes
