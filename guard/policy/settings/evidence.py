"""What is kept to show what happened."""

from pydantic import Field

from guard.policy.settings.section import Section


class EvidenceConfig(Section):
    """What is kept to show what happened."""

    example = "{audit: true}"

    audit: bool = Field(default=True, description="Write the audit chain.")
    fsync: bool = Field(default=False, description="Sync every audit record to the disk.")
