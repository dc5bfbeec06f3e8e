"""Decisions counted by the hour: what became of requests, and which clause and category said so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

HOUR = 3600
KEPT = 31 * 24
"""Hours that are kept."""


class Outcome(NamedTuple):
    """What a decision is counted under; None for what it does not have."""

    verdict: str
    code: str | None = None
    """The error code of the refusal, or of what shadow mode would have refused with."""
    license: str | None = None
    clause: str | None = None
    category: str | None = None


class Hours:
    """Numbers of decisions by hour and outcome, of the last 31 days. The order in which they are added is no matter."""

    def __init__(self) -> None:
        self._counts: dict[int, Counter[Outcome]] = {}

    def add(self, time: float, facts: Mapping[str, Any], now: float) -> None:
        """Count the decision of ``facts`` made at ``time``; both times in epoch seconds.

        Ignored is what was before the last 31 days at ``now``, or is more than an hour ahead of it.
        """
        hour = int(time // HOUR)
        latest = int(now // HOUR)
        if not latest - KEPT < hour <= latest + 1:
            return
        counts = self._counts.setdefault(hour, Counter())
        counts[outcome_of(facts)] += 1
        left_out = facts.get("not_listed_before")
        if isinstance(left_out, int) and left_out > 0:  # turned away as well: nobody knows by which check
            counts[Outcome(str(facts.get("verdict")))] += left_out
        if len(self._counts) > KEPT + 1:
            self._forget(latest)

    def buckets(self, now: float) -> list[dict[str, Any]]:
        """Return the hours with any decision, oldest first: ``at`` in epoch seconds, ``counts`` with their ``number``.

        The largest number comes first.
        """
        self._forget(int(now // HOUR))
        return [
            {
                "at": hour * HOUR,
                "counts": [
                    {**outcome._asdict(), "number": number}
                    for outcome, number in sorted(counts.items(), key=lambda item: (-item[1], *map(str, item[0])))
                ],
            }
            for hour, counts in sorted(self._counts.items())
        ]

    def _forget(self, latest: int) -> None:
        for hour in [hour for hour in self._counts if hour <= latest - KEPT]:
            del self._counts[hour]


def outcome_of(facts: Mapping[str, Any]) -> Outcome:
    """Return what the facts of a ``decision`` entry are counted under; what no decision has is passed over."""
    verdict, ground = str(facts.get("verdict")), ground_of(facts)
    if ground is None:
        licenses = (each for each in _list(facts, "licenses") if isinstance(each, str))
        return Outcome(verdict, license=next(licenses, None))
    named = {name: ground.get(name) for name in ("code", "license", "clause", "category")}
    return Outcome(verdict, **{name: text for name, text in named.items() if isinstance(text, str)})


def ground_of(facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a decision rests on, with ``license``, ``clause`` and ``category``; None for a plain allow.

    That is the refusal; without one what shadow mode would have refused; without that the gravest finding.
    """
    refused = facts.get("refused")
    if refused and isinstance(refused, Mapping):
        return refused
    return next((each for each in _list(facts, "shadowed") if isinstance(each, Mapping)), None) or gravest(facts)


def gravest(facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the finding about which most was done; None where nothing was done about any."""
    found = [each for each in _list(facts, "findings") if isinstance(each, Mapping)]
    acted = [finding for finding in found if str(finding.get("action")) in _GRAVITY]
    return max(acted, key=lambda finding: _GRAVITY[str(finding["action"])], default=None)


def _list(facts: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = facts.get(name)
    return found if isinstance(found, list | tuple) else ()


_GRAVITY = {"flag": 1, "mask": 2, "block": 3}
"""Of what was done about a finding; nothing else decides anything."""
