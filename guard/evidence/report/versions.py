"""Which policy was in force when, from ``start`` and ``reload`` entries."""

from collections.abc import Mapping
from typing import Any

from guard.evidence.report.counts import Listed, Place
from guard.evidence.report.month import Month
from guard.evidence.report.problem import shown

_PROBLEMS, _LENGTH = 20, 400
NOT_RECORDED = "not recorded"


class Versions:
    """The versions in force: one line per version and journal."""

    def __init__(self, month: Month) -> None:
        self._month = month
        self._modes: dict[str, str] = {}
        self._now: dict[str, Any] | None = None
        self._stretches: list[dict[str, Any]] = []
        self.failed = Listed()
        self.confirmed = Listed()

    def mode(self, version: str, mode: str) -> None:
        """Learn from any entry how a version acts: earlier releases of Guard did not write it down at a reload."""
        self._modes.setdefault(version, mode)

    def began(self, place: Place, time: float, facts: Mapping[str, Any]) -> None:
        """Take a ``start`` or ``reload`` entry of the month, or of the time before it."""
        version = str(facts.get("policy") or facts.get("hash") or "")
        if facts.get("mode"):
            self.mode(version, str(facts["mode"]))
        within = self._month.has(time)
        if within and facts.get("ok") is False:
            self._failed(place, time, version, facts)
        for line in (facts.get("confirmed") or ()) if within else ():
            self.confirmed.add({"at": self._month.moment(time), "change": str(line), "source": _entry(place)})
        now = self._now
        decisions = str(facts.get("decisions") or NOT_RECORDED)
        if now is not None and (now["version"], now["decisions"]) == (version, decisions):
            return
        self.ended(time)
        self._now = {
            "version": version,
            "decisions": decisions,
            "from": time,
            "to": time,
            "first": 0,
            "last": place.seq,
            "place": place,
        }

    def seen(self, place: Place, time: float) -> None:
        """Take any entry: what is in force still is."""
        if self._now is not None:
            self._now["to"], self._now["last"] = max(self._now["to"], time), place.seq
            if self._month.has(time):
                self._now["first"] = self._now["first"] or place.seq

    def forget(self) -> None:
        """Drop what is in force: nothing was."""
        self._now = None

    def ended(self, time: float | None = None) -> None:
        """Take the end of a run, or another version from ``time`` on."""
        now, self._now = self._now, None
        if now is None:
            return
        if time is not None:
            now["to"] = max(now["from"], time)
        if now["to"] >= self._month.start:
            self._stretches.append(now)

    def rows(self) -> list[dict[str, Any]]:
        """Return every stretch of time in which one version was in force in one process, in order."""
        start = self._month.start
        found = sorted(
            self._stretches, key=lambda each: (max(each["from"], start), each["place"].journal, each["last"])
        )
        return [
            {
                "policy": each["version"],
                "mode": self._modes.get(each["version"], NOT_RECORDED),
                "decisions": each["decisions"],
                "from": self._month.moment(max(each["from"], self._month.start)),
                "began_earlier": each["from"] < self._month.start,
                "to": self._month.moment(each["to"]),
                "seconds": round(each["to"] - max(each["from"], self._month.start)),
                "source": {
                    "journal": each["place"].journal,
                    "from": each["first"] or each["place"].seq,
                    "to": each["last"],
                },
            }
            for each in found
        ]

    def _failed(self, place: Place, time: float, version: str, facts: Mapping[str, Any]) -> None:
        problems = [shown(problem)[:_LENGTH] for problem in facts.get("problems") or ()]
        self.failed.add(
            {
                "at": self._month.moment(time),
                "stayed": version,
                "last_good": bool(facts.get("last_good")),
                "problems": problems[:_PROBLEMS],
                "more_problems": max(0, len(problems) - _PROBLEMS),
                "source": _entry(place),
            }
        )


def _entry(place: Place) -> dict[str, Any]:
    return {"journal": place.journal, "entry": place.seq}
