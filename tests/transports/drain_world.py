"""``guard serve`` before an upstream that holds its answers until it is told to finish them."""

import asyncio
import http.client
import json
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

from guard.cli.demo_scene.deployment import serve_embedded
from guard.cli.demo_scene.process import free_port

DEADLINE = 30.0
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
PIECES = ["Good ", "morning ", "to ", "all ", "of ", "you."]


def event(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({**HEAD, "choices": [choice]}).encode() + b"\n\n"


def wait_for(what, message="it never happened"):
    end = time.monotonic() + DEADLINE
    while not (found := what()):
        assert time.monotonic() < end, message
        time.sleep(0.02)
    return found


class Holding:
    """An inference server: a stream stops in its middle, and a whole answer does not begin, until ``go`` is set."""

    def __init__(self):
        self.go, self.asked, self.headers = threading.Event(), 0, []

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.headers.append(dict(scope["headers"]))
        self.asked += 1
        stream = json.loads(body or b"{}").get("stream")
        gone = asyncio.ensure_future(receive())
        try:
            if stream:
                await self.start(send, b"text/event-stream")
                for piece in PIECES[:3]:
                    await self.send(send, event({"content": piece}))
                await self.held(gone)
                for piece in PIECES[3:]:
                    await self.send(send, event({"content": piece}))
                await self.send(send, event({}, "stop") + b"data: [DONE]\n\n", last=True)
            else:
                await self.held(gone)
                await self.start(send, b"application/json")
                message = {"role": "assistant", "content": "".join(PIECES)}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                whole = {**HEAD, "object": "chat.completion", "choices": [choice]}
                await self.send(send, json.dumps(whole).encode(), last=True)
        finally:
            gone.cancel()

    async def held(self, gone):
        while not (self.go.is_set() or gone.done()):  # noqa: ASYNC110 - it is set by another thread
            await asyncio.sleep(0.01)

    async def start(self, send, kind):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})

    async def send(self, send, data, last=False):
        await send({"type": "http.response.body", "body": data, "more_body": not last})


class Guard:
    """One ``guard serve``; ``extra`` is added to its configuration."""

    def __init__(self, folder: Path, upstream: str, extra: str = "", environment=None):
        self.folder, self.port, self.admin = folder, free_port(), free_port()
        self.log = folder / "guard.log"
        config = folder / "guard.yaml"
        config.write_text(
            f"upstream: {upstream}\nlisten: 127.0.0.1:{self.port}\nadmin: 127.0.0.1:{self.admin}\n"
            f"state_dir: {folder / 'state'}\nmodels: {{tiny: {{license: llama-2}}}}\n{extra}"
        )
        self.command = [sys.executable, "-m", "guard", "serve", "--config", str(config)]
        self.environment = environment
        self.start()

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment)

    def ready(self):
        def up():
            assert self.process.poll() is None, self.log.read_text()
            return self.readyz()[0] == 200

        wait_for(up, "guard did not become ready")
        return self

    def readyz(self):
        """Status and parts; (0, {}) where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=10) as answer:
                return answer.status, json.load(answer)["parts"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["parts"]
        except (OSError, http.client.HTTPException):
            return 0, {}

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)

    def ask(self, user, stream=True, headers=None, text="Hello", connection=None):
        """The response to a chat request, read up to its head."""
        connection = connection or self.connect()
        document = {
            "model": "tiny", "user": user, "stream": stream, "messages": [{"role": "user", "content": text}],
        }  # fmt: skip
        sent = {"content-type": "application/json", **(headers or {})}
        connection.request("POST", "/v1/chat/completions", json.dumps(document), sent)
        response = connection.getresponse()
        response.owner = connection  # kept open for as long as the response is
        return response

    def accepts(self):
        try:
            connection = self.connect()
            connection.connect()
        except OSError:
            return False
        connection.close()
        return True

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def users(self):
        with sqlite3.connect(self.folder / "state" / "ledger.db") as ledger:
            (users,) = ledger.execute("SELECT count(*) FROM sightings").fetchone()
        ledger.close()
        return users

    def journal(self):
        """The entries of the audit chain."""
        lines = (self.folder / "state" / "audit" / "guard-0.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@contextmanager
def serving(folder, extra="", upstream=None, environment=None):
    with ExitStack() as ending:
        held = upstream or Holding()
        url = ending.enter_context(serve_embedded(held))
        ending.callback(held.go.set)
        guard = Guard(folder, url, extra, environment)
        ending.callback(guard.end)
        yield guard, held
