"""An output is found wherever a file can hold a text: in names, behind names that stand twice, in bytes, in a header."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.formats import Source, copy_without, read
from guard.provenance.formats.encoding import text_of
from guard.provenance.formats.members import members
from guard.provenance.record import UNSEEN

ANSWER = " ".join(f"word{number} said" for number in range(20))
IMAGE = b"\x89PNG\r\n\x1a\n" + bytes((17 * number * number + 3 * number) % 256 for number in range(400))


def parquet(tmp_path, column, name="c"):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({name: column}), path)
    return path


def texts(path):
    return [span.text for record in read(path) for span in record.spans]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[(ANSWER, 1)]], pa.map_(pa.string(), pa.int32())),
        pa.array([[("k", ANSWER), ("k", "short")]], pa.map_(pa.string(), pa.string())),
        pa.array([[("k", "short"), ("k", ANSWER)]], pa.map_(pa.string(), pa.string())),
        pa.StructArray.from_arrays([pa.array([ANSWER]), pa.array(["x"])], names=["q", "q"]),
        pa.StructArray.from_arrays([pa.array(["x"]), pa.array([ANSWER])], names=["q", "q"]),
        pa.StructArray.from_arrays([pa.array([1])], names=[ANSWER]),
    ],
)
def test_keys_and_fields_of_parquet_are_looked_at_all_of_them(tmp_path, column):
    assert ANSWER in texts(parquet(tmp_path, column))


def test_the_name_of_a_column_is_looked_at_whatever_it_holds(tmp_path):
    assert texts(parquet(tmp_path, pa.array([1]), ANSWER)) == [ANSWER]


@pytest.mark.parametrize("text", ['{"text": %s, "text": "x"}', '{"data": [{"text": "a"}], "b": %s, "b": "x"}'])
def test_a_json_document_that_names_a_member_twice_hides_nothing(tmp_path, text):
    path = tmp_path / "data.json"
    path.write_text(text % json.dumps(ANSWER))
    assert ANSWER in texts(path)


def test_names_that_are_one_without_halves_of_surrogates_hide_nothing(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text('{"\\ud800": "one", "\\ud801": "two", "a": "three", "a": "four"}')
    assert texts(path) == ["one", "two", "three", "four"]


def test_a_name_beside_the_records_of_a_document_is_looked_at(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps({ANSWER: 1, "data": [{"text": "a"}]}))
    assert texts(path) == [ANSWER, "a"]


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(["a", "a_2", "a_3", "b", ""]), st.integers(0, 9)), max_size=12))
def test_no_member_is_lost_and_the_last_keeps_its_name(pairs):
    found = members(pairs)
    assert sorted(found.values()) == sorted(value for _, value in pairs)
    last = dict(pairs)
    assert set(last) <= set(found)
    for name in {"a", "b", ""} & set(last):
        assert found[name] == last[name]
    assert len(last) < len(pairs) or list(found.items()) == pairs


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ANSWER.encode(), ANSWER),
        (f"{ANSWER} café".encode()[:-1], f"{ANSWER} caf\ufffd"),
        (f"{ANSWER} café".encode("latin-1"), f"{ANSWER} caf\ufffd"),
        (ANSWER.encode("utf-16"), ANSWER),
        (ANSWER.encode("utf-16-le"), ANSWER),
        (ANSWER.encode("utf-16-be"), ANSWER),
        (ANSWER.encode("utf-32"), ANSWER),
        ("這是一個很長的回答裡面有許多不同的字".encode("utf-16-le"), "這是一個很長的回答裡面有許多不同的字"),
        (b"", ""),
        (IMAGE * 20 + ANSWER.encode() * 400, (IMAGE * 20).decode(errors="replace") + ANSWER * 400),
        (ANSWER.encode() * 20 + IMAGE * 80, UNSEEN),
        (b"\xff\xd8\xff", None),
        (IMAGE, UNSEEN),
    ],
)
def test_bytes_are_the_text_they_hold_or_say_that_they_hold_none(value, text):
    assert text_of(value) == text


def test_images_are_counted_and_the_text_beside_them_is_looked_at(tmp_path):
    image = {"bytes": IMAGE, "path": None}
    rows = [{"image": image, "label": "a cat"}, {"image": image, "label": None}, {"image": None, "label": "a dog"}]
    path = tmp_path / "data.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    records = list(read(path))
    assert [(record.unseen, len(record.spans)) for record in records] == [(1, 1), (1, 0), (0, 1)]


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_the_first_row_of_a_table_without_header_is_a_record(tmp_path, suffix, delimiter):
    path = tmp_path / f"data.{suffix}"
    path.write_text(f'short{delimiter}"{ANSWER}"\nother{delimiter}words\nmore{delimiter}of them\n')
    records = list(read(path))
    assert [(record.number, record.line) for record in records] == [(0, 1), (1, 2), (2, 3)]
    assert [[(span.path, span.text) for span in record.spans] for record in records] == [
        [("column 2", ANSWER)],
        [("short", "other"), ("column 2", "words")],
        [("short", "more"), ("column 2", "of them")],
    ]
    clean = tmp_path / f"clean.{suffix}"
    assert copy_without(path, clean, {0}) == 2
    assert clean.read_text() == f"other{delimiter}words\nmore{delimiter}of them\n"
    assert copy_without(path, clean, set()) == 3
    assert clean.read_bytes() == path.read_bytes()


def test_long_names_of_columns_are_a_header_all_the_same(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("the name of the one column that there is here,b\n1,2\n")
    assert len(list(read(path))) == 1


def test_what_stands_beside_the_data_is_named(tmp_path):
    for name in ("a.jsonl", "b/c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('"1"\n')
    for name in ("README.md", "b/dataset_info.json", ".cache/d.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"text": ANSWER}))
    source = Source(tmp_path)
    assert source.not_looked_at == [str(tmp_path / name) for name in (".cache", "README.md", "b/dataset_info.json")]
    assert len(list(read(source))) == 2
    assert Source(tmp_path / "a.jsonl").not_looked_at == []
