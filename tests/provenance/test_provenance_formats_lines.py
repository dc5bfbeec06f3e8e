"""JSON lines are read one by one and copied byte for byte."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.formats import DataError, copy_without, lines, read

VALUES = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(st.characters(codec="utf-8")), st.lists(st.text("ab"), max_size=2)
)
RECORDS = st.lists(
    st.one_of(st.dictionaries(st.sampled_from(["text", "output", "é"]), VALUES, max_size=3), st.text(max_size=9)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=50, deadline=None)
@given(RECORDS, st.booleans(), st.sampled_from(["\n", "\r\n", "\n \n"]), st.sets(st.integers(0, 6)), st.booleans())
def test_every_kept_line_is_copied_as_it_was(tmp_path_factory, records, ascii_, end, dropped, last):
    path = tmp_path_factory.mktemp("data") / "data.jsonl"
    raw = [json.dumps(record, ensure_ascii=ascii_).encode("utf-8", "replace") + end.encode() for record in records]
    if not last:
        raw[-1] = raw[-1].rstrip()
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(raw))
    found = list(read(path))
    assert [record.number for record in found] == list(range(len(records)))
    assert [record.line for record in found] == [1 + number * end.count("\n") for number in range(len(records))]
    clean = path.with_name("clean.ndjson")
    kept = [line.removesuffix(b" \n") for number, line in enumerate(raw) if number not in dropped]
    assert copy_without(path, clean, dropped) == len(kept)
    assert clean.read_bytes() == b"\xef\xbb\xbf" + b"".join(kept)


def test_lines_are_counted_as_they_stand_in_the_file(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "one" }\r\n\n  {"text":"\xc3\xa9"}\n"three"')
    assert [(record.line, record.spans[0].text) for record in read(path)] == [(1, "one"), (3, "é"), (4, "three")]


def test_what_python_writes_and_json_lacks_is_read(tmp_path):
    path = tmp_path / "data.jsonl"
    line = '{"score": NaN, "most": -Infinity, "id": 123456789012345678901234567890, "a\\ud800": ["\\ud83d", "\\ud83d\\ude00"]}'
    path.write_text(line)
    (record,) = read(path)
    assert [(span.path, span.text) for span in record.spans] == [("a\ufffd[0]", "\ufffd"), ("a\ufffd[1]", "😀")]


def test_a_line_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LARGEST", 40)
    path = tmp_path / "data.jsonl"
    path.write_text('{"text":"x"}\n' + json.dumps("y" * 37) + "\n")
    assert len(list(read(path))) == 2
    path.write_text('{"text":"x"}\n' + json.dumps("y" * 38) + "\n")
    with pytest.raises(DataError, match=r"data.jsonl:2: a line of more than"):
        list(read(path))
