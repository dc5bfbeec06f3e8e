"""What an entry's facts may look like: ids, digests, numbers, short names; no sentence a person or a model wrote."""

from collections.abc import Iterator
from typing import Any


def strings(facts: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(facts, str):
        yield path, facts
    elif isinstance(facts, dict):
        for name, value in facts.items():
            yield path, name
            yield from strings(value, f"{path}.{name}")
    elif isinstance(facts, list | tuple):
        for index, value in enumerate(facts):
            yield from strings(value, f"{path}[{index}]")


def assert_plain(facts: Any, *, longest: int = 128, words: int = 12) -> None:
    """Fail at the first string that is longer than a digest or a name could be, or that reads like a sentence."""
    for path, value in strings(facts):
        assert len(value) <= longest, f"{path}: {len(value)} characters in the audit journal"
        assert len(value.split()) <= words, f"{path}: {len(value.split())} words in the audit journal"
