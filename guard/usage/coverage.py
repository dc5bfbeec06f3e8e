"""How much of a period was observed: a ledger knows nobody of the time before it counted."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from guard.usage.ledger import Ledger
from guard.usage.period import Kind, days_of, kind_of, month_of

EARLIER = "time before counting began"
"""What an upper bound leaves out in a period that was not observed from its beginning."""
_WHAT = {Kind.DAY: "days", Kind.ROLLING_28: "windows of 28 days", Kind.ROLLING_30: "windows of 30 days"}


class Coverage(NamedTuple):
    """How much of a period a ledger has observed, as far as its own counts tell."""

    counted: bool
    """False if nothing was counted in the period: zero users would be a guess."""
    reason: str = ""
    """What is missing, in words; empty if nothing is known to be."""


def coverage(ledger: Ledger, period: str, waiting: Collection[str] = ()) -> Coverage:
    """Return how much of ``period`` was observed; ``waiting`` are the periods of sightings that the spool holds.

    Counting began in the oldest month that the ledger has, and on the first day that brought a user there at the
    latest; days and windows are tracked from the oldest one. So the first period of a kind is never known to be whole.
    Raises LedgerUnavailable.
    """
    known, kind = sorted({*ledger.periods(), *waiting}), kind_of(period)
    if kind is Kind.MONTH:
        return _month(ledger, period, known)
    days = [each for each in known if kind_of(each) is Kind.DAY]
    same = days if kind is Kind.DAY else [each for each in known if kind_of(each) is kind]
    if period not in same and not set(days_of(period)) & set(waiting):
        if not same:
            return Coverage(
                False, f"{_WHAT[kind]} are not tracked, or none was counted yet (usage.windows: [{kind.value}])"
            )
        if period < same[0]:
            return Coverage(False, f"{_WHAT[kind]} are tracked since {same[0][:10]}")
        return Coverage(False, _nothing(period[:10] if kind is Kind.DAY else period))
    return Coverage(True, _from_first_day(days, days_of(period)))


class Extent(NamedTuple):
    """How far the counts of a month go."""

    over: bool
    """True if the ledger has counts of a later month."""
    newest: str | None
    """The newest day that is known to have brought a user; None if none is."""


def extent(ledger: Ledger, month: str, waiting: Collection[str] = ()) -> Extent:
    """Return how far the counts of ``month`` go, by the ledger alone: no clock is asked. Raises LedgerUnavailable."""
    known = {*ledger.periods(), *waiting}
    over = any(month_of(each) > month for each in known)
    return Extent(over, max(_days_with_users(ledger, month, known), default=None))


def _days_with_users(ledger: Ledger, month: str, known: Collection[str]) -> set[str]:
    grown = (each.day for license_ in ledger.totals(month) for each in ledger.growth(license_, month))
    return {*grown, *(each for each in known if kind_of(each) is Kind.DAY and month_of(each) == month)}


def _month(ledger: Ledger, month: str, known: Sequence[str]) -> Coverage:
    months = sorted({month_of(each) for each in known})
    if not months:
        return Coverage(False, "the ledger has counted nobody yet")
    if month < months[0]:
        return Coverage(False, f"counting began in {months[0]}")
    if month not in months:
        return Coverage(False, _nothing(month))
    if month > months[0]:
        return Coverage(True)
    first = min(_days_with_users(ledger, month, known), default=None)
    when = f"on {first} at the latest" if first else f"in {month}, on no known day"
    return Coverage(True, f"counting began {when}: who came before that is not in the number")


def _from_first_day(days: Sequence[str], wanted: Sequence[str]) -> str:
    if not days:
        return "the days of the window are not in the ledger"
    if days[0] > wanted[0]:
        lacking = sum(each < days[0] for each in wanted)
        return f"days were not tracked before {days[0]}: the window lacks {lacking} of them"
    if days[0] == wanted[0]:
        return f"days are tracked since {days[0]}: who came earlier on that day is not in the number"
    return ""


def _nothing(period: str) -> str:
    return f"nobody was counted in {period}: the ledger cannot tell whether anything was served then"
