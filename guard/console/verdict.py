"""The answer to the first question: are we inside the licenses, and what is owed next."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from guard.console.wording import Level, counted

Facts = Mapping[str, Any]

_STATES = {"ok": ("ok", "within"), "approaching": ("warn", "approaching"), "over": ("bad", "over")}
_ATTESTED = {
    "shown": ("ok", "attested"),
    "missing": ("warn", "attestation missing"),
    "open": ("warn", "attestation leaves it open"),
    "beyond": ("bad", "beyond, as attested"),
}
_RANKS = {"bad": 0, "warn": 1, "ok": 2, "off": 3}
_DUE = {"overdue": "bad", "soon": "warn", "open": "warn", "met": "ok"}
_HEADLINES = {
    "bad": "Over a license's limit",
    "warn": "Not shown to be inside every license",
    "ok": "Inside the licenses",
    "off": "No license here limits its users",
}
WORDS = {"overdue": "overdue", "soon": "due soon", "open": "open", "met": "met"}


class Standing(NamedTuple):
    """How things stand: how good that is, in words, and why."""

    level: Level
    headline: str
    reasons: tuple[str, ...]


def tested(limit: Facts) -> tuple[Level, str]:
    """Return how good a limit's news is, and the word for it; where a past month decides, an attestation says."""
    if limit["state"] is None:
        return _ATTESTED.get(str(limit.get("attestation")), ("warn", "not tested by this count"))
    return _STATES.get(str(limit["state"]), ("warn", str(limit["state"])))


def due_level(item: Facts) -> Level:
    """Return how good it is that something owed is in its state."""
    return _DUE.get(str(item.get("state")), "warn")


def rank(level: Level) -> int:
    """Return what to sort by, so that the worst comes first."""
    return _RANKS.get(level, 1)


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of ``levels``; "off" if there is none."""
    return min(levels, key=rank, default="off")


def standing(usage: Sequence[Facts], due: Sequence[Facts]) -> Standing:
    """Return whether the licenses' limits are kept as far as is counted, and every limit that speaks against it."""
    limits = [(row, limit, *tested(limit)) for row in usage for limit in row.get("limits", ())]
    overdue = [item for item in due if item.get("state") == "overdue"]
    level = worst([level for *_, level, _ in limits] + ["bad" for _ in overdue])
    reasons = [
        f"{row['license']}: {word} ({limit['value']:,} users)"
        for row, limit, found, word in sorted(limits, key=lambda each: rank(each[2]))
        if found in {"bad", "warn"}
    ]
    reasons += [f"{item.get('license') or 'Policy'}: overdue, {item.get('what')}" for item in overdue]
    licensed = [(limit, found) for _, limit, found, _ in limits if limit.get("clause")]
    headline = _HEADLINES[worst(found for _, found in licensed)]
    if not any(limit["state"] is None for limit, found in licensed if found == "warn"):
        headline = headline.replace(_HEADLINES["warn"], _HEADLINES["ok"])
    if any(limit["state"] == "over" and not limit.get("clause") for _, limit, *_ in limits):
        headline += "; over a limit of your own"
    elif any(limit["state"] == "approaching" for _, limit, *_ in limits):
        headline += "; close to a limit"
    late = f"; {counted(len(overdue), 'duty', 'duties')} overdue" if overdue else ""
    return Standing(level, headline + late, tuple(reasons))
