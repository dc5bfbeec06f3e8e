"""A finished exchange decided once more, under another policy: the same steps, and nothing is counted or refused.

The request is what it was before the first policy edited it; the texts are those the server behind was asked and
answered. Thresholds are judged on the users that were counted when it was finished.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from guard.behavior.ladder import BehaviorPolicy, Step
from guard.behavior.observation import Observation
from guard.exchange.assess import Assessor
from guard.exchange.exchange import Exchange
from guard.exchange.given import with_places
from guard.exchange.order import BEFORE_FORWARD, BEFORE_TEXT, walk
from guard.exchange.refusal import Code, Refusal
from guard.exchange.screen_output import OutputScreen
from guard.exchange.screen_prompt import judge_prompt
from guard.exchange.services import Meter, Services
from guard.exchange.snapshot import Snapshot
from guard.usage.count import Count
from guard.usage.counter import Admission, Reservation, UsageCounter
from guard.usage.period import Kind
from guard.usage.thresholds import AtLimit, Limit, State

OPTIONAL = frozenset({"batch", "embeddings", "pooling", "score", "rerank", "classify", "tokenize", "detokenize"})
"""Surfaces that a policy opens by name (``surface.enabled``)."""

UNAVAILABLE = frozenset({Code.SCREENING_UNAVAILABLE, Code.LEDGER_UNAVAILABLE, Code.UPSTREAM_UNAVAILABLE})
"""Refusals that no policy decided: something was out of order, and would have been under any other policy."""


class Redecided(NamedTuple):
    """What another policy decides about an exchange."""

    exchange: Exchange
    partial: bool
    """True if the first policy ended the exchange before all was known that the other one would have gone on to see."""


def redecide(finished: Exchange, snapshot: Snapshot, counts: Mapping[str, Count]) -> Redecided:
    """Return what ``snapshot`` decides about ``finished``, which stays as it is, where ``counts`` were counted.

    What cannot be decided is noted as not evaluated: ``count`` where the users of a license are not counted under the
    policy in force, ``token_prompts`` where it refused before token ids were turned into text.
    """
    inquiry = finished.inquiry
    asked = replace(
        inquiry,
        document={use.field: use.value for use in inquiry.uses},
        choices=inquiry.choices if inquiry.asked is None else inquiry.asked,
        asked=None,
    )
    counter = _Foreseen(finished, counts)
    services = Services(
        cast("UsageCounter", counter),
        finished.services.pseudonyms,
        cast("Meter", None),  # steps decide; what they decided is counted when it is recorded, and this never is
        None,
        None,
        finished.services.now,
        finished.services.on_failure,
        behavior=_Stood(finished) if finished.services.behavior is not None else None,
        assessors=[cast("Assessor", _Settled())] if finished.settled else (),
    )
    again = Exchange(snapshot, services, finished.head, asked)
    if inquiry.surface in OPTIONAL and inquiry.surface not in snapshot.surface.enabled:
        again.refuse(Refusal(403, Code.SURFACE_DENIED, f"The surface '{inquiry.surface}' is not open."))
        return Redecided(again, partial=False)
    refusal = walk(again, (*BEFORE_TEXT, *BEFORE_FORWARD))
    if refusal is None and finished.assessed and again.model is not None:
        judge_prompt(again, again.model, finished.assessed)
    if again.refused is None and finished.answer is not None:
        _screen(again, finished.answer)
    if counter.missing:
        again.not_evaluated.append("count")
    stopped = finished.refused
    if inquiry.token_prompts and stopped is not None and stopped.code is not Code.AUP:
        again.not_evaluated.append("token_prompts")
    return Redecided(again, partial=stopped is not None and again.refused is None)


def _screen(exchange: Exchange, answer: Sequence[tuple[tuple[int, str], str | None]]) -> None:
    screen = OutputScreen(exchange)
    for channel, text in answer:
        if text is None:
            screen.finish(channel)
        else:
            screen.feed(channel, text)
    screen.close()


class _Settled:
    """Stands for the check that decided in the learned tier's place: what it found is judged again."""

    settles = True

    def wanted(self, _exchange: Exchange) -> bool:
        """It was."""
        return True


class _Stood:
    """Behavior as it stood in the way of the exchange: nobody is observed, and no request counted, once more."""

    def __init__(self, finished: Exchange) -> None:
        self._finished = finished

    def observe(self, observation: Observation, policy: BehaviorPolicy) -> None:
        """Leave it: it was observed."""

    def step(self, identity: int) -> Step:
        """Return where the identity stands."""
        behavior = self._finished.services.behavior
        return behavior.step(identity) if behavior is not None else Step.METRIC

    def admit(self, identity: int, per_minute: int) -> bool:  # noqa: ARG002 - of one request, not of a rate
        """Return what was said of the request."""
        return self._finished.refused is None or self._finished.refused.status != 429


class _Foreseen:
    """The counter as the other policy would have met it: what is counted is read, and no place is held.

    A user is a newcomer if it was this answer that counted him, or if this process does not know him.
    """

    def __init__(self, finished: Exchange, counts: Mapping[str, Count]) -> None:
        self.missing = False
        self._finished = finished
        self._users = with_places(finished, {license: count.users for license, count in counts.items()})
        self._counter = finished.services.counter

    def reserve(self, limits: Sequence[Limit], key: int | None, at_limit: AtLimit, now: float) -> Reservation:
        """Return what ``UsageCounter.reserve`` would say of the request."""
        if at_limit is AtLimit.OBSERVE:
            return Reservation(Admission.ADMITTED)
        model, full = self._finished.named, list[Limit]()
        for limit in limits:
            if not limit.acts:
                continue
            if limit.kind is not Kind.MONTH:  # only months are handed over
                self.missing = True
                continue
            users = self._users.get(limit.license)
            if users is None and (model is None or limit.license not in model.counted):
                self.missing = True
                continue
            users = (users or 0) - self._finished.newcomer
            if self._finished.newcomer or key is None or not self._counter.seen(limit.license, key, now):
                full += [limit] if users >= limit.allowed else []
            elif at_limit is AtLimit.REFUSE_ALL and limit.state(users) is State.OVER:
                return Reservation(Admission.REFUSED, limit)
        return Reservation(Admission.REFUSED, full[0]) if full else Reservation(Admission.ADMITTED)
