"""Fetching a document: what an issuer, or whoever answers in its place, can do is bounded."""

import socket
import threading

import pytest
from key_server import KeyServer

from guard.policy import fetch as fetching
from guard.policy.fetch import FetchError, fetch


@pytest.fixture
def server():
    server = KeyServer()
    yield server
    server.close()


def test_a_document_is_fetched_whole(server):
    server.body = b"x" * fetching.MOST
    assert fetch(server.url) == server.body


@pytest.mark.parametrize(("status", "why"), [
    (302, "status 302, a redirect, which is not followed"), (307, "status 307, a redirect, which is not followed"),
    (404, "status 404, not a key set"), (503, "status 503, not a key set"), (206, "status 206"),
])  # fmt: skip
def test_anything_but_the_document_itself_is_refused(server, status, why):
    server.status, server.headers, server.body = status, {"location": server.url}, b"a secret page"
    with pytest.raises(FetchError) as caught:
        fetch(server.url)
    assert (str(caught.value), server.asked) == (why, 1)


def test_a_document_of_more_than_64_kib_is_refused_before_it_is_read(server):
    server.body = b"x" * (fetching.MOST + 1)
    with pytest.raises(FetchError, match=r"^more than 64 KiB$"):
        fetch(server.url)


def test_nobody_there_is_told_without_the_address():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(FetchError, match=r"^Connection refused$"):
        fetch(f"http://127.0.0.1:{port}/")


def answering(*pieces, keep=None):
    """A listener that sends ``pieces`` to one client, and holds the line until ``keep`` is set."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        client, _ = listener.accept()
        with client, listener:
            client.recv(65536)
            for piece in pieces:
                client.sendall(piece)
            if keep is not None:
                keep.wait(30)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_what_is_no_http_is_an_error_of_the_fetch():
    with pytest.raises(FetchError, match="BadStatusLine"):
        fetch(answering(b"220 mail.example.org ESMTP\r\n"))


@pytest.mark.slow
def test_whoever_never_finishes_is_left(monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    done = threading.Event()
    try:
        with pytest.raises(FetchError, match=r"^timed out$"):
            fetch(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", keep=done))
        with pytest.raises(FetchError, match=r"^timed out$"):
            fetch(answering(keep=done))
    finally:
        done.set()


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(server, monkeypatch):
    server.body = b"{}"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetch(server.url) == b"{}"


def test_a_proxy_of_the_environment_is_asked_for_the_rest(server, monkeypatch):
    server.status = 418  # the proxy's answer to CONNECT
    monkeypatch.setenv("https_proxy", server.url.removesuffix("/keys"))
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(FetchError):
        fetch("https://idp.example.org/keys")
