"""A number from outside: users of services that Guard does not see, stated by a person or another gateway."""

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Self


class Part(StrEnum):
    """Whose users a declaration is about."""

    GATEWAY = "gateway"
    """Another gateway's, merged into the ledger user by user: ``users`` is 0, as nothing is added to the count."""
    PRODUCT = "product"
    """Another product or service of the licensee's."""
    AFFILIATE = "affiliate"
    """A product or service of an affiliate's."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """Users of one source in one period under one license, as ``owner`` states them.

    A stated number cannot be merged: the same people may be in it and in the ledger. So the count is at least the
    larger of the two, and at most their sum.
    """

    license: str
    period: str
    source: str
    """What was counted: ``mobile app``. One declaration per source, license and period."""
    part: Part
    users: int
    unidentified: int
    """Answered requests of the source that named nobody."""
    owner: str
    """Who answers for the number."""
    stated: str
    """The day it was stated (``2026-11-22``)."""

    def to_json(self) -> str:
        """Return the declaration as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the declaration in ``text``, which ``to_json`` made."""
        found = json.loads(text)
        known = {each.name: found[each.name] for each in fields(cls)}  # a newer version may have written more
        return cls(**{**known, "part": Part(known["part"])})
