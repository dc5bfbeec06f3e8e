"""A recorded decision made once more, under another policy, from the facts of its audit entry.

The functions are those that serve requests. No text is kept, so what its rules would find is known only as far as they
are the rules of then; whatever the facts do not settle comes out as ``Untold``, never as a guess.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from guard.exchange.exchange import Exchange
from guard.exchange.head import Head
from guard.exchange.identify import identify
from guard.exchange.inquiry import FieldUse, Inquiry
from guard.exchange.locate import locate
from guard.exchange.order import BEFORE_TEXT
from guard.exchange.outcome import Outcome, outcome
from guard.exchange.recognize import CannotTell, recognize
from guard.exchange.redecide import OPTIONAL, UNAVAILABLE
from guard.exchange.refusal import Code, Refusal
from guard.exchange.restrain import restrain
from guard.exchange.screen_output import note_output
from guard.exchange.screen_prompt import aup_refusal, judge_prompt
from guard.exchange.services import Services
from guard.exchange.snapshot import Mode, ModelPolicy, Snapshot
from guard.exchange.unscanned import PartKind, UnscannedPart
from guard.screening.findings import Action, Finding
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Source
from guard.usage.counter import Admission, Reservation
from guard.usage.period import Kind
from guard.usage.thresholds import AtLimit, Limit, State

SCREENING_BROKEN = frozenset({"error", "too_many_matches", "token_prompts", "ledger"})
MODELS = ("learned.", "neural.", "judge.")
"""Before the category: ids of what was found by a model and no rule. Another policy asks the same models."""


class Untold(NamedTuple):
    """It cannot be told what another policy decides, and why."""

    why: str


def redecide_recorded(facts: Mapping[str, Any], candidate: Snapshot, active: Snapshot) -> Outcome | Untold:
    """Return what ``candidate`` decides about the request of an audit entry of kind ``decision``.

    ``active`` is what the entry is compared through: it knows the rules and tenants of entries written under it.
    """
    given = facts.get("given")
    if given is None:
        return Untold("it was refused before it could be read, or recorded without what it rested on")
    refused = facts["refused"]
    if (refused is not None and refused["code"] in UNAVAILABLE) or _broken(facts["not_evaluated"]):
        return Untold("something was out of order, and a check could not be made")
    try:
        exchange = _exchange(facts, candidate)
        unsettled = _before_text(exchange, facts, active if facts["policy"] == active.hash else None)
        if exchange.refused is None:
            unsettled += _screening(exchange, facts, active)
    except CannotTell as error:
        return Untold(str(error))
    if exchange.refused is None and unsettled:
        return Untold(unsettled[0])
    return outcome(exchange)


def _exchange(facts: Mapping[str, Any], snapshot: Snapshot) -> Exchange:
    given = facts["given"]
    uses = [FieldUse(capability, field, value) for capability, field, value in given["uses"]]
    if given["named"] and given["model"] is None:
        raise CannotTell("it named a model by what is no model's name, which is not written down")
    inquiry = Inquiry(
        facts["surface"],
        {use.field: use.value for use in uses},
        given["model"],
        uses=uses,
        unscannable=_unscannable(given["unscannable"], snapshot),
        unknown=["a field"] * min(given["unknown"], 1),
        choices=given["choices"],
    )
    headers = [] if given["purpose"] is None else [(b"x-guard-purpose", given["purpose"].encode())]
    trusted, countries = snapshot.identity.trusted_from, snapshot.surface.country_headers
    if given["country"] is not None and countries:
        headers.append((countries[0], given["country"].encode()))
    peer = str(trusted[0].network_address) if trusted else ""
    services = cast("Services", _Recorded(facts))
    return Exchange(snapshot, services, Head("POST", "", tuple(headers), peer, facts["reference"]), inquiry)


def _unscannable(kinds: Mapping[str, int] | int, snapshot: Snapshot) -> list[UnscannedPart]:
    """One part of each kind that was there: whether there is any decides, not how many. Raises CannotTell.

    Entries of earlier releases say how many there were, of whatever kinds.
    """
    if not isinstance(kinds, int):
        return [UnscannedPart(PartKind(kind), "a part") for kind in kinds]
    if kinds and len(set(snapshot.surface.unscannable.values())) > 1:
        raise CannotTell("of what kinds the parts were that no rule can read was not recorded")
    return [UnscannedPart(PartKind.IMAGE, "a part")] if kinds else []


def _before_text(exchange: Exchange, facts: Mapping[str, Any], before: Snapshot | None) -> list[str]:
    """Walk the steps that need no text; return why what they leave open cannot be told."""
    surface, snapshot = exchange.inquiry.surface, exchange.snapshot
    if surface in OPTIONAL and surface not in snapshot.surface.enabled:
        exchange.refuse(Refusal(403, Code.SURFACE_DENIED, f"The surface '{surface}' is not open."))
        return []
    unsettled = []
    for step in BEFORE_TEXT:
        if step is restrain:
            continue  # how the identity had behaved until then was not recorded
        if step is locate and _unplaced(exchange, facts):
            unsettled.append("where it came from was not recorded")
            continue
        try:
            if (recognize(exchange, facts, before) if step is identify else step(exchange)) is not None:
                return []
        except CannotTell as error:
            if step is identify:
                raise
            unsettled.append(str(error))
    refused = facts["refused"]
    if refused is not None and refused["code"] != Code.AUP:
        unsettled.append(f"it is no longer refused as {refused['code']}, and its text was never screened")
    return unsettled


def _unplaced(exchange: Exchange, facts: Mapping[str, Any]) -> bool:
    """Return True if it matters where the request came from, and nobody looked."""
    model, surface = exchange.model, exchange.snapshot.surface
    return bool(model is not None and model.excluded and surface.country_headers and not facts["given"]["located"])


def _screening(exchange: Exchange, facts: Mapping[str, Any], active: Snapshot) -> list[str]:
    """Rule on the recorded findings; return why what the rules would find in the texts cannot be told."""
    model, rules = exchange.model, exchange.snapshot.rules
    if model is None:
        return []
    found = [
        (Direction(item["direction"]), _finding(item)) for item in (*facts["findings"], *facts["given"]["unruled"])
    ]
    unsettled: list[str] = []
    if rules.digest != facts["given"]["rules"]:
        then = _rules_of(facts, active)
        if then is None:
            found, unsettled = [], ["its rules are neither those of now nor the candidate's, and no text is kept"]
        else:
            stands, changed = _compared(then, rules)
            found = [
                (direction, finding)
                for direction, finding in found
                if finding.rule in stands or finding.rule.startswith(MODELS)
            ]
            if any(rule.id in changed and rule.category in model.rulings for rule in rules.rules):
                unsettled = ["rules were added or changed, and no text is kept"]
    prompt = [finding for direction, finding in found if direction is Direction.PROMPT]
    if judge_prompt(exchange, model, prompt) is None:
        _answer(exchange, model, [finding for direction, finding in found if direction is Direction.OUTPUT])
    return unsettled


def _answer(exchange: Exchange, model: ModelPolicy, findings: Sequence[Finding]) -> None:
    """Rule on what was found in the answer, as the screen of a stream does."""
    blocking = model.blocking if exchange.snapshot.mode is Mode.ENFORCE else frozenset()
    note_output(exchange, model, blocking, findings)
    for finding in findings:
        if finding.category in blocking and finding.rule not in exchange.snapshot.shadowed_rules:
            ruling = exchange.snapshot.ruling(model, finding)
            assert ruling is not None
            exchange.refused = aup_refusal(finding, ruling)
            return


def _rules_of(facts: Mapping[str, Any], active: Snapshot) -> RuleSet | None:
    views = [active, *(tenant.view(active) for tenant in (active.tenants.ordered if active.tenants else ()))]
    return next((view.rules for view in views if view.rules.digest == facts["given"]["rules"]), None)


def _compared(then: RuleSet, now: RuleSet) -> tuple[set[str], set[str]]:
    """Return the ids of the rules that find the same, and of those that are new or find something else."""
    before, after = ({rule.id: rule.content for rule in rules.rules} for rules in (then, now))
    same = {id_ for id_, content in after.items() if before.get(id_) == content}
    return same, set(after) - same


def _finding(item: Mapping[str, Any]) -> Finding:
    return Finding(
        item["rule"],
        item["category"],
        item["start"],
        item["end"],
        Source(item["source"]),
        item["path"],
        item["transform"],
        Action.parse(item.get("most", "block")),
        item.get("score"),
    )


def _broken(reasons: Iterable[str]) -> bool:
    """Return whether a check could not be made, by its reasons."""
    return any(reason in SCREENING_BROKEN or reason.startswith(("neural_", "judge_")) for reason in reasons)


class _Recorded:
    """The services of a recorded exchange: the counter is what was counted then, everything else is missing."""

    provenance = None

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.counter = self
        self._users: Mapping[str, int] = facts["given"]["users"]
        self._newcomer: bool | None = facts["given"]["newcomer"]

    def now(self) -> float:
        """No step asks what time it was but to find the period, which the counts are of."""
        return 0.0

    def reserve(self, limits: Iterable[Limit], key: int | None, at_limit: AtLimit, _now: float) -> Reservation:
        """Return what ``UsageCounter.reserve`` would have said. Raises CannotTell."""
        if at_limit is AtLimit.OBSERVE:
            return Reservation(Admission.ADMITTED)
        full: list[Limit] = []
        for limit in limits:
            if not limit.acts:
                continue
            users = self._users.get(limit.license) if limit.kind is Kind.MONTH else None
            if users is None:
                raise CannotTell("the users of a license that has a limit were not recorded")
            newcomer = True if key is None else self._newcomer
            if users < limit.allowed:
                continue
            over = limit.state(users) is State.OVER
            if newcomer:
                full.append(limit)
            elif at_limit is AtLimit.REFUSE_ALL and over:
                return Reservation(Admission.REFUSED, limit)
            elif newcomer is None:
                raise CannotTell("whether its user was counted already was not recorded")
        return Reservation(Admission.REFUSED, full[0]) if full else Reservation(Admission.ADMITTED)
