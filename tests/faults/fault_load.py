"""Clients that ask as many distinct users and note, byte by byte, what became of each.

    python fault_load.py STATES PROCESS PORTS FIRST LAST SEED CALLERS REPEATS PAUSE

``STATES`` is a file of one byte per user behind 64 bytes of counters, mapped into memory: whoever looks sees at once
who has been asked for and who was answered, and a test that ends early loses nothing of it. This process works for the
users from FIRST up to LAST; several share a file.
"""

import asyncio
import json
import mmap
import random
import sys
from pathlib import Path

import uvloop

TRIED, ANSWERED, REFUSED, FAILED, UNKNOWN = 1, 2, 4, 8, 16
"""A user's bits: a request was sent; the first byte of a 2xx arrived; a 403; any other answer; the connection broke
before any."""
COUNTERS = 64
PATIENCE = 30.0
"""Seconds until a connection that does not answer is given up."""


class Notes:
    """The file of what is known of every user."""

    def __init__(self, path, users=None):
        self.path = path
        with Path(path).open("r+b" if users is None else "w+b") as file:
            if users is not None:
                file.truncate(COUNTERS + users)
            self.map = mmap.mmap(file.fileno(), 0)

    def mark(self, user, bit):
        self.map[COUNTERS + user] |= bit

    def having(self, bits, among=None):
        """The numbers of the users that have one of ``bits``."""
        states = self.map[COUNTERS:]
        return {user for user in (range(len(states)) if among is None else among) if states[user] & bits}

    @property
    def reached(self):
        """Users that somebody has asked for."""
        return len(self.map) - COUNTERS - self.map[COUNTERS:].count(0)

    def add_requests(self, process, number):
        at = 8 * process
        self.map[at : at + 8] = number.to_bytes(8, "little")

    @property
    def requests(self):
        return sum(int.from_bytes(self.map[at : at + 8], "little") for at in range(0, COUNTERS, 8))


class Connection(asyncio.Protocol):
    """One keep-alive connection. ``status`` is that of the last request, None if the connection broke before one."""

    def connection_made(self, transport):
        self.transport, self.answer, self.data, self.status = transport, None, b"", None

    def ask(self, request, on_status):
        """Send a request; the future tells whether its answer came whole."""
        self.answer = asyncio.get_running_loop().create_future()
        self.on_status, self.data, self.status = on_status, b"", None
        self.transport.write(request)
        return self.answer

    def data_received(self, data):
        if self.answer is None or self.answer.done():
            self.transport.abort()  # bytes nobody asked for
            return
        self.data += data
        if self.status is None:
            # "HTTP/1.1 2" is enough: from here on the user has been answered.
            if len(self.data) < 12:
                return
            self.status = int(self.data[9:12])
            self.on_status(self.status)
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        head = head.lower()
        if b"transfer-encoding: chunked" in head:
            whole = body.endswith(b"0\r\n\r\n")
        else:
            whole = len(body) >= int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        if whole:
            if b"connection: close" in head:
                self.transport.close()
            self.answer.set_result(True)

    def connection_lost(self, error):
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(False)


class Load:
    """Callers that ask for every user of a range once, and now and then for one again, at any gateway."""

    def __init__(self, notes, ports, users, seed, repeats, pause):
        self.notes, self.ports, self.repeats, self.pause = notes, ports, repeats, pause
        self.luck = random.Random(seed)
        self.waiting = list(users)
        self.luck.shuffle(self.waiting)
        self.tried = []
        self.requests = 0

    async def call(self):
        while self.waiting:
            port = self.luck.choice(self.ports)
            try:
                _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
            except OSError:  # killed, and not back yet
                await asyncio.sleep(0.02)
                continue
            # A connection is kept for some hundred requests, so that every gateway comes to see everybody's repeats.
            for _ in range(self.luck.randint(50, 200)):
                if not self.waiting or connection.transport.is_closing():
                    break
                if not await self.ask(connection, self.next()):
                    break
            connection.transport.abort()

    def next(self):
        if self.tried and self.luck.random() < self.repeats:
            return self.luck.choice(self.tried)
        user = self.waiting.pop()
        self.tried.append(user)
        return user

    async def ask(self, connection, user):
        """Ask for ``user``; returns True if the connection may be used again."""
        body = {"model": "tiny", "user": f"user-{user}", "messages": [{"role": "user", "content": "Hello"}]}
        if user % 8 == 0:
            body["stream"] = True
        content = json.dumps(body, separators=(",", ":")).encode()
        request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        request += b"content-length: %d\r\n\r\n%b" % (len(content), content)
        self.requests += 1
        self.notes.mark(user, TRIED)
        answer = connection.ask(request, lambda status: self.notes.mark(user, meaning(status)))
        try:
            whole = await asyncio.wait_for(answer, PATIENCE)
        except TimeoutError:
            whole = False
        if connection.status is None:
            self.notes.mark(user, UNKNOWN)
        if self.pause:
            await asyncio.sleep(self.pause)
        return whole


def meaning(status):
    return ANSWERED if status // 100 == 2 else REFUSED if status == 403 else FAILED


async def main():
    path, process, ports, first, last, seed, callers, repeats, pause = sys.argv[1:]
    notes = Notes(path)
    load = Load(notes, json.loads(ports), range(int(first), int(last)), seed, float(repeats), float(pause))
    callings = [asyncio.ensure_future(load.call()) for _ in range(int(callers))]
    while any(not calling.done() for calling in callings):
        await asyncio.wait(callings, timeout=0.2)
        notes.add_requests(int(process), load.requests)
    await asyncio.gather(*callings)


if __name__ == "__main__":
    uvloop.run(main())
