"""Finds the entries of the journals that hold some bytes, from the newest on: for what is not in memory any more."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from guard.evidence.entry import LONGEST, NotAnEntry
from guard.evidence.follower import Line, Read, line_of
from guard.evidence.journals import journals

MOST = 256 * 1024 * 1024
"""Bytes of all journals together that are looked through."""
BLOCK = 256 * 1024
"""Bytes that are searched at once: no other thread runs meanwhile."""


def lines_with(
    directory: Path, needle: bytes, most: int = MOST, go_on: Callable[[], bool] = lambda: True
) -> Iterator[Read]:
    """Yield the entries that hold ``needle``, from the end of each journal to its beginning.

    The last ``most`` bytes are looked through, of every journal its part. What cannot be read is passed over.
    ``go_on`` is asked before each block (BLOCK bytes): it ends when that returns False.
    """
    chains = journals(directory) if needle else []
    for done, chain in enumerate(chains):
        part = most // (len(chains) - done)
        for path in reversed(chain.files):
            if part <= 0:
                break
            try:
                for block in _blocks(path, min(part, path.stat().st_size), go_on):
                    most, part = most - len(block), part - len(block)
                    yield from (Read(chain.instance, line) for line in _holding(block, needle))
            except OSError:
                continue


def _blocks(path: Path, most: int, go_on: Callable[[], bool]) -> Iterator[bytes]:
    """Yield the last ``most`` bytes of a file in blocks of whole lines, the last one first."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        begin, rest = end - most, b""
        while end > begin and go_on():
            start = max(begin, end - BLOCK)
            file.seek(start)
            data = file.read(end - start) + rest
            end = start
            # What stands before the first line feed may begin in the block before.
            cut = data.find(b"\n") + 1 if start > 0 else 0
            if start > 0 and cut == 0:
                rest = data if len(data) <= LONGEST else b""  # of a longer line nothing is found
                continue
            rest = data[:cut]
            yield data[cut:]


def _holding(block: bytes, needle: bytes) -> Iterator[Line]:
    """Yield the entries of ``block`` that hold ``needle``, the last one first."""
    at = block.rfind(needle) if needle in block else -1  # from the front it is found out several times faster
    while at >= 0:
        start = block.rfind(b"\n", 0, at) + 1
        end = block.find(b"\n", at)
        if end >= 0:
            with suppress(NotAnEntry):  # no entry: the verification of the chain says so
                yield line_of(block[start:end])
        at = block.rfind(needle, 0, start)
