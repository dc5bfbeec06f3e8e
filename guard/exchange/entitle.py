"""May the answers be used for what the caller says it does with them? (declared purpose and entitlement, L2)."""

from collections.abc import Iterator

from guard.exchange.exchange import Exchange
from guard.exchange.inquiry import Inquiry
from guard.exchange.refusal import Code, Refusal
from guard.exchange.snapshot import Bulk, ModelPolicy
from guard.licensing.purpose import PLAIN, UNKNOWN, Purpose, narrow
from guard.licensing.verdict import Verdict, stack_verdict

LISTS = frozenset({"messages", "prompt", "prompt_embeds"})
"""Fields whose use of ``samples`` is a list of prompts."""
NOT_ENTITLED = "not_entitled"
"""The verdict on a declaration of more than the caller was granted; any other is the license's own."""

_ALLOWED = "serve, evaluate, train:TARGET, synthetic-data:TARGET"


def entitle(exchange: Exchange) -> Refusal | None:
    """Settle the request's purpose and refuse one that the model's licenses do not allow, or a bulk that has none.

    A tenant's purpose bounds that of its callers: one that says nothing has the tenant's, one that says more is
    refused. The claim of a verified token and then ``x-guard-purpose`` may narrow the purpose, never widen it. Only a
    purpose that trains a model is judged: an undetermined verdict refuses as well, because it is no permission.
    Every purpose that somebody states is handed to ``Provenance.declared``, refused ones too.
    """
    purpose, source = exchange.identity.purpose, "key"
    granted = exchange.tenant.purpose if exchange.tenant is not None else None
    if granted is not None:
        bounded = narrow(granted, purpose)
        if bounded is None:
            _declare(exchange, purpose, source, NOT_ENTITLED)
            message = "This caller's purpose is more than its tenant is entitled to."
            return exchange.refuse(Refusal(403, Code.OUTPUT_USE, message))
        source = "tenant" if purpose == UNKNOWN else source
        purpose = bounded
    header = exchange.head.header(b"x-guard-purpose")
    stating = header is not None or exchange.token_purpose is not None
    for by, name, stated in _statements(exchange, header) if stating else ():
        try:
            narrowed = narrow(purpose, stated)
        except ValueError:
            # A header can be mended by who sends it; in a token it is what somebody else signed.
            status, code = (400, Code.MALFORMED) if by == "header" else (403, Code.OUTPUT_USE)
            return exchange.refuse(Refusal(status, code, f"{name} is no purpose; allowed: {_ALLOWED}."))
        if narrowed is None:
            _declare(exchange, str(Purpose.parse(stated)), by, NOT_ENTITLED)
            message = f"{name} asks for more than this identity is entitled to."
            return exchange.refuse(Refusal(403, Code.OUTPUT_USE, message))
        source = by if Purpose.parse(stated).kind != UNKNOWN else source
        purpose = narrowed
    if purpose != exchange.identity.purpose:
        exchange.identity = exchange.identity._replace(purpose=purpose)
    model = exchange.model
    if model is None:
        return None
    if purpose == UNKNOWN:
        return _bulk(exchange, model.bulk) if model.bulk is not None else None
    return _judge(exchange, model, purpose, source)


def _statements(exchange: Exchange, header: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield what the request itself states: (who, by what name a client knows it, what)."""
    if exchange.token_purpose is not None:
        yield "claim", "The purpose in the token", exchange.token_purpose
    if header is not None:
        yield "header", "x-guard-purpose", header


def _judge(exchange: Exchange, model: ModelPolicy, purpose: str, source: str) -> Refusal | None:
    if purpose in PLAIN and exchange.services.provenance is None:
        return None
    declared = Purpose.parse(purpose)
    target = exchange.snapshot.target_of(declared.target) if declared.target is not None else None
    verdict = stack_verdict(model.licenses, declared, target)
    _declare(exchange, purpose, source, str(verdict.kind), verdict.clause)
    if not declared.trains:
        return None
    if verdict.kind in {Verdict.DENY, Verdict.UNDETERMINED}:
        why = "does not allow" if verdict.kind is Verdict.DENY else "is not known to allow"
        return exchange.refuse(
            Refusal(
                403,
                Code.OUTPUT_USE,
                f"The model's license {why} training this target on its outputs.",
                license=verdict.license,
                clause=verdict.clause,
            )
        )
    exchange.obligations.extend(obligation.text for obligation in verdict.obligations)
    return None


def _bulk(exchange: Exchange, bulk: Bulk) -> Refusal | None:
    """Refuse a bulk of answers of which nobody says what they are for, where something depends on it."""
    if not in_bulk(exchange.inquiry, bulk.samples):
        return None
    message = (
        "Answers in bulk (the batch route, several prompts in one request, or more than "
        f"{bulk.samples} answers) need a stated purpose: send the header x-guard-purpose with one of {_ALLOWED}, or "
        "have the purpose recorded for the API key."
    )
    return exchange.refuse(Refusal(403, Code.OUTPUT_USE, message, license=bulk.license, clause=bulk.clause))


def in_bulk(inquiry: Inquiry, samples: int) -> bool:
    """Return True if ``inquiry`` asks for answers in bulk, as it is after the policy has lowered what it lowers.

    That is the batch route, more than one prompt, or more than ``samples`` answers. Lists of inputs to surfaces that
    answer with numbers (embeddings) are none: there a list is how one text of several pieces is sent.
    """
    if inquiry.surface == "batch" or inquiry.choices > samples:
        return True
    return bool(inquiry.uses) and any(use.capability == "samples" and use.field in LISTS for use in inquiry.uses)


def _declare(exchange: Exchange, purpose: str, source: str, verdict: str, clause: str = "") -> None:
    """Hand over one declaration: what somebody states to do with the answers, and what the license says to that."""
    provenance, model, identity = exchange.services.provenance, exchange.named, exchange.identity
    if provenance is None:
        return
    provenance.declared(
        reference=exchange.head.reference,
        time=exchange.services.now(),
        tenant=identity.tenant,
        user=identity.key,
        source=source,
        purpose=purpose,
        model=model.name if model is not None else None,
        licenses=model.licenses if model is not None else (),
        verdict=verdict,
        clause=clause,
    )
