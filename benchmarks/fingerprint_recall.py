"""How much change does a copy of an answer survive before `guard export check` misses it?

Made-up texts of 285 words, every one indexed as an answer and then looked for, changed, in a data set of its copies:
the share that is found with tier B or better, and with tier C or better. A line for texts that were never served
comes first, and has to read 0.00. Texts, changes and key are fixed; the figures are the same on every machine.

    python benchmarks/fingerprint_recall.py [--texts 400]
"""

import argparse
import random
import tempfile
from pathlib import Path

from guard.licensing.verdict import OutputVerdict, Verdict
from guard.provenance.gate import Tier, check
from guard.provenance.index import FingerprintWriter
from guard.provenance.receipt import Finished
from guard.provenance.record import record_of

KEY = bytes(range(32))
NOW = 1_795_000_000.0
WORDS, SENTENCE = 285, 15
BARRED = OutputVerdict(Verdict.DENY, "llama-2", "1.b.v", (), "no other model")


def vocabulary(chance, size=20_000):
    """Return ``size`` different made-up words."""
    made = {"".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(2 * size)}
    return sorted(made)[:size]


def prose(chance, words, length=WORDS):
    """Return ``length`` words, the frequent ones far more often than the rare, as in any language (Zipf)."""
    picked = [words[int(len(words) ** chance.random()) - 1] for _ in range(length)]
    return [picked[at : at + SENTENCE] for at in range(0, length, SENTENCE)]


def flat(sentences):
    return [word for sentence in sentences for word in sentence]


def reformatted(_chance, _words, text):
    return ["##", *(f"**{word.upper()}**,\n" for word in flat(text))]


def shuffled(chance, _words, text):
    return flat(chance.sample(text, len(text)))


def halved(chance, _words, text):
    kept = sorted(chance.sample(range(len(text)), len(text) // 2))
    return flat(text[number] for number in kept)


def excerpt(chance, _words, text):
    every = flat(text)
    length = int(0.3 * len(every))
    start = chance.randrange(len(every) - length)
    return every[start : start + length]


def embedded(chance, words, text):
    around = flat(prose(chance, words, 4 * WORDS))
    return around[: 2 * WORDS] + flat(text) + around[2 * WORDS :]


def replaced(share):
    def change(chance, words, text):
        return [chance.choice(words) if chance.random() < share else word for word in flat(text)]

    return change


def foreign(chance, words, _text):
    return flat(prose(chance, words))


CHANGES = {
    "never served": foreign,
    "reformatted": reformatted,
    "sentences shuffled": shuffled,
    "half of the sentences dropped": halved,
    "an excerpt of 30 %": excerpt,
    "within other text four times as long": embedded,
    **{f"{share} % of words replaced": replaced(share / 100) for share in (5, 10, 20, 30)},
}


def index(directory, texts):
    """Index every text as an answer, as a gateway would."""
    writer = FingerprintWriter(directory, "bench", KEY, clock=lambda: NOW, linger=0.0)
    writer.start()
    for number, text in enumerate(texts):
        facts = (f"q{number}", 0, NOW, None, None, "tiny", ("llama-2",), "", "unknown", "chat")
        assert writer.submit(Finished(*facts), "A question.", " ".join(flat(text)))
    writer.close()
    assert writer.written == len(texts), "every answer is in the index"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=400)
    count = parser.parse_args().texts
    chance = random.Random(1)
    words = vocabulary(chance)
    texts = [prose(chance, words) for _ in range(count)]
    print(f"{'change':38} {'A or B':>7} {'C or better':>12}")
    with tempfile.TemporaryDirectory() as folder:
        index(Path(folder), texts)
        for name, change in CHANGES.items():
            copies = [{"text": " ".join(change(chance, words, text))} for text in texts]
            records = [record_of(copy, number, number + 1) for number, copy in enumerate(copies)]
            result = check(records, Path(folder), key=KEY, judge=lambda _ids: BARRED)
            strong = sum(hit.match.tier >= Tier.B for hit in result.hits)
            print(f"{name:38} {strong / count:7.2f} {len(result.hits) / count:12.2f}")


if __name__ == "__main__":
    main()
