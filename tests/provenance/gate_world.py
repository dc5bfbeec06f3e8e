"""An index, a data set and a gate between them."""

import random
from functools import cache

import provenance_world
from provenance_world import KEY, NOW, finished, keys_of, writer_of

from guard.licensing.verdict import OutputVerdict, Verdict
from guard.provenance.coverage import Index
from guard.provenance.gate import Indexed, check
from guard.provenance.judge import Use
from guard.provenance.marks import Key
from guard.provenance.record import record_of

__all__ = ["KEY", "NOW", "RULINGS", "answer", "edited", "gate", "indexed", "prose", "records", "shuffled"]

prose = cache(provenance_world.prose)

RULINGS = {
    ("llama-2",): OutputVerdict(Verdict.DENY, "llama-2", "1.b.v", (), "no other LLM"),
    ("llama-3.1",): OutputVerdict(Verdict.ALLOW_WITH_OBLIGATIONS, "llama-3.1", "1.b.i", (), "name it"),
    ("apache",): OutputVerdict(Verdict.ALLOW, "apache", "", (), "no rule"),
    (): OutputVerdict(Verdict.UNDETERMINED, None, "", (), "unknown"),
}


def answer(directory, answers, *, prompt="What is it?", instance="a", key=KEY, clock=None, **facts):
    """Record ``answers`` (text by reference, or a list) as one gateway would; ``prompt`` may be one for each of them."""
    writer = writer_of(directory, instance, key, **({"clock": clock} if clock is not None else {}))
    writer.start()
    for reference, text in answers.items() if isinstance(answers, dict) else enumerate(answers):
        asked = prompt(reference) if callable(prompt) else prompt
        assert writer.submit(finished(f"q{reference}", **facts), asked, text)
    writer.close()


def records(documents):
    return [record_of(document, number, number + 1, "data.jsonl") for number, document in enumerate(documents)]


def indexed(*directories, key=KEY, **options):
    """Indexes of one key."""
    with_key = key if isinstance(key, Key) else Key(key)
    return [Indexed(Index(path, keys_of(path), with_key.master, **options), with_key) for path in directories]


def gate(documents, *directories, judge=RULINGS.__getitem__, related=None, tenant=None, key=KEY, **options):
    use = Use(judge, related, tenant) if related is not None else Use(judge, tenant=tenant)
    return check(records(documents), indexed(*directories, key=key, **options), use)


def edited(text, share, seed=0):
    """Words replaced at random."""
    chance = random.Random(seed)
    return " ".join(word if chance.random() > share else f"edit{number}" for number, word in enumerate(text.split()))


def shuffled(text, seed=0):
    """Sentences of twenty words in another order."""
    every = text.split()
    sentences = [every[at : at + 20] for at in range(0, len(every), 20)]
    random.Random(seed).shuffle(sentences)
    return " ".join(word for sentence in sentences for word in sentence)
