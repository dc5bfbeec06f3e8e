"""The target of a request, as the parts of a scope."""

from typing import NamedTuple
from urllib.parse import unquote

import httptools

MOST_KEPT = 256
"""Targets that are remembered: clients ask for a handful of paths, over and over."""
LONGEST_KEPT = 128
"""Bytes of a target that is worth remembering."""


class Target(NamedTuple):
    """What a scope says of the target."""

    path: str
    raw_path: bytes
    query: bytes


_known: dict[bytes, Target] = {}


def target(url: bytes) -> Target:
    """Return the parts of ``url``, in origin or absolute form (RFC 9112 section 3.2).

    Raises httptools.HttpParserError for any other, and UnicodeDecodeError for a path that is not ASCII.
    """
    known = _known.get(url)
    if known is not None:
        return known
    parts = httptools.parse_url(url)
    if parts.path is None:
        raise httptools.HttpParserInvalidURLError("a target without a path")
    path = parts.path.decode("ascii")
    made = Target(unquote(path) if "%" in path else path, parts.path, parts.query or b"")
    if not made.query and len(url) <= LONGEST_KEPT and len(_known) < MOST_KEPT:
        _known[url] = made
    return made
