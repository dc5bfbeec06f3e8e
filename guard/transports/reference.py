"""The reference of a request: what client, log and audit chain call it by."""

import os
import random
import re

REFERENCE = re.compile(r"[0-9a-f]{20}")
"""The whole of one, as Guard makes it."""
_random = random.Random(os.urandom(32))  # noqa: S311 - an id to find an entry by, no secret
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def new_reference() -> str:
    """Return a fresh reference id: 80 random bits, hexadecimal. A system call for each would cost more."""
    return f"{_random.getrandbits(80):020x}"
