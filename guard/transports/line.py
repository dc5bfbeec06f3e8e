"""A line between a supervisor and one of its workers: both ask, both answer, one JSON object per line.

It is a pair of connected sockets that nobody else can open, so whatever comes in was written by the other end. When one
process ends, the other one's line ends with it: that is how a worker learns that it has no supervisor any more.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from socket import socket
from typing import Any, Self

LONGEST = 64 * 1024 * 1024
"""Bytes of one line: the metrics of a process with every series it may have are a few MB."""

log = logging.getLogger("guard.workers")

Answer = Callable[[Any], Awaitable[Any]]
"""Takes what the other end said with its question, and returns what JSON can say."""


class LineBrokenError(Exception):
    """The other end is gone, did not answer in time, or could not."""


class Line:
    """One end. ``answers`` are the questions that this end knows, by name."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Mapping[str, Answer]
    ) -> None:
        self._reader, self._writer, self._answers = reader, writer, answers
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._number = 0
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(cls, end: socket, answers: Mapping[str, Answer]) -> Self:
        """Return the line whose end of a socket pair is ``end``."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=LONGEST), answers)

    async def ask(self, what: str, facts: Any = None, *, seconds: float) -> Any:
        """Return what the other end answers. Raises LineBrokenError, after ``seconds`` at the latest."""
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            if self._reading.done():
                raise LineBrokenError("it is gone")
            self._write({"ask": what, "number": number, "facts": facts})
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as error:
            raise LineBrokenError(f"no answer within {seconds:g} s") from error
        finally:
            del self._asked[number]

    def tell(self, what: str, facts: Any) -> None:
        """Say something that wants no answer; said to nobody if the other end is gone."""
        self._write({"ask": what, "facts": facts})

    async def gone(self) -> None:
        """Return when the other end is gone."""
        await asyncio.wait([self._reading])

    async def close(self) -> None:
        """Close this end and forget what is being answered."""
        for task in (self._reading, *self._answering):
            task.cancel()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                said = json.loads(line)
                if "ask" in said:
                    task = asyncio.ensure_future(self._answer(said))
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
                elif (waiting := self._asked.get(said["number"])) is not None and not waiting.done():
                    if "answer" in said:
                        waiting.set_result(said["answer"])
                    else:
                        waiting.set_exception(LineBrokenError(said["failed"]))
        except (OSError, ValueError) as error:  # a line that was cut: its writer was killed
            log.debug("a line ended: %s", type(error).__name__)
        finally:
            for waiting in self._asked.values():
                if not waiting.done():
                    waiting.set_exception(LineBrokenError("it is gone"))

    async def _answer(self, said: dict[str, Any]) -> None:
        try:
            answer = {"answer": await self._answers[said["ask"]](said["facts"])}
        except Exception as error:
            log.exception("a question could not be answered: %s", said["ask"])
            answer = {"failed": type(error).__name__}
        if "number" in said:
            self._write({**answer, "number": said["number"]})

    def _write(self, said: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(said).encode() + b"\n")
