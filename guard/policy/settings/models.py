"""The served models."""

from pydantic import Field

from guard.policy.settings.section import Section
from guard.policy.values import LicenseIds


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
