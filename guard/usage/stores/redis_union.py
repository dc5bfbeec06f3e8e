"""Merging scopes in Redis: set by set where both have the same number of them, user by user where they have not."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guard.usage.ledger import LedgerUnavailable, Scope
from guard.usage.stores.redis_connection import Command, call, command
from guard.usage.stores.redis_layout import Shape, period_before
from guard.usage.stores.redis_script import MERGE

if TYPE_CHECKING:
    from guard.usage.stores.redis_count import RedisCount

UNITED = 128
"""Sets that one call of the script reads at most: some 50,000 users, for which Redis does nothing else."""
ATTEMPTS = 8


def unite(count: "RedisCount", target: Scope, sources: Sequence[Scope]) -> None:
    """Add the users of ``sources`` to ``target``; whoever is there already changes nothing.

    Sources that were forgotten have none. Raises LedgerUnavailable, and LedgerError where users cannot be passed on.
    """
    layout = count.layout
    keys = [(group, source) for group in range(layout.groups) for source in sources]
    found = count.ask(
        command("HMGET", layout.period(group, source.period), f"k {source.license}", f"f {source.license}")
        for group, source in keys
    )
    there: dict[int, dict[Scope, int]] = {}
    for (group, source), (sets, forgotten) in zip(keys, found, strict=True):
        if sets and not forgotten:
            there.setdefault(group, {})[source] = int(sets)
    for group, sets_of in there.items():
        _unite_group(count, target, group, sets_of)


def _unite_group(count: "RedisCount", target: Scope, group: int, sets_of: dict[Scope, int]) -> None:
    base = max(sets_of.values())
    for _ in range(ATTEMPTS):
        (reply,) = count.ask([_call(count, target, group, None, base, (), ())])
        shape = Shape.of(reply)
        alike = [source for source, sets in sets_of.items() if sets == shape.sets]
        step = max(1, UNITED // max(len(alike), 1))
        replies = count.ask(
            _call(count, target, group, shape, base, alike, range(at, min(at + step, shape.sets)))
            for at in (range(0, shape.sets, step) if alike else ())
        )
        if not any(isinstance(each, str) for each in replies):
            for source in sets_of.keys() - set(alike):
                count.pass_on(source, group, target)
            return
    raise LedgerUnavailable(f"ledger {count.place}: the layout of {target.period} changes again and again")


def _call(
    count: "RedisCount",
    target: Scope,
    group: int,
    shape: Shape | None,
    base: int,
    sources: Sequence[Scope],
    numbers: Sequence[int],
) -> Command:
    layout = count.layout
    keys = [
        layout.period(group, target.period),
        layout.periods(group),
        layout.period(group, period_before(target.period)),
    ]
    late = shape is not None and shape.forgotten
    columns = [layout.sets(group, target, numbers, late=late)]
    columns += [layout.sets(group, source, numbers) for source in sources]
    keys += [key for row in zip(*columns, strict=True) for key in row]
    commands = (count.count_command, count.union_command)
    return call(MERGE, keys, *target, base, 0, str(shape or ""), len(columns), *commands)
