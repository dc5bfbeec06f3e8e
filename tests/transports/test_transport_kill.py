"""kill -9 of the sidecar under load, again and again: every user who received a byte of a 2xx is in the ledger, once."""

import asyncio
import json
import random
import sqlite3
import sys

import pytest

from guard.cli.demo_scene.deployment import serve_embedded
from guard.cli.demo_scene.process import Server, free_port
from guard.cli.demo_scene.script import Script
from guard.cli.demo_scene.upstream import Upstream
from guard.usage.pseudonym import Pseudonymizer, load_or_create_key

USERS, ROUNDS, CALLERS = 2000, 8, 32


class Load:
    """Callers that each send one request after another, every request from a user nobody has served yet."""

    def __init__(self, port):
        self.port = port
        self.waiting = [f"user-{number}" for number in range(USERS)]
        random.shuffle(self.waiting)
        self.tried, self.answered = set(), set()
        self.enough, self.reached = USERS, asyncio.Event()

    async def reaches(self, number, driving):
        self.enough, self.reached = number, asyncio.Event()
        waiting = asyncio.ensure_future(self.reached.wait())
        await asyncio.wait((waiting, driving), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def drive(self, until):
        await asyncio.gather(*(self.call(until) for _ in range(CALLERS)))

    async def call(self, until):
        while self.waiting and not until.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            try:
                while self.waiting and not until.is_set():
                    await self.ask(reader, writer, self.waiting.pop())
            except (OSError, asyncio.IncompleteReadError, ValueError):  # ValueError: cut in a chunk head
                pass
            finally:
                writer.close()

    async def ask(self, reader, writer, user):
        self.tried.add(user)
        stream = user.endswith(("1", "3"))
        body = json.dumps(
            {"model": "tiny", "user": user, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
        ).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        # The first byte of a 2xx is enough: from here on the user has been answered.
        if await reader.readexactly(13) == b"HTTP/1.1 200 ":
            self.answered.add(user)
            if len(self.answered) >= self.enough:
                self.reached.set()
        head = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in head.lower():
            while (size := int(await reader.readline(), 16)) > 0:
                await reader.readexactly(size + 2)
            await reader.readline()
        else:
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)


@pytest.mark.slow
def test_no_answered_user_is_lost_or_counted_twice(tmp_path):
    with serve_embedded(Upstream(("tiny",), Script({}), 0)) as upstream:
        port, admin = free_port(), free_port()
        config = tmp_path / "guard.yaml"
        config.write_text(
            f"upstream: {upstream}\nlisten: 127.0.0.1:{port}\nadmin: 127.0.0.1:{admin}\n"
            f"state_dir: {tmp_path / 'state'}\nmodels: {{tiny: {{license: qwen-2024}}}}\n"
        )
        load = Load(port)

        def start():
            command = [sys.executable, "-m", "guard", "serve", "--config", str(config)]
            return Server("guard", command, f"http://127.0.0.1:{admin}/readyz", tmp_path / "guard.log").wait_ready(30)

        async def rounds():
            for number in range(ROUNDS):
                guard = await asyncio.to_thread(start)
                last, until = number == ROUNDS - 1, asyncio.Event()
                driving = asyncio.ensure_future(load.drive(until))
                if last:
                    await driving
                    await asyncio.to_thread(guard.stop)
                    return
                enough = len(load.answered) + USERS // ROUNDS
                await load.reaches(enough, driving)
                await asyncio.sleep(random.uniform(0, 0.02))
                guard.kill()
                until.set()
                await driving

        asyncio.run(rounds())

    pseudonyms = Pseudonymizer(load_or_create_key(tmp_path / "state" / "pseudonym.key"))
    ledger = sqlite3.connect(tmp_path / "state" / "ledger.db")
    try:
        counted = [row[0] for row in ledger.execute("SELECT user FROM sightings")]
        (total,) = ledger.execute("SELECT users FROM scopes").fetchone()
    finally:
        ledger.close()
    answered = {pseudonyms.key("", user) for user in load.answered}
    tried = {pseudonyms.key("", user) for user in load.tried}
    assert len(load.tried) == USERS
    assert len(load.answered) > USERS // 2
    assert answered <= set(counted), f"{len(answered - set(counted))} answered users are not in the ledger"
    assert set(counted) <= tried
    assert len(counted) == len(set(counted)) == total
