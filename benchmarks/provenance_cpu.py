"""What CPU time do a receipt's digest and the fingerprints of an answer take, and how fast is a data set read?

Prose and, apart, program code of data/screening/*.jsonl.gz, joined to answers of about 285 words; made in one thread,
medians over rounds, for the compiled form and for its twin in Python. Per word, and per token at 1.33 tokens a word (a
usual figure for English; no tokenizer is run). The goal is 2.5 us per token for all of it, off the request's path. Then
what of a data set can be read, cut into pieces and sealed in a second on one core; the goal is 60 MB compiled.

    python benchmarks/provenance_cpu.py [--answers 400] [--rounds 7] [--json]
"""

import argparse
import gzip
import json
import platform
import statistics
import time
from pathlib import Path

from guard.provenance import fingerprint, grams, grams_twin
from guard.provenance.fingerprint import Fingerprinter, seal
from guard.provenance.receipt import Receipts
from guard.provenance.words import Text, read

DATA = Path(__file__).parent.parent / "data" / "screening"
FILES = ("calibration", "public", "unlabelled")
KEY, MONTH = bytes(range(32)), bytes(range(32, 64))
TOKENS = 1.33
WORDS = 285


class Form:
    """The four steps with the compiled form or with its twin."""

    def __init__(self, *, compiled: bool) -> None:
        self.fingerprinter, self.receipts = Fingerprinter(KEY), Receipts(KEY)
        self.read, self.seal = (
            (read, seal) if compiled else (lambda text: Text(*grams_twin.read(text)), grams_twin.seal)
        )
        self.compiled = compiled
        if not compiled:
            self.fingerprinter._grams = grams_twin.Grams(KEY)  # noqa: SLF001 - there is no option for it, and none is needed

    def answer(self, prompt, text):
        said = self.read(text)
        self.receipts.digest(said.words)
        made = self.fingerprinter.fingerprint(said, self.fingerprinter.echo(prompt))
        return self.seal(MONTH, made.grams)

    def record(self, text):
        for piece in self.fingerprinter.pieces(self.read(text)):
            self.seal(MONTH, piece.grams)


def answers(count):
    """Return so many answers of prose, and of code."""
    made = {"prose": [], "code": []}
    waiting = {"prose": [], "code": []}
    for name in FILES:
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                text = json.loads(line)["text"]
                said = read(text)
                kind = "code" if said.code else "prose"
                waiting[kind].append(text)
                if sum(read(each).count for each in waiting[kind]) >= WORDS:
                    made[kind].append("\n".join(waiting[kind]))
                    waiting[kind].clear()
    return {kind: texts[:count] for kind, texts in made.items()}


def spent(work, rounds):
    """Return the median of the CPU seconds that ``work`` takes, after one round for what is remembered."""
    work()
    seconds = []
    for _ in range(rounds):
        begun = time.thread_time()
        work()
        seconds.append(time.thread_time() - begun)
    return statistics.median(seconds)


def measure(form, texts, rounds):
    words, size = sum(read(text).count for text in texts), sum(len(text.encode()) for text in texts)
    said, kernel = [form.read(text) for text in texts], form.fingerprinter
    found = [kernel.fingerprint(each) for each in said]
    steps = {
        "read": lambda: [form.read(text) for text in texts],
        "fingerprint": lambda: [kernel.fingerprint(each) for each in said],
        "seal": lambda: [form.seal(MONTH, each.grams) for each in found],
        "digest": lambda: [form.receipts.digest(each.words) for each in said],
    }
    times = {name: 1e6 * spent(work, rounds) / words for name, work in steps.items()}
    prompt = form.read("\n".join(texts[:1]))
    whole = 1e6 * spent(lambda: [form.answer(prompt, text) for text in texts], rounds) / words
    sets = size / 1e6 / spent(lambda: [form.record(text) for text in texts], rounds)
    return {
        "us_per_word": {**times, "answer_to_a_prompt_as_long": whole},
        "us_per_token": whole / TOKENS,
        "data_set_mb_per_second": sets,
        "grams_per_word": sum(sum(each.lanes) for each in found) / words,
        "words": words,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    texts = answers(asked.answers)
    forms = {"twin": Form(compiled=False)}
    if grams.read is not grams_twin.read:
        forms = {"compiled": Form(compiled=True), **forms}
    results = {}
    for name, form in forms.items():
        if not form.compiled:
            fingerprint.cut = grams_twin.cut
        for kind, each in texts.items():
            results[f"{name}, {kind}"] = measure(form, each, asked.rounds)
    if asked.json:
        print(json.dumps({"machine": platform.platform(), "results": results}, indent=1))
        return
    steps = ("read", "fingerprint", "seal", "digest", "answer_to_a_prompt_as_long")
    print("CPU microseconds per word (the last with reading the prompt's echo), and MB/s of data set")
    print(f"{'':18}{'read':>8}{'finger':>8}{'seal':>8}{'digest':>8}{'answer':>8}{'/token':>8}{'MB/s':>8}{'grams':>8}")
    for name, each in results.items():
        row = [each["us_per_word"][step] for step in steps] + [each["us_per_token"]]
        numbers = "".join(f"{number:8.3f}" for number in row)
        print(f"{name:18}{numbers}{each['data_set_mb_per_second']:8.1f}{each['grams_per_word']:8.2f}")


if __name__ == "__main__":
    main()
