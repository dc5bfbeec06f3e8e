"""Memory does not grow with a data set."""

import gzip
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guard.provenance.formats import opened, read, text

TEXT = "word " * 60


def write(path, count):
    """``count`` records of 300 characters in the format of ``path``."""
    row = json.dumps({"text": TEXT})
    if path.suffix == ".parquet":
        pq.write_table(
            pa.table({"text": [f"{number} {TEXT}" for number in range(count)]}), path, row_group_size=1 << 20
        )
        return
    begin, each, end = {
        ".jsonl": ("", row + "\n", ""),
        ".json": ("[", row + ",\n", '""]'),
        ".csv": ("text\n", TEXT + "\n", ""),
    }[Path(path.stem).suffix if path.suffix == ".gz" else path.suffix]
    with gzip.open(path, "wt", 1) if path.suffix == ".gz" else path.open("w") as file:
        file.write(begin)
        for _ in range(count):
            file.write(each)
        file.write(end)


def peak(path):
    tracemalloc.start()
    count = sum(bool(record.spans) for record in read(path))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return count, most


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "jsonl.gz"])
def test_memory_does_not_grow_with_the_file(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(text, "CHUNK", 1 << 14)
    monkeypatch.setattr(opened, "BUFFER", 1 << 14)
    few, many = tmp_path / f"few.{suffix}", tmp_path / f"many.{suffix}"
    write(few, 500)
    write(many, 3000)
    _, least = peak(few)
    count, most = peak(many)
    assert count >= 3000
    assert most < least + 100_000  # the file grew by 750,000 bytes


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet", "jsonl.gz"])
def test_a_large_file_takes_little_memory(tmp_path, suffix):
    path = tmp_path / f"data.{suffix}"
    write(path, 170_000)  # 50 MB of text
    count, most = peak(path)
    assert count >= 170_000
    assert most < 12_000_000


@pytest.mark.slow
def test_a_large_row_group_takes_little_memory_of_the_process(tmp_path):
    path = tmp_path / "data.parquet"
    write(path, 1_000_000)
    assert pq.ParquetFile(path).metadata.num_row_groups == 1
    # Not getrusage: it counts the process that this one is started by as well.
    grown = (
        "import pathlib, re, sys, pyarrow.parquet\n"
        "from guard.provenance.formats import read\n"
        "peak = lambda: int(re.search('VmHWM:[^0-9]+([0-9]+)', pathlib.Path('/proc/self/status').read_text())[1])\n"
        "before = peak()\n"
        "assert sum(1 for _ in read(sys.argv[1])) == 1_000_000\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", grown, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < 100_000  # KiB; the texts are 300 MB
