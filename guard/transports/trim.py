"""Memory that loading a policy took and nobody needs any more goes back to the system."""

import ctypes
from contextlib import suppress


def trim() -> None:
    """Return free heap to the system, where the C library can (glibc's ``malloc_trim(3)``).

    A policy is parsed from hundreds of kilobytes of YAML; what that leaves behind is a tenth of a worker's memory.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
