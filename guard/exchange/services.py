"""What an exchange needs from outside itself, handed in so that the core does no I/O of its own choosing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from guard.behavior.ladder import BehaviorPolicy, Step
from guard.behavior.observation import Observation
from guard.usage.churn import Churn
from guard.usage.counter import UsageCounter
from guard.usage.pseudonym import Pseudonyms

if TYPE_CHECKING:
    from guard.exchange.assess import AnswerAssessor, Assessor
    from guard.exchange.exchange import Exchange
    from guard.exchange.record import Ending, Verdict


class Meter(Protocol):
    """Where the exchange reports what it did; every label is bounded."""

    def exchanged(self, decision: str, reason: str, license: str, source: str, texts: int) -> None:
        """Count one finished exchange: by what was decided and why, by the source of its identity, and the ``texts`` of
        it that the rules read.
        """

    @property
    def unidentified(self) -> Callable[[], None]:
        """Count one request that no source identified."""

    def newcomer(self, source: str) -> None:
        """Count one first sighting by the source that identified the user."""

    @property
    def first_sighting(self) -> Callable[[], None]:
        """Count one user whom this process saw for the first time in the period."""

    @property
    def receipt(self) -> Callable[[], None]:
        """Count one receipt."""

    def finding(self, category: str, direction: str, action: str) -> None:
        """Count one finding."""

    def not_evaluated(self, reason: str) -> None:
        """Count one check that could not be made."""

    def parts(self, kind: str, outcome: str, number: int) -> None:
        """Count parts of requests that no rule reads, by kind and what became of them."""

    def unaccepted(self, license: str) -> None:
        """Count one request of a caller for whom nobody accepted the terms of ``license``."""


class AuditLog(Protocol):
    """Where decisions are written down; ``append`` never blocks on the disk."""

    def append(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Chain one entry."""


class Provenance(Protocol):
    """Where finished choices get their receipts and fingerprints, off the request's path."""

    @property
    def finished(self) -> Callable[..., object]:
        """Hand over one finished choice: guard.provenance.recorder.Recorder.finished."""

    @property
    def begun(self) -> Callable[[], None]:
        """Count an exchange before the first byte of its answer leaves."""

    @property
    def ended(self) -> Callable[[], None]:
        """Count its end, when all its choices were handed over."""

    @property
    def declared(self) -> Callable[..., None]:
        """Hand over what somebody states to do with answers: guard.provenance.recorder.Recorder.declared."""


class Unrecorded(Protocol):
    """Where answers are counted while receipts are off, that the index does not seem to hold them."""

    @property
    def begun(self) -> Callable[[], None]:
        """Count an exchange before the first byte of its answer leaves."""

    @property
    def unrecorded(self) -> Callable[[int], None]:
        """Count finished choices: guard.provenance.recorder.Recorder.unrecorded."""

    @property
    def ended(self) -> Callable[[], None]:
        """Count its end, when all its choices were counted."""


class Candidate(Protocol):
    """Where finished exchanges are decided again under a candidate policy, off the request's path."""

    def offer(self, exchange: "Exchange") -> None:
        """Take a finished exchange or count it as not evaluated; never waits."""


class Behavior(Protocol):
    """Who behaves how over time: guard.behavior.observer.Observer."""

    def observe(self, observation: Observation, policy: BehaviorPolicy) -> None:
        """Take a finished request; never waits."""

    def step(self, identity: int) -> Step:
        """Return where an identity stands, from memory."""

    def admit(self, identity: int, per_minute: int) -> bool:
        """Return False if a clamped identity has had its requests of the minute."""


@dataclass(frozen=True, slots=True)
class Services:
    """The stores, clocks and logs of one process."""

    counter: UsageCounter
    pseudonyms: Pseudonyms
    meter: Meter
    audit: AuditLog | None
    provenance: Provenance | None
    now: Callable[[], float]
    """Epoch seconds."""
    on_failure: Callable[[str, BaseException], None]
    """Logs an unexpected failure of a check: (what, error). Nothing of it ever reaches a client."""
    candidate: Candidate | None = None
    """None where no candidate policy is set."""
    behavior: Behavior | None = None
    """None where nobody is watched."""
    churn: Churn | None = None
    """Watches whether identities come back; None where nothing is served."""
    assessors: "Sequence[Assessor]" = ()
    """Checks of prompts that run beside the call to the model."""
    answer_assessors: "Sequence[AnswerAssessor]" = ()
    """Checks of finished answers."""
    unrecorded: Unrecorded | None = None
    """None where there are receipts, or nobody counts what has none."""
    notable: "Callable[[Exchange, Verdict, Ending], None] | None" = None
    """Is told of every exchange that was refused, flagged, cut or not evaluated; None where nobody wants to know."""
