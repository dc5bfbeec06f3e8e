"""The configuration file ``guard.yaml``, typed. Every field has a safe default; ``upstream`` and ``models`` matter.

Relative paths of files that Guard reads are relative to the configuration file; what Guard writes (``state_dir``) is
relative to the working directory.
"""

from datetime import date
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from guard.policy.values import (
    ActionName,
    Address,
    AdminAddress,
    CapabilityName,
    CategoryCode,
    FieldChoice,
    HeaderName,
    KeyDigest,
    LedgerUrl,
    LicenseIds,
    Network,
    Purpose,
    Seconds,
    Url,
)

TRUSTED_HEADERS = (
    "x-forwarded-user",
    "x-auth-request-user",
    "x-openwebui-user-id",
    "x-litellm-customer-id",
    "x-litellm-end-user-id",
    "x-user-id",
)
Surface = Literal["batch", "embeddings", "pooling", "score", "rerank", "classify", "tokenize", "detokenize", "metrics"]
SharedSecret = Literal["HS256", "HS384", "HS512"]
PublicKey = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Algorithm = Literal[SharedSecret, PublicKey]


class Section(BaseModel):
    """Strict and immutable: an unknown name is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    example: ClassVar[str]
    """The section as somebody may write it, shown where something else than a mapping was found."""


class Timeouts(Section):
    """Seconds Guard waits for the inference server."""

    example = "{connect: 5}"

    connect: Seconds = Field(default=5, description="Seconds for a connection to be established.")
    read: Seconds = Field(default=600, description="Seconds without a byte from the inference server.")
    write: Seconds = Field(default=30, description="Seconds for the request to be taken.")


class ModelConfig(Section):
    """One served model."""

    example = "{license: llama-3.1}"

    license: LicenseIds | None = Field(
        default=None,
        description="License id or list of ids: a distilled or fine-tuned model is under every license of its lineage. "
        "Without it the name, or `base`, must match the repository patterns of exactly one stack of licenses.",
    )
    revision: str | None = Field(
        default=None,
        description="Revision of the weights, for reports: some repositories changed their license in place.",
    )
    base: str | None = Field(
        default=None,
        description="Repository the weights come from, when the served name is another; used to find the license.",
    )


class JwtConfig(Section):
    """How bearer tokens are verified."""

    example = "{algorithms: [RS256], key_file: jwt.pem}"

    algorithms: tuple[Algorithm, ...] = Field(
        description="Accepted signature algorithms; HS* go with `secret_env`, all others with a key file."
    )
    key_file: str | None = Field(default=None, description="PEM file with the public key.")
    jwks_file: str | None = Field(default=None, description="JSON Web Key Set with the public keys, chosen by `kid`.")
    secret_env: str | None = Field(
        default=None, description="Environment variable that holds the shared secret of HS* tokens."
    )
    issuer: str | None = Field(default=None, description="Required `iss`, if stated.")
    audience: str | None = Field(default=None, description="Required `aud`, if stated.")
    claim: str = Field(default="sub", description="Claim that names the user.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if not self.algorithms:
            raise ValueError("at least one of algorithms")
        given = [name for name in ("key_file", "jwks_file", "secret_env") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("exactly one of key_file, jwks_file, secret_env")
        wanted = set(get_args(SharedSecret if given == ["secret_env"] else PublicKey))
        wrong = sorted(set(self.algorithms) - wanted)
        if wrong:
            raise ValueError(f"{given[0]} goes with {', '.join(sorted(wanted))}, not with {', '.join(wrong)}")
        return self


class KeyConfig(Section):
    """One registered API key."""

    example = "{name: desk, key_env: DESK_KEY}"

    name: str = Field(min_length=1, description="Name of the application or tenant, as shown in reports.")
    sha256: KeyDigest | None = Field(
        default=None, description='SHA-256 of the key in hex (`printf %s "$KEY" | sha256sum`).'
    )
    key_env: str | None = Field(
        default=None, description="Environment variable that holds the key; only its digest is kept."
    )
    purpose: Purpose = Field(
        default="unknown",
        description="Declared purpose of the answers: `serve`, `evaluate`, `train:TARGET`, `synthetic-data:TARGET` or "
        "`unknown`. A request header may narrow it, never widen it.",
    )
    user: str | None = Field(
        default=None, description="Set when the key belongs to one person: then that person is counted."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.sha256 is None) == (self.key_env is None):
            raise ValueError("exactly one of sha256, key_env")
        return self


class IdentityConfig(Section):
    """Who is counted."""

    example = "{unidentified: deny}"

    sources: tuple[Literal["jwt", "trusted_header", "api_key", "body"], ...] = Field(
        default=("jwt", "trusted_header", "api_key", "body"),
        description="Where identities come from, strongest first: a source is never overridden by a later one.",
    )
    unidentified: Literal["credential", "allow", "deny"] = Field(
        default="credential",
        description="Requests without an identity: `credential` counts the API key as one user, `allow` counts nobody "
        "(the count becomes a lower bound), `deny` refuses with 401.",
    )
    trusted_headers: tuple[HeaderName, ...] = Field(
        default=TRUSTED_HEADERS,
        examples=["[x-forwarded-user]"],
        description="Headers that carry the user's id, in order.",
    )
    trusted_from: tuple[Network, ...] = Field(
        default=(),
        examples=["[10.0.0.0/8]"],
        description="Networks whose identity headers are believed. Empty: nobody's are.",
    )
    jwt: JwtConfig | None = Field(default=None, description="How bearer tokens are verified. Without it, none are.")
    keys: tuple[KeyConfig, ...] = Field(default=(), description="Registered API keys.")
    registered_only: bool = Field(default=False, description="Refuse API keys that are not registered with 401.")
    pseudonym_key_file: str | None = Field(
        default=None,
        description="File with the 32-byte key of the user pseudonyms (hex or raw), the same on every replica. "
        "Without it one is made in `state_dir`.",
    )


class UsageConfig(Section):
    """Counting monthly active users."""

    example = "{at_limit: observe}"

    ledger: LedgerUrl | None = Field(
        default=None,
        description="`sqlite:///absolute/path`, optionally with `?synchronous=full` (safe against power loss) or "
        "`?synchronous=normal`. SQLite is the only store. Default: `ledger.db` in `state_dir`.",
    )
    zone: str = Field(default="UTC", description="Time zone in which calendar months begin.")
    at_limit: Literal["observe", "refuse_newcomers", "refuse_all"] = Field(
        default="observe", description="What happens at a standing limit. Counting goes on in any case."
    )
    fsync: bool = Field(default=False, description="Sync every first sighting to the disk: safe against power loss.")
    approaching: float = Field(
        default=0.8, gt=0, le=1, description="Share of a limit from which it counts as approaching."
    )
    limits: dict[str, Annotated[int, Field(gt=0)]] = Field(
        default_factory=dict,
        examples=["{llama-3.1: 1000000}"],
        description="Lower limits of your own by license id, in users a month. They act at run time, whatever the "
        "window of the license's threshold.",
    )


class RelaxConfig(Section):
    """Somebody takes responsibility for being less strict than the license."""

    example = "{category: S6, owner: legal@example.org, expires: 2027-06-30, reason: contract 17}"

    category: CategoryCode = Field(description="Category code (S1-S14, HR, D1).")
    owner: str = Field(min_length=1, description="Who answers for it.")
    expires: date = Field(description="Last day on which it holds (YYYY-MM-DD); after it the license's action applies.")
    reason: str = Field(min_length=1, description="Why, for the record.")


class ScreeningConfig(Section):
    """Screening against the acceptable use policy."""

    example = "{unscannable: deny}"

    rules: tuple[str, ...] = Field(
        default=(),
        examples=["[my-rules.yaml]"],
        description="Rule files or directories of your own, besides the shipped ones.",
    )
    actions: dict[CategoryCode, ActionName] = Field(
        default_factory=dict,
        examples=["{S6: block}"],
        description="Action by category for every model: `block`, `flag`, `log` or `off`. Only stricter than the "
        "license's own action, unless `relax` names an owner.",
    )
    relax: tuple[RelaxConfig, ...] = Field(
        default=(), description="Categories where `actions` may be looser than the license."
    )
    system_prompts: Literal["flag", "block", "off"] = Field(
        default="flag",
        description="The most that is done about findings in system prompts: applications write there what a model "
        "must refuse, in the words of the rules. `block` where callers are strangers.",
    )
    unscannable: Literal["deny", "allow"] = Field(
        default="deny", description="Parts no text rule can read (images, audio, files)."
    )


class OutputsConfig(Section):
    """What leaves, in what detail, and what is kept to recognize it."""

    example = "{receipts: true}"

    fields: dict[CapabilityName, FieldChoice] = Field(
        default_factory=dict,
        examples=["{logprobs: deny}"],
        description="Action by capability: `allow`, `deny`, `strip` or `{clamp: N}`; overrides what follows from the "
        "license.",
    )
    receipts: bool = Field(default=True, description="Write a receipt for every finished choice.")
    fingerprints: bool = Field(
        default=True, description="Keep keyed fingerprints of outputs, for `guard export check`."
    )


class SurfaceConfig(Section):
    """Which optional surfaces are open, and how large a request may be."""

    example = "{enabled: [embeddings]}"

    enabled: tuple[Surface, ...] = Field(
        default=("embeddings",),
        description="Optional surfaces to open: " + ", ".join(f"`{name}`" for name in get_args(Surface)) + ".",
    )
    max_body: int = Field(default=4 * 1024 * 1024, gt=0, description="Largest request body in bytes.")
    max_answer: int = Field(
        default=64 * 1024 * 1024,
        gt=0,
        description="Largest unstreamed answer, or stream event, that Guard holds, in bytes.",
    )
    max_depth: int = Field(default=64, gt=0, le=512, description="Deepest nesting of a request's JSON.")
    unknown_fields: Literal["drop", "deny"] = Field(
        default="drop", description="Top-level request fields Guard does not know."
    )


class EvidenceConfig(Section):
    """What is kept to show what happened."""

    example = "{audit: true}"

    audit: bool = Field(default=True, description="Write the audit chain.")
    fsync: bool = Field(default=False, description="Sync every audit record to the disk.")


class Config(Section):
    """guard.yaml."""

    example = '{upstream: "http://127.0.0.1:8000", license: llama-3.1}'

    upstream: Url = Field(
        default="http://127.0.0.1:8000", description="Inference server: `http://`, `https://` or `unix:///path`."
    )
    upstream_timeouts: Timeouts = Field(default=Timeouts(), description="Time limits to the inference server.")
    upstream_ca: str | None = Field(
        default=None, description="PEM file with the authorities of an `https://` upstream."
    )
    upstream_connections: int = Field(
        default=256, gt=0, description="Most connections to the inference server at a time."
    )
    listen: Address = Field(
        default="127.0.0.1:8080", description="Where clients connect: `HOST:PORT` or `unix:///path`."
    )
    admin: AdminAddress = Field(
        default="127.0.0.1:9090", description="Metrics, health, reload, API and console: `HOST:PORT`, or `off`."
    )
    admin_token_file: str | None = Field(
        default=None,
        description="File with the bearer token of the admin port; required when it listens beyond loopback.",
    )
    mode: Literal["enforce", "shadow"] = Field(
        default="enforce", description="`enforce` refuses; `shadow` only records."
    )
    state_dir: str = Field(
        default="./guard-state", description="Keys, spool, ledger, audit log and fingerprints live here."
    )
    policies: tuple[str, ...] = Field(
        default=(), examples=["[my-licenses]"], description="Directories with license packs of your own."
    )
    models: dict[str, ModelConfig] = Field(
        default_factory=dict, examples=["{tiny: {license: llama-3.1}}"], description="Served models by name."
    )
    license: LicenseIds | None = Field(
        default=None, description="License (or stack of licenses) of every model that is not listed under `models`."
    )
    unknown_models: Literal["refuse", "undetermined"] = Field(
        default="refuse",
        description="Models neither listed nor under `license`: refuse them, or serve them with license undetermined.",
    )
    default_model: str | None = Field(
        default=None,
        description="Model a request without a model name means. Default: the only one, if there is only one.",
    )
    identity: IdentityConfig = Field(default=IdentityConfig(), description="Who is counted.")
    usage: UsageConfig = Field(default=UsageConfig(), description="Counting monthly active users.")
    screening: ScreeningConfig = Field(default=ScreeningConfig(), description="Screening prompts and outputs.")
    outputs: OutputsConfig = Field(default=OutputsConfig(), description="Detail and provenance of outputs.")
    surface: SurfaceConfig = Field(default=SurfaceConfig(), description="Open surfaces and sizes.")
    evidence: EvidenceConfig = Field(default=EvidenceConfig(), description="What is kept as evidence.")
