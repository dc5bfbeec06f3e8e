"""Overlays for some callers."""

from typing import Literal, Self

from pydantic import Field, model_validator

from guard.policy.settings.section import Section
from guard.policy.settings.terms import TermsConfig
from guard.policy.settings.unscannable import Unscannable
from guard.policy.values import ActionName, CapabilityName, CategoryCode, FieldChoice, Purpose


class ClaimConfig(Section):
    """A claim of a verified token."""

    example = "{name: org, value: acme}"

    name: str = Field(min_length=1, description="Name of the claim.")
    value: str = Field(min_length=1, description="What the claim is, or what its list holds.")


class MatchConfig(Section):
    """Whose requests are the tenant's."""

    example = "{keys: [desk]}"

    keys: tuple[str, ...] = Field(
        default=(), examples=["[desk]"], description="Names of registered API keys (`identity.keys`)."
    )
    claim: ClaimConfig | None = Field(
        default=None, description="A claim of a verified token; of one that is not verified no claim is believed."
    )
    namespace: tuple[str, ...] = Field(
        default=(),
        examples=["[team-a]"],
        description="Values of `identity.namespace_header`, from a hop in `identity.trusted_from`.",
    )

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.keys or self.claim or self.namespace):
            raise ValueError("at least one of keys, claim, namespace")
        return self


class TenantConfig(Section):
    """One overlay: it tightens the policy for some callers and loosens nothing."""

    example = "{match: {keys: [desk]}, actions: {HR: block}}"

    match: MatchConfig = Field(description="Whose requests are the tenant's: any one of its entries is enough.")
    models: tuple[str, ...] | None = Field(
        default=None, examples=["[tiny]"], description="The only models it may use, of those under `models`."
    )
    mode: Literal["enforce"] | None = Field(
        default=None, description="`enforce`: refuse this tenant's requests while `mode: shadow` holds for the others."
    )
    actions: dict[CategoryCode, ActionName] = Field(
        default_factory=dict,
        examples=["{S6: block}"],
        description="Action by category: no looser than a license's or the base policy's, and nothing is relaxed here.",
    )
    rules: tuple[str, ...] = Field(
        default=(),
        examples=["[acme-rules.yaml]"],
        description="Rule files or directories that apply to it only, besides everybody's.",
    )
    fields: dict[CapabilityName, FieldChoice] = Field(
        default_factory=dict,
        examples=["{logprobs: deny}"],
        description="Action by capability: `deny`, `strip` or `{clamp: N}`; no looser than the base policy's.",
    )
    purpose: Purpose | None = Field(
        default=None,
        description="The most that its answers may be used for. A caller whose key says nothing has this purpose; one "
        "whose key says more is refused.",
    )
    at_limit: Literal["observe", "refuse_newcomers", "refuse_all"] | None = Field(
        default=None, description="What happens to its users at a standing limit; no looser than `usage.at_limit`."
    )
    system_prompts: Literal["flag", "block", "off"] | None = Field(
        default=None, description="As `screening.system_prompts`; no looser."
    )
    unscannable: Unscannable | None = Field(default=None, description="As `screening.unscannable`; no looser.")
    terms: tuple[TermsConfig, ...] = Field(default=(), description="Terms of licenses that the tenant accepted.")
