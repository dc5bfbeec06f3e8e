"""What leaves, in what detail, and what is kept to recognize it."""

from pydantic import Field

from guard.policy.settings.section import Section
from guard.policy.values import CapabilityName, FieldChoice


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
