"""A data set that comes over the admin port: what is asked of it, the file without a name, and what may be wrong."""

import asyncio
import tempfile
from collections.abc import AsyncIterable, Iterable, Mapping
from io import BufferedRandom
from typing import NamedTuple, Self

from guard.provenance.formats import FORMATS
from guard.provenance.retention import is_month

LARGEST = 512 * 1024 * 1024
"""Bytes of a data set that the port takes; larger ones are for ``guard export check``."""
_PART = 1024 * 1024
"""Bytes that are written at once."""


ALLOWED = ("target", "format", "tenant", "since", "until")
"""Query parameters; what else the command takes needs files beside the data set."""
TYPES: Mapping[str, str] = {
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/json": "json",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/vnd.apache.parquet": "parquet",
}
"""Formats by the media type of a body."""


class QueryError(ValueError):
    """A query that is not understood: what was found, and what is allowed."""


class Query(NamedTuple):
    """What is asked of a data set, by whom."""

    target: str
    format: str
    tenant: str | None = None
    since: str | None = None
    until: str | None = None
    asker: str = ""
    """The network address the request came from."""

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, str]], content_type: str, asker: str) -> Self:
        """Return what a request asks. Raises QueryError."""
        given: dict[str, str] = {}
        for name, value in parameters:
            if name not in ALLOWED:
                more = "; `guard export check --exclude` takes public texts" if name == "exclude" else ""
                raise QueryError(f"{name[:40]}: not a parameter; allowed: {', '.join(ALLOWED)}{more}")
            if name in given or not value.strip():
                raise QueryError(f"{name}: {'given twice' if name in given else 'empty'}; allowed: one value")
            given[name] = value
        if "target" not in given:
            raise QueryError("target: missing; allowed: the name of the model to be trained")
        months = [given[name] for name in ("since", "until") if name in given]
        if not all(map(is_month, months)) or months != sorted(months):
            raise QueryError("since, until: allowed: months such as 2026-11, the first one not after the last")
        given.setdefault("format", TYPES.get(content_type.partition(";")[0].strip().lower(), "jsonl"))
        return cls(**given, asker=asker)


class TooLargeError(Exception):
    """A body of more than ``largest`` bytes."""

    def __init__(self, largest: int) -> None:
        super().__init__(f"more than {largest} bytes")
        self.largest = largest


class BadDataError(Exception):
    """A data set that cannot be read; ``line`` is where, 0 if that is nowhere in particular.

    ``what`` was found and is allowed; it may name a field, and quotes no text.
    """

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line, self.what = line, what


class BadFormatError(QueryError):
    """A format that is not known."""

    def __init__(self) -> None:
        super().__init__(f"format: allowed: {', '.join(FORMATS)}; each but parquet with .gz")


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
