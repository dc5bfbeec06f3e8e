"""A data set is a file, a folder, several of them, or standard input; what is no data is named, never passed over."""

import gzip
import hashlib
import io
import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guard.provenance.formats import DataError, Source, copy_without, read


def made(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def texts(source):
    return [record.spans[0].text for record in read(source)]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    made(
        tmp_path / "set", b_dot_jsonl='"3"\n"4"', a__z_dot_csv="text\n1\n", a__b__y_dot_json='["0"]', B_dot_ndjson='"2"'
    )
    with gzip.open(tmp_path / "set" / "c.jsonl.gz", "wt") as file:
        file.write('"5"')
    (tmp_path / "set" / "README.md").write_text("# Data")
    (tmp_path / "set" / "x.lock").touch()
    made(tmp_path / "set" / ".git", config="x")
    source = Source(tmp_path / "set", digest=True)
    records = list(read(source))
    names = ["B.ndjson", "a/b/y.json", "a/z.csv", "b.jsonl", "b.jsonl", "c.jsonl.gz"]
    assert [(record.number, record.file) for record in records] == list(
        enumerate(f"{tmp_path}/set/{name}" for name in names)
    )
    assert [record.spans[0].text for record in records] == ["2", "0", "1", "3", "4", "5"]
    assert [read_.records for read_ in source.reads] == [1, 1, 1, 2, 1]
    for read_ in source.reads:
        content = Path(read_.name).read_bytes()
        assert (read_.sha256, read_.bytes) == (hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize(
    "name", ["data.txt", ".hidden", "a/b/weights.safetensors", "README.mdx", "x.parquet.gz", "no_suffix", ".gz"]
)
def test_what_is_not_known_to_be_data_is_named(tmp_path, name):
    made(tmp_path, a_dot_jsonl='"1"')
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('"2"')
    with pytest.raises(
        DataError, match=f"holds what is not known to be data: {name}; allowed: .jsonl, .ndjson, .*README.md"
    ):
        Source(tmp_path)


def test_many_strange_files_are_counted(tmp_path):
    made(tmp_path, **{f"f{number}": "" for number in range(7)})
    with pytest.raises(DataError, match="data: f0, f1, f2, f3, f4 and 2 more; allowed"):
        Source(tmp_path)


def test_a_hidden_file_of_data_is_data(tmp_path):
    assert texts(made(tmp_path, _dot_a_dot_jsonl='"1"', b_dot_jsonl='"2"')) == ["1", "2"]


def test_links_are_followed_once(tmp_path):
    made(tmp_path / "set", a_dot_jsonl='"1"')
    made(tmp_path / "blobs", blob='"2"')
    (tmp_path / "set" / "b.jsonl").symlink_to(tmp_path / "blobs" / "blob")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    assert texts(tmp_path / "set") == ["1", "2"]
    (tmp_path / "set" / "dead.jsonl").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"dead.jsonl"):
        Source(tmp_path / "set")


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"holds no file of data; allowed: .jsonl"):
        Source(made(tmp_path, LICENSE="x"))


def test_files_without_records_are_read_where_others_have_some(tmp_path):
    made(tmp_path, a_dot_json="[]", b_dot_csv="text\n", c_dot_jsonl='\n"1"\n')
    assert texts(tmp_path) == ["1"]
    with pytest.raises(DataError, match="holds no record; allowed: one record or more"):
        texts([tmp_path / "a.json", tmp_path / "b.csv"])


def test_several_paths_are_one_data_set(tmp_path):
    made(tmp_path, a_dot_jsonl='"1"', d__b_dot_jsonl='"2"', c_dot_jsonl='"3"')
    assert texts([tmp_path / "c.jsonl", tmp_path / "d", tmp_path / "a.jsonl"]) == ["3", "2", "1"]
    with pytest.raises(ValueError, match="a path is named twice"):
        Source([tmp_path / "d", tmp_path / "d"])
    with pytest.raises(ValueError, match="no data set is named"):
        Source([])


@pytest.mark.parametrize(
    ("name", "says"),
    [("no.jsonl", "no.jsonl: No such file"), ("a.xlsx", "a.xlsx: the format '.xlsx'; allowed: .jsonl, .ndjson, .json, .csv, .tsv, .parquet"),
     ("a", "a: the format 'without suffix'")],
)  # fmt: skip
def test_a_path_that_is_no_data_set_is_named(tmp_path, name, says):
    if not name.startswith("no"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError) as error:
        Source(tmp_path / name)
    assert says in str(error.value)


def test_a_format_can_be_stated(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("text\nx\n")
    assert texts(Source(path, format=".CSV")) == ["x"]
    with pytest.raises(
        ValueError, match="the format 'arrow'; allowed: jsonl, ndjson, json, csv, tsv, parquet; each but"
    ):
        Source(path, format="arrow")
    with pytest.raises(ValueError, match=r"the format 'parquet.gz'"):
        Source(path, format="parquet.gz")


@pytest.mark.parametrize("compressed", [False, True])
def test_standard_input_is_read(compressed):
    data = b'{"text": "1"}\n{"text": "2"}\n'
    stdin = io.BytesIO(gzip.compress(data) if compressed else data)
    source = Source("-", format="jsonl" + ".gz" * compressed, stdin=stdin)
    assert [(record.file, record.spans[0].text) for record in read(source)] == [("stdin", "1"), ("stdin", "2")]
    assert (source.total, source.name) == (0, "stdin")
    with pytest.raises(DataError, match="stdin: can be read only once"):
        list(read(source))
    assert not stdin.closed
    with pytest.raises(ValueError, match="standard input has no name to tell its format by"):
        Source("-")


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_standard_input_is_kept_for_a_second_pass(tmp_path, format_):
    table = io.BytesIO()
    pq.write_table(pa.table({"text": ["1", "2"]}), table)
    data = table.getvalue() if format_ == "parquet" else b'{"text": "1"}\n{"text": "2"}\n'
    with Source("-", format=format_, again=True, digest=True, stdin=io.BytesIO(data)) as source:
        assert texts(source) == ["1", "2"]
        assert source.reads[0].sha256 == hashlib.sha256(data).hexdigest()
        assert copy_without(source, tmp_path / f"clean.{format_}", {0}) == 1
        assert texts(source) == ["1", "2"]
    assert texts(tmp_path / f"clean.{format_}") == ["2"]


def test_parquet_on_standard_input_needs_no_second_pass():
    table = io.BytesIO()
    pq.write_table(pa.table({"text": ["1", "2"]}), table)
    with Source("-", format="parquet", stdin=io.BytesIO(table.getvalue())) as source:
        assert texts(source) == ["1", "2"]


def test_a_pipe_with_a_path_is_a_stream(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=pipe.write_text, args=('"1"\n"2"\n',))
    thread.start()
    with Source(pipe, format="jsonl", again=True) as source:
        assert texts(source) == ["1", "2"]
        assert copy_without(source, tmp_path / "clean.jsonl", {1}) == 1
    thread.join(10)
    assert (tmp_path / "clean.jsonl").read_text() == '"1"\n'


def test_a_file_that_changes_between_two_passes_is_refused(tmp_path):
    path = made(tmp_path, a_dot_jsonl='"1"\n"2"\n') / "a.jsonl"
    source = Source(path)
    assert texts(source) == ["1", "2"]
    path.write_text('"1"\n"3"\n"2"\n')
    with pytest.raises(DataError, match="changed while it was being checked"):
        copy_without(source, tmp_path / "clean.jsonl", {1})
    assert not (tmp_path / "clean.jsonl").exists()


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet", "jsonl.gz"])
def test_progress_counts_the_bytes_of_all_files(tmp_path, suffix):
    for name in "ab":
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "parquet":
            pq.write_table(pa.table({"text": ["x" * 100] * 5000}), path, row_group_size=1000)
        elif suffix == "jsonl.gz":
            path.write_bytes(gzip.compress(b'"x"\n' * 5000))
        else:
            path.write_text(
                {"jsonl": '"x"\n' * 5000, "json": '["x"' + ',"x"' * 4999 + "]", "csv": "text\n" + "x\n" * 5000}[suffix]
            )
    source, seen = Source(tmp_path), []
    assert len(list(read(source, seen.append))) == 10_000
    assert seen == sorted(seen)
    assert seen[-1] == source.total == sum(path.stat().st_size for path in tmp_path.iterdir())
