"""Parts of a request that no text rule can read: what kinds there are, and what a policy does about each."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class PartKind(StrEnum):
    """Kinds of content that hold no text: bounded, because they are labels."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    FILE = "file"
    PROMPT_EMBEDS = "prompt_embeds"


class PartAction(StrEnum):
    """What is done about such a part, from the loosest to the strictest."""

    ALLOW = "allow"
    """It passes unread."""
    MARK = "mark"
    """It passes unread, the audit log says so, and so does the answer."""
    DENY = "deny"


STRICTNESS = tuple(PartAction)


class UnscannedPart(NamedTuple):
    """One such part: its kind and where it stands (``messages[0].content[1]``)."""

    kind: PartKind
    path: str


def every(action: PartAction) -> Mapping[PartKind, PartAction]:
    """Return ``action`` for every kind."""
    return dict.fromkeys(PartKind, action)


def stricter(one: PartAction, other: PartAction) -> PartAction:
    """Return the stricter of two actions."""
    return max(one, other, key=STRICTNESS.index)
