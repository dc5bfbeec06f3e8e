"""Does the live count trigger a threshold? Some licenses look at one past month, some at today, some at money."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from guard.licensing.license import License, Threshold, Window
from guard.usage.thresholds import AtLimit, Limit, State


class LiveCount(NamedTuple):
    """What a number of users counted now does to one threshold."""

    license: str
    threshold: str
    clause: str
    triggers: bool
    """True if a live count can trigger it at all."""
    state: State | None
    """The state that the count puts it in; None where no count of users does."""
    says: str


def live_counts(
    licenses: Sequence[License], limits: Sequence[tuple[Limit, State]], count: int, at_limit: AtLimit
) -> Iterator[LiveCount]:
    """Yield what ``count`` users do to every threshold of ``licenses``, and to the operator's own ``limits``."""
    states = {(limit.license, limit.id): (limit, state) for limit, state in limits}
    for license_ in licenses:
        for threshold in license_.thresholds:
            counted = states.pop((license_.id, threshold.id), None)
            if counted is None:
                what = threshold.metric.replace("_", " ")
                says = f"no: it is about {what}, which no gateway sees; it is for the operator to attest"
                yield LiveCount(license_.id, threshold.id, threshold.clause, False, None, says)
            else:
                yield _judged(threshold, *counted, count, at_limit)
    for limit, state in states.values():
        says = (
            f"yes: the operator's own limit of {limit.value:,} acts on the live count; {_acts(limit, count, at_limit)}"
        )
        yield LiveCount(limit.license, limit.id, limit.clause, True, state, says)


def _judged(threshold: Threshold, limit: Limit, state: State, count: int, at_limit: AtLimit) -> LiveCount:
    if threshold.window is Window.RELEASE_SNAPSHOT:
        says = (
            f"no: the license looks at {threshold.reference_month}, the month before its release; a live count can "
            f"neither trigger nor cure it, and {count:,} users now are evidence and early warning only"
        )
        return LiveCount(limit.license, limit.id, limit.clause, False, state, says)
    if not limit.standing:
        when = threshold.window.value.replace("_", " ")
        says = f"no: its window ({when}) is not one that Guard acts on; {count:,} users now are early warning only"
        return LiveCount(limit.license, limit.id, limit.clause, False, state, says)
    if not limit.acts:
        over = "the duty has started" if state is State.OVER else f"the duty starts above {limit.allowed:,}"
        says = f"yes: {over} (count: {count:,}): {threshold.consequence_text}; nothing is refused"
    else:
        says = f"yes: it is a condition that holds at all times; {_acts(limit, count, at_limit)}"
    return LiveCount(limit.license, limit.id, limit.clause, True, state, says)


def _acts(limit: Limit, count: int, at_limit: AtLimit) -> str:
    room = limit.allowed - count
    where = f"{room:,} more may come" if room > 0 else "no more may come" if room == 0 else f"{-room:,} too many"
    done = {
        AtLimit.OBSERVE: "nothing is refused, because usage.at_limit is observe",
        AtLimit.REFUSE_NEWCOMERS: "newcomers are refused from there on",
        AtLimit.REFUSE_ALL: "newcomers are refused from there on, and everybody beyond it",
    }[at_limit]
    return f"{count:,} of {limit.allowed:,} users, {where}; {done}"
