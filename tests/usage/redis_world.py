"""Real Redis servers for tests: each on a port or socket of its own, stopped by its process when the test is over."""

import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from guard.usage.address import open_ledger

DEADLINE = 20.0


def wait_for(what, *, message="it never happened"):
    """Return what ``what`` returns as soon as it is true; exceptions of Redis count as not yet."""
    end = time.monotonic() + DEADLINE
    while True:
        try:
            if found := what():
                return found
        except (redis.RedisError, OSError):
            pass
        assert time.monotonic() < end, message
        time.sleep(0.02)


def free_port():
    """A port with a cluster bus port (10000 higher) that nobody listens on."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 50_000:
            return port


class Server:
    """One ``redis-server``; ``words`` are its configuration."""

    def __init__(self, folder: Path, *words, name="redis", port=None, tls=False, login=None, **how):
        if not shutil.which("redis-server"):
            pytest.fail("there is no redis-server: install Debian's redis-server (make packages)", pytrace=False)
        self.folder, self.name, self.tls = folder, name, tls
        self.port = port or free_port()
        self.socket = folder / f"{name}.sock"
        self.login = login or {}
        self.words = [
            *("--dir", str(folder), "--unixsocket", str(self.socket), "--save", "", "--bind", "127.0.0.1"),
            *("--dbfilename", f"{name}.rdb", "--appenddirname", f"{name}-aof", "--loglevel", "warning"),
            *(("--port", "0", "--tls-port", str(self.port)) if tls else ("--port", str(self.port))),
            *words,
        ]
        self.process = None
        self.start(**how)

    def start(self, *, sentinel=None):
        command = ["redis-server", *([str(sentinel), "--sentinel"] if sentinel else []), *self.words]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        log = self.folder / f"{self.name}.log"
        wait_for(lambda: self.client().ping() or True, message=f"redis-server did not start: {log.read_text()}")

    def client(self, **more):
        return redis.Redis(
            unix_socket_path=str(self.socket), decode_responses=True, socket_timeout=5, **{**self.login, **more}
        )

    def do(self, *words):
        client = self.client()
        try:
            return client.execute_command(*words)
        finally:
            client.close()

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def url(self, scheme="redis", query="", login=""):
        return f"{scheme}://{login}127.0.0.1:{self.port}/0" + (f"?{query}" if query else "")

    @property
    def unix_url(self):
        return f"redis+unix://{self.socket}"


@pytest.fixture
def start(tmp_path_factory):
    """Start servers with ``start(*words, **how)``; all end with the test."""
    with ExitStack() as ending:

        def begin(*words, folder=None, **how):
            server = Server(folder or tmp_path_factory.mktemp("r"), *words, **how)
            ending.callback(server.kill)
            return server

        yield begin


@pytest.fixture
def opened():
    """Open ledgers with ``opened(url)``; all are closed with the test."""
    with ExitStack() as ending:

        def begin(url, **how):
            ledger = open_ledger(url, **how)
            ending.callback(ledger.close)
            return ledger

        yield begin


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    """One server for all tests of a module, which keep apart by their prefix."""
    server = Server(tmp_path_factory.mktemp("r"))
    yield server
    server.kill()


def start_cluster(folder, size=3):
    """Three masters that have agreed on the slots."""
    nodes = [Server(folder, "--cluster-enabled", "yes", "--cluster-config-file", f"nodes{at}.conf",
                    "--cluster-node-timeout", "2000", name=f"node{at}") for at in range(size)]  # fmt: skip
    try:
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        subprocess.run(
            ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"],
            check=True,
            capture_output=True,
            timeout=60,
        )
        for node in nodes:
            wait_for(lambda node=node: node.do("CLUSTER INFO")["cluster_state"] == "ok")
    except BaseException:
        for node in nodes:
            node.kill()
        raise
    return nodes


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory):
    nodes = start_cluster(tmp_path_factory.mktemp("c"))
    yield nodes
    for node in nodes:
        node.kill()


def cluster_url(nodes, scheme="redis+cluster", query=""):
    return f"{scheme}://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}" + (f"?{query}" if query else "")
