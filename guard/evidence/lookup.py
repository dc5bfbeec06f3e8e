"""Finds the entries of the journals that hold some bytes, from the newest on: for what is not in memory any more."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from guard.evidence.follower import Line, Read
from guard.evidence.journals import journals

MOST = 256 * 1024 * 1024
"""Bytes of all journals together that are looked through."""
BLOCK = 4 * 1024 * 1024
_decoder = msgspec.json.Decoder(Line)


def lines_with(directory: Path, needle: bytes, most: int = MOST) -> Iterator[Read]:
    """Yield the entries that hold ``needle``, from the end of each journal to its beginning.

    The last ``most`` bytes are looked through, of every journal its part. What cannot be read is passed over.
    """
    chains = journals(directory) if needle else []
    for done, chain in enumerate(chains):
        part = most // (len(chains) - done)
        for path in reversed(chain.files):
            if part <= 0:
                break
            try:
                for block in _blocks(path, min(part, path.stat().st_size)):
                    most, part = most - len(block), part - len(block)
                    yield from (Read(chain.instance, line) for line in _holding(block, needle))
            except OSError:
                continue


def _blocks(path: Path, most: int) -> Iterator[bytes]:
    """Yield the last ``most`` bytes of a file in blocks of whole lines, the last one first."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        begin, rest = end - most, b""
        while end > begin:
            start = max(begin, end - BLOCK)
            file.seek(start)
            data = file.read(end - start) + rest
            end = start
            # What stands before the first line feed may begin in the block before.
            cut = data.find(b"\n") + 1 if start > 0 else 0
            if start > 0 and cut == 0:
                rest = data
                continue
            rest = data[:cut]
            yield data[cut:]


def _holding(block: bytes, needle: bytes) -> Iterator[Line]:
    """Yield the entries of ``block`` that hold ``needle``, the last one first."""
    at = block.rfind(needle)
    while at >= 0:
        start = block.rfind(b"\n", 0, at) + 1
        end = block.find(b"\n", at)
        if end >= 0:
            with suppress(msgspec.MsgspecError, UnicodeDecodeError):  # no entry: the verification of the chain says so
                yield _decoder.decode(block[start:end])
        at = block.rfind(needle, 0, start)
