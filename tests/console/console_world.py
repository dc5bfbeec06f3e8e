"""A runtime of which everything is known: what each page shows in its fullest form."""

from typing import Any

from prometheus_client import CollectorRegistry

from guard.console.layout import Frame
from guard.exchange.snapshot import IdentityPolicy, Mode, Snapshot, SurfacePolicy
from guard.observability.metrics import Metrics
from guard.usage.thresholds import AtLimit

NOW = 1_795_366_475.0
"""2026-11-22 16:54:35 UTC."""
HASH = "0123456789abcdef" * 4
FRAME = Frame("enforce", HASH, True, NOW, "f" * 64, True)
SNAPSHOT = Snapshot(
    hash=HASH,
    mode=Mode.ENFORCE,
    models={},
    default_model=None,
    allow_unknown_models=False,
    identity=IdentityPolicy(),
    surface=SurfacePolicy(),
    rules=None,
    at_limit=AtLimit.OBSERVE,
    warnings=("llama-3.1: clause 2 is not confirmed",),
)


def limit(value=700_000_000, state: str | None = "approaching", **more: Any) -> dict[str, Any]:
    return {
        "id": "mau", "value": value, "window": "month", "state": state, "attestation": None, "standing": state is not None,
        "clause": "2", "lower": 0, "upper": None, "held_against": None, "not_included": [], "reasons": [], "forecast": None,
        **more,
    }  # fmt: skip


def forecast(verdict="expected", **more: Any) -> dict[str, Any]:
    days = {"earliest": "2026-12-02", "middle": "2026-12-09", "latest": "2027-01-14"}
    return {"verdict": verdict, **days, "rests_on": ["22 days of this month", "the two months before it"], **more}


def growth(users: int, days: int = 22) -> list[dict[str, Any]]:
    return [{"day": f"2026-11-{day:02}", "users": int(users * (day / days) ** 0.6)} for day in range(1, days + 1)]


def usage(license_="llama-3.1", users=612_000_000, upper: int | None = 612_500_000, **more: Any) -> dict[str, Any]:
    return {
        "license": license_, "definition": "calendar months in UTC", "reading": "identities", "period": "2026-11",
        "users": users, "lower": users, "upper": upper, "exact": False, "reasons": [], "windows": {}, "declared": [],
        "limits": [limit()], "growth": growth(users), **more,
    }  # fmt: skip


USAGE = [
    usage(reasons=["the ledger estimates; the bounds are three standard errors"],
          limits=[limit(forecast=forecast(), held_against=612_500_000)]),
    usage("qwen-2024", 41_200, 41_200, exact=True,
          limits=[limit(100_000_000, "ok", clause="4", forecast=forecast("not_expected", earliest=None, middle=None, latest=None)),
                  limit(60_000, "ok", clause="", forecast=forecast(earliest="2026-12-20"))]),
    usage("llama-2", 1_204, None, reasons=["12 requests named no user"],
          declared=[{"users": 90, "source": "mobile app", "part": "product"}],
          limits=[limit(700_000_000, None, attestation="missing")]),
    usage("apache-2.0", 55_120, 55_120, exact=True, limits=[], growth=growth(55_120)),
]  # fmt: skip

DUE = [
    {"what": "attest the users of June 2024", "license": "llama-2", "clause": "2", "by": None, "state": "open",
     "how": "guard usage attest --license llama-2 --month 2023-06"},
    {"what": "the attestation of the month before the release lapses", "license": "llama-3.1", "clause": "2", "by": "2026-12-01",
     "state": "soon", "how": "guard usage attest --license llama-3.1"},
    {"what": "state where Built with Llama is shown", "license": "llama-3.1", "clause": "1.b.i", "by": "2026-11-01",
     "state": "overdue", "how": "statements.llama-3.1.display in guard.yaml"},
    {"what": "pass on the terms", "license": "qwen-2024", "clause": "3", "by": None, "state": "met", "how": "stated by safety@example.org"},
]  # fmt: skip

REFERENCE = "01d9a2c5b4e3f60718f8"


def decided(reference=REFERENCE, verdict="deny", age=60.0, **more: Any) -> dict[str, Any]:
    refused = {"code": "aup", "license": "llama-2", "clause": "AUP 2.a", "category": "S2"}
    return {
        "time": NOW - age, "reference": reference, "verdict": verdict, "ending": "refused", "surface": "chat", "model": "tiny",
        "licenses": ["llama-2"], "policy": HASH, "mode": "enforce", "refused": refused, "shadowed": [], "not_evaluated": [],
        "obligations": [], "findings": [finding()], **more,
    }  # fmt: skip


def finding(**more: Any) -> dict[str, Any]:
    return {
        "direction": "prompt", "rule": "S2.phishing", "category": "S2", "action": "block", "license": "llama-2",
        "clause": "AUP 2.a", "source": "user", "path": "messages.0.content", "start": 8, "end": 22, "transform": "plain",
        "most": "block", "score": None, **more,
    }  # fmt: skip


DECISIONS = [
    decided(),
    decided("01d9a2c5b4e3f60718f9", "flag", 4000, refused=None, findings=[finding(category="S10"), finding(category="S2")]),
    decided("01d9a2c5b4e3f60718fa", "deny", 90_000, refused={"code": "usage_threshold", "license": "qwen-2024", "clause": None, "category": None},
            findings=[], model="qwen"),
    decided("01d9a2c5b4e3f60718fb", "not_evaluated", 200_000, refused=None, findings=[], not_evaluated=["neural_timeout"]),
]  # fmt: skip

EXPLAINED = {
    "entry": {**DECISIONS[0], "instance": "guard-0", "seq": 4123},
    "explained": {
        "summary": "The prompt asks for what the license's acceptable use policy forbids.",
        "clause": {"license": "llama-2", "name": "Llama 2 Community License", "clause": "AUP 2.a",
                   "text": "Fraud or the creation or promotion of fraudulent activities, scams, phishing or malware.",
                   "confirmed": True},
        "category": {"id": "S2", "name": "non-violent crimes"},
        "rule": {"id": "S2.phishing", "action": "block"},
        "duties": ["tell users that the model is governed by the policy"],
        "policy": HASH,
        "late": [{"reference": REFERENCE, "findings": [finding(rule="neural.S2", path="messages.0.content")]}],
        "receipts": ["01d9a2c5b4e3f60718f8.0"],
    },
}  # fmt: skip


def history(hours: int = 30 * 24) -> dict[str, Any]:
    kinds = [
        ("deny", "aup", "llama-2", "AUP 2.a", "S2"), ("deny", "aup", "llama-2", "AUP 1.e", "S9"),
        ("flag", None, "qwen-2024", "3", "S10"), ("deny", "usage_threshold", "qwen-2024", None, None),
        ("deny", "field_denied", "llama-2", "1.b.v", None), ("allow", None, None, None, None),
    ]  # fmt: skip
    top = int(NOW // 3600) * 3600
    buckets = [
        {
            "at": top - hour * 3600,
            "counts": [
                {
                    "verdict": v,
                    "code": co,
                    "license": li,
                    "clause": cl,
                    "category": ca,
                    "number": (hour * 5 + at * 3) % (9 - at),
                }
                for at, (v, co, li, cl, ca) in enumerate(kinds)
            ],
        }
        for hour in range(hours)
    ]
    return {"since": top - hours * 3600, "step": 3600, "buckets": buckets[::-1]}


HEALTH = [
    {"name": "ledger", "state": "ok", "detail": "sqlite", "facts": {"users": 41_200}},
    {"name": "spool", "state": "warn", "detail": "sightings wait", "facts": {"records": 120, "oldest seconds": 31}},
    {"name": "audit", "state": "bad", "detail": "No space left on device", "facts": {"entries": 4123}},
    {"name": "judge", "state": "off", "detail": "", "facts": {}},
]

POLICY = {
    "hash": HASH, "mode": "enforce", "at_limit": "refuse_newcomers", "tenants": [{"name": "shop"}],
    "models": {
        "meta-llama/Llama-3.1-8B-Instruct": {"licenses": ["llama-3.1"], "blocking": ["S10", "S2", "S1"], "fields": {"logprobs": "deny"}},
        "unlisted": {"licenses": [], "blocking": [], "fields": {}},
    },
    "warnings": ["llama-3.1: clause 2 is not confirmed"],
    "reloads": [
        {"ok": True, "hash": HASH, "at": NOW - 90_000, "problems": [], "restart": []},
        {"ok": False, "hash": HASH, "at": NOW - 60, "problems": ["guard.yaml:9: usage.at_limits: unknown; did you mean at_limit?"], "restart": []},
    ],
}  # fmt: skip

CANDIDATE = {
    "candidate": {"path": "candidate.yaml", "ok": True, "hash": "c0ffee" * 10, "problems": [], "warnings": ["unconfirmed"],
                  "at": NOW, "compared": 1234, "differing": 7},
    "differences": [{
        "time": NOW - 30, "reference": REFERENCE, "model": "tiny",
        "active": {"license": None, "clause": None, "category": None, "rules": [], "edits": [], "verdict": "allow", "reason": "none"},
        "candidate": {"license": "llama-2", "clause": "2.a", "category": "S9", "rules": [], "edits": ["n: at most 2"],
                      "verdict": "deny", "reason": "aup"},
    }],
}  # fmt: skip

OBLIGATIONS = [
    {"kind": "display", "act": "display", "text": "Show the words", "wording": "Built with Llama", "trigger": "distribution",
     "license": "llama-3.1", "clause": "1.b.i", "status": "confirmed", "models": ["tiny"], "stated": None, "carried": ["chat"]},
    {"kind": "disclosure", "act": "tell users", "text": "Tell users of known dangers", "trigger": "serving", "license": "llama-3.1",
     "clause": "AUP 4", "status": "confirmed", "models": ["tiny"], "stated": "on the help page", "carried": []},
    {"kind": "threshold", "act": "report or state", "text": "users not above 700,000,000", "trigger": "any", "license": "llama-2",
     "clause": "2", "status": "confirmed", "models": ["tiny", "other"], "stated": None, "carried": []},
]  # fmt: skip

CHECKS = [
    {
        "time": NOW - 600,
        "digest": "ab" * 32,
        "target": "mistral-7b",
        "verdict": "deny",
        "records": 1200,
        "hits": 31,
        "by": "127.0.0.1",
    }
]


class FullRuntime:
    """Answers with the facts above; ``empty`` makes it one that has just started."""

    def __init__(self, *, empty: bool = False, snapshot: Snapshot = SNAPSHOT) -> None:
        self.snapshot = snapshot
        self.registry = CollectorRegistry()
        Metrics(self.registry).identity("jwt")
        self.is_ready, self.reloads, self.empty = True, 0, empty
        self.reloaded: dict[str, Any] = {"ok": True, "hash": HASH, "problems": [], "restart": []}

    def _unless_empty(self, facts):
        return [] if self.empty else facts

    async def refresh(self):
        pass

    def usage(self):
        return self._unless_empty(USAGE)

    def policy(self):
        return {**POLICY, "models": {}, "warnings": [], "reloads": [], "tenants": []} if self.empty else POLICY

    def decisions(self, limit):
        return self._unless_empty(DECISIONS)[:limit]

    def history(self):
        return {"since": NOW, "step": 3600, "buckets": []} if self.empty else history()

    def look_up(self, reference, go_on):
        return None

    def decision(self, reference):
        return EXPLAINED if reference == REFERENCE and not self.empty else None

    def candidate_facts(self):
        return {"candidate": None, "differences": []} if self.empty else CANDIDATE

    def obligations(self):
        return self._unless_empty(OBLIGATIONS)

    def due(self):
        return self._unless_empty(DUE)

    def health(self):
        return {"parts": self._unless_empty(HEALTH)}

    def export_checks(self):
        return self._unless_empty(CHECKS)

    async def reload(self):
        self.reloads += 1
        return self.reloaded

    def ready(self):
        return self.is_ready, {"spool": self.is_ready}
