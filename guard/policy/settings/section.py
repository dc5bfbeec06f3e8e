"""What every section of guard.yaml is."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Strict and immutable: an unknown name is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    example: ClassVar[str]
    """The section as somebody may write it, shown where something else than a mapping was found."""
