"""Whose users a license counts: from what was measured here and what was stated of elsewhere to bounds of its count."""

from collections.abc import Sequence
from typing import NamedTuple

from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Totals


class Scoped(NamedTuple):
    """What a license counts: at least ``lower`` and at most ``upper`` users."""

    lower: int
    upper: int
    beyond: int
    """Of ``upper``, what is added to the measured upper bound: users that nobody here has seen."""
    reasons: tuple[str, ...]
    """Why the bounds are other than the measured ones, and what is in neither."""


def bounds(measured: Totals, declarations: Sequence[Declaration], products: str, affiliates: str) -> Scoped:
    """Return the bounds of what a license counts in a period: the ``measured`` users, and those of ``declarations``.

    ``products`` and ``affiliates`` are those of a ``Limit``. ``all`` and ``with_model`` products are added up; the same
    people may use several of them, so the union has at least as many as the largest and at most as many as all. Where
    ``each`` product is looked at by itself, nothing is added up: the largest one counts, and what is measured here is
    taken for one product. A declaration under a license is taken at its word to be about products that it counts;
    those of affiliates are left out where they are ``excluded``. Nobody unidentified is in any bound.
    """
    counted = [item for item in declarations if item.part is not Part.AFFILIATE or affiliates != "excluded"]
    largest = max((item.users for item in counted), default=0)
    lower = max(measured.lower, largest)
    upper = max(measured.upper, largest) if products == "each" else measured.upper + sum(item.users for item in counted)
    reasons = []
    for item in declarations:
        if item not in counted:
            reasons.append(f"{_said(item)}: left out, as affiliates do not count")
        elif item.users:
            reasons.append(f"{_said(item)}: {_taken(item, products, affiliates)}")
        if item.unidentified and item in counted:
            reasons.append(f"{item.source}: {item.unidentified:,} answered requests named no user")
    return Scoped(lower, upper, upper - measured.upper, tuple(reasons))


def _said(item: Declaration) -> str:
    of = " of an affiliate" if item.part is Part.AFFILIATE else ""
    return f"{item.source}{of}: {item.users:,} users, stated by {item.owner} on {item.stated}"


def _taken(item: Declaration, products: str, affiliates: str) -> str:
    if products == "each":
        taken = "a product by itself, not added up"
    else:
        taken = "they may be among those counted here"
    if item.part is Part.AFFILIATE and affiliates == "unmentioned":
        taken += "; the license does not mention affiliates, and they are counted"
    return taken
