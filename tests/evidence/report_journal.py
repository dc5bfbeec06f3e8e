"""Journals written line by line, with the times that a story wants."""

from datetime import UTC, datetime

from guard.evidence.entry import GENESIS, link
from guard.evidence.journals import Chain, journals
from guard.evidence.report.known import Known
from guard.evidence.report.month import Month
from guard.evidence.report.reading import Named, read


def at(day, hour=0, minute=0, second=0, month=11):
    """Epoch seconds of a moment of 2026 in UTC."""
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC).timestamp()


NOVEMBER = Month("2026-11", "UTC", at(1), at(1, month=12))


class Written:
    """A chain that grows: its lines are in ``path``."""

    def __init__(self, directory, instance="guard-0"):
        directory.mkdir(parents=True, exist_ok=True)
        self.path, self.instance = directory / f"{instance}.jsonl", instance
        self.seq, self.prev = 0, GENESIS

    def add(self, time, kind, facts=None):
        self.seq += 1
        if kind == "open":
            facts = {"instance": self.instance, "follows": "nothing", **(facts or {})}
        line, self.prev = link(self.prev, self.seq, time, kind, facts or {})
        with self.path.open("ab") as file:
            file.write(line)
        return self.seq

    def run(self, begin, end, policy="p1", mode="enforce", **more):
        """A whole run without anything in it."""
        self.add(begin, "open")
        self.add(begin, "start", {"policy": policy, "mode": mode, "decisions": "notable", "confirmed": [], **more})
        self.add(end, "stop", {"policy": policy})
        self.add(end, "close")


def decision(reference="r", verdict="deny", ending="refused", **more):
    """The facts of a decision as ``guard.exchange.record`` makes them."""
    refused = {"code": "aup", "license": "llama-3.1", "clause": "AUP 1.a", "category": "S1"}
    return {
        "reference": reference, "verdict": verdict, "ending": ending, "policy": "p1", "mode": "enforce",
        "identity": {"tenant": None}, "refused": refused if verdict == "deny" else None, "shadowed": [],
        "not_evaluated": [], "obligations": [], "findings": [], "given": {}, **more,
    }  # fmt: skip


def finding(action="flag", direction="prompt", category="S2", **more):
    return {"license": "llama-3.1", "clause": "AUP 2", "category": category, "direction": direction, "action": action,
            "rule": "S2.x", **more}  # fmt: skip


def evidence(directory, month=NOVEMBER, told=lambda _bytes: None):
    return read([Named(chain.name, chain) for chain in journals(directory)], month, told)


def known(**more):
    """What is known where there is nothing beside the journals."""
    nothing = {"guard": "1", "as_of": "2026-11-30", "operator": {"name": None, "domicile": None, "source": {}},
               "configuration": {"name": "guard.yaml", "sha256": "00", "policy": "p1", "mode": "enforce"},
               "usage": None, "uncounted": "nobody counted"}  # fmt: skip
    lists = {key: [] for key in ("packs", "licenses", "obligations", "attestations", "unseen")}
    return Known(**{**nothing, **lists, **more})


__all__ = ["NOVEMBER", "Chain", "Written", "at", "decision", "evidence", "finding", "known"]
