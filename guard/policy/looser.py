"""Which of two values of a fact is the looser, where that is no plain order.

A value that is not understood, as another release may have written it, is not looser and loosens nothing.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from guard.licensing.capability import Setting
from guard.licensing.place import members
from guard.licensing.purpose import UNKNOWN, narrow
from guard.policy.posture import Fact, listed, names

SOURCES = ("mtls", "assertion", "jwt", "trusted_header", "api_key", "body")
"""Where identities come from: from what is verified to what callers say of themselves."""
ACTIONS = ("off", "log", "flag", "mask", "block")


def reordered(old: Fact | None, new: Fact | None) -> bool:
    """Return True if what is in both lists stands in another order."""
    before, after = names(old), names(new)
    return [name for name in before if name in after] != [name for name in after if name in before]


def loses(old: Fact | None, new: Fact | None) -> bool:
    """Return True if something in the list is gone."""
    return not set(names(old)) <= set(names(new))


def believes_more(old: Fact | None, new: Fact | None) -> bool:
    """Return True if a header in ``new``, an order of trust, comes before one that it did not come before in ``old``.

    A list that only got shorter believes nothing more.
    """
    rest = iter(names(old))
    return not all(name in rest for name in names(new))


def with_networks(headers: Fact | None) -> str:
    """Return the ``headers`` that are believed from networks of their own: others are from nobody, without any."""
    return listed(header for header in names(headers) if " from " in header)


def reaches_further(old: Fact | None, new: Fact | None) -> bool:
    """Return True if a network in ``new`` is not inside those in ``old``."""
    try:
        before = [ip_network(network) for network in names(old)]
        after = [ip_network(network) for network in names(new)]
    except ValueError:
        return False
    fours = list(collapse_addresses(network for network in before if isinstance(network, IPv4Network)))
    sixes = list(collapse_addresses(network for network in before if isinstance(network, IPv6Network)))
    return not all(
        any(network.subnet_of(known) for known in fours)
        if isinstance(network, IPv4Network)
        else any(network.subnet_of(known) for known in sixes)
        for network in after
    )


def trusts_weaker(old: Fact | None, new: Fact | None) -> bool:
    """Return True if a weaker source of identities is new, or no longer overridden by a stronger one."""
    if not set(names(old)) <= set(SOURCES):
        return False
    before = [SOURCES.index(name) for name in names(old)]
    after = [SOURCES.index(name) for name in names(new) if name in SOURCES]
    if any(source > max(before, default=-1) for source in after):
        return True
    return any(
        _first(before, strong, weak) and weak in after and not _first(after, strong, weak)
        for strong in before
        for weak in before
        if strong < weak
    )


def _first(order: Sequence[int], one: int, other: int) -> bool:
    return one in order and (other not in order or order.index(one) < order.index(other))


def grants_more(old: Fact | None, new: Fact | None) -> bool:
    """Return True if the purpose ``new`` is not part of the purpose ``old``."""
    if old is None or new is None or old in {new, UNKNOWN}:
        return False
    try:
        return new == UNKNOWN or narrow(str(old), str(new)) is None
    except ValueError:
        return False


def does_less(old: Fact | None, new: Fact | None) -> bool:
    """Return True if a rule does less than it did, or is gone."""
    if old not in ACTIONS:
        return False
    return ACTIONS.index(str(new if new in ACTIONS else "off")) < ACTIONS.index(str(old))


def holds_less(old: Fact | None, new: Fact | None) -> bool:
    """Return True if a guard model holds back fewer categories, or its silence no longer refuses."""
    if old in {"refuse", "serve"}:
        return (old, new) == ("refuse", "serve")
    return loses(old, new)


def opens_places(old: Fact | None, new: Fact | None) -> bool:
    """Return True if a country that was excluded no longer is."""
    understood = all(len(place) == 2 and place.isupper() for place in names(old))
    return understood and not members(names(old)) <= members(names(new))


def gives_more(old: Fact, new: Fact) -> bool:
    """Return True if ``new``, what happens to a capability, lets through more detail."""
    before, after = _strictness(str(old)), _strictness(str(new))
    return before is not None and after is not None and after < before


def _strictness(text: str) -> tuple[int, int] | None:
    action, _, limit = text.partition(" to ")
    try:
        return Setting(action, int(limit) if limit else None).strictness
    except ValueError:
        return None
