"""Listening addresses, and the sockets behind them."""

import os
import socket
import stat
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

BACKLOG = 2048


class StartupError(Exception):
    """The sidecar cannot start; the text says which address and why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: ``host`` and ``port`` (0: any free one), or the ``path`` of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address in ``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:///PATH``. Raises ValueError."""
        if text.startswith("unix://"):
            path = text.removeprefix("unix://")
            if not path.startswith("/"):
                raise ValueError(f"address {text!r}: allowed: unix:///absolute/path")
            return cls(path=path)
        host, separator, port = text.rpartition(":")
        if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"address {text!r}: allowed: HOST:PORT, [IPV6]:PORT, unix:///path")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach it."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False  # a name may resolve to anything, an empty host means every interface

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def bind(address: Address, name: str) -> tuple[socket.socket, Address]:
    """Return a listening socket and the address it got (with the port chosen for 0).

    Raises StartupError, which names the setting ``name`` and the address.
    """
    if address.path:
        try:
            return _bind_unix(address.path), address
        except OSError as error:
            raise _unusable(address, name, error) from error
    bound, taken = reserve(address, name)
    try:
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise _unusable(address, name, error) from error
    return bound, taken


def reserve(address: Address, name: str, *, shared: bool = False) -> tuple[socket.socket, Address]:
    """Return a socket that has the port of ``address`` and does not listen, and the address it got. Raises as ``bind``.

    Workers take the same address once more, as ``shared``: the kernel deals connections out among those that listen.
    Who takes it first, not shared, learns whether somebody else listens there already.
    """
    try:
        family, _, _, _, target = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _unusable(address, name, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(target)
    except OSError as error:
        bound.close()
        raise _unusable(address, name, error) from error
    bound.setblocking(False)
    return bound, Address(address.host, bound.getsockname()[1])


def _unusable(address: Address, name: str, error: OSError) -> StartupError:
    return StartupError(f"{name}: cannot listen on {address}: {error.strerror or error}")


def release(listener: socket.socket, address: Address) -> None:
    """Close what ``bind`` returned; a unix socket's file goes too."""
    listener.close()
    if address.path:
        Path(address.path).unlink(missing_ok=True)


def _bind_unix(path: str) -> socket.socket:
    """Bind a unix socket that the owner and the group may use, in place of one that nobody listens on any more."""
    file = Path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if file.exists() and stat.S_ISSOCK(file.stat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(path) != 0:
                    file.unlink()
        mask = os.umask(0o117)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
