"""Rehearsal: one hypothetical request walks the road of a live one, and every step's outcome is kept.

Nothing is decided here. Paths, parsers and steps are those that serve requests, in the order in which ``transports``
calls them; only what is around them is made up: the clock, the number of users counted, the model's answer.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from guard.exchange.count import ask_ledger, count, reserve, settle
from guard.exchange.exchange import Exchange
from guard.exchange.order import BEFORE_FORWARD, BEFORE_TEXT, Step
from guard.exchange.record import Ending, Verdict, facts, verdict
from guard.exchange.refusal import Refusal
from guard.exchange.screen_output import OutputScreen
from guard.exchange.services import Services
from guard.exchange.snapshot import Ruling, Snapshot
from guard.policy.rehearsal.census import counter
from guard.policy.rehearsal.hypothetical import Request, body_of, head_of, known_to
from guard.screening.findings import Finding
from guard.screening.segments import Direction
from guard.usage.pseudonym import Pseudonymizer
from guard.usage.thresholds import Limit, State
from guard.wire import refusals, surfaces
from guard.wire.body import decode
from guard.wire.dialect import Malformed

PASSED, NOTED, REFUSED = "passed", "noted", "refused"
Found = tuple[Direction, Finding, Ruling]

_KEPT = frozenset({"snapshot", "services", "head", "inquiry", "refused", "answered", "unruled"})
"""Attributes of an exchange that say nothing of a step."""
_LISTS = frozenset({"shadowed", "findings", "not_evaluated", "obligations"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step did."""

    step: str
    refusal: Refusal | None = None
    shadowed: tuple[Refusal, ...] = ()
    """What it would have refused, had the mode been enforce."""
    findings: tuple[Found, ...] = ()
    obligations: tuple[str, ...] = ()
    not_evaluated: tuple[str, ...] = ()
    learned: Mapping[str, Any] = field(default_factory=dict)
    """What it set on the exchange, by attribute: model, identity, tenant ..."""
    edits: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the body that it changed, with their new values; ``REMOVED`` for those it took out."""

    @property
    def result(self) -> str:
        """``refused``, ``noted`` (it let the request pass, and something is to be said) or ``passed``."""
        if self.refusal is not None:
            return REFUSED
        said = self.shadowed or self.findings or self.obligations or self.not_evaluated or self.edits
        return NOTED if said else PASSED


REMOVED = "(removed)"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Everything that was decided about one hypothetical request."""

    request: Request
    outcomes: tuple[Outcome, ...]
    """Of the steps taken, in order: the one that refuses is the last."""
    verdict: Verdict
    """The audit log's."""
    exchange: Exchange | None
    """As the last step left it; None if the request was refused before it could be read, or passes through."""
    obligations: tuple[str, ...] = ()
    """What is owed for the request, in the words of the audit log."""
    thresholds: tuple[tuple[Limit, State], ...] = ()
    """The model's limits with the state that the users counted so far put each of them in."""

    @property
    def refusal(self) -> Refusal | None:
        """What refused the request, or ended its answer."""
        return next((outcome.refusal for outcome in reversed(self.outcomes) if outcome.refusal is not None), None)

    @property
    def decided_by(self) -> Outcome:
        """The step that the verdict rests on: the one that refused, else the last that had something to say."""
        telling = [outcome for outcome in self.outcomes if outcome.refusal is not None or outcome.not_evaluated]
        telling = telling or [outcome for outcome in self.outcomes if outcome.shadowed or outcome.findings]
        return (telling or list(self.outcomes))[-1]


class _Unmetered:
    """A meter that counts nothing."""

    unidentified = first_sighting = receipt = staticmethod(lambda: None)

    def exchanged(self, decision: str, reason: str, license: str, source: str, texts: int) -> None:
        """Count nothing."""

    def newcomer(self, source: str) -> None:
        """Count nothing."""

    def finding(self, category: str, direction: str, action: str) -> None:
        """Count nothing."""

    def not_evaluated(self, reason: str) -> None:
        """Count nothing."""

    def parts(self, kind: str, outcome: str, number: int) -> None:
        """Count nothing."""

    def unaccepted(self, license: str) -> None:
        """Count nothing."""


def rehearse(snapshot: Snapshot, request: Request) -> Rehearsal:
    """Return what ``snapshot`` decides about ``request``, step by step.

    The request is taken to be answered with success if no step refuses it; its body is taken to have arrived whole and
    within its size. A failure of a check comes out as it would to a client, and is raised if it is no check's.
    """
    snapshot = known_to(snapshot, request.caller)
    head = head_of(request, snapshot)
    match = surfaces.match(head.method, head.path)
    denial = match.denial if isinstance(match, surfaces.Refused) else None
    if not isinstance(match, surfaces.Refused) and match.optional not in {None, *snapshot.surface.enabled}:
        denial = match.closed()
    if denial is not None or not isinstance(match, surfaces.Surface):
        outcome = Outcome("surface", denial and denial.referenced(head.reference))
        return Rehearsal(request, (outcome,), Verdict.ALLOW if denial is None else Verdict.DENY, None)
    outcomes = [Outcome("surface", learned={"surface": match.name})]
    try:
        document = decode(body_of(request), head.header(b"content-type"), max_depth=snapshot.surface.max_depth)
        exchange = Exchange(snapshot, _services(snapshot, request), head, match.parse(document))
    except Malformed as error:
        outcomes.append(Outcome("read", refusals.refusal_from(error).referenced(head.reference)))
        return Rehearsal(request, tuple(outcomes), Verdict.DENY, None)
    outcomes.append(Outcome("read"))
    for step in _road(request):
        outcomes.append(_take(exchange, step))
        if outcomes[-1].refusal is not None:
            break
    settle(exchange)
    found = verdict(exchange)
    ending = Ending.SERVED if exchange.refused is None else Ending.REFUSED
    limits = exchange.named.limits if exchange.named is not None else ()
    thresholds = tuple((limit, limit.state(request.users + request.known)) for limit in limits)
    owed = tuple(facts(exchange, found, ending)["obligations"])
    return Rehearsal(request, tuple(outcomes), found, exchange, owed, thresholds)


def _road(request: Request) -> list[Step]:
    """Return the steps of the exchange, with those that need a server behind Guard played."""
    before = [_reserve if step is reserve else step for step in BEFORE_TEXT]
    road: list[Step] = [*before, _detokenize, *BEFORE_FORWARD]
    if request.answer is not None:
        road.append(_screen(request.answer))
    return [*road, count]


def _reserve(exchange: Exchange) -> Refusal | None:
    """The ledger that is asked is at hand, so the two steps are one."""
    return reserve(exchange) or (ask_ledger(exchange) if exchange.undecided else None)


_reserve.__name__ = reserve.__name__


def _detokenize(exchange: Exchange) -> None:
    """Token ids are turned into text by the server behind, and there is none."""
    if exchange.inquiry.token_prompts:
        exchange.not_evaluated.append("token_prompts")


_detokenize.__name__ = "detokenize"


def _screen(answer: str) -> Step:
    def screen_output(exchange: Exchange) -> Refusal | None:
        screen = OutputScreen(exchange)
        screen.feed((0, "content"), answer)
        screen.finish((0, "content"))
        screen.close()
        return screen.blocked(0)

    return screen_output


def _take(exchange: Exchange, step: Step) -> Outcome:
    """Take one step and return what changed: what it added to lists, and what it set."""
    before = {item.name: _held(getattr(exchange, item.name)) for item in fields(exchange) if item.name not in _KEPT}
    document = copy.deepcopy(exchange.inquiry.document)
    refusal = step(exchange)
    learned: dict[str, Any] = {}
    added: dict[str, tuple[Any, ...]] = {}
    for name, old in before.items():
        new = getattr(exchange, name)
        if name in _LISTS:
            added[name] = tuple(new[len(old) :])
        elif isinstance(new, list):
            learned.update({name: new[len(old or ()) :]} if len(new) > len(old or ()) else {})
        elif new is not old and new is not None:
            learned[name] = new
    return Outcome(step.__name__, refusal, **added, learned=learned, edits=_edits(document, exchange.inquiry.document))


def _held(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _edits(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    changed = {name: value for name, value in after.items() if name not in before or before[name] != value}
    return {**changed, **{name: REMOVED for name in before if name not in after}}


def _services(snapshot: Snapshot, request: Request) -> Services:
    models = [*snapshot.models.values(), *([snapshot.default_model] if snapshot.default_model is not None else [])]
    kinds = {limit.kind for model in models for limit in model.limits}
    return Services(
        counter=counter({*snapshot.packs, "undetermined"}, request.users, request.known, request.at, kinds),
        pseudonyms=Pseudonymizer(bytes(32)),
        meter=_Unmetered(),
        audit=None,
        provenance=None,
        now=lambda: request.at,
        on_failure=lambda _what, _error: None,
    )
