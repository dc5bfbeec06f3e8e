"""What would change an outcome: rehearsals with one thing changed, of which those count that end otherwise."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from guard.exchange.admit import TEXT_FIELDS
from guard.exchange.exchange import Exchange
from guard.exchange.record import Verdict
from guard.exchange.refusal import Code, Refusal
from guard.exchange.snapshot import Mode, Snapshot
from guard.licensing.decisions import stand_in
from guard.licensing.purpose import EVALUATE, SERVE, Purpose
from guard.policy.config import Config
from guard.policy.document import PolicyError
from guard.policy.rehearsal.hypothetical import STRANGER, Request, body_of
from guard.policy.rehearsal.rehearse import Rehearsal, rehearse
from guard.usage.thresholds import AtLimit, Limit
from guard.wire import surfaces

Load = Callable[[Mapping[str, object]], Snapshot]
"""Loads the policy anew with settings by dotted name laid over it. Raises PolicyError."""

ELSEWHERE = ("US", "CH", "DE", "SG")
"""Countries to try, in order; the first that no license of the model excludes is told."""


class Change(NamedTuple):
    """One thing that is other, and what follows."""

    what: str
    verdict: Verdict
    refusal: Refusal | None
    obligations: tuple[str, ...]


class _Try(NamedTuple):
    what: str
    request: Request
    settings: Mapping[str, object] = {}
    limit: Limit | None = None
    """The limit whose sides are tried."""


def changes(base: Rehearsal, snapshot: Snapshot, config: Config, load: Load) -> Iterator[Change]:
    """Yield every change tried whose verdict is another than that of ``base``, rehearsed under ``snapshot``."""
    for attempt in _tries(base, snapshot, config):
        try:
            policy = load(attempt.settings) if attempt.settings else snapshot
        except PolicyError:  # a setting that this policy cannot have
            continue
        found = rehearse(policy, attempt.request)
        if found.verdict is not base.verdict:
            what = attempt.what + _nearer(attempt, found)
            yield Change(what, found.verdict, found.refusal, found.obligations)


def _nearer(attempt: _Try, found: Rehearsal) -> str:
    """Return which limit refuses where it is not the one whose sides were tried, but a lower one; else nothing."""
    refusal = found.refusal
    if attempt.limit is None or refusal is None or refusal.code is not Code.USAGE_THRESHOLD:
        return ""
    lowest = min((limit for limit, _ in found.thresholds if limit.acts), key=lambda limit: limit.allowed)
    if lowest.allowed >= attempt.limit.allowed:
        return ""
    whose = "the operator's own limit" if lowest.consequence == "operator" else f"{lowest.license}'s limit {lowest.id}"
    return f"; {whose} of {lowest.allowed:,} still refuses"


def _tries(base: Rehearsal, snapshot: Snapshot, config: Config) -> Iterator[_Try]:
    request, exchange = base.request, base.exchange
    if exchange is None:
        match = surfaces.match(request.method, request.path)
        if not isinstance(match, surfaces.Refused) and match.optional is not None:
            enabled = [*config.surface.enabled, match.optional]
            yield _Try(
                f"the surface open: surface.enabled with {match.optional}", request, {"surface.enabled": enabled}
            )
        return
    yield from _callers(base)
    yield from _users(base)
    yield from _fields(base)
    yield from _findings(base, config)
    for at_limit in AtLimit:
        if at_limit is not snapshot.at_limit and base.thresholds:
            yield _Try(f"usage.at_limit: {at_limit}", request, {"usage.at_limit": at_limit.value})
    other = Mode.SHADOW if snapshot.mode is Mode.ENFORCE else Mode.ENFORCE
    yield _Try(f"mode: {other}", request, {"mode": other.value})


def _callers(base: Rehearsal) -> Iterator[_Try]:
    """Another purpose, another user, another place."""
    request, caller = base.request, base.request.caller
    exchange = base.exchange
    licenses = exchange.named.licenses if exchange is not None and exchange.named is not None else ()
    stated = Purpose.parse(caller.purpose) if caller.purpose is not None else None
    trains = stated is not None and stated.trains
    purposes = {SERVE: "", EVALUATE: ""} if trains else {}
    for license_ in licenses:
        if license_.output_use.rule.forbids_training:
            kind, why = ("train-same", license_.output_use.exception) if trains else ("train-other", "")
            purposes.setdefault(str(stand_in(license_, kind)), f" ({license_.id} excepts: {why})" if why else "")
    for purpose, why in purposes.items():
        if purpose != caller.purpose:
            yield _Try(f"purpose {purpose}{why}", replace(request, caller=replace(caller, purpose=purpose)))
    if caller.user is None:
        yield _Try("a request that names its user", replace(request, caller=replace(caller, user="u1")))
    else:
        who = "a newcomer" if request.known else "a user who is counted already"
        yield _Try(who, replace(request, known=not request.known))
    if exchange is not None:
        yield from _places(request, exchange)


def _places(request: Request, exchange: Exchange) -> Iterator[_Try]:
    """From a place that the model's licenses exclude, and from one that they do not."""
    excluded, snapshot = exchange.named.excluded if exchange.named is not None else {}, exchange.snapshot
    if not excluded:
        return
    believed: dict[str, object] = {}
    if not snapshot.surface.country_headers:
        believed = {"territory.country_headers": ["x-country"], "identity.trusted_from": [f"{STRANGER}/32"]}
    how = ", where territory.country_headers lets Guard see it" if believed else ""
    elsewhere = next((place for place in ELSEWHERE if place not in excluded), None)
    for country in dict.fromkeys((elsewhere, next(iter(excluded)))):
        if country is not None and country != request.caller.country:
            caller = replace(request.caller, country=country)
            yield _Try(f"a request from {country}{how}", replace(request, caller=caller), believed)


def _users(base: Rehearsal) -> Iterator[_Try]:
    """Below every limit that acts, and beyond it."""
    for limit, _ in base.thresholds:
        if limit.acts:
            for users in (limit.allowed - 1, limit.allowed + 1):
                if users >= 0 and users != base.request.users:
                    where = "below" if users < limit.allowed else "beyond"
                    what = f"{users:,} other users, {where} the limit {limit.id} of {limit.license}"
                    yield _Try(what, replace(base.request, users=users), limit=limit)


def _fields(base: Rehearsal) -> Iterator[_Try]:
    """Without a field that has a policy, or with the field allowed."""
    assert base.exchange is not None
    inquiry, request = base.exchange.inquiry, base.request
    try:
        document: dict[str, Any] = json.loads(body_of(request))
    except ValueError:
        return
    for name in dict.fromkeys((*(use.field for use in inquiry.uses), *inquiry.unknown)):
        if name in document and name not in TEXT_FIELDS:
            body = {key: value for key, value in document.items() if key != name}
            yield _Try(f"the request without '{name}'", replace(request, body=body))
    for capability in dict.fromkeys(use.capability for use in inquiry.uses):
        yield _Try(f"outputs.fields: {{{capability}: allow}}", request, {f"outputs.fields.{capability}": "allow"})
    if inquiry.unscannable:
        yield _Try("screening.unscannable: allow", request, {"screening.unscannable": "allow"})


def _findings(base: Rehearsal, config: Config) -> Iterator[_Try]:
    """Another action for a category that was found."""
    assert base.exchange is not None
    day = datetime.fromtimestamp(base.request.at, UTC).date()
    for category in dict.fromkeys(finding.category for _, finding, _ in base.exchange.findings):
        relax = {"category": category, "owner": "somebody", "expires": day + timedelta(days=1), "reason": "a try"}
        relaxed = [*(entry.model_dump() for entry in config.screening.relax), relax]
        for action in ("off", "flag", "block"):
            settings = {f"screening.actions.{category}": action, "screening.relax": relaxed}
            what = f"screening.actions: {{{category}: {action}}}"
            strict = action == "block"
            yield _Try(what if strict else f"{what}, with screening.relax naming an owner", base.request, settings)
