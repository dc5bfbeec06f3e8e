"""Who answers the admin port while the worker that does is not there."""

import asyncio
import json
import socket

import pytest

from guard.transports.standin import StandIn, answer


@pytest.mark.parametrize(("head", "status", "said"), [
    (b"GET /healthz HTTP/1.1\r\n\r\n", b"200 OK", {"alive": True}),
    (b"GET /readyz?x=1 HTTP/1.1\r\nhost: a\r\n\r\n", b"503 Service Unavailable", {"ready": False}),
    (b"POST /-/reload HTTP/1.1\r\n\r\n", b"503 Service Unavailable", None),
    (b"POST /healthz HTTP/1.1\r\n\r\n", b"503 Service Unavailable", None),
    (b"nonsense\xff\r\n\r\n", b"503 Service Unavailable", None),
])  # fmt: skip
def test_it_lives_and_is_not_ready(head, status, said):
    top, _, body = answer(head).partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert f"content-length: {len(body)}".encode() in top
    assert b"connection: close" in top
    assert said is None or json.loads(body) == said


def test_a_head_has_no_body():
    assert answer(b"HEAD /healthz HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


async def ask(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
    try:
        return await reader.read()
    finally:
        writer.close()


def test_the_socket_stays_for_the_next_worker():
    async def run():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            standin, port = StandIn(listener), listener.getsockname()[1]
            for _ in range(2):
                await asyncio.gather(standin.serve(needed=True), standin.serve(needed=True))
                assert (await ask(port)).startswith(b"HTTP/1.1 200 ")
                await standin.serve(needed=False)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(ask(port), 0.2)  # it waits for who accepts next
                accepted, _ = await asyncio.to_thread(_accept, listener)
                accepted.close()

    asyncio.run(run())


def _accept(listener):
    listener.setblocking(True)
    try:
        return listener.accept()
    finally:
        listener.setblocking(False)
