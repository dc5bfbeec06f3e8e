"""Why a request is decided as it is: every step, what it rests on, and what would change the outcome.

Nothing is judged here: sentences are made of what a rehearsal, or an entry of the audit chain, says was decided.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Refusal
from guard.exchange.snapshot import FieldRule, ModelPolicy, Ruling, Snapshot
from guard.licensing.citation import Citation, cite, cite_duty
from guard.licensing.license import License
from guard.licensing.need import Need
from guard.licensing.purpose import Purpose
from guard.licensing.verdict import OutputVerdict, output_use_verdict
from guard.policy.config import Config
from guard.policy.operator import open_needs
from guard.policy.rehearsal.changes import Change, Load, changes
from guard.policy.rehearsal.live_count import LiveCount, live_counts
from guard.policy.rehearsal.rehearse import NOTED, PASSED, REMOVED, Outcome, Rehearsal
from guard.screening.categories import CATEGORIES
from guard.screening.findings import Finding
from guard.screening.segments import Direction


@dataclass(frozen=True, slots=True)
class Explained:
    """One step in words."""

    step: str
    result: str
    """``passed``, ``noted`` or ``refused``."""
    asks: str
    """What the step is about, in half a line."""
    says: tuple[str, ...]
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A rehearsal in words."""

    rehearsal: Rehearsal
    steps: tuple[Explained, ...]
    purpose: str | None
    """What the answers are for, if they train a model: then each license's verdict on it is in ``output_use``."""
    output_use: tuple[OutputVerdict, ...]
    thresholds: tuple[LiveCount, ...]
    changes: tuple[Change, ...]
    unstated: tuple[Need, ...] = ()
    """What the model's licenses want stated and nobody states."""


def explain(rehearsal: Rehearsal, snapshot: Snapshot, config: Config, load: Load) -> Explanation:
    """Return ``rehearsal``, made under ``snapshot``, in words; ``load`` gives the policy with other settings."""
    exchange, caller = rehearsal.exchange, rehearsal.request.caller
    model = exchange.named if exchange is not None else None
    licenses = model.licenses if model is not None else ()
    purpose = caller.purpose or (exchange.identity.purpose if exchange is not None else None)
    stated = Purpose.parse(purpose) if purpose is not None else None
    verdicts = []
    if stated is not None and stated.target is not None:
        verdicts = [output_use_verdict(item, stated, snapshot.target_of(stated.target)) for item in licenses]
    count = rehearsal.request.users + rehearsal.request.known
    today = datetime.fromtimestamp(rehearsal.request.at, UTC).date()
    needs = open_needs(model.name, licenses, config, today) if model is not None else []
    noted = [f"{_wanted(need)}; operator.unstated is {config.operator.unstated}" for need in needs]
    noted += _of_its_own(exchange) if exchange is not None else ()
    steps = (_explained(outcome, licenses) for outcome in rehearsal.outcomes)
    return Explanation(
        rehearsal,
        tuple(_noted(step, noted) if step.step == "admit" and noted else step for step in steps),
        purpose if verdicts else None,
        tuple(verdicts),
        tuple(live_counts(licenses, rehearsal.thresholds, count, snapshot.at_limit)),
        tuple(changes(rehearsal, snapshot, config, load)),
        tuple(needs),
    )


ASKS: Mapping[str, str] = {
    "surface": "is the path served?",
    "read": "is the body understood?",
    "identify": "who asks, of which tenant?",
    "admit": "is the model served, are the fields open?",
    "agree": "terms accepted?",
    "locate": "place of use",
    "entitle": "purpose against output use",
    "restrain": "held back for what the identity did before?",
    "reserve": "a place under the user limit",
    "detokenize": "token ids turned into text",
    "screen_prompt": "the prompt against acceptable use",
    "screen_output": "the answer against acceptable use",
    "count": "the user, before the answer leaves",
}
"""What each step is about."""


def headline(found: Explanation) -> str:
    """Return the verdict, and for a request that is served what goes with it: ``allow, with obligations``."""
    rehearsal = found.rehearsal
    things = f"{len(found.unstated)} thing{'' if len(found.unstated) == 1 else 's'} to be stated"
    left = [*(["obligations"] if rehearsal.obligations else []), *([things] if found.unstated else [])]
    if rehearsal.refusal is not None or not left:
        return str(rehearsal.verdict)
    return f"{rehearsal.verdict}, with {' and '.join(left)}"


def _of_its_own(exchange: Exchange) -> Iterator[str]:
    """What the caller's key has of the capability surface that other callers have not."""
    entitlement, model = exchange.entitlement, exchange.model
    own = entitlement.fields.get(model.counted) if entitlement is not None and model is not None else None
    if own is None or entitlement is None or model is None:
        return
    for capability in dict.fromkeys((*model.fields, *own)):
        mine, everybodys = own.get(capability), model.fields.get(capability)
        if ruled(mine) != ruled(everybodys):
            by = f", by {everybodys.license} {everybodys.clause}" if everybodys and everybodys.license else ""
            yield (
                f"the key '{entitlement.name}' has {capability}: {ruled(mine)}, for the purpose "
                f"'{entitlement.purpose}'; others have {ruled(everybodys)}{by}"
            )


def ruled(rule: FieldRule | None) -> str:
    """Return what a field rule does in a word or three; no rule: ``allow``."""
    if rule is None:
        return "allow"
    return rule.action.value if rule.limit is None else f"{rule.action.value} to {rule.limit}"


def _wanted(need: Need) -> str:
    clause = f" [{need.clause}]" if need.clause else ""
    return f"{need.license} wants a statement about {need.about}{clause}: {need.text}; nobody states it"


def _noted(step: Explained, says: Sequence[str]) -> Explained:
    """Return ``step`` with more to be said of it."""
    return replace(step, result=NOTED if step.result == PASSED else step.result, says=(*step.says, *says))


def citations(refusal: Mapping[str, Any], licenses: Iterable[License]) -> tuple[Citation, ...]:
    """Return what the license that ``refusal`` (``license``, ``clause``, ``category``) names says there."""
    found = (cite(item, refusal["clause"], refusal["category"]) for item in licenses if item.id == refusal["license"])
    return next(found, ())


def _explained(outcome: Outcome, licenses: Sequence[License]) -> Explained:
    refusals = [*((outcome.refusal,) if outcome.refusal is not None else ()), *outcome.shadowed]
    cited: dict[Citation, None] = {}
    for refusal in refusals:
        cited.update(dict.fromkeys(narrowed(citations(refusal.facts(), licenses), refusal.code.value)))
    for _, finding, ruling in outcome.findings:
        named = {"license": ruling.license, "clause": ruling.clause, "category": finding.category}
        cited.update(dict.fromkeys(citations(named, licenses)))
    owed = {text: [fact for item in licenses for fact in cite_duty(item, text)] for text in outcome.obligations}
    cited.update(dict.fromkeys(fact for facts in owed.values() for fact in facts))
    for id_, clause in outcome.learned.get("unaccepted", ()):
        named = {"license": id_, "clause": clause, "category": None}
        cited.update(dict.fromkeys(citations(named, licenses)))
    says = [*_sentences(outcome), *(f"owed: {text}" for text, facts in owed.items() if not facts)]
    return Explained(outcome.step, outcome.result, ASKS[outcome.step], tuple(says), tuple(cited))


_ABOUT = {
    "output_use": {"output use"},
    "field_denied": {"output use"},
    "usage_threshold": {"threshold"},
    "territory": {"territory"},
}
"""What the facts under a clause are narrowed to, where the code says which of them decided."""


def narrowed(found: Sequence[Citation], code: str) -> Sequence[Citation]:
    """Return those of ``found`` that a refusal with the error code ``code`` is about; all, if none is."""
    about = _ABOUT.get(code, set())
    return [citation for citation in found if citation.about in about] or found


def _sentences(outcome: Outcome) -> Iterator[str]:
    for name, value in outcome.learned.items():
        yield from _learned(name, value)
    for name, value in outcome.edits.items():
        yield f"the field '{name}' is taken out" if value is REMOVED else f"the field '{name}' becomes {value}"
    for direction, finding, ruling in outcome.findings:
        yield found(direction, finding, ruling)
    for reason in outcome.not_evaluated:
        yield f"not evaluated: {reason.replace('_', ' ')}"
    for refusal in outcome.shadowed:
        yield f"only recorded, in shadow: {told(refusal)}"
    if outcome.refusal is not None:
        yield told(outcome.refusal)


def told(refusal: Refusal) -> str:
    """Return a refusal in one line: ``403 output_use, llama-2 1.b.v: The model's license does not allow ...``."""
    by = " ".join(part for part in (refusal.license, refusal.clause) if part)
    where = ", ".join(part for part in (refusal.code.value, by, refusal.category) if part)
    return f"{refusal.status} {where}: {refusal.message}"


def found(direction: Direction, finding: Finding, ruling: Ruling) -> str:
    """Return a finding in one line: the rule, its category and span, and what is done about it."""
    who = f"by {ruling.license} {ruling.clause}" if ruling.license else "by the operator's policy"
    category = f"{finding.category} {CATEGORIES.get(finding.category, '')}".rstrip()
    place = f"{direction} {finding.path or finding.source}, characters {finding.start}-{finding.end}"
    return f"rule {finding.rule} ({category}) found in the {place}: {ruling.action.name.lower()}, {who}"


def _learned(name: str, value: Any) -> Iterator[str]:
    match name:
        case "surface":
            yield f"the surface is {value}"
        case "model":
            yield _model(value)
        case "identity":
            tenant = f", tenant {value.tenant}" if value.tenant else ""
            yield f"identified by {value.source} ({value.assurance}){tenant}, purpose {value.purpose}"
        case "tenant" | "entitlement":
            yield f"{name} {value.name}"
        case "unaccepted":
            yield from (f"terms of {id_} ({clause}): no acceptance on record" for id_, clause in value)
        case "reservation" if value.held:
            yield f"a place is kept for a newcomer under {', '.join(value.held)}"
        case "newcomer":
            yield "answered with success, the user is counted for the first time in the period"


def _model(model: ModelPolicy) -> str:
    licenses = " + ".join(item.id for item in model.licenses)
    return f"model {model.name}, under {licenses}" if licenses else f"model {model.name}, license undetermined"


def model_of(exchange: Exchange | None) -> str:
    """Return the model's name and licenses in a few words."""
    model = exchange.named if exchange is not None else None
    return _model(model) if model is not None else "no model that is served"
