"""A Redis of our own, and users to put into it."""

import subprocess
import time
from contextlib import contextmanager

_MASK = (1 << 64) - 1


@contextmanager
def redis_server(folder):
    """A server of our own on a socket in ``folder``; yields the URL of a ledger on it and the path of the socket."""
    socket = folder / "redis.sock"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not socket.exists():
            time.sleep(0.02)
        yield f"redis+unix://{socket}?users=1000000", socket
    finally:
        server.terminate()
        server.wait()


def pseudonym(number):
    """Return splitmix64 of ``number`` as a signed 64-bit integer: a bijection, so users are distinct."""
    mixed = (number + 1) * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    mixed ^= mixed >> 31
    return mixed - (1 << 64) if mixed >> 63 else mixed
