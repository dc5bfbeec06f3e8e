"""How much of what was written a client has not taken yet."""

import array
import fcntl
import termios
from typing import Any


def unsent(transport: Any) -> int:
    """Return the bytes that wait in ``transport``, an asyncio one, and (on Linux) in its socket.

    The socket counts too: it takes more only when a good part of it, which may be megabytes, is free, so that a slow
    client looks like one that stands still as long as nothing but the transport is watched.
    """
    waiting: int = transport.get_write_buffer_size()
    queued = array.array("i", [0])
    try:
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    except (AttributeError, OSError, ValueError):  # no socket, one that cannot tell, one that was closed
        return waiting
    return waiting + queued[0]
