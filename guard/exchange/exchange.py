"""The state of one request on its road; each step reads it, adds to it, and may end it with a refusal."""

from dataclasses import dataclass, field

from guard.exchange.head import Head
from guard.exchange.identity import ANONYMOUS, Identity
from guard.exchange.inquiry import Inquiry
from guard.exchange.refusal import SHADOWED, Code, Refusal
from guard.exchange.services import Services
from guard.exchange.snapshot import Entitlement, Mode, ModelPolicy, Ruling, Snapshot
from guard.exchange.tenant import Tenant
from guard.exchange.trace import Trace
from guard.exchange.unscanned import PartAction, UnscannedPart
from guard.screening.findings import Finding
from guard.screening.segments import Direction, Segment
from guard.usage.counter import Reservation


@dataclass(slots=True)
class Exchange:
    """One request and its response, decided under the one snapshot it began with (invariant 7)."""

    snapshot: Snapshot
    """From ``identify`` on as the caller's tenant sees it: of the same load, with the overlay applied."""
    services: Services
    head: Head
    inquiry: Inquiry
    model: ModelPolicy | None = None
    identity: Identity = ANONYMOUS
    entitlement: Entitlement | None = None
    tenant: Tenant | None = None
    token_purpose: str | None = None
    """What the verified token that named the user states as its purpose; it may be no purpose at all."""
    reservation: Reservation | None = None
    undecided: bool = False
    """True while only the ledger can tell whether the user may be served: ``guard.exchange.count.ask_ledger``."""
    refused: Refusal | None = None
    """What ended the request, or the choice of a finished answer that was ended first."""
    shadowed: list[Refusal] = field(default_factory=list)
    """What would have ended it, were it not in shadow: the mode, the check or the rule."""
    findings: list[tuple[Direction, Finding, Ruling]] = field(default_factory=list)
    masking: bool = False
    """True: something in the prompt has to be replaced before it is sent."""
    sent: list[Segment] | None = None
    """The texts of the prompt as they are sent, where something was replaced."""
    not_evaluated: list[str] = field(default_factory=list)
    """Checks that could not be made, by reason: never a pass (invariant 6)."""
    risk: float | None = None
    """Risk of the prompt by the learned tier, None if not scored."""
    scanned: int = 0
    """Texts of the request that the rules read."""
    unscanned: list[tuple[UnscannedPart, PartAction]] = field(default_factory=list)
    """Parts that no rule reads, with what the policy does about them."""
    obligations: list[str] = field(default_factory=list)
    unaccepted: list[tuple[str, str]] = field(default_factory=list)
    """(license, clause) of terms that flow down to this caller and that nobody accepted for it."""
    unruled: list[tuple[Direction, Finding]] = field(default_factory=list)
    """Findings that the policy does nothing about: another policy might."""
    deferred: list[Finding] = field(default_factory=list)
    """What the learned tier found and the neural tier is asked about: it counts if that one cannot answer."""
    settled: bool = False
    """True once the neural tier has decided about them."""
    assessed: list[Finding] = field(default_factory=list)
    """What checks beside the call to the model found in the prompt before the exchange was recorded, as they said it:
    another policy may rule otherwise on it."""
    answer: list[tuple[tuple[int, str], str | None]] | None = None
    """What the server behind answered, by channel and piece (None: the channel's end), in the order it came; kept only
    where a candidate policy is to read it."""
    newcomer: bool = False
    """True if the user was counted for this answer: the first this process knew of in the period."""
    answered: bool = False
    """True once the sighting of the user is durable and a 2xx may leave."""
    trace: Trace | None = None
    """Whoever traces the request, if it is traced."""

    def refuse(self, refusal: Refusal) -> Refusal | None:
        """Return ``refusal`` with its reference if it is to be enforced; in shadow note it and return None.

        A request Guard could not understand or may not forward is refused in either mode: a field that a license
        denies can be let through in shadow, one that Guard cannot see through cannot.
        """
        refusal = refusal.referenced(self.head.reference)
        by_license = refusal.code is Code.FIELD_DENIED and refusal.license is not None
        if self.shadows(refusal.code) and (refusal.code in SHADOWED or by_license):
            self.shadowed.append(refusal)
            return None
        self.refused = refusal
        return refusal

    def shadows(self, code: Code) -> bool:
        """Return True if what a check of that code finds is only recorded: the whole policy does, or that check."""
        return self.snapshot.mode is Mode.SHADOW or code in self.snapshot.shadowed_codes

    @property
    def named(self) -> ModelPolicy | None:
        """The policy of the model; of a request refused before it was admitted, of the one it names."""
        return self.model or self.snapshot.serving(self.inquiry.model)

    @property
    def texts(self) -> list[Segment]:
        """The texts of the prompt as they are sent."""
        return self.inquiry.segments if self.sent is None else self.sent

    @property
    def marked(self) -> str:
        """The kinds of the parts that pass unread and are to be told of, in one line; mostly empty."""
        if not self.unscanned:
            return ""
        return ", ".join(sorted({part.kind for part, action in self.unscanned if action is PartAction.MARK}))

    @property
    def license(self) -> str:
        """The first license of the model's stack, for labels: ``undetermined`` where none is known."""
        model = self.named
        return model.label if model is not None else "undetermined"
