"""What else the journals hold of the month: crossings, receipts, statements, checks, imports and behavior."""

from collections.abc import Mapping
from typing import Any

from guard.evidence.report.counts import Counts, Listed, Place, Spans
from guard.evidence.report.month import Month


class Records:
    """Everything but decisions, policies and runs."""

    def __init__(self, month: Month) -> None:
        self._month = month
        self.crossings = Listed()
        self.passed = self.not_allowed = 0
        """Crossings of a limit into ``over``, and data sets that were not plainly allowed."""
        self.receipts = Counts("receipt", ("licenses", "tenant"))
        self.undigested = Spans("receipt")
        """Receipts without digests: their answers came faster than these could be made."""
        self.seals = Spans("seal")
        self.sealed = self.sealed_late = 0
        self.checkpoints = Spans("checkpoint")
        self.keys: set[str] = set()
        """Ids of the keys that signed seals and checkpoints."""
        self.purposes = Counts("declaration", ("purpose", "stated_by", "license", "clause", "verdict"))
        self.checks = Listed()
        self.shredded = Listed()
        self.imports = Listed()
        self.steps = Counts("behavior", ("before", "step", "enforced"))
        self.candidates = Counts("candidate", ("candidate_policy",))
        self._handlers = {
            "threshold": self._threshold,
            "receipt": self._receipt,
            "seal": self._seal,
            "checkpoint": self._checkpoint,
            "declaration": self._declaration,
            "export_check": self._check,
            "shredded": self._shredded,
            "usage_import": self._imported,
            "usage_declared": self._declared,
            "behavior": self._behavior,
            "candidate": self._candidate,
        }

    def take(self, kind: str, place: Place, time: float, facts: Mapping[str, Any]) -> None:
        """Take an entry of the month; kinds that nothing is made of are left alone."""
        handler = self._handlers.get(kind)
        if handler is not None:
            handler(place, {"at": self._month.moment(time), "source": _entry(place)}, facts)

    def _threshold(self, _: Place, row: dict[str, Any], facts: Mapping[str, Any]) -> None:
        names = ("license", "limit", "value", "users", "before", "after", "over")
        self.passed += facts.get("after") == "over"
        self.crossings.add({**row, **{name: facts.get(name) for name in names}})

    def _receipt(self, place: Place, _: dict[str, Any], facts: Mapping[str, Any]) -> None:
        ids = " + ".join(str(each[0]) for each in facts.get("licenses") or ())
        tenant = facts.get("tenant")
        self.receipts.add((ids or None, None if tenant is None else str(tenant)), place)
        if facts.get("output_digest") is None:
            self.undigested.add(place)

    def _seal(self, place: Place, _: dict[str, Any], facts: Mapping[str, Any]) -> None:
        self.seals.add(place)
        count = facts.get("count")
        if isinstance(count, int):
            self.sealed += count
            self.sealed_late += count * bool(facts.get("late"))
        self.keys.add(str(facts.get("key")))

    def _checkpoint(self, place: Place, _: dict[str, Any], facts: Mapping[str, Any]) -> None:
        self.checkpoints.add(place)
        self.keys.add(str(facts.get("key")))

    def _declaration(self, place: Place, _: dict[str, Any], facts: Mapping[str, Any]) -> None:
        ids = " + ".join(str(each[0]) for each in facts.get("licenses") or ())
        said = (facts.get("purpose"), facts.get("source"), ids or None, facts.get("clause") or None)
        self.purposes.add((*(None if part is None else str(part) for part in said), str(facts.get("verdict"))), place)

    def _check(self, _: Place, row: dict[str, Any], facts: Mapping[str, Any]) -> None:
        found = facts.get("found")
        self.not_allowed += facts.get("verdict") != "allow"
        self.checks.add(
            {
                **row,
                **{name: facts.get(name) for name in ("target", "tenant", "sha256", "records", "verdict", "complete")},
                "found": found.get("records") if isinstance(found, dict) else None,
                "asked_by": facts.get("asker"),
            }
        )

    def _shredded(self, _: Place, row: dict[str, Any], facts: Mapping[str, Any]) -> None:
        self.shredded.add({**row, "month": facts.get("month"), "segments": facts.get("segments")})

    def _imported(self, _: Place, row: dict[str, Any], facts: Mapping[str, Any]) -> None:
        for share in facts.get("licenses") or ():
            self.imports.add(
                {
                    **row,
                    "what": "users merged",
                    "period": facts.get("period"),
                    "from": facts.get("source"),
                    "license": share.get("license"),
                    "users": share.get("users"),
                    "owner": None,
                    "digest": facts.get("digest"),
                }
            )

    def _declared(self, _: Place, row: dict[str, Any], facts: Mapping[str, Any]) -> None:
        said = facts.get("declared") or {}
        self.imports.add(
            {
                **row,
                "what": "number stated",
                "period": said.get("period"),
                "from": said.get("source"),
                "license": said.get("license"),
                "users": said.get("users"),
                "owner": said.get("owner"),
                "digest": None,
            }
        )

    def _behavior(self, place: Place, _: dict[str, Any], facts: Mapping[str, Any]) -> None:
        before, step, deed = (facts.get(name) for name in ("before", "step", "deed"))
        origin = f"by a person: {deed}" if before is None else str(before)  # `guard export behavior`
        self.steps.add((origin, str(step), "yes" if facts.get("enforced") else "no"), place)

    def _candidate(self, place: Place, _: dict[str, Any], facts: Mapping[str, Any]) -> None:
        self.candidates.add((str(facts.get("candidate_policy")),), place)


def _entry(place: Place) -> dict[str, Any]:
    return {"journal": place.journal, "entry": place.seq}
