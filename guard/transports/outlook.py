"""What is expected of every limit, looked ahead in the background and kept in memory for metrics and console.

It is an estimate and nobody waits for it: a failure leaves no forecast behind, a line in the log, and nothing else.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple

from guard.observability.gauges import ForecastReading
from guard.usage.address import open_ledger
from guard.usage.ledger import Growth, Ledger
from guard.usage.outlook.ahead import ahead, came, current, history
from guard.usage.outlook.forecast import Forecast, Verdict
from guard.usage.period import Calendar, Kind
from guard.usage.spool import inspect
from guard.usage.thresholds import Limit

log = logging.getLogger("guard")

EVERY = 900.0
"""Seconds between two looks ahead."""


class Aim(NamedTuple):
    """Which limit a forecast is of."""

    license: str
    limit: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Prospects:
    """What one look ahead found."""

    forecasts: Mapping[Aim, Forecast] = field(default_factory=lambda: MappingProxyType({}))
    growth: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=lambda: MappingProxyType({}))
    """By license: the users of this month up to the end of each day (``day``, ``users``)."""


class Outlook:
    """Looks ahead by the ledger at ``url``, which it opens for itself to read, and the spool beside it."""

    def __init__(self, url: str, spool: Path, calendar: Calendar, clock: Callable[[], float] = time.time) -> None:
        self._url, self._spool, self._calendar, self._clock = url, spool, calendar, clock
        self._turn = Lock()
        self._limits: Mapping[str, Sequence[Limit]] | None = None
        self._looked = 0.0
        self.found = Prospects()

    def due(self, limits: Mapping[str, Sequence[Limit]]) -> bool:
        """Return whether it is time to look: at first, every 15 minutes, and when there are other limits."""
        return limits != self._limits or not 0 <= self._clock() - self._looked < EVERY

    def look(self, limits: Mapping[str, Sequence[Limit]]) -> None:
        """Look ahead at ``limits``, by license; takes its time and raises nothing. Of two at once one does it."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._looked, self._limits = self._clock(), limits
            ledger = open_ledger(self._url, read_only=True)
            try:
                self.found = self._ahead(ledger, limits)
            finally:
                ledger.close()
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing but the forecast is missing
            self.found = Prospects()
            # A ledger's error has no password in it; another's text may have anything.
            log.warning(
                "there is no forecast: %s", error if type(error).__module__.startswith("guard.") else type(error)
            )
        finally:
            self._turn.release()

    def readings(self, now: float) -> list[ForecastReading]:
        """Return the days from ``now`` (epoch seconds) until each limit is passed, where it is expected to be."""
        today = date.fromisoformat(self._calendar.day(now))
        found = []
        for aim, forecast in self.found.forecasts.items():
            passed = forecast.verdict is Verdict.CROSSED
            earliest, middle = (0 if passed else _days(today, day) for day in (forecast.earliest, forecast.crossing))
            if earliest is not None or middle is not None:
                found.append(ForecastReading(aim.license, aim.limit, earliest, middle))
        return found

    def facts(self, license: str, limit: str, kind: Kind) -> dict[str, Any] | None:
        """Return the forecast of one limit for the API; None where there is none."""
        found = self.found.forecasts.get(Aim(license, limit, kind))
        if found is None:
            return None
        return {
            "verdict": found.verdict.value,
            "earliest": found.earliest,
            "middle": found.crossing,
            "latest": found.latest,
            "since": found.since,
            "horizon": found.horizon,
            "possible_from": found.possible_from,
            "rests_on": list(found.reasons or found.missing),
        }

    def _ahead(self, ledger: Ledger, limits: Mapping[str, Sequence[Limit]]) -> Prospects:
        now, calendar = self._clock(), self._calendar
        today = calendar.day(now)
        leftover = inspect(self._spool, ledger.key_of) if self._spool.is_dir() else None
        forecasts, growth = {}, {}
        for figure in current(ledger, calendar, leftover, limits, now):
            months = history(ledger, figure.license, today) if figure.tests else {}
            if figure.period == today[:7]:
                grown = months.get(today[:7]) or ledger.growth(figure.license, today[:7])
                growth[figure.license] = _cumulative(grown, today, max(0, figure.users - came(grown)))
            for tested in figure.tests or ():
                aim = Aim(figure.license, tested.limit.id, tested.limit.kind)
                forecasts[aim] = ahead(ledger, calendar, figure, tested, months, now).forecast
        return Prospects(MappingProxyType(forecasts), MappingProxyType(growth))


def _cumulative(growth: Sequence[Growth], today: str, undated: int) -> list[dict[str, Any]]:
    """Return the users up to the end of each day; ``undated`` ones, of no known day, are there from the first."""
    days = [f"{today[:7]}-{day:02}" for day in range(1, int(today[8:]) + 1)]
    by_day = {each.day: came([each]) for each in growth}
    totals = list(accumulate((by_day.get(day, 0) for day in days), initial=undated))[1:]
    return [{"day": day, "users": total} for day, total in zip(days, totals, strict=True)]


def _days(today: date, day: str | None) -> int | None:
    return None if day is None else max(0, (date.fromisoformat(day) - today).days)
