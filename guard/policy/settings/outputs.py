"""What leaves, in what detail, and what is kept to recognize it."""

from typing import Annotated, Literal

from pydantic import Field

from guard.policy.settings.behavior import BehaviorConfig
from guard.policy.settings.section import Section
from guard.policy.values import CapabilityName, FieldChoice, UploadCommand


class OutputsConfig(Section):
    """What leaves, in what detail, and what is kept to recognize it."""

    example = "{receipts: true}"

    fields: dict[CapabilityName, FieldChoice] = Field(
        default_factory=dict,
        examples=["{logprobs: deny}"],
        description="Action by capability: `allow`, `deny`, `strip` or `{clamp: N}`; overrides what follows from the "
        "license.",
    )
    bulk: Literal["require", "off"] = Field(
        default="require",
        description="Answers in bulk (the batch route, several prompts in one request, more than `bulk_samples` "
        "answers): `require` a stated purpose under every license by which something depends on it, or `off`.",
    )
    bulk_samples: Annotated[int, Field(ge=1)] = Field(
        default=16, description="The most answers of one request that are no bulk."
    )
    receipts: bool = Field(
        default=True,
        description="Write a receipt for every finished choice. Without it answers are only counted, so that coverage "
        "of the index names them.",
    )
    fingerprints: bool = Field(
        default=True, description="Keep keyed fingerprints of outputs, for `guard export check`."
    )
    segment_minutes: Annotated[float, Field(gt=0, le=44640)] = Field(
        default=60, description="Minutes after which a segment of the index is ended and a new one begun."
    )
    keep_months: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Whole past months that the index keeps: older ones are shredded, their key first. Without it all "
        "are kept.",
    )
    upload: UploadCommand = Field(
        default=(),
        examples=["[rclone, copyto, '{file}', 'store:guard-index/{month}/{name}']"],
        description="Command, argument by argument, that is run for every segment that is over; `{file}`, `{month}` "
        "and `{name}` are filled in. No shell reads it.",
    )
    behavior: BehaviorConfig = Field(
        default=BehaviorConfig(), description="Behavior of identities over time, and what is done about it."
    )
