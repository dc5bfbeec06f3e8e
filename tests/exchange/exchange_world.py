"""A small world for exchange tests: real data classes, a scripted counter, and rules that match one word."""

from dataclasses import replace
from functools import partial
from ipaddress import ip_network

from guard.exchange.exchange import Exchange
from guard.exchange.head import Head
from guard.exchange.inquiry import Inquiry
from guard.exchange.services import Services
from guard.exchange.snapshot import (
    FieldAction,
    FieldRule,
    IdentityPolicy,
    Mode,
    ModelPolicy,
    Ruling,
    Snapshot,
    SurfacePolicy,
)
from guard.exchange.trusted import TrustedHeader
from guard.licensing.license import License, OutputRule, OutputUse, Status
from guard.licensing.lineage import resolve_target
from guard.screening.findings import Action, Finding
from guard.screening.segments import Segment, Source
from guard.screening.stream.masks import Masks
from guard.usage.counter import Admission, Count, Reservation
from guard.usage.ledger import Totals
from guard.usage.period import Kind
from guard.usage.pseudonym import Pseudonymizer
from guard.usage.spool import SpoolError
from guard.usage.thresholds import AtLimit, Limit

LLAMA_2 = License(
    "llama-2",
    "Llama 2",
    "2023-07-18",
    Status.CONFIRMED,
    "llama",
    "llama-2",
    output_use=OutputUse(OutputRule.NO_TRAINING_OTHER_LLM, "any other LLM", "Llama 2", clause="1.b.v"),
)
LIMIT = Limit("llama-2", "mau", 2, exclusive=False, standing=True, clause="2", consequence="no_rights")


class WordRules:
    """Finds the word FORBIDDEN (S9), or breaks when told to."""

    digest = "words"
    items = ()
    own_actions, acting = {}, frozenset()

    def __init__(self, broken=False):
        self.broken = broken

    def scan(self, segments):
        if self.broken:
            raise RuntimeError("a secret detail")
        return [
            Finding("S9.word", "S9", at, at + 9, segment.source, segment.path)
            for segment in segments
            if (at := segment.text.find("FORBIDDEN")) >= 0
        ]

    def items_of(self, rule):
        return {"S9.word": self.items}.get(rule, ())

    def open(self, source, blocking, score=None, score_most=None):
        return WordScreen(source, blocking, self.broken)


class WordScreen:
    """Holds back everything until it is finished or FORBIDDEN has been seen."""

    def __init__(self, source, blocking, broken):
        self.text, self.cleared, self.seen, self.blocked, self.findings = "", 0, 0, None, []
        self.source, self.blocking, self.broken, self.masks = source, blocking, broken, Masks()

    def feed(self, text):
        if self.broken:
            raise RuntimeError("a secret detail")
        self.text += text
        self.seen = len(self.text)
        at = self.text.find("FORBIDDEN")
        if at >= 0 and not self.findings:
            self.findings.append(Finding("S9.word", "S9", at, at + 9, self.source))
            if "S9" in self.blocking:
                self.blocked, self.cleared = self.findings[0], at

    def finish(self):
        if self.blocked is None:
            self.cleared = self.seen


class Counter:
    """Admits, refuses or fails as told, and remembers."""

    def __init__(self):
        self.sighted, self.settled, self.refuse, self.fail, self.users = [], [], False, False, 0

    def reserve(self, limits, key, at_limit, now):
        if self.refuse:
            return Reservation(Admission.REFUSED, limits[0])
        return Reservation(Admission.ADMITTED, None, (), key, 1)

    def counts(self, now, kind=Kind.MONTH):
        totals = Totals(self.users, 0, self.users, self.users)
        return {"llama-2": Count("llama-2", kind, "2026-11", self.users, totals, 0)}

    def seen(self, license, key, now):
        return any(key == known for _, known in self.sighted)

    def settle(self, reservation):
        self.settled.append(reservation)

    def sight(self, licenses, key, now):
        if self.fail:
            raise SpoolError("disk full")
        self.sighted.append((tuple(licenses), key))
        return True


class Notes:
    """A meter, an audit log and a provenance recorder that remember every call."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def note(*args, **kwargs):
            self.calls.append((name, args, kwargs))

        return note

    def exchanged(self, decision, reason, license, source, texts):
        """The meter's one note of a finished exchange, as the families that it is counted in."""
        self.request(decision, reason, license)
        self.identity(source)
        if texts:
            self.parts("text", "scanned", texts)

    def named(self, name):
        return [args or kwargs for called, args, kwargs in self.calls if called == name]


class World:
    """One model under Llama 2 with a blocking S9 and denied logprobs; everything can be changed."""

    def __init__(self, **changes):
        self.counter, self.meter, self.audit, self.provenance = Counter(), Notes(), Notes(), Notes()
        self.failures = []
        self.rules = changes.pop("rules", WordRules())
        model = ModelPolicy(
            name="tiny",
            licenses=(LLAMA_2,),
            rulings={"S9": Ruling(Action.BLOCK, "llama-2", "weapons", "2.a"), "S10": Ruling(Action.FLAG, "llama-2")},
            blocking=frozenset({"S9"}),
            fields={
                "logprobs": FieldRule(FieldAction.DENY, license="llama-2", clause="1.b.v"),
                "samples": FieldRule(FieldAction.CLAMP, 4),
                "caller_ids": FieldRule(FieldAction.STRIP),
                "kv_transfer": FieldRule(FieldAction.DENY),
            },
            limits=(LIMIT,),
            counted=("llama-2",),
        )
        inside = (ip_network("10.0.0.0/8"),)
        identity = IdentityPolicy(
            trusted_headers=(TrustedHeader(b"x-forwarded-user", inside),),
            trusted_from=inside,
            headers=frozenset({b"x-forwarded-user"}),
        )
        self.snapshot = Snapshot(
            hash="h",
            mode=Mode.ENFORCE,
            models={"tiny": model},
            default_model=model,
            allow_unknown_models=False,
            identity=identity,
            surface=SurfacePolicy(),
            rules=self.rules,
            at_limit=AtLimit.REFUSE_NEWCOMERS,
            target_of=partial(resolve_target, licenses={"llama-2": LLAMA_2}),
        )
        for name, value in changes.items():
            if hasattr(self.snapshot, name):
                self.snapshot = replace(self.snapshot, **{name: value})
            else:
                self.snapshot = replace(self.snapshot, identity=replace(self.snapshot.identity, **{name: value}))
        self.services = Services(
            self.counter,
            Pseudonymizer(b"k" * 32),
            self.meter,
            self.audit,
            self.provenance,
            lambda: 1_795_000_000.0,
            lambda what, error: self.failures.append((what, type(error).__name__)),
        )

    def exchange(self, text="hello", headers=(), peer="192.0.2.1", **inquiry):
        """An exchange for one user message, ready for its first step."""
        inquiry.setdefault("document", {"model": "tiny"})
        inquiry.setdefault("model", "tiny")
        inquiry.setdefault("segments", [Segment(Source.USER, text, "messages[0].content")])
        head = Head("POST", "/v1/chat/completions", tuple(headers), peer, "ref0", 0.0)
        return Exchange(self.snapshot, self.services, head, Inquiry("chat", **inquiry))
