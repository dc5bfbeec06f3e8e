"""What is done about parts of a request that no text rule can read."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from guard.exchange.unscanned import PartAction, PartKind
from guard.policy.settings.section import Section

Word = Literal["deny", "mark", "allow"]
WORDS = ("deny", "mark", "allow")


class UnscannableConfig(Section):
    """``deny`` refuses, ``mark`` serves and says in audit and answer what was not read, ``allow`` serves."""

    example = "{image: mark, default: deny}"

    image: Word | None = Field(default=None, description="Images and their embeddings.")
    audio: Word | None = Field(default=None, description="Audio and its embeddings.")
    video: Word | None = Field(default=None, description="Video and its embeddings.")
    file: Word | None = Field(default=None, description="Files, whatever is in them.")
    prompt_embeds: Word | None = Field(default=None, description="Embedding vectors in the place of a prompt.")
    default: Word | None = Field(default=None, description="Kinds that are not named; `deny` unless said.")

    def of(self, kind: PartKind) -> PartAction | None:
        """Return what is said about ``kind``; None: nothing is."""
        word = getattr(self, kind) or self.default
        return PartAction(word) if word is not None else None


def _one_word(value: Any) -> Any:
    if isinstance(value, str):
        if value in WORDS:
            return {"default": value}
        raise ValueError(f"{', '.join(WORDS)}, or one of them by kind")
    return value


Unscannable = Annotated[UnscannableConfig, BeforeValidator(_one_word)]
"""One word for every kind, or a section."""
