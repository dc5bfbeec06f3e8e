"""How fast is `guard export check`, and how much memory does it take, whatever the size of data set and index?

Writes an index of made-up outputs (62 keys each, as an answer of 285 words leaves) and a made-up chat data set in JSON
lines, of which one answer in a hundred is an output word for word and one in a hundred has 10 % of its words replaced;
then runs the command once, in a process of its own, and prints megabytes of data set per second, by the clock and by
CPU time, and the most memory that process ever held. Checks that every planted record was found and no other.

    python benchmarks/export_speed.py [--megabytes 300] [--outputs 1000000] [--folder DIR]

With --folder what was written stays there, and is used again if it is of the same size.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from guard.provenance.fingerprint import Fingerprinter, seal
from guard.provenance.layout import Layout
from guard.provenance.months import MonthKeys, segment_key_id
from guard.provenance.receipt import Receipts
from guard.provenance.scan import pack
from guard.provenance.segment import ATTRIBUTABLE, FINGERPRINTED, Output, SegmentWriter
from guard.provenance.words import read

KEY = bytes(range(32))
MONTH, NOW = "2026-11", 1_795_000_000.0
LENGTH, PROMPT, KEYS = 285, 25, 62
PER_SEGMENT = 250_000
PLANTED = 100
LOW = int.from_bytes((b"\xff\xff\xff\xff\x0f\0\0\0") * KEYS, "little")


def vocabulary(chance):
    """Return 30,000 made-up words and their cumulative weights, the n-th word being 1 / n as frequent as the first."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(chance.choices(letters, k=min(12, 2 + int(chance.expovariate(0.3))))) for _ in range(30_000)]
    total, weights = 0.0, []
    for rank in range(1, len(words) + 1):
        total += 1 / rank
        weights.append(total)
    return words, weights


def write_data(path, megabytes):
    """Write the data set; return the answers that are outputs, and how many records there are."""
    chance = random.Random(1)
    words, weights = vocabulary(chance)
    planted, number, size = [], 0, 0
    with path.open("w", encoding="utf-8") as file:
        while size < megabytes * 1_000_000:
            asked = " ".join(chance.choices(words, cum_weights=weights, k=PROMPT))
            said = chance.choices(words, cum_weights=weights, k=chance.randint(LENGTH // 2, LENGTH * 3 // 2))
            if number % PLANTED < 2:
                planted.append(" ".join(said))
            if number % PLANTED == 1:
                said = [word if chance.random() > 0.1 else chance.choice(words) for word in said]
            turns = [{"role": "user", "content": asked + "?"}, {"role": "assistant", "content": " ".join(said) + "."}]
            size += file.write(json.dumps({"messages": turns}) + "\n")
            number += 1
    return planted, number


def write_index(layout, planted, outputs):
    """Write an index with ``planted`` among ``outputs``; return its bytes."""
    keys = MonthKeys(layout.keys)
    month_key = keys.of(MONTH, create=True)
    layout.key.write_bytes(KEY)
    receipts, fingerprinter = Receipts(KEY), Fingerprinter(KEY)
    chance = random.Random(2)
    size = 0
    for first in range(0, outputs, PER_SEGMENT):
        # A time of its own for each: segments that begin alike are copies of one another, and searched once.
        writer = SegmentWriter(layout.provenance, "bench", segment_key_id(KEY, month_key), NOW + first / 1e6)
        label = writer.label("meta-llama/Llama-2-7b-chat-hf", ("llama-2",), "shop")
        for number in range(first, min(first + PER_SEGMENT, outputs)):
            at, rest = divmod(number, max(1, outputs // len(planted)))
            if not rest and at < len(planted):
                text = read(planted[at])
                digest = receipts.digest(text.words)
                made = seal(month_key, fingerprinter.fingerprint(text).grams)
            else:
                digest = chance.randbytes(16)
                made = (int.from_bytes(chance.randbytes(8 * KEYS), "little") & LOW).to_bytes(8 * KEYS, "little")
            flags = ATTRIBUTABLE | FINGERPRINTED
            tag = 1 + number % 0xFFFF
            writer.add(Output(f"r-{number:020x}-0", NOW, label, flags, LENGTH, tag, digest, pack(made)))
            if number % 64 == 63:
                writer.write()
        writer.end(NOW)
        size += writer.size
    return size


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=300, help="of data set")
    parser.add_argument("--outputs", type=int, default=1_000_000, help="in the index")
    parser.add_argument("--folder", type=Path, help="where to write, and to leave what was written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{options.megabytes}-{options.outputs}"
        data, state, facts = folder / f"{name}.jsonl", folder / f"{name}.state", folder / f"{name}.json"
        if not facts.exists():
            state.mkdir()
            planted, records = write_data(data, options.megabytes)
            size = write_index(Layout(state), planted, options.outputs)
            facts.write_text(json.dumps({"records": records, "planted": len(planted), "index": size}))
        known = json.loads(facts.read_text())
        command = [sys.executable, "-m", "guard", "export", "check", str(data), "--state", str(state)]
        began = time.perf_counter()
        done = subprocess.run([*command, "--target", "mistral-7b", "--json"], capture_output=True, check=False)
        took = time.perf_counter() - began
    if done.returncode != 2:
        sys.exit(f"exit {done.returncode}: {done.stderr.decode()}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, size = used.ru_utime + used.ru_stime, options.megabytes
    found = json.loads(done.stdout)["found"]
    print(
        f"{size} MB, {known['records']} records, {options.outputs} outputs in {known['index'] / 1e9:.2f} GB of index: "
        f"{took:.1f} s, {size / took:.1f} MB/s; {cpu:.1f} s of CPU, {size / cpu:.1f} MB/s per core; "
        f"{used.ru_maxrss / 1024:.0f} MB of memory at most"
    )
    print(
        f"{known['planted']} records planted, half of them with 10 % of their words replaced; found: {found['tiers']}"
    )
    if found["records"] > known["planted"] or found["tiers"]["A"] != (known["planted"] + 1) // 2:
        sys.exit("not what was planted")


if __name__ == "__main__":
    main()
