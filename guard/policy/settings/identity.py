"""Who is counted: keys, tokens and the order in which they are believed."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from guard.policy.settings.hops import Header, HeaderConfig, MtlsConfig
from guard.policy.settings.section import Section
from guard.policy.settings.terms import TermsConfig
from guard.policy.values import CapabilityName, FieldChoice, HeaderName, KeyDigest, KeySetUrl, Network, Purpose

TRUSTED_HEADERS = (
    "x-forwarded-user",
    "x-auth-request-user",
    "x-openwebui-user-id",
    "x-litellm-customer-id",
    "x-litellm-end-user-id",
    "x-user-id",
)
SharedSecret = Literal["HS256", "HS384", "HS512"]
PublicKey = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Algorithm = Literal[SharedSecret, PublicKey]


class SignedConfig(Section):
    """How what somebody signed is verified, by whatever key."""

    KEYS: ClassVar[tuple[str, ...]] = ("key_file", "jwks_file", "jwks_url")

    algorithms: tuple[Algorithm, ...]
    key_file: str | None = Field(default=None, description="PEM file with the public key.")
    jwks_file: str | None = Field(default=None, description="JSON Web Key Set with the public keys, chosen by `kid`.")
    jwks_url: KeySetUrl | None = Field(
        default=None,
        description="Where the issuer publishes its JSON Web Key Set: `https`, or `http` on a loopback address. "
        "Fetched when the policy is loaded and from then on beside the requests, never by one.",
    )
    refresh: Annotated[float, Field(ge=30, le=86400)] = Field(
        default=300, description="Seconds between two fetches of `jwks_url`."
    )
    issuer: str | None = Field(default=None, description="Required `iss`, if stated.")
    audience: str | None = Field(default=None, description="Required `aud`, if stated.")
    claim: str = Field(default="sub", min_length=1, description="Claim that names the user.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if not self.algorithms:
            raise ValueError("at least one of algorithms")
        given = [name for name in self.KEYS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(self.KEYS)}")
        if "refresh" in self.model_fields_set and given != ["jwks_url"]:
            raise ValueError("refresh goes with jwks_url")
        wanted = set(get_args(SharedSecret if given == ["secret_env"] else PublicKey))
        wrong = sorted(set(self.algorithms) - wanted)
        if wrong:
            raise ValueError(f"{given[0]} goes with {', '.join(sorted(wanted))}, not with {', '.join(wrong)}")
        return self


class JwtConfig(SignedConfig):
    """How bearer tokens are verified."""

    example = "{algorithms: [RS256], key_file: jwt.pem}"
    KEYS = (*SignedConfig.KEYS, "secret_env")

    algorithms: tuple[Algorithm, ...] = Field(
        description="Accepted signature algorithms; HS* go with `secret_env`, all others with public keys."
    )
    secret_env: str | None = Field(
        default=None, description="Environment variable that holds the shared secret of HS* tokens."
    )
    purpose_claim: str | None = Field(
        default=None,
        min_length=1,
        description="Claim that states a purpose, as the header `x-guard-purpose` does. It narrows what the policy "
        "grants, never widens it, and the header narrows it further.",
    )


class AssertionConfig(SignedConfig):
    """A header in which a proxy says, signed, who the user is."""

    example = (
        "{header: x-goog-iap-jwt-assertion, algorithms: [ES256], "
        "jwks_url: https://www.gstatic.com/iap/verify/public_key-jwk, "
        "issuer: https://cloud.google.com/iap, audience: /projects/1/global/backendServices/2}"
    )

    header: HeaderName = Field(
        description="Name of the header. An assertion that is not valid is refused with 401, and none is forwarded."
    )
    algorithms: tuple[Algorithm, ...] = Field(description="Accepted signature algorithms, public ones only.")
    issuer: str = Field(min_length=1, description="Required `iss`.")
    audience: str = Field(
        min_length=1, description="Required `aud`: the keys of such a proxy sign for all its customers' services."
    )
    trusted_from: tuple[Network, ...] = Field(
        default=(),
        examples=["[10.0.0.0/8]"],
        description="Networks from which the header is read; from elsewhere it is dropped. Empty: its signature alone "
        "decides.",
    )


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
    fields: dict[CapabilityName, FieldChoice] = Field(
        default_factory=dict,
        examples=["{logprobs: allow}"],
        description="Action by capability for this application. More than its licenses give by default goes with a "
        "stated purpose that they do not deny; what blinds the screen is opened for no single key.",
    )
    terms: tuple[TermsConfig, ...] = Field(
        default=(), description="Terms of licenses that were accepted for this application."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.sha256 is None) == (self.key_env is None):
            raise ValueError("exactly one of sha256, key_env")
        return self


class IdentityConfig(Section):
    """Who is counted."""

    example = "{unidentified: deny}"

    sources: tuple[Literal["mtls", "assertion", "jwt", "trusted_header", "api_key", "body"], ...] = Field(
        default=("mtls", "assertion", "jwt", "trusted_header", "api_key", "body"),
        description="Where identities come from, strongest first: a source is never overridden by a later one.",
    )
    unidentified: Literal["credential", "allow", "deny"] = Field(
        default="credential",
        description="Requests without an identity: `credential` counts the API key as one user, `allow` counts nobody "
        "(the count becomes a lower bound), `deny` refuses with 401.",
    )
    trusted_headers: tuple[Header, ...] = Field(
        default=tuple(HeaderConfig(header=name) for name in TRUSTED_HEADERS),
        examples=["[x-forwarded-user]"],
        description="Headers that carry the user's id, in order: names, or mappings with `header` and what follows. "
        "Name those that the hop in front sets, and no others: it may pass on what a client wrote into the rest.",
    )
    trusted_from: tuple[Network, ...] = Field(
        default=(),
        examples=["[10.0.0.0/8]"],
        description="Networks whose identity headers are believed. Empty: nobody's are.",
    )
    namespace_header: HeaderName = Field(
        default="x-guard-namespace",
        description="Header in which a hop in `trusted_from` names the namespace of a request, for `tenants`. It is "
        "never forwarded.",
    )
    mtls: MtlsConfig | None = Field(default=None, description="Client certificates as users. Without it, none are.")
    jwt: JwtConfig | None = Field(default=None, description="How bearer tokens are verified. Without it, none are.")
    assertions: tuple[AssertionConfig, ...] = Field(
        default=(), description="Headers in which a proxy says, signed, who the user is, in order."
    )
    keys: tuple[KeyConfig, ...] = Field(default=(), description="Registered API keys.")
    keys_file: str | None = Field(
        default=None,
        examples=["keys.yaml"],
        description="File with further registered API keys, kept by `guard keys add`, `list` and `revoke`.",
    )
    terms: Literal["require", "warn", "off"] = Field(
        default="warn",
        description="Where hosting a model counts as distributing it, its license's terms flow down to the callers: "
        "`require` a recorded acceptance of whoever asks, `warn` where there is none, or `off`.",
    )
    registered_only: bool = Field(default=False, description="Refuse API keys that are not registered with 401.")
    pseudonym_key_file: str | None = Field(
        default=None,
        description="File with the 32-byte key of the user pseudonyms (hex or raw), or with several and the months "
        "they hold from (`guard keys rotate-users`); the same on every replica. Without it one is made in `state_dir`.",
    )
