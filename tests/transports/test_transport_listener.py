"""Addresses and the sockets behind them."""

import socket

import pytest

from guard.transports.listener import Address, StartupError, bind, release


@pytest.mark.parametrize(
    ("text", "address", "loopback", "shown"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080), True, "http://127.0.0.1:8080"),
        ("localhost:0", Address("localhost", 0), True, "http://localhost:0"),
        ("[::1]:8080", Address("::1", 8080), True, "http://[::1]:8080"),
        ("unix:///run/guard.sock", Address(path="/run/guard.sock"), True, "unix:///run/guard.sock"),
        ("0.0.0.0:8080", Address("0.0.0.0", 8080), False, "http://0.0.0.0:8080"),
        (":8080", Address("", 8080), False, "http://:8080"),
        ("localhost.example:80", Address("localhost.example", 80), False, "http://localhost.example:80"),
        ("[::]:80", Address("::", 80), False, "http://[::]:80"),
    ],
)
def test_addresses(text, address, loopback, shown):
    assert Address.parse(text) == address
    assert (address.loopback, str(address)) == (loopback, shown)


@pytest.mark.parametrize("text", ["8080", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "unix://relative", "a:-1"])
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="allowed"):
        Address.parse(text)


def test_a_port_in_use_is_named():
    listener, address = bind(Address("127.0.0.1", 0), "listen")
    try:
        assert address.port == listener.getsockname()[1] > 0
        with pytest.raises(
            StartupError, match=f"^admin: cannot listen on http://127.0.0.1:{address.port}: Address already"
        ):
            bind(address, "admin")
    finally:
        release(listener, address)
    with pytest.raises(StartupError, match=r"^listen: cannot listen on http://no\.such\.invalid:1"):
        bind(Address("no.such.invalid", 1), "listen")


def test_a_unix_socket_replaces_a_dead_one_but_not_a_live_one_or_a_file(tmp_path):
    address = Address(path=str(tmp_path / "guard.sock"))
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(address.path)
    dead.close()
    listener, _ = bind(address, "listen")
    assert (tmp_path / "guard.sock").stat().st_mode & 0o007 == 0
    with pytest.raises(StartupError, match="in use"):
        bind(address, "listen")
    release(listener, address)
    assert not (tmp_path / "guard.sock").exists()
    (tmp_path / "guard.sock").write_text("precious")
    with pytest.raises(StartupError):
        bind(address, "listen")
    assert (tmp_path / "guard.sock").read_text() == "precious"
