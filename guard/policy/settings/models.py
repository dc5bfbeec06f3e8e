"""The served models."""

from typing import Annotated

from pydantic import Field

from guard.policy.settings.section import Section
from guard.policy.values import LicenseIds, Names


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
        description="Revision of the weights: some repositories changed their license in place, and a pack may list a "
        "repository from or up to a revision only.",
    )
    base: Names | None = Field(
        default=None,
        description="Repository the weights come from, or a list of them for a merged model, when the served name is "
        "another; used to find the license.",
    )
    outputs_of: Names = Field(
        default=(),
        examples=["[meta-llama/Llama-3.1-70B-Instruct]"],
        description="Repositories or license ids of the models on whose outputs this one was trained: what their "
        "licenses pass on, to whoever serves it, is owed too.",
    )
    license_file: str | None = Field(
        default=None,
        description="The license file beside the weights. It settles the license where names do not, is watched, and "
        "an alarm is raised when it is not the text of the model's licenses.",
    )
    license_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        default=None,
        description="SHA-256 of the license file as it was when somebody read it (`sha256sum LICENSE`): the alarm "
        "compares with this then.",
    )
