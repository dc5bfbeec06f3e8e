"""How large is what Guard keeps of an answer, and what does the export check hold in memory?

Bytes per answer in the index of fingerprints and in the audit chain, for answers of 40, 300 and 1000 made-up words
with the usual facts; then the bytes of memory per fingerprint and per word of a data set that is checked.

    python benchmarks/provenance_size.py [--answers 200]
"""

import argparse
import random
import tempfile
import tracemalloc
from pathlib import Path

from guard.evidence.chain import Journal
from guard.provenance.dataset import DataSet
from guard.provenance.fingerprint import Fingerprinter
from guard.provenance.receipt import Receipts
from guard.provenance.record import record_of
from guard.provenance.recorder import Recorder

KEY = bytes(range(32))
NOW = 1_795_000_000.0
LENGTHS = (40, 300, 1000)


def prose(chance, length):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(length))


def kept(texts):
    """Return the bytes in the index and in the audit chain after ``texts`` were answered."""
    with tempfile.TemporaryDirectory() as folder:
        audit, index = Path(folder) / "audit", Path(folder) / "provenance"
        journal = Journal(audit, instance="bench", clock=lambda: NOW)
        recorder = Recorder(index, KEY, "bench", journal, clock=lambda: NOW)
        journal.start()
        recorder.start()
        for number, text in enumerate(texts):
            recorder.finished(
                reference=f"{number:020x}",
                choice=0,
                time=NOW,
                model="meta-llama/Llama-3.1-8B-Instruct",
                licenses=["llama-3.1"],
                policy="0" * 64,
                surface="chat",
                prompt="A question.",
                output=text,
                tenant="a-tenant",
                user=number,
                purpose="serve",
                prompt_tokens=20,
                completion_tokens=400,
                finish_reason="stop",
            )
        recorder.close()
        journal.close()
        assert recorder.writer.written == recorder.journaled == len(texts), "nothing was left out"
        return [sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) for place in (index, audit)]


def held(texts):
    """Return the most bytes of memory a data set of ``texts`` took, its fingerprints and its words."""
    records = [record_of({"text": text}, number, number + 1) for number, text in enumerate(texts)]
    fingerprinter = Fingerprinter(KEY)
    data = DataSet(Receipts(KEY), fingerprinter)
    words = DataSet(Receipts(KEY), fingerprinter)
    for record in records:
        words.add(record)  # the fingerprinter remembers words; that memory is bounded and not the data set's
    tracemalloc.start()
    for record in records:
        data.add(record)
    data.seal()
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size, sum(text.fingerprints for text in data.texts), sum(text.words for text in data.texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=200)
    count = parser.parse_args().answers
    chance = random.Random(1)
    for length in LENGTHS:
        index, audit = kept([prose(chance, length) for _ in range(count)])
        print(f"{length:5} words: {index / count:6.0f} bytes in the index, {audit / count:6.0f} in the audit chain")
    size, fingerprints, words = held([prose(chance, LENGTHS[1]) for _ in range(10 * count)])
    print(f"data set: {size / fingerprints:6.0f} bytes of memory per fingerprint, {size / words:.0f} per word")


if __name__ == "__main__":
    main()
