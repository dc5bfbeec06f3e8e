"""What is kept to show what happened."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from guard.policy.settings.section import Section
from guard.policy.values import KeySetUrl


class HeadsConfig(Section):
    """A place off the machine that heads of the audit chain are sent to."""

    example = "{file: /mnt/worm/guard-heads.jsonl}"

    file: str | None = Field(
        default=None, min_length=1, description="A file that heads are appended to, on a volume that others keep."
    )
    webhook: KeySetUrl | None = Field(
        default=None, description="A URL that heads are posted to: `https://`, or `http://` with a loopback address."
    )
    token_file: str | None = Field(
        default=None, min_length=1, description="File with the bearer token of the webhook, read for each request."
    )
    ca: str | None = Field(
        default=None, min_length=1, description="PEM file with the authorities of the webhook's certificate."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.webhook is None):
            raise ValueError("a file or a webhook, one of the two")
        if self.webhook is None and (self.token_file is not None or self.ca is not None):
            raise ValueError("token_file and ca with a webhook only")
        return self


class EvidenceConfig(Section):
    """What is kept to show what happened."""

    example = "{audit: true}"

    audit: bool = Field(default=True, description="Write the audit chain.")
    decisions: Literal["notable", "all"] = Field(
        default="notable",
        description="Decisions in the audit chain: `notable` leaves plain allows out, `all` keeps them, so that "
        "`guard policy diff` sees what a stricter policy would refuse.",
    )
    fsync: bool = Field(default=False, description="Sync every audit record to the disk.")
    rotate_megabytes: Annotated[int, Field(ge=1, le=65_536)] = Field(
        default=256,
        description="Size at which a file of the audit chain is closed and the next one begun, in MiB. It is closed at "
        "the end of a UTC month, too.",
    )
    checkpoint_minutes: Annotated[float, Field(ge=1, le=1440)] = Field(
        default=60, description="Minutes between two signed checkpoints of the audit chain."
    )
    heads: tuple[HeadsConfig, ...] = Field(
        default=(),
        examples=["[{file: /mnt/worm/guard-heads.jsonl}]"],
        description="Places off the machine that get the head of the audit chain with each checkpoint.",
    )
