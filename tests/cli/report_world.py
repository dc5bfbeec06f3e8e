"""A gateway's November: configuration, ledger and journals of a month that is over, in a directory that may move."""

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.evidence.entry import GENESIS, link
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.attestation import Attestation, sign
from guard.usage.ledger import Scope

MONTH = "2026-11"
CONFIG = """\
state_dir: state
models:
  chat: {license: llama-3.1}
  code: {license: qwen-2024}
usage:
  limits: {qwen-2024: 4}
  attestations: [llama.json]
operator:
  name: Example GmbH
  domicile: CH
"""


def at(day, hour=0, minute=0, month=11):
    return datetime(2026, month, day, hour, minute, tzinfo=UTC).timestamp()


class Journal:
    """A chain of the gateway ``instance`` in ``state/audit``; opened again, it goes on where it was left."""

    def __init__(self, root, instance="guard-0"):
        self.path = root / "state" / "audit" / f"{instance}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.instance = instance
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        self.seq, self.prev = len(lines), lines[-1][-66:-2] if lines else GENESIS

    def add(self, time, kind, facts=None):
        self.seq += 1
        facts = {"instance": self.instance} if kind == "open" else facts or {}
        line, self.prev = link(self.prev, self.seq, time, kind, facts)
        with self.path.open("ab") as file:
            file.write(line)

    def begin(self, time, policy, mode="enforce"):
        self.add(time, "open")
        self.add(time, "start", {"policy": policy, "mode": mode, "decisions": "notable", "confirmed": []})


def refusal(code="aup", license="llama-3.1", clause="AUP 1.a", category="S1"):
    return {"code": code, "license": license, "clause": clause, "category": category}


def decision(verdict="deny", ending="refused", refused=None, **more):
    return {
        "reference": "r", "verdict": verdict, "ending": ending, "policy": "p1", "mode": "enforce",
        "identity": {"tenant": None}, "refused": refused, "shadowed": [], "not_evaluated": [], "obligations": [],
        "findings": [], "given": {}, **more,
    }  # fmt: skip


def month(root, *, over=True, attested=True):
    """Write the month under ``root``. Returns its journal, to be written on."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "guard.yaml").write_text(CONFIG)
    if attested:
        attest(root / "llama.json")
    count(root, over=over)
    journal = Journal(root)
    journal.begin(at(25, month=10), "p0", "shadow")
    journal.add(at(3), "reload", {"ok": True, "hash": "p1", "mode": "enforce", "decisions": "notable", "problems": [],
                                  "confirmed": ["mode: shadow -> enforce"], "restart": []})  # fmt: skip
    for number in range(3):
        journal.add(at(4, number), "decision", decision(refused=refusal()))
    journal.add(at(5), "decision", decision(refused=refusal("usage_threshold", "qwen-2024", "4", None)))
    journal.add(at(6), "decision", decision(ending="cut", refused=refusal(category="S2")))
    journal.add(at(7), "decision", decision("not_evaluated", "served", not_evaluated=["ledger"]))
    journal.add(at(8), "decision", decision("flag", "served", shadowed=[refusal()]))
    journal.add(at(9), "reload", {"ok": False, "hash": "p1", "mode": "enforce", "decisions": "notable", "confirmed": [],
                                  "problems": [f"{root}/guard.yaml:3: models: 'tok-HUNTER2'"], "restart": []})  # fmt: skip
    journal.add(at(10), "threshold", {"license": "qwen-2024", "limit": "operator", "value": 4, "users": 4,
                                      "before": "ok", "after": "approaching", "over": 0})  # fmt: skip
    journal.add(at(19, 23), "decision", decision("flag", "served", obligations=["<b>nothing</b>"]))
    journal.begin(at(20), "p1")  # after a kill
    if over:
        journal.add(at(30, 23, 30), "decision", decision("flag", "served"))
        journal.add(at(1, month=12), "decision", decision(refused=refusal()))
    return journal


def count(root, *, over):
    state = root / "state"
    (state / "spool").mkdir(parents=True, exist_ok=True)
    ledger = open_ledger(sqlite_url(state.absolute() / "ledger.db"))
    try:
        ledger.bind("UTC")
        for period, day, users in (("2026-10", "2026-10-30", [1]), (MONTH, "2026-11-04", [1, 2, 3, 4])):
            ledger.claim_key(period, bytes(8).hex())
            for license in ("llama-3.1", "qwen-2024"):
                ledger.write({Scope(period, license): users}, {}, owner="guard-0", day=day)
        if over:
            ledger.claim_key("2026-12", bytes(8).hex())
            ledger.write({Scope("2026-12", "qwen-2024"): [9]}, {}, owner="guard-0", day="2026-12-01")
    finally:
        ledger.close()


def attest(path, users=12_000_000):
    said = Attestation(
        "Example GmbH", "llama-3.1", "mau_700m", "2024-06", users, False, "all products", "all affiliates", True,
        "an account that signed in", "analytics report 7", "legal@example.org", "2026-01-05",
    )  # fmt: skip
    path.write_text(sign(said, Ed25519PrivateKey.from_private_bytes(bytes(range(32)))).to_json())
