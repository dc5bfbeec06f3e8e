"""The policy a request is decided under: immutable, built once per load, held by the request from start to end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, NamedTuple

from guard.behavior.ladder import BehaviorPolicy
from guard.exchange.credential import StoredKey
from guard.exchange.refusal import Code
from guard.exchange.trusted import TrustedHeader
from guard.exchange.unscanned import PartAction, PartKind, every
from guard.licensing.license import License
from guard.licensing.lineage import Target
from guard.licensing.need import Need
from guard.licensing.notice import Notice
from guard.screening.categories import OWN
from guard.screening.findings import Action, Finding
from guard.screening.learned.learned import Learned
from guard.screening.neural.policy import NeuralPolicy
from guard.screening.ruleset import RuleSet
from guard.usage.thresholds import AtLimit, Limit

if TYPE_CHECKING:
    from guard.exchange.tenant import Tenants


class Mode(StrEnum):
    """``enforce`` refuses; ``shadow`` decides the same and only records."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class FieldAction(StrEnum):
    """What happens to a request field that has a policy."""

    ALLOW = "allow"
    STRIP = "strip"
    CLAMP = "clamp"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is done about a category for one model, and which license (if any) says so."""

    action: Action
    license: str | None = None
    item: str | None = None
    clause: str | None = None


class CitedItem(NamedTuple):
    """The ruling on a category, with one item of the license's acceptable use policy and its clause cited for it."""

    ruling: Ruling
    decisive: bool
    """Whether the item by itself has the ruling's action for the category."""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What is done about a capability for one model; ``limit`` is the largest value a clamp lets through."""

    action: FieldAction
    limit: int | None = None
    license: str | None = None
    clause: str | None = None


class Bulk(NamedTuple):
    """When answers are a bulk whose purpose has to be stated, and which license (if one is known) wants to know it."""

    samples: int
    """The most answers of one request that are none."""
    license: str | None = None
    clause: str | None = None


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """Everything that depends on the model: its licenses and what follows from them."""

    name: str
    licenses: tuple[License, ...]
    """The stack: a distilled or fine-tuned model is under every license of its lineage. Empty: undetermined."""
    rulings: Mapping[str, Ruling]
    """By category code; the strictest license wins. A category that is missing is off."""
    blocking: frozenset[str]
    """Categories whose ruling is BLOCK and that are not shadowed: the only ones that hold a stream back."""
    fields: Mapping[str, FieldRule]
    """By capability (``logprobs``, ``token_ids``, ``samples`` ...). One that is missing is allowed."""
    limits: tuple[Limit, ...]
    """Thresholds of the stack on users of a month, and of a day where days are counted."""
    counted: tuple[str, ...]
    """Ids of the licenses whose users are counted when this model answers."""
    citations: Mapping[tuple[str, str], CitedItem] = field(default_factory=dict)
    """By category and item, for every item of the license that rules on the category. The action is the category's."""
    people_only: frozenset[str] = frozenset()
    """Those of ``counted`` under which an application's shared credential is no user (the reading of "active user")."""
    excluded: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By country of use: (license, clause) of the license that gives no rights there."""
    flow_down: tuple[tuple[str, str], ...] = ()
    """(license, clause) of the terms that callers have to accept; empty where nobody is asked (``terms: off``)."""
    notices: tuple[Notice, ...] = ()
    """Lines that travel with every answer."""
    unstated: Need | None = None
    """What a license wants stated and nobody stated, where that refuses its requests."""
    bulk: Bulk | None = None
    """None where answers in bulk need no purpose: nothing depends on it, or the operator does not ask."""
    limited: bool = field(init=False, compare=False, repr=False)
    """True if some limit acts, so that a request has to be held against them."""
    label: str = field(init=False, compare=False, repr=False)
    """The first license of the stack, for labels of metrics: ``undetermined`` where none is known."""

    def __post_init__(self) -> None:
        """Note what every request would otherwise ask anew."""
        object.__setattr__(self, "limited", any(limit.acts for limit in self.limits))
        object.__setattr__(self, "label", self.licenses[0].id if self.licenses else "undetermined")

    def ruling(self, category: str, items: tuple[str, ...]) -> Ruling | None:
        """Return what is done about ``category``, citing what the finding is evidence of: ``items``, best first.

        Cited is the first item that has the ruling's action in its license, else the first that the license has, else
        what the category's action rests on. None: the category is off.
        """
        first: Ruling | None = None
        for item in items:
            cited = self.citations.get((category, item))
            if cited is None:
                continue
            if cited.decisive:
                return cited.ruling
            first = first or cited.ruling
        return first or self.rulings.get(category)


UNLISTED = ModelPolicy("undetermined", (), {}, frozenset(), {}, (), ("undetermined",))
"""A model of which nothing is known and about which nothing is ruled, but whose users are counted."""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What the policy knows of an application or tenant."""

    name: str
    purpose: str = "unknown"
    user: str | None = None
    """Set when the key belongs to one person; None for an application with users of its own."""
    terms: frozenset[str] = frozenset()
    """Ids of the licenses whose terms were accepted for it."""
    fields: Mapping[tuple[str, ...], Mapping[str, FieldRule]] = field(default_factory=dict, hash=False)
    """What holds for it in place of ``ModelPolicy.fields``, by the model's ``counted``, where it has settings of its
    own."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A header in which a proxy says, signed, who the user is. Never forwarded."""

    header: bytes
    """Lower-case name."""
    verify: Callable[[str], Mapping[str, object] | None]
    """Returns the claims of a valid assertion, None for an invalid one."""
    claim: str
    trusted_from: tuple[IPv4Network | IPv6Network, ...] = ()
    """Peers from whom it is believed; from anybody else it is as if it had not been sent. Empty: its signature alone
    decides."""


@dataclass(frozen=True, slots=True)
class IdentityPolicy:
    """How requests are tied to users. ``sources`` is a trust order: an earlier one is never overridden by a later."""

    sources: tuple[str, ...] = ("mtls", "assertion", "jwt", "trusted_header", "api_key", "body")
    unidentified: str = "credential"
    """``credential`` (count the credential), ``allow`` or ``deny``."""
    trusted_headers: tuple[TrustedHeader, ...] = ()
    """In the order in which they are asked; only those that somebody is believed about."""
    trusted_from: tuple[IPv4Network | IPv6Network, ...] = ()
    """Peers that are believed about everything that has no networks of its own: namespaces, countries, plain headers.
    From anybody else identity headers are dropped before forwarding."""
    headers: frozenset[bytes] = frozenset()
    """Every header that says who the user is where somebody is believed; dropped before forwarding where nobody is."""
    mtls: TrustedHeader | None = None
    """The header in which a TLS-terminating hop reports the client's certificate. Never forwarded."""
    verify_jwt: Callable[[str], Mapping[str, object] | None] | None = None
    """Returns the claims of a valid token, None for an invalid one."""
    jwt_claim: str = "sub"
    jwt_purpose: str | None = None
    """Claim of a verified token that states a purpose; None: none is read."""
    assertions: tuple[Assertion, ...] = ()
    keys: Mapping[str, Entitlement] = field(default_factory=dict)
    """By ``digest_key(key)``: registered API keys."""
    stored: Mapping[str, tuple[StoredKey, Entitlement]] = field(default_factory=dict)
    """By ``key_id(key)``: registered API keys that Guard made, those that are no longer good included."""
    registered_only: bool = False
    """True: an unknown API key is refused with 401."""
    namespace_header: bytes | None = None
    """Header in which a trusted hop names the tenant's namespace, where a tenant is known by one. Never forwarded."""
    terms: str = "warn"
    """``require``: callers without a recorded acceptance of terms that flow down are refused; ``warn``: noted."""
    asked: tuple[str, ...] = field(init=False, compare=False, repr=False)
    """Those of ``sources`` that can name somebody here: a signature without a key to verify it by never does."""

    def __post_init__(self) -> None:
        """Note what every request would otherwise ask anew."""
        able: dict[str, object] = {
            "mtls": self.mtls,
            "assertion": self.assertions,
            "jwt": self.verify_jwt,
            "trusted_header": self.trusted_headers,
            "api_key": self.keys or self.stored,
            "body": True,
        }
        object.__setattr__(self, "asked", tuple(source for source in self.sources if able[source]))


@dataclass(frozen=True, slots=True)
class SurfacePolicy:
    """Which optional surfaces are open and how large a request may be."""

    enabled: frozenset[str] = frozenset()
    """Names of optional surfaces (``batch``, ``embeddings``, ``pooling``, ``score``, ``rerank``, ``classify``,
    ``tokenize``, ``detokenize``, ``metrics``) that are open."""
    max_body: int = 4 * 1024 * 1024
    """Bytes."""
    max_answer: int = 64 * 1024 * 1024
    """Bytes of an unstreamed answer, or of one SSE event, that Guard is willing to hold."""
    max_depth: int = 64
    unknown_fields: str = "drop"
    """``drop`` or ``deny``."""
    country_headers: tuple[bytes, ...] = ()
    """Headers, in order, in which a trusted hop writes the country of a request; empty: places are not evaluated."""
    notice_carriers: frozenset[str] = frozenset()
    """``header``, ``body``: where a model's notices travel."""
    unknown_country: str = "deny"
    """``deny`` or ``allow`` for requests without a known country where a license excludes places."""
    unscannable: Mapping[PartKind, PartAction] = field(default_factory=lambda: every(PartAction.DENY))
    """What is done about parts that no text rule can read, of every kind."""
    system_prompts: Action = Action.FLAG
    """The most that is done about a finding in a system prompt. Applications write there what the model must refuse, in
    the very words of the rules; where callers are strangers, BLOCK closes the role to them."""


@dataclass(frozen=True, slots=True)
class LearnedPolicy:
    """The learned tier, and the most that it may do; OFF: it is not asked."""

    model: Learned
    prompts: Action
    outputs: Action


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One loaded policy."""

    hash: str
    """Hex digest over every file it was built from."""
    mode: Mode
    models: Mapping[str, ModelPolicy]
    """By served model name."""
    default_model: ModelPolicy | None
    """For requests without a model and, if ``allow_unknown_models``, for unknown ones."""
    allow_unknown_models: bool
    identity: IdentityPolicy
    surface: SurfacePolicy
    rules: RuleSet
    at_limit: AtLimit
    unlisted: ModelPolicy = UNLISTED
    """What an unknown model is decided under where its refusal is only recorded: that of an undetermined license."""
    packs: Mapping[str, License] = field(default_factory=dict)
    """Every known license by id."""
    target_of: Callable[[str], Target | None] = lambda _name: None
    """The lineage of a training target by its name; cached, because clients repeat theirs with every request."""
    statements: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """What the operator states, by (license id, about), with its owner and last day."""
    grounds: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By (license, threshold), where a license looks at the users of one past month: ``shown`` if an attestation in
    force shows that there were few enough, else ``missing``, ``open`` or ``beyond``."""
    attestations: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The words of what is attested, by (license, threshold), with who states it."""
    attested_until: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The last day (``2026-11-22``) of what shows it, by (license, threshold), where that has one."""
    license_drift: Mapping[str, bool] = field(default_factory=dict)
    """By license id, where license files beside the weights were looked at: True if one is not the license's text."""
    shadowed_codes: frozenset[Code] = frozenset()
    """Checks that only record."""
    shadowed_rules: frozenset[str] = frozenset()
    """Rules that only record; ``rules`` was compiled with them."""
    every_decision: bool = False
    """True: plain allows are written into the audit chain too."""
    learned: LearnedPolicy | None = None
    neural: NeuralPolicy | None = None
    """Which prompts the neural tier is asked about; None: none."""
    judge: ModelPolicy | None = None
    """The guard model that is asked, with what its own licenses want; None where there is none."""
    behavior: BehaviorPolicy | None = None
    """What is done about how identities behave over time; None: they are not watched."""
    tenants: "Tenants | None" = None
    """Overlays for some callers; None where there are none."""
    warnings: tuple[str, ...] = ()

    @property
    def attested(self) -> Mapping[tuple[str, str], bool]:
        """By (license, threshold), where a license looks at the users of one past month: True if they are shown."""
        return {at: ground == "shown" for at, ground in self.grounds.items()}

    def ruling(self, model: ModelPolicy, finding: Finding) -> Ruling | None:
        """Return what is done about ``finding`` under ``model``, citing what its rule is evidence of; None: nothing.

        It is never more than the finding itself carries (``Finding.most``), and never less than what a rule of the
        operator's does by itself: such a rule only adds to what the licenses ask for.
        """
        ruling = model.ruling(finding.category, self.rules.items_of(finding.rule))
        own = self.rules.own_actions.get(finding.rule)
        if own is not None and (ruling is None or ruling.action < own):
            return Ruling(own)
        if ruling is None or ruling.action <= finding.most:
            return ruling
        return replace(ruling, action=finding.most)

    def holding(self, model: ModelPolicy) -> frozenset[str]:
        """Return the categories whose findings block or are masked under ``model``.

        OWN is among them where rules do so by themselves.
        """
        if not self.rules.acting or Code.AUP in self.shadowed_codes:
            return model.blocking
        return model.blocking | {OWN}

    def enforced(self, model: ModelPolicy, finding: Finding) -> bool:
        """Return whether the ruling on ``finding`` is more than recorded: its category, rule and check are in force."""
        if finding.rule in self.rules.own_actions:
            return finding.rule in self.rules.acting and Code.AUP not in self.shadowed_codes
        return finding.category in model.blocking and finding.rule not in self.shadowed_rules

    def serving(self, name: str | None) -> ModelPolicy | None:
        """Return the policy of the model that a request means by ``name`` (None: it names none), if it is served."""
        if name is None:
            return self.default_model
        model = self.models.get(name)
        return self.default_model if model is None and self.allow_unknown_models else model
