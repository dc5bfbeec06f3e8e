"""A small deployment: a key, a clock, texts of many words, two licenses' worth of answers."""

import random
from pathlib import Path

from guard.provenance.coverage import Index
from guard.provenance.index import FingerprintWriter
from guard.provenance.months import MonthKeys, segment_key_id
from guard.provenance.receipt import Finished
from guard.provenance.scan import Postings
from guard.provenance.segment import SegmentReader

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


def keys_of(directory: Path) -> MonthKeys:
    """The keys of the months of an index, beside it as in a state directory."""
    return MonthKeys(directory.with_name(f"{directory.name}.keys"))


def writer_of(directory: Path, instance="a", key=KEY, **options) -> FingerprintWriter:
    """A writer that is not started, with a clock that stands still and no patience."""
    return FingerprintWriter(
        directory, instance, key, keys_of(directory), **{"clock": Clock(), "linger": 0.0, **options}
    )


def write_index(directory: Path, answers, *, prompt="What is it?", instance="a", licenses=("llama-2",), **options):
    """Index ``answers`` (text by reference, or a list) as one gateway would, ending cleanly; return the receipts."""
    receipts = []
    writer = writer_of(directory, instance, receipted=receipts.extend, **options)
    writer.start()
    for reference, text in answers.items() if isinstance(answers, dict) else enumerate(answers):
        assert writer.submit(finished(f"q{reference}", licenses=licenses), prompt, text)
    writer.close()
    assert writer.waiting == 0
    return receipts


def read_index(directory: Path, key=KEY):
    """Return the outputs with their labels, in order of time, and the coverage of an index."""
    keys, found = keys_of(directory), []
    index = Index(directory, keys, key)
    nothing = Postings()
    nothing.seal()
    for month in index.months:
        list(index.search_month(month, nothing))
        for path in sorted((directory / month).glob("*.segment")):
            reader = SegmentReader(path, segment_key_id(key, keys.of(month)))
            found += [(output, reader.labels[output.label]) for output in reader]
    return found, index.coverage
