"""What is kept to show what happened."""

from typing import Literal

from pydantic import Field

from guard.policy.settings.section import Section


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
