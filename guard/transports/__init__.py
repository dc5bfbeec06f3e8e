"""Bytes in and out: the only rooms that know ASGI, sockets and HTTP."""
