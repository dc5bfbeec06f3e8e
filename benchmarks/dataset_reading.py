"""How fast are data sets read, and how much memory does it take?

    python benchmarks/dataset_reading.py [--megabytes 200]

Writes the same chat records in every format, reads each in a process of its own, on one core, up to the record with
all its texts, SHA-256 included, and prints megabytes per second of CPU (of the JSON lines, whatever the format takes on
disk) and by how much the resident memory of the process grew at most. The best of three runs.
"""

import argparse
import csv
import gzip
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from guard.provenance.formats import Source, read

SUFFIXES = ("jsonl", "jsonl.gz", "json", "csv", "tsv.gz", "parquet")


def conversations(megabytes, seed=1):
    """Chat records of two questions and two answers, 2.2 KB each, until they have that many megabytes as JSON lines."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(5000)]

    def text(length):
        return " ".join(rng.choices(words, k=length)).replace(" ", ".\n", 1)

    left = megabytes * 1_000_000
    number = 0
    while left > 0:
        turns = [("system", 4), ("user", 30), ("assistant", 150), ("user", 20), ("assistant", 100)]
        record = {"id": number, "messages": [{"role": role, "content": text(length)} for role, length in turns]}
        left -= len(json.dumps(record)) + 1
        number += 1
        yield record


def write(folder, megabytes):
    """The records in every format; returns the bytes that they are as JSON lines."""
    files = {suffix: folder / f"data.{suffix}" for suffix in SUFFIXES}
    with (
        files["jsonl"].open("w") as jsonl,
        gzip.open(files["jsonl.gz"], "wt", 6) as packed,
        files["json"].open("w") as array,
        files["csv"].open("w", newline="") as table,
        gzip.open(files["tsv.gz"], "wt", 6, newline="") as packed_table,
    ):
        rows, tabs = csv.writer(table), csv.writer(packed_table, delimiter="\t")
        rows.writerow(["id", "messages"])
        tabs.writerow(["id", "messages"])
        writer = None
        batch = []
        for number, record in enumerate(conversations(megabytes)):
            line = json.dumps(record)
            jsonl.write(line + "\n")
            packed.write(line + "\n")
            array.write(("[\n" if number == 0 else ",\n") + line)
            for out in (rows, tabs):
                out.writerow([record["id"], json.dumps(record["messages"])])
            batch.append(record)
            if len(batch) == 10_000:
                part = pa.Table.from_pylist(batch)
                writer = writer or pq.ParquetWriter(files["parquet"], part.schema)
                writer.write_table(part)
                batch.clear()
        array.write("\n]\n")
        part = pa.Table.from_pylist(batch)
        writer = writer or pq.ParquetWriter(files["parquet"], part.schema)
        writer.write_table(part)
        writer.close()
    return files["jsonl"].stat().st_size


def peak():
    """KiB this process had in memory at most; getrusage counts the process it was started by as well."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1])


def measure(path):
    """Seconds of CPU, records, and KiB by which the process grew."""
    source = Source(path, digest=True)
    before = peak()
    begun = time.process_time()
    records = sum(1 for _ in read(source))
    return time.process_time() - begun, records, peak() - before


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder), options.megabytes)
        print(f"{'format':<10}{'MB on disk':>12}{'records':>10}{'MB/s':>8}{'memory, MB':>12}")
        for suffix in SUFFIXES:
            path = Path(folder) / f"data.{suffix}"
            command = [sys.executable, __file__, "--measure", str(path)]
            runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(3)]
            seconds, records, grown = min(runs)
            print(
                f"{suffix:<10}{path.stat().st_size / 1e6:>12.1f}{records:>10}{size / 1e6 / seconds:>8.0f}"
                f"{grown * 1024 / 1e6:>12.1f}"
            )


if __name__ == "__main__":
    main()
