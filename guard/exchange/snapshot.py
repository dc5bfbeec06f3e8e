"""The policy a request is decided under: immutable, built once per load, held by the request from start to end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from guard.licensing.license import License
from guard.licensing.lineage import Target
from guard.screening.findings import Action
from guard.screening.ruleset import RuleSet
from guard.usage.thresholds import AtLimit, Limit


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


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What is done about a capability for one model; ``limit`` is the largest value a clamp lets through."""

    action: FieldAction
    limit: int | None = None
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
    """Categories whose ruling is BLOCK: the only ones that hold a stream back."""
    fields: Mapping[str, FieldRule]
    """By capability (``logprobs``, ``token_ids``, ``samples`` ...). One that is missing is allowed."""
    limits: tuple[Limit, ...]
    """Monthly-active-user thresholds of the stack."""
    counted: tuple[str, ...]
    """Ids of the licenses whose users are counted when this model answers."""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What the policy knows of an application or tenant."""

    name: str
    purpose: str = "unknown"
    user: str | None = None
    """Set when the key belongs to one person; None for an application with users of its own."""


@dataclass(frozen=True, slots=True)
class IdentityPolicy:
    """How requests are tied to users. ``sources`` is a trust order: an earlier one is never overridden by a later."""

    sources: tuple[str, ...] = ("jwt", "trusted_header", "api_key", "body")
    unidentified: str = "credential"
    """``credential`` (count the credential), ``allow`` or ``deny``."""
    trusted_headers: tuple[str, ...] = ()
    """Lower-case header names, in order."""
    trusted_from: tuple[IPv4Network | IPv6Network, ...] = ()
    """Peers whose identity headers are believed; from anybody else those headers are dropped before forwarding."""
    verify_jwt: Callable[[str], Mapping[str, object] | None] | None = None
    """Returns the claims of a valid token, None for an invalid one."""
    jwt_claim: str = "sub"
    keys: Mapping[str, Entitlement] = field(default_factory=dict)
    """By ``digest_key(key)``: registered API keys."""
    registered_only: bool = False
    """True: an unknown API key is refused with 401."""


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
    unscannable: str = "deny"
    """``deny`` or ``allow`` for parts that no text rule can read (images, audio, files)."""
    system_prompts: Action = Action.FLAG
    """The most that is done about a finding in a system prompt. Applications write there what the model must refuse, in
    the very words of the rules; where callers are strangers, BLOCK closes the role to them."""


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
    packs: Mapping[str, License] = field(default_factory=dict)
    """Every known license by id."""
    target_of: Callable[[str], Target | None] = lambda _name: None
    """The lineage of a training target by its name; cached, because clients repeat theirs with every request."""
    license_drift: Mapping[str, bool] = field(default_factory=dict)
    """By license id, where license files beside the weights were looked at: True if one is not the license's text."""
    warnings: tuple[str, ...] = ()
