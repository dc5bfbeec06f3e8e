"""Notices on their way out: headers of every answer, and a member of its JSON."""

from functools import lru_cache
from typing import NamedTuple

import msgspec

from guard.licensing.notice import Notice

MEMBER = "guard_notices"
_EVENT = b"data: {"


class Rendered(NamedTuple):
    """Notices as they leave."""

    headers: tuple[tuple[bytes, bytes], ...]
    member: bytes
    """``"guard_notices":[...],`` as it is put behind the first brace of an event or an answer."""


NONE = Rendered((), b"")
"""Of a model without notices."""


@lru_cache(maxsize=256)
def render(notices: tuple[Notice, ...]) -> Rendered:
    """Return ``notices`` as headers and as the bytes of a JSON member; made once per policy."""
    facts = [notice._asdict() for notice in notices]
    headers = tuple((b"x-guard-notice", notice.text.encode("ascii")) for notice in notices)
    return Rendered(headers, f'"{MEMBER}":'.encode() + msgspec.json.encode(facts) + b",")


def into_event(out: bytes, member: bytes) -> bytes | None:
    """Return ``out``, events as Guard writes them, with ``member`` in the first that is a JSON object; None if none is.

    Guard's own encoder wrote them, so an event begins with ``data: {`` and no string can hold a line break before it.
    """
    at = 0 if out.startswith(_EVENT) else out.find(b"\n" + _EVENT) + 1
    if at == 0 and not out.startswith(_EVENT):
        return None
    behind = at + len(_EVENT)
    if out[behind : behind + 1] == b"}":
        return None
    return out[:behind] + member + out[behind:]


def into_object(body: bytes, member: bytes) -> bytes:
    """Return ``body``, a JSON object that begins with its brace, with ``member`` behind it."""
    if body == b"{}":
        return b"{" + member.removesuffix(b",") + b"}"
    return body[:1] + member + body[1:]
