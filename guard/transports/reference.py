"""The reference of a request: what client, log and audit chain call it by."""

import os
import re

REFERENCE = re.compile(r"[0-9a-f]{20}")
"""The whole of one, as Guard makes it."""
_DIGITS = 20
_AT_ONCE = 256
"""References made with one system call: one for each would cost more than all the rest of making it."""

_ready: list[str] = []
os.register_at_fork(after_in_child=_ready.clear)


def new_reference() -> str:
    """Return a fresh reference id: 80 random bits, hexadecimal."""
    try:
        return _ready.pop()
    except IndexError:
        digits = os.urandom(_AT_ONCE * _DIGITS // 2).hex()
        fresh = [digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS)]
        reference = fresh.pop()
        _ready.extend(fresh)
        return reference
