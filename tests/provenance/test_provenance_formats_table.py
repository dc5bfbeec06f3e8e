"""Rows of CSV and TSV are records by the names of the header, and are copied byte for byte."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.formats import DataError, copy_without, read, table

FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=6),
    st.sampled_from([("csv", ","), ("tsv", "\t")]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sets(st.integers(0, 6)),
    st.booleans(),
)
def test_every_kept_row_is_copied_as_it_was(tmp_path_factory, rows, kind, end, quoting, dropped, marked):
    path = tmp_path_factory.mktemp("data") / f"data.{kind[0]}"

    if quoting == csv.QUOTE_MINIMAL and end == "\n":  # then Python 3.11 leaves \r without quotes
        rows = [(one.replace("\r", "\n"), two.replace("\r", "\n")) for one, two in rows]

    def written(row):
        out = io.StringIO()
        csv.writer(out, delimiter=kind[1], lineterminator=end, quoting=quoting).writerow(row)
        return out.getvalue().encode()

    mark = b"\xef\xbb\xbf" * marked
    head, raw = mark + written(["prompt", "completion"]), [written(row) for row in rows]
    path.write_bytes(head + b"".join(raw))
    found = list(read(path))
    assert [[span.text for span in record.spans] for record in found] == [list(row) for row in rows]
    line = 2
    for record, bytes_ in zip(found, raw, strict=True):
        assert record.line == line
        line += bytes_.count(b"\n")
    clean = path.with_name(f"clean.{kind[0]}")
    kept = [row for number, row in enumerate(raw) if number not in dropped]
    assert copy_without(path, clean, dropped) == len(kept)
    assert clean.read_bytes() == head + b"".join(kept)


def test_rows_are_records(tmp_path):
    path = tmp_path / "data.csv"
    rows = [["prompt", "completion"], ["P\n1", 'say "hi", twice'], ["P2", "x" * 200_000], ["", "C"]]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(rows)
    found = list(read(path))
    assert [[span.text for span in record.spans] for record in found] == rows[1:]
    assert [span.answers for span in found[0].spans] == [False, True]
    assert [record.line for record in found] == [2, 4, 5]


def test_a_quote_without_an_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "LARGEST", 1000)
    path = tmp_path / "data.csv"
    path.write_text('text\nx\n"y\n' + "z\n" * 1000)
    with pytest.raises(DataError, match=r"data.csv:3: a row of more than .* \(a quote is missing\?\)"):
        list(read(path))
    path.write_text("text\nx\n" + "z" * 2000)
    with pytest.raises(DataError, match=r"data.csv:3: a row of more than"):
        list(read(path))
