"""Whose users a license counts: from what was measured here and what was stated of elsewhere to bounds of its count."""

from collections.abc import Sequence
from typing import NamedTuple

from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Totals
from guard.usage.thresholds import Limit

UNIDENTIFIED = "unidentified requests"
"""What an upper bound leaves out wherever an answered request named nobody."""


class Scoped(NamedTuple):
    """What a license counts: at least ``lower`` users, and at most ``upper`` where nothing is left out of it."""

    lower: int
    upper: int
    """All users that are known of: measured and stated ones."""
    beyond: int
    """Of ``upper``, what is added to the measured upper bound: users that nobody here has seen."""
    reasons: tuple[str, ...]
    """Why the bounds are other than the measured ones, and what is in neither."""
    omits: tuple[str, ...]
    """What the license counts and ``upper`` does not have; with any, nothing bounds the count from above."""


def bounds(measured: Totals, declarations: Sequence[Declaration], limit: Limit | None) -> Scoped:
    """Return the bounds of what ``limit`` counts in a period: the ``measured`` users, and those of ``declarations``.

    ``all`` and ``with_model`` products are added up; the same people may use several of them, so the union has at least
    as many as the largest and at most as many as all. Where ``each`` product is looked at by itself, nothing is added
    up: the largest one counts, and what is measured here is taken for one product. A declaration under a license is
    taken at its word to be about products that it counts; those of affiliates are left out where the license excludes
    them, or the operator reads its silence so. Nobody unidentified is in any bound.

    Where the license counts ``all`` products, or affiliates, one gateway cannot see them all: until a number is stated
    of others, the count has no upper bound. Without a limit nothing is known of the license: everything is added up.
    """
    others = [item for item in declarations if item.users and item.part is not Part.GATEWAY]
    with_affiliates = limit is None or limit.counts_affiliates
    counted = [item for item in declarations if item.part is not Part.AFFILIATE or with_affiliates]
    lower = max([measured.lower, *(item.users for item in counted)])
    upper = _upper(measured, counted, limit)
    reasons, omits = [], []
    for item in declarations:
        if item not in counted:
            reasons.append(f"{_said(item)}: left out, {_why_out(limit)}")
        elif item.users:
            reasons.append(f"{_said(item)}: {_taken(item, limit)}")
        if item.unidentified and item in counted:
            reasons.append(f"{item.source}: {requests(item.unidentified)} named no user")
            omits.append(UNIDENTIFIED)
    left_out = sum(item.users for item in declarations if item not in counted)
    if left_out and limit is not None and limit.affiliates_read:
        reasons.append(
            f"the license does not mention affiliates; usage.affiliates reads that as {limit.affiliates_read}: "
            f"{left_out:,} left out; counted they would make at most {_upper(measured, declarations, limit):,}"
        )
    unseen = _unseen(limit)
    if unseen and not others:
        reasons.append(f"the license counts {unseen}; nothing was stated of others")
        omits.append("other products and services")
    return Scoped(lower, upper, upper - measured.upper, tuple(reasons), tuple(dict.fromkeys(omits)))


def requests(number: int) -> str:
    """Return a number of answered requests in words."""
    return f"{number:,} answered request{'' if number == 1 else 's'}"


def _upper(measured: Totals, counted: Sequence[Declaration], limit: Limit | None) -> int:
    if limit is not None and limit.products == "each":
        return max([measured.upper, *(item.users for item in counted)])
    return measured.upper + sum(item.users for item in counted)


def _unseen(limit: Limit | None) -> str:
    """What a license counts that no single gateway sees; empty where it counts nothing of the kind."""
    if limit is None:
        return ""
    if limit.products == "all":
        return "all products of the licensee" + " and its affiliates" * limit.names_affiliates
    if limit.names_affiliates:
        return "products of the licensee's affiliates too"
    return ""


def _why_out(limit: Limit | None) -> str:
    return "as read" if limit is not None and limit.affiliates_read else "as the license does not count affiliates"


def _said(item: Declaration) -> str:
    of = " of an affiliate" if item.part is Part.AFFILIATE else ""
    return f"{item.source}{of}: {item.users:,} users, stated by {item.owner} on {item.stated}"


def _taken(item: Declaration, limit: Limit | None) -> str:
    if limit is not None and limit.products == "each":
        taken = "a product by itself, not added up"
    else:
        taken = "they may be among those counted here"
    if item.part is Part.AFFILIATE and limit is not None and limit.affiliates == "unmentioned":
        read = "usage.affiliates reads that as included" if limit.affiliates_read else "they are counted"
        taken += f"; the license does not mention affiliates, and {read}"
    return taken
