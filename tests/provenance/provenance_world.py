"""A small deployment: a key, a clock, texts of many words, two licenses' worth of answers."""

import random
from pathlib import Path

from guard.provenance.index import FingerprintWriter
from guard.provenance.receipt import Finished

KEY = b"a key of this test, 32 bytes.. k"
NOW = 1_795_000_000.0  # 2026-11-18
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def prose(seed: int, words: int = 120) -> str:
    """Text of that many words, different for every seed."""
    chance = random.Random(seed)
    made = ["".join(chance.choices(_LETTERS, k=chance.randint(2, 9))) for _ in range(words)]
    return " ".join(made).capitalize() + "."


def finished(reference: str = "q1", choice: int = 0, licenses=("llama-2",), **changes) -> Finished:
    facts = {
        "reference": reference, "choice": choice, "time": NOW, "tenant": "shop", "identity": 7, "model": "tiny",
        "licenses": licenses, "policy": "f00d", "purpose": "serve", "surface": "chat",
    }  # fmt: skip
    return Finished(**(facts | changes))


def write_index(directory: Path, answers, *, prompt="What is it?", instance="a", licenses=("llama-2",), **options):
    """Index ``answers`` (text by reference, or a list) as one gateway would, ending cleanly; return the receipts."""
    receipts = []
    options.setdefault("clock", Clock())
    writer = FingerprintWriter(directory, instance, KEY, receipted=receipts.append, linger=0.0, **options)
    writer.start()
    for reference, text in answers.items() if isinstance(answers, dict) else enumerate(answers):
        assert writer.submit(finished(f"q{reference}", licenses=licenses), prompt, text)
    writer.close()
    assert writer.waiting == 0
    return receipts
