"""JSON is taken apart record by record, in every shape it is written in, wherever its chunks end."""

import json
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.formats import DataError, copy_without, document, read, text
from guard.provenance.record import record_of

VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(st.characters(codec="utf-8"), max_size=12)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text('abc[]{}"\\,', max_size=4), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
RECORDS = st.lists(
    st.dictionaries(st.sampled_from(["text", "output", "meta"]), VALUES, max_size=3), min_size=1, max_size=6
)
CHUNKS = st.integers(5, 60)
INDENTS = st.sampled_from([None, 1, "\t"])


def spans(records):
    return [record_of(record, 0, 1).spans for record in records]


def chunked(size):
    """Read and decide as if a chunk had only ``size`` bytes."""
    return mock.patch.multiple(text, CHUNK=size), mock.patch.object(document, "CHUNK", size)


def roundtrip(path, dropped):
    """The spans, numbers and lines of what is read, and what is left of the JSON without some records."""
    found = list(read(path))
    clean = path.with_name("clean.json")
    assert copy_without(path, clean, dropped) == len([record for record in found if record.number not in dropped])
    return [record.spans for record in found], [record.line for record in found], clean.read_text(encoding="utf-8")


@settings(max_examples=50, deadline=None)
@given(RECORDS, CHUNKS, INDENTS, st.sets(st.integers(0, 6)), st.booleans())
def test_an_array_is_read_and_copied_alike_wherever_chunks_end(
    tmp_path_factory, records, chunk, indent, dropped, ascii_
):
    path = tmp_path_factory.mktemp("data") / "data.json"
    path.write_text(" \n" + json.dumps(records, indent=indent, ensure_ascii=ascii_) + "\n", encoding="utf-8")
    one, two = chunked(chunk)
    with one, two:
        found, _, left = roundtrip(path, dropped)
    assert found == spans(records)
    assert json.loads(left) == [record for number, record in enumerate(records) if number not in dropped]


@settings(max_examples=50, deadline=None)
@given(RECORDS, CHUNKS, st.sets(st.integers(0, 6)))
def test_records_one_after_another_are_read_and_copied(tmp_path_factory, records, chunk, dropped):
    records = [{"id": 1, **records[0]}, *records[1:], {"id": 2}]
    path = tmp_path_factory.mktemp("data") / "data.json"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    one, two = chunked(chunk)
    with one, two:
        found, lines, left = roundtrip(path, dropped)
    assert found == spans(records)
    assert lines == list(range(1, len(records) + 1))
    kept = [record for number, record in enumerate(records) if number not in dropped]
    assert [json.loads(line) for line in left.splitlines()] == kept


@settings(max_examples=50, deadline=None)
@given(RECORDS, RECORDS, CHUNKS, INDENTS, st.sets(st.integers(0, 12)))
def test_an_object_of_records_is_read_and_copied(tmp_path_factory, first, second, chunk, indent, dropped):
    data = {"version": 1, "train": first, "card": {"about": "A"}, "n": 2, "test": second, "empty": [], "end": None}
    path = tmp_path_factory.mktemp("data") / "data.json"
    path.write_text(json.dumps(data, indent=indent), encoding="utf-8")
    one, two = chunked(chunk)
    with one, two:
        found, _, left = roundtrip(path, dropped)
    rest = [{"card": data["card"], "n": 2}], [{"empty": [], "end": None}]
    assert found == spans([*first, *rest[0], *second, *rest[1]])
    kept = iter([number not in dropped for number in range(len(found))])
    expected = {"version": 1}
    expected["train"] = [record for record in first if next(kept)]
    expected |= rest[0][0] if next(kept) else {}
    expected["test"] = [record for record in second if next(kept)]
    expected |= rest[1][0] if next(kept) else {}
    assert json.loads(left) == expected


@pytest.mark.parametrize("chunk", [8, 1 << 20])
@pytest.mark.parametrize(
    ("data", "records"),
    [
        ({"data": [{"text": "a"}, {"text": "b"}]}, 2),
        ({"version": "1", "data": [{"text": "a"}, {"text": "b"}]}, 3),
        ({"text": "one record", "meta": {"data": [{"x": "y"}]}}, 1),
        ({"messages": [{"role": "user", "content": "U"}], "tools": [{"type": "function"}]}, 1),
        ({"data": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]}, 1),
        ({"id": "7", "data": ["first question", "first answer"]}, 1),
        ({"prompt": "P", "responses": ["a", "b"]}, 1),
        ({"choices": [{"message": {"role": "assistant", "content": "A"}}]}, 1),
        ({"data": []}, 1),
        ({}, 1),
        ("a text", 1),
        (["a text", "another"], 2),
    ],
)
def test_shapes_are_told_apart(tmp_path, data, records, chunk):
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data))
    one, two = chunked(chunk)
    with one, two:
        assert len(list(read(path))) == records


def test_records_are_found_by_their_lines(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('{"about": "x",\n\n"rows": [\n\n{"text": "a\\nb"},\n{"text":\n"c"}, {"text": "d"}],\n"more": "y"}')
    assert [(record.line, record.spans[0].text) for record in read(path)] == [
        (1, "x"), (5, "a\nb"), (6, "c"), (7, "d"), (8, "y")
    ]  # fmt: skip


def test_numbers_that_python_writes_survive_a_copy(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('[{"a": 1e+5, "b": NaN, "c": 1.0, "d": 123456789012345678901234567890, "e": "\\ud800"}, "x"]')
    copy_without(path, tmp_path / "clean.json", {1})
    assert (tmp_path / "clean.json").read_text() == (
        '[\n{"a": 1e+5, "b": NaN, "c": 1.0, "d": 123456789012345678901234567890, "e": "\\ud800"}\n]\n'
    )
    assert [span.text for record in read(path) for span in record.spans] == ["\ufffd", "x"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"text": ["a", "b"], "label": [0, 1]}', "data.json:1: an object of columns (text, label); allowed: an array of"),
        ('\n{"text": {"0": "a", "1": "b"}, "label": {"0": 0, "1": 1}}', "data.json:2: an object of columns (text, label)"),
        ('{"data": [{"text": "a"}]}\n{"data": [{"text": "b"}]}', ""),
        ('{"data": [{"text": "%s"}]}\n{"text": "b"}' % ("a" * 999), "data.json:2: something follows the object of records"),
        ('[{"text": "x"}]\n\n]', "data.json:3: something follows the array; allowed: an array of records, an object"),
        ('{"text": "x"}\n[1]', "data.json:2: a record is a list"),
        ('{"text": "x"}\n7', "data.json:2: a record is a number"),
        ('{"a": 1,}', "data.json:1: not JSON"),
        ('{"a" 1, "b": "%s"}' % ("a" * 100), "data.json:1: not JSON"),
        ('{7: 1, "b": "%s"}' % ("a" * 100), "data.json:1: not JSON"),
        ('{"b": "%s"' % ("a" * 100), "data.json:1: not JSON: a comma or the end of the object is missing"),
    ],
)  # fmt: skip
def test_other_shapes_are_named(tmp_path, content, says):
    path = tmp_path / "data.json"
    path.write_text(content)
    one, two = chunked(64)
    with one, two:
        if not says:
            assert len(list(read(path))) == 2
            return
        with pytest.raises(DataError) as error:
            list(read(path))
    assert says in str(error.value)


@pytest.mark.parametrize(
    "content", ['["%s", "b"]', '{"text": "%s"}', '{"data": [{"a": 1}, {"text": "%s"}]}', '"%s"', "[%s]"]
)
def test_a_record_has_a_limit(tmp_path, monkeypatch, content):
    monkeypatch.setattr(document, "LARGEST", 5000)
    monkeypatch.setattr(text.Window.value, "__defaults__", (5000,))
    monkeypatch.setattr(text, "LARGEST", 5000)
    path = tmp_path / "data.json"
    one, two = chunked(64)
    with one, two:
        path.write_text(content % (" " * 20_000))
        with pytest.raises(DataError, match=r"data.json:1: (a record|an object|more white space)"):
            list(read(path))
