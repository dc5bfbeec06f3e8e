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
    triggered: bool
    """True if this count does."""
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
                if threshold.counts_users:
                    says = f"no: it is about {what}, and days are not counted (usage.windows: [day])"
                yield LiveCount(license_.id, threshold.id, threshold.clause, False, False, None, says)
            else:
                yield _judged(threshold, *counted, count, at_limit)
    for limit, state in states.values():
        yield _counted(limit, state, _acts("the operator's own limit acts on the live count", limit, count, at_limit))


def _judged(threshold: Threshold, limit: Limit, state: State, count: int, at_limit: AtLimit) -> LiveCount:
    if threshold.window is Window.RELEASE_SNAPSHOT:
        says = (
            f"no: the license looks at {threshold.reference_month}, the month before its release; a live count can "
            f"neither trigger nor cure it, and {count:,} users now are evidence and early warning only"
        )
        return LiveCount(limit.license, limit.id, limit.clause, False, False, state, says)
    if not limit.standing:
        when = threshold.window.value.replace("_", " ")
        says = f"no: its window ({when}) is not one that Guard acts on; {count:,} users now are early warning only"
        return LiveCount(limit.license, limit.id, limit.clause, False, False, state, says)
    if limit.acts:
        return _counted(limit, state, _acts("the license's condition holds at all times", limit, count, at_limit))
    duty = f"{threshold.consequence_text}; nothing is refused"
    if state is State.OVER:
        return _counted(limit, state, f"the duty has started (count: {count:,}): {duty}")
    return _counted(limit, state, f"{_of(limit, count)}; the duty starts only above {limit.allowed:,}: {duty}")


def _counted(limit: Limit, state: State, says: str) -> LiveCount:
    """What holds of a limit that a live count can trigger."""
    now = {State.OVER: "yes", State.APPROACHING: "not now, approaching", State.OK: "not now"}[state]
    return LiveCount(limit.license, limit.id, limit.clause, True, state is State.OVER, state, f"{now}: {says}")


def _acts(why: str, limit: Limit, count: int, at_limit: AtLimit) -> str:
    """What a limit that can stop the service does at ``count``."""
    over = count - limit.allowed
    if over <= 0:
        then = {
            AtLimit.OBSERVE: "",
            AtLimit.REFUSE_NEWCOMERS: "; newcomers that would bring it there are refused",
            AtLimit.REFUSE_ALL: "; newcomers that would bring it there are refused, and everybody beyond it",
        }[at_limit]
        return f"{_of(limit, count)}; {why}, so it would be triggered by a live count above {limit.allowed:,}{then}"
    done = {
        AtLimit.OBSERVE: "nothing is refused, because usage.at_limit is observe",
        AtLimit.REFUSE_NEWCOMERS: "newcomers are refused",
        AtLimit.REFUSE_ALL: "everybody is refused",
    }[at_limit]
    return f"{_of(limit, count)}, {over:,} too many; {why}; {done}"


def _of(limit: Limit, count: int) -> str:
    return f"{count:,} of {limit.allowed:,} users"
