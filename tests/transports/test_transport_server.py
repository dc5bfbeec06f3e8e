"""The sidecar process: two ports, signals, draining, and start-up that fails loudly."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from contextlib import suppress
from http.client import IncompleteRead
from pathlib import Path

import pytest

from guard.transports.server import StartupError, run_sidecar

PROGRAM = textwrap.dedent("""
    import asyncio, json, sys
    from guard.transports.server import Drain, run_sidecar

    released = asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                print(json.dumps({"lifespan": kind}), flush=True)
                await send({"type": kind + ".complete"})
                if kind.endswith("shutdown"):
                    return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-client", str(scope["client"]).encode())]})
        await send({"type": "http.response.body", "body": b"piece", "more_body": True})
        while scope["path"] == "/endless" or (scope["path"] == "/held" and not released.is_set()):
            await asyncio.sleep(0.02)
            await send({"type": "http.response.body", "body": b"piece", "more_body": True})
        await send({"type": "http.response.body", "body": b"last"})

    async def admin(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/release":
            released.set()
        await send({"type": "http.response.body", "body": b"admin"})

    async def reload():
        print(json.dumps({"reload": True}), flush=True)

    def ready(bound):
        print(json.dumps({"listen": str(bound.listen), "admin": bound.admin and str(bound.admin)}), flush=True)

    listen, admin_listen, grace = sys.argv[1:4]
    run_sidecar(app, listen, None if admin_listen == "off" else admin, admin_listen, on_ready=ready, reload=reload, drain=Drain(seconds=float(grace)))
    print(json.dumps({"left": True}), flush=True)
""")


class Sidecar:
    def __init__(self, listen="127.0.0.1:0", admin="127.0.0.1:0", grace=60):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, listen, admin, str(grace)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
        assert self.line() == {"lifespan": "lifespan.startup"}
        self.bound = self.line()

    def line(self):
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def get(url, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10) as answer:
        return answer.headers, answer.read()


def wait_until_closed(url):
    """Return once nobody new gets in."""
    deadline = time.monotonic() + 20
    with suppress(OSError):
        while time.monotonic() < deadline:
            get(url + "/short")
            time.sleep(0.02)
    with pytest.raises(OSError, match="refused"):
        get(url + "/short")


@pytest.mark.slow
def test_both_ports_answer_and_the_headers_say_little():
    with Sidecar() as sidecar:
        headers, body = get(sidecar.bound["listen"] + "/short", {"X-Forwarded-For": "203.0.113.9"})
        assert body == b"piecelast"
        assert headers["date"]
        assert headers["server"] is None
        assert headers["x-client"].startswith("('127.0.0.1'")  # no header moves the peer's address
        assert get(sidecar.bound["admin"])[1] == b"admin"
        sidecar.process.send_signal(signal.SIGHUP)
        assert sidecar.line() == {"reload": True}
        sidecar.process.send_signal(signal.SIGTERM)
        assert sidecar.line() == {"lifespan": "lifespan.shutdown"}
        assert sidecar.line() == {"left": True}
        assert sidecar.process.wait(20) == 0


@pytest.mark.slow
def test_a_stream_in_flight_finishes_while_the_admin_port_answers_and_nobody_new_gets_in():
    with Sidecar() as sidecar:
        stream = urllib.request.urlopen(sidecar.bound["listen"] + "/held", timeout=10)
        assert stream.read(5) == b"piece"
        sidecar.process.send_signal(signal.SIGTERM)
        wait_until_closed(sidecar.bound["listen"])
        assert stream.read(5) == b"piece"
        assert get(sidecar.bound["admin"] + "/release")[1] == b"admin"
        assert stream.read().endswith(b"piecelast")
        stream.close()
        assert sidecar.process.wait(20) == 0


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2], ids=["the grace period ends it", "a second signal ends it at once"])
def test_an_endless_stream_does_not_keep_the_process(signals):
    with Sidecar(grace=1 if signals == 1 else 1000) as sidecar:
        stream = urllib.request.urlopen(sidecar.bound["listen"] + "/endless", timeout=10)
        assert stream.read(5) == b"piece"
        sidecar.process.send_signal(signal.SIGTERM)
        if signals == 2:
            wait_until_closed(sidecar.bound["listen"])  # else the two signals may arrive as one
            sidecar.process.send_signal(signal.SIGTERM)
        with suppress(OSError, IncompleteRead):
            stream.read()
        stream.close()
        sidecar.process.wait(20)


@pytest.mark.slow
def test_unix_sockets_and_no_admin_port(tmp_path):
    path = str(tmp_path / "guard.sock")
    with Sidecar(f"unix://{path}", "off") as sidecar:
        assert sidecar.bound == {"listen": f"unix://{path}", "admin": None}

        async def ask():
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET /short HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            got = await reader.read()
            writer.close()
            return got

        assert b"piece" in asyncio.run(ask())
        sidecar.process.send_signal(signal.SIGTERM)
        assert sidecar.process.wait(20) == 0
        assert not Path(path).exists()


async def nothing(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def refuses_to_start(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the ledger is gone"})


async def breaks_at_start(scope, receive, send):
    raise OSError("the ledger is gone")


@pytest.mark.parametrize("app", [refuses_to_start, breaks_at_start])
def test_an_app_that_does_not_start_is_never_served(app):
    ready = []
    with pytest.raises(StartupError, match="did not start"):
        run_sidecar(app, "127.0.0.1:0", nothing, "127.0.0.1:0", on_ready=ready.append)
    assert ready == []


@pytest.mark.parametrize("which", ["listen", "admin"])
def test_a_port_in_use_stops_the_start_and_is_named(which):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        addresses = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"} | {which: taken}
        with pytest.raises(StartupError, match=f"{which}: cannot listen on http://{taken}"):
            run_sidecar(nothing, addresses["listen"], nothing, addresses["admin"])


def test_signal_handlers_are_given_back():
    before = signal.getsignal(signal.SIGTERM)

    def stop(_):
        os.kill(os.getpid(), signal.SIGTERM)

    run_sidecar(nothing, "127.0.0.1:0", None, None, on_ready=stop)
    assert signal.getsignal(signal.SIGTERM) in {before, signal.SIG_DFL}
