"""Random requests through a real counter and real rules, each finished as a server finishes it."""

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

from exchange_world import LLAMA_2, Notes
from hypothesis import strategies as st

from guard.exchange.count import ask_ledger, count, settle
from guard.exchange.credential import digest_key
from guard.exchange.exchange import Exchange
from guard.exchange.head import Head
from guard.exchange.inquiry import FieldUse, Inquiry
from guard.exchange.order import BEFORE_FORWARD, BEFORE_TEXT, walk
from guard.exchange.record import Ending, facts, verdict
from guard.exchange.refusal import Code
from guard.exchange.screen_output import KeptOutputScreen
from guard.exchange.services import Services
from guard.exchange.snapshot import (
    Entitlement,
    FieldAction,
    FieldRule,
    IdentityPolicy,
    Mode,
    ModelPolicy,
    Ruling,
    Snapshot,
    SurfacePolicy,
)
from guard.exchange.tenant import Match, Tenant, Tenants
from guard.exchange.trusted import TrustedHeader
from guard.exchange.unscanned import PartAction, PartKind, UnscannedPart, every
from guard.licensing.lineage import resolve_target
from guard.screening.findings import Action
from guard.screening.rules import Literal, Rule
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Segment, Source
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.counter import UsageCounter
from guard.usage.period import Calendar
from guard.usage.pseudonym import Pseudonymizer
from guard.usage.spool import Spool
from guard.usage.thresholds import AtLimit, Limit

NOW = 1_795_000_000.0
PRINT = "00112233aabbccdd"
PHRASES = {"S9.recipe": "nerve agent recipe", "HR.insult": "you pathetic loser", "S2.cards": "stolen card dump"}
RULES = tuple(
    Rule(id_, id_.partition(".")[0], (Literal.parse(phrase),), directions=frozenset(Direction))
    for id_, phrase in PHRASES.items()
)
SETS = {shadowed: RuleSet(RULES, shadowed) for shadowed in (frozenset(), frozenset({"S9.recipe"}))}
TEXTS = ("hello", "the weather today", *PHRASES.values())
PROXY = "10.0.0.1"
KEYS = {
    digest_key("sk-desk"): Entitlement("desk", "evaluate", terms=frozenset({"llama-2"})),
    digest_key("sk-lab"): Entitlement("lab", "train:gemma-2-9b"),
    digest_key("sk-ann"): Entitlement("ann", user="ann"),
}


def model(name, limit=2, **changes):
    """A model under Llama 2 with a little of everything."""
    limits = (Limit("llama-2", "mau", limit, exclusive=False, standing=True, clause="2", consequence="no_rights"),)
    made = ModelPolicy(
        name=name,
        licenses=(LLAMA_2,),
        rulings={"S9": Ruling(Action.BLOCK, "llama-2", "weapons", "2.a"), "HR": Ruling(Action.FLAG)},
        blocking=frozenset({"S9"}),
        fields={
            "logprobs": FieldRule(FieldAction.DENY, license="llama-2", clause="1.b.v"),
            "samples": FieldRule(FieldAction.CLAMP, 4),
            "length": FieldRule(FieldAction.CLAMP, 100),
            "caller_ids": FieldRule(FieldAction.STRIP),
        },
        limits=limits,
        counted=("llama-2",),
    )
    return replace(made, **changes)


def snapshot(**changes):
    """One policy with three models and a tenant."""
    identity = IdentityPolicy(
        trusted_headers=(TrustedHeader(b"x-forwarded-user", (ip_network("10.0.0.0/8"),)),),
        trusted_from=(ip_network("10.0.0.0/8"),),
        keys=KEYS,
        terms=changes.pop("terms", "warn"),
        unidentified=changes.pop("unidentified", "credential"),
    )
    surface = SurfacePolicy(
        enabled=changes.pop("enabled", frozenset()),
        unscannable=changes.pop("unscannable", every(PartAction.DENY)),
        unknown_fields=changes.pop("unknown_fields", "drop"),
        country_headers=changes.pop("country_headers", ()),
        unknown_country=changes.pop("unknown_country", "deny"),
        system_prompts=changes.pop("system_prompts", Action.FLAG),
    )
    shadowed = changes.pop("shadowed_rules", frozenset())
    tiny = model("tiny")
    made = Snapshot(
        hash="h",
        mode=Mode.ENFORCE,
        models={
            "tiny": tiny,
            "far": model("far", excluded={"DE": ("llama-2", "5.c")}),
            "bound": model("bound", 100, flow_down=(("llama-2", "1.b"),), people_only=frozenset({"llama-2"})),
        },
        default_model=None,
        allow_unknown_models=False,
        identity=identity,
        surface=surface,
        rules=SETS[shadowed],
        at_limit=AtLimit.REFUSE_NEWCOMERS,
        target_of=partial(resolve_target, licenses={"llama-2": LLAMA_2}),
        shadowed_rules=shadowed,
        tenants=Tenants([Tenant("lab", Match(frozenset({"lab"})), {"mode": Mode.ENFORCE}, frozenset({"tiny"}))]),
    )
    return replace(made, **changes)


SNAPSHOTS = st.builds(
    snapshot,
    mode=st.sampled_from(Mode),
    terms=st.sampled_from(["warn", "require"]),
    unidentified=st.sampled_from(["credential", "allow", "deny"]),
    unscannable=st.fixed_dictionaries(dict.fromkeys(PartKind, st.sampled_from(PartAction))),
    unknown_fields=st.sampled_from(["drop", "deny"]),
    enabled=st.sampled_from([frozenset(), frozenset({"embeddings"})]),
    country_headers=st.sampled_from([(), (b"cf-ipcountry",)]),
    unknown_country=st.sampled_from(["allow", "deny"]),
    system_prompts=st.sampled_from(Action),
    at_limit=st.sampled_from(AtLimit),
    shadowed_rules=st.sampled_from([frozenset(), frozenset({"S9.recipe"})]),
    shadowed_codes=st.sets(st.sampled_from([Code.FIELD_DENIED, Code.USAGE_THRESHOLD, Code.AUP, Code.OUTPUT_USE])).map(
        frozenset
    ),
)
USES = st.lists(
    st.sampled_from([
        FieldUse("logprobs", "logprobs", True), FieldUse("samples", "n", 2), FieldUse("samples", "n", 9),
        FieldUse("length", "max_tokens", 50), FieldUse("length", "max_tokens", 500),
        FieldUse("caller_ids", "request_id", True),
    ]),
    max_size=2, unique_by=lambda use: use.field,
)  # fmt: skip
REQUESTS = st.fixed_dictionaries({
    "surface": st.sampled_from(["chat", "chat", "chat", "embeddings"]),
    "model": st.sampled_from(["tiny", "tiny", "far", "bound", "nobody", "no model's name!", None]),
    "uses": USES,
    "user": st.sampled_from(["ann", "bob", "eve", "joe", None]),
    "key": st.sampled_from([None, "sk-desk", "sk-lab", "sk-ann", "sk-strange"]),
    "proxied": st.booleans(),
    "country": st.sampled_from([None, "DE", "us", "XX"]),
    "purpose": st.sampled_from([None, "evaluate", "train:gemma-2-9b", "no purpose"]),
    "prompt": st.lists(st.tuples(st.sampled_from([Source.USER, Source.SYSTEM]), st.sampled_from(TEXTS)), max_size=3),
    "answer": st.lists(st.tuples(st.integers(0, 1), st.sampled_from(TEXTS)), max_size=4),
    "unscannable": st.lists(st.sampled_from(PartKind), max_size=2),
    "unknown": st.booleans(),
    "served": st.booleans(),
})  # fmt: skip


@contextmanager
def services():
    """A real counter on files of its own, and notes of everything else."""
    with tempfile.TemporaryDirectory() as directory:
        ledger = open_ledger(sqlite_url(Path(directory) / "ledger.db"))
        spool = Spool(Path(directory) / "spool", lambda month: PRINT)
        counter = UsageCounter(ledger, spool, Calendar("UTC"), clock=lambda: NOW)
        try:
            yield Services(counter, Pseudonymizer(b"k" * 32), Notes(), None, None, lambda: NOW, fail)
        finally:
            spool.close()
            ledger.close()


def fail(what, error):
    raise AssertionError(what) from error


def exchange_of(policy, services, request):
    """The exchange of one request, before its first step."""
    headers = []
    if request["key"] is not None:
        headers.append((b"authorization", f"Bearer {request['key']}".encode()))
    if request["proxied"] and request["user"] is not None:
        headers.append((b"x-forwarded-user", request["user"].encode()))
    if request["country"] is not None:
        headers.append((b"cf-ipcountry", request["country"].encode()))
    if request["purpose"] is not None:
        headers.append((b"x-guard-purpose", request["purpose"].encode()))
    peer = PROXY if request["proxied"] else "192.0.2.1"
    uses = list(request["uses"])
    inquiry = Inquiry(
        request["surface"],
        {use.field: use.value for use in uses},
        request["model"],
        segments=[
            Segment(source, text, f"messages[{index}].content")
            for index, (source, text) in enumerate(request["prompt"])
        ],
        uses=uses,
        claimed={} if request["user"] is None or request["proxied"] else {"user": request["user"]},
        unscannable=[UnscannedPart(kind, "messages[0].content[1]") for kind in request["unscannable"]],
        unknown=["surprise"] if request["unknown"] else [],
        choices=next((use.value for use in uses if use.field == "n"), 1),
    )
    return Exchange(policy, services, Head("POST", "/", tuple(headers), peer, "ref0"), inquiry)


def decide(exchange):
    """Walk the steps before the request is forwarded as the transport does."""
    refusal = walk(exchange, BEFORE_TEXT)
    if refusal is None and exchange.undecided:
        refusal = ask_ledger(exchange)
    return refusal or walk(exchange, BEFORE_FORWARD)


def finish(exchange, answer, *, served=True):
    """Walk the whole road as the transport does, and return the facts that would be written down."""
    closed = exchange.inquiry.surface == "embeddings" and not exchange.snapshot.surface.enabled
    refusal = None if closed else decide(exchange)
    ending = Ending.REFUSED
    if refusal is None and served:
        screen = KeptOutputScreen(exchange)
        assert count(exchange) is None
        ending = Ending.SERVED
        for choice, text in answer:
            if screen.blocked(choice) is None:
                screen.feed((choice, "content"), text)
        for choice in dict.fromkeys(choice for choice, _ in answer):
            screen.finish((choice, "content"))
        screen.close()
    recorded = facts(exchange, verdict(exchange), ending)
    settle(exchange)
    return recorded
