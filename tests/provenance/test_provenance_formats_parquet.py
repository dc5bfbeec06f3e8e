"""Rows of Parquet are records, however they are nested and stored, and a copy has the same schema."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.formats import DataError, copy_without, parquet, read
from guard.provenance.record import record_of

CHAT = pa.schema(
    [
        ("id", pa.int64()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("embedding", pa.list_(pa.float32(), 2)),
        ("tags", pa.large_list(pa.large_string())),
    ],
    metadata={"huggingface": '{"info": 1}'},
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.none()
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 99),
            "messages": st.none()
            | st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": TEXTS}), max_size=3),
            "embedding": st.none() | st.just([0.5, 1.5]),
            "tags": st.none() | st.lists(TEXTS, max_size=2),
        }
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


def spans(record):
    return sorted((span.path, span.text, span.answers) for span in record.spans)


@settings(max_examples=50, deadline=None)
@given(ROWS, st.integers(1, 8), st.sets(st.integers(0, 7)), st.sampled_from(["none", "snappy", "zstd"]))
def test_rows_are_read_and_copied_with_their_schema(tmp_path_factory, rows, group, dropped, compression):
    path = tmp_path_factory.mktemp("data") / "data.parquet"
    pq.write_table(pa.Table.from_pylist(rows, CHAT), path, row_group_size=group, compression=compression)
    found = list(read(path))
    assert [spans(record) for record in found] == [spans(record_of(row, 0, 1)) for row in rows]
    assert [record.line for record in found] == list(range(1, len(rows) + 1))
    clean = path.with_name("clean.parquet")
    kept = [row for number, row in enumerate(rows) if number not in dropped]
    assert copy_without(path, clean, dropped) == len(kept)
    table = pq.read_table(clean)
    assert table.to_pylist() == kept
    assert table.schema.equals(pq.read_schema(path), check_metadata=True)
    codec = pq.ParquetFile(clean).metadata.row_group(0).column(0).compression if kept else compression
    assert codec.lower().replace("uncompressed", "none") == compression


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array(["a", None, "c"], pa.string_view()), ["a", "c"]),
        (pa.array([b"text", b"\xff\xd8", None]), ["text"]),
        (pa.array([b"abc", b"\xff\xff\xff", None], pa.binary(3)), ["abc"]),
        (pa.array([["a", "b"], None, ["c", "d"]], pa.list_(pa.string(), 2)), ["a", "b", "c", "d"]),
        (pa.array([[("k", "a")], None, [("k", "b"), ("l", "c")]], pa.map_(pa.string(), pa.string())), ["a", "b", "c"]),
        (pa.array([[(1, ["a"])], [], [(2, ["b"])]], pa.map_(pa.int32(), pa.list_(pa.string()))), ["a", "b"]),
        (pa.array([{"when": 10**18, "who": "a"}, None, {"when": 1, "who": "b"}],
                  pa.struct([("when", pa.timestamp("ns")), ("who", pa.string())])), ["a", "b"]),
        (pa.array([[[{"x": "a"}], []], [], [[{"x": "b"}]]]), ["a", "b"]),
        (pa.array([1, 2, 3]), []),
        (pa.array([None, None, None]), []),
    ],
)  # fmt: skip
def test_texts_of_every_type_are_looked_at(tmp_path, column, texts):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"c.d": column, "n": [1, 2, 3]}), path)
    records = list(read(path))
    assert len(records) == 3
    assert [span.text for record in records for span in record.spans] == texts
    assert copy_without(path, tmp_path / "clean.parquet", {1}) == 2
    whole, clean = pq.read_table(path), pq.read_table(tmp_path / "clean.parquet")
    assert clean.equals(pa.concat_tables([whole.slice(0, 1), whole.slice(2)]))


def test_large_rows_are_held_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1000)
    monkeypatch.setattr(parquet, "GROUP_BYTES", 3000)
    path = tmp_path / "data.parquet"
    rows = [f"{number} " * 400 for number in range(20)]
    pq.write_table(pa.table({"text": rows}), path, use_dictionary=False, compression="none")
    assert [record.spans[0].text for record in read(path)] == rows
    assert copy_without(path, tmp_path / "clean.parquet", {3}) == 19
    assert pq.ParquetFile(tmp_path / "clean.parquet").metadata.num_row_groups > 3


def test_text_that_is_not_utf8_is_named_by_its_row(tmp_path):
    offsets = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    broken = pa.StringArray.from_buffers(3, offsets, pa.py_buffer(b"a\xffc"))
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"text": broken}), path)
    with pytest.raises(DataError, match=r"data.parquet:2: column text: not UTF-8 text; allowed: UTF-8"):
        list(read(path))


def test_a_file_cut_anywhere_is_an_error_or_nothing_less(tmp_path):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"text": ["some text " * 20, "b"] * 50}), path, row_group_size=10)
    whole = path.read_bytes()
    for end in range(1, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(
            DataError, match=r"data.parquet: not Parquet that can be read: .*; allowed: a whole Parquet file"
        ):
            list(read(path))


def test_damaged_pages_never_pass_as_something_else_than_data(tmp_path):
    path = tmp_path / "data.parquet"
    pq.write_table(
        pa.table({"text": ["some text " * 20, "b"] * 50}), path, compression="zstd", write_page_checksum=True
    )
    whole = path.read_bytes()
    errors = 0
    for at in range(4, len(whole) - 8, 31):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            list(read(path))
        except DataError:
            errors += 1
    assert errors > 5


def test_a_column_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), path)
    with pytest.raises(DataError, match="the schema names a column twice"):
        list(read(path))


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"data.parquet: Parquet needs guard\[parquet\]"):
        list(read(path))
