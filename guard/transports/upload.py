"""A data set that comes over the admin port: into a file without a name, and what may be wrong with it."""

import asyncio
import tempfile
from collections.abc import AsyncIterable
from io import BufferedRandom

LARGEST = 512 * 1024 * 1024
"""Bytes of a data set that the port takes; larger ones are for ``guard export check``."""
_PART = 1024 * 1024
"""Bytes that are written at once."""


class TooLargeError(Exception):
    """A body of more than ``largest`` bytes."""

    def __init__(self, largest: int) -> None:
        super().__init__(f"more than {largest} bytes")
        self.largest = largest


class BadDataError(Exception):
    """A data set that cannot be read; ``line`` is where, 0 if that is nowhere in particular."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


class BadFormatError(ValueError):
    """A format that is not known."""


class NoIndexError(Exception):
    """Nothing was ever recorded, so there is nothing to search."""


async def received(parts: AsyncIterable[bytes]) -> BufferedRandom:
    """Return the file, which has no name, that ``parts`` were written to, at its beginning; close it.

    Nothing waits for the disk but the caller. Raises TooLargeError, OSError, and what ``parts`` raises.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        waiting, size = bytearray(), 0
        async for part in parts:
            size += len(part)
            if size > LARGEST:
                raise TooLargeError(LARGEST)
            waiting += part
            if len(waiting) >= _PART:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(_rewound, file, bytes(waiting))
    except BaseException:
        file.close()
        raise
    return file


def _rewound(file: BufferedRandom, rest: bytes) -> None:
    file.write(rest)
    file.seek(0)
