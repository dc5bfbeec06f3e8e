"""An upstream's answer: its head, and its body as the bytes come in."""

from collections.abc import Awaitable
from typing import Protocol

from guard.transports.failure import UpstreamError


class Source(Protocol):
    """What a response needs of the connection it comes from."""

    def wait(self) -> Awaitable[None]:
        """Return what is done when something new has happened to the response."""

    def resume(self) -> None:
        """Read from the socket again if the response's buffer had grown too large."""

    def discard(self) -> None:
        """Close the connection at once; it is never used again."""


class Response:
    """One answer. ``headers`` have lower-case names; ``read`` gives the body.

    Whoever holds a response calls ``close`` in the end, however it went.
    """

    __slots__ = ("_chunks", "_source", "buffered", "close_delimited", "complete", "error", "headers", "status")

    def __init__(self, source: Source) -> None:
        self.status = 0
        """0 until the head is there."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.close_delimited = False
        """True where the body ends with the connection (no length, not chunked): then a body that was cut off
        cannot be told from a whole one (RFC 9112 section 8)."""
        self.complete = False
        """True once the last byte of the body has arrived."""
        self.error: UpstreamError | None = None
        self.buffered = 0
        """Bytes that arrived and were not read yet."""
        self._chunks: list[bytes] = []
        self._source: Source | None = source

    @property
    def ended(self) -> bool:
        """True when everything has been read and nothing more will come."""
        return self.complete and not self._chunks

    async def read(self) -> bytes:
        """Return every byte that has arrived, waiting for the first; ``b""`` at the end.

        Raises the UpstreamError that cut the answer short, after the bytes before it were read.
        """
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self.complete or self._source is None:
                return b""
            await self._source.wait()
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.buffered = 0
        if self._source is not None:
            self._source.resume()
        return data

    def close(self) -> None:
        """Give up what has not arrived: the connection of an unfinished answer is closed, so the upstream stops."""
        source, self._source = self._source, None
        self._chunks.clear()
        if source is not None and not self.complete and self.error is None:
            source.discard()

    def take(self, data: bytes) -> None:
        """Add ``data`` to what can be read (called by the connection)."""
        self._chunks.append(data)
        self.buffered += len(data)

    def finish(self, error: UpstreamError | None = None) -> None:
        """Mark the end, whole or cut short (called by the connection)."""
        self.complete, self.error, self._source = error is None, error, None
