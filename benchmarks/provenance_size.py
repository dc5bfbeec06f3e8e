"""How large is what Guard keeps of an answer?

Bytes per answer in the index and in the audit chain, seals included, for answers of 40, 285 and 1000 made-up words with
the usual facts; made-up words do not repeat themselves, so real answers take less. 285 words are 62 fingerprints.

    python benchmarks/provenance_size.py [--answers 2000]
"""

import argparse
import random
import tempfile
from pathlib import Path

from guard.evidence.chain import Journal
from guard.evidence.signing import Signer
from guard.provenance.layout import Layout
from guard.provenance.months import MonthKeys
from guard.provenance.recorder import Recorder

KEY = bytes(range(32))
NOW = 1_795_000_000.0
LENGTHS = (40, 285, 1000)


def prose(chance, length):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(length))


def kept(texts):
    """Return the bytes in the index and in the audit chain after ``texts`` were answered."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        signer = Signer(layout.signing)
        journal = Journal(layout.audit, instance="guard-0", clock=lambda: NOW, signer=signer)
        keys = MonthKeys(layout.keys)
        recorder = Recorder(layout.provenance, KEY, keys, "guard-0", journal, clock=lambda: NOW)
        journal.start()
        recorder.start()
        for number, text in enumerate(texts):
            recorder.begun()
            recorder.finished(
                reference=f"{number:020x}",
                choice=0,
                time=NOW + number,
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
            recorder.ended()
        recorder.close(600.0)
        journal.close()
        tally = recorder.writer.tally
        assert tally.written == recorder.journaled == len(texts), "nothing was left out"
        places = layout.provenance, layout.audit
        return [sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) for place in places]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=2000)
    count = parser.parse_args().answers
    chance = random.Random(1)
    for length in LENGTHS:
        index, audit = kept([prose(chance, length) for _ in range(count)])
        print(f"{length:5} words: {index / count:6.1f} bytes in the index, {audit / count:6.1f} in the audit chain")


if __name__ == "__main__":
    main()
