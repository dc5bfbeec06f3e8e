"""How long does it take to search an index of fingerprints, and how large is it?

Writes segments of made-up outputs (62 keys each, as an answer of 285 words leaves) into a temporary directory, then
searches them for the keys of made-up texts, of which one in a thousand is an excerpt of an output. Prints bytes per
output, time and megabytes per second on one core, and the memory that the postings took. With --of, time and size are
given for an index of that many outputs besides.

    python benchmarks/provenance_scan.py [--outputs 1000000] [--postings 16000000] [--of 10000000] [--repeat 3] [--twin]
"""

import argparse
import importlib
import random
import sys
import tempfile
import time
from array import array
from pathlib import Path

from guard.provenance import scan_twin
from guard.provenance.months import MonthKeys, segment_key_id
from guard.provenance.scan import pack
from guard.provenance.segment import ATTRIBUTABLE, FINGERPRINTED, Output, SegmentReader, SegmentWriter

KEYS = 62
EACH = 60
"""Keys of a text of the data set."""
NOW = 1_795_000_000.0
MASTER = bytes(range(32))


def keys_of(number):
    """Return the keys of output ``number``, the same every time, sorted as they are when they are read back."""
    octets = random.Random(number).randbytes(8 * KEYS)
    return array("Q", [key & (1 << 36) - 1 for key in array("Q", octets)]).tobytes()


def write(directory, key_id, outputs, per_segment=250_000):
    """Write segments with ``outputs`` outputs; return the bytes."""
    size = 0
    chance = random.Random(7)
    for first in range(0, outputs, per_segment):
        writer = SegmentWriter(directory, "bench", key_id, NOW + first / 1e6)
        label = writer.label("meta-llama/Llama-3.1-8B-Instruct", ("llama-3.1",), "shop")
        for number in range(first, min(first + per_segment, outputs)):
            writer.add(
                Output(
                    f"r-{number:020x}-0",
                    NOW + number % 3600,
                    label,
                    ATTRIBUTABLE | FINGERPRINTED,
                    285,
                    number & 0xFFFF,
                    chance.randbytes(16),
                    pack(keys_of(number)),
                )
            )
            if number % 64 == 63:
                writer.write()
        writer.end(NOW)
        size += writer.size
    return size


def resident():
    """Return the bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=int, default=1_000_000)
    parser.add_argument("--postings", type=int, default=16_000_000)
    parser.add_argument("--of", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--twin", action="store_true", help="measure the twin in Python")
    options = parser.parse_args()
    form = scan_twin if options.twin else importlib.import_module("guard.provenance._scan")
    with tempfile.TemporaryDirectory() as folder:
        keys = MonthKeys(Path(folder) / "keys")
        key_id = segment_key_id(MASTER, keys.of("2026-11", create=True))
        size = write(Path(folder) / "index", key_id, options.outputs)
        print(f"{size / options.outputs:.0f} bytes per output of {KEYS} keys")
        before = resident()
        postings = form.Postings()
        chance = random.Random(8)
        began = time.perf_counter()
        texts = options.postings // EACH
        for text in range(texts):
            if text % 1000:
                octets = chance.randbytes(8 * EACH)
                values = array("Q", [key & (1 << 36) - 1 for key in array("Q", octets)])
                postings.add(text, values.tobytes())
            else:
                postings.add(text, keys_of(text % options.outputs)[: 8 * EACH])
        added = time.perf_counter()
        postings.seal()
        sealed = time.perf_counter()
        held = resident() - before
        print(f"{len(postings)} postings: sealed in {sealed - added:.2f} s, {held / 1e6:.0f} MB of memory")
        segments = sorted(Path(folder).rglob("*.segment"))
        for _ in range(options.repeat):
            began, cpu = time.perf_counter(), time.process_time()
            found = sum(1 for path in segments for _ in SegmentReader(path, key_id).search(postings))
            cpu, took = time.process_time() - cpu, time.perf_counter() - began
            whole = options.of / options.outputs
            speed = f"{took:.2f} s ({cpu:.2f} s of CPU), {size / cpu / 1e6:.0f} MB/s, {found} found"
            print(
                f"{options.outputs} outputs: {speed}; of {options.of}: {cpu * whole:.1f} s, {size * whole / 1e9:.2f} GB"
            )
        print(f"{(resident() - before) / 1e6:.0f} MB of memory after the search")
        if found < min(texts // 1000, options.outputs):
            sys.exit("not every excerpt was found")


if __name__ == "__main__":
    main()
