"""The sidecar process: two ports, signals, draining, and start-up that fails loudly."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from contextlib import suppress
from http.client import IncompleteRead
from pathlib import Path

import pytest

from guard.transports.server import StartupError, run_sidecar

PROGRAM = textwrap.dedent("""
    import asyncio, json, sys
    from guard.transports.server import run_sidecar

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                print(json.dumps({"lifespan": kind}), flush=True)
                await send({"type": kind + ".complete"})
                if kind.endswith("shutdown"):
                    return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-client", str(scope["client"]).encode())]})
        pieces = 1 if scope["path"] == "/short" else 1000 if scope["path"] == "/endless" else 8
        for piece in range(pieces):
            await send({"type": "http.response.body", "body": b"piece", "more_body": True})
            if pieces > 1:
                await asyncio.sleep(0.1)
        await send({"type": "http.response.body"})

    async def admin(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"admin"})

    async def reload():
        print(json.dumps({"reload": True}), flush=True)

    def ready(bound):
        print(json.dumps({"listen": str(bound.listen), "admin": bound.admin and str(bound.admin)}), flush=True)

    listen, admin_listen = sys.argv[1:3]
    run_sidecar(app, listen, None if admin_listen == "off" else admin, admin_listen, on_ready=ready, reload=reload, grace=3)
    print(json.dumps({"left": True}), flush=True)
""")


class Sidecar:
    def __init__(self, listen="127.0.0.1:0", admin="127.0.0.1:0"):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, listen, admin],
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


@pytest.mark.slow
def test_both_ports_answer_and_the_headers_say_little():
    with Sidecar() as sidecar:
        headers, body = get(sidecar.bound["listen"] + "/short", {"X-Forwarded-For": "203.0.113.9"})
        assert body == b"piece"
        assert headers["date"]
        assert headers["server"] is None
        assert headers["x-client"].startswith("('127.0.0.1'")  # no header moves the peer's address
        assert get(sidecar.bound["admin"])[1] == b"admin"
        sidecar.process.send_signal(signal.SIGHUP)
        assert sidecar.line() == {"reload": True}
        sidecar.process.send_signal(signal.SIGTERM)
        assert sidecar.line() == {"lifespan": "lifespan.shutdown"}
        assert sidecar.line() == {"left": True}
        assert sidecar.process.wait(5) == 0


@pytest.mark.slow
def test_a_stream_in_flight_finishes_while_the_admin_port_answers_and_nobody_new_gets_in():
    with Sidecar() as sidecar:
        stream = urllib.request.urlopen(sidecar.bound["listen"], timeout=10)
        assert stream.read(5) == b"piece"
        sidecar.process.send_signal(signal.SIGTERM)
        assert stream.read(5) == b"piece"
        assert stream.read(5) == b"piece"
        with pytest.raises(OSError, match="refused"):
            get(sidecar.bound["listen"] + "/short")
        assert get(sidecar.bound["admin"])[1] == b"admin"
        assert stream.read() == b"piece" * 5
        stream.close()
        assert sidecar.process.wait(5) == 0


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2], ids=["the grace period ends it", "a second signal ends it at once"])
def test_an_endless_stream_does_not_keep_the_process(signals):
    with Sidecar() as sidecar:
        stream = urllib.request.urlopen(sidecar.bound["listen"] + "/endless", timeout=10)
        for _ in range(signals):
            assert stream.read(5) == b"piece"
            sidecar.process.send_signal(signal.SIGTERM)
        sidecar.process.wait(2 if signals == 2 else 6)
        with suppress(OSError, IncompleteRead):
            stream.read()
        stream.close()


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
        assert sidecar.process.wait(5) == 0
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
