"""An inquiry: what a request asks, in neutral terms that every API dialect is turned into."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from guard.exchange.unscanned import UnscannedPart
from guard.screening.segments import Segment


class FieldUse(NamedTuple):
    """A request field that has a policy: the capability it belongs to, its top-level name and its typed value.

    ``value`` is what a clamp compares (an int for ``n`` or ``top_logprobs``); True where only presence counts.
    A field at its default (``n: 1``, ``logprobs: false``, ``null``) is not a use.
    """

    capability: str
    field: str
    value: Any


@dataclass(slots=True)
class Inquiry:
    """One parsed request. ``document`` is the typed body; it is what gets re-serialized and sent.

    Whoever changes the document gets it from ``edit``.
    """

    surface: str
    document: dict[str, Any]
    model: str | None
    stream: bool = False
    segments: list[Segment] = field(default_factory=list)
    uses: list[FieldUse] = field(default_factory=list)
    claimed: Mapping[str, str] = field(default_factory=dict)
    """Body identity fields by name: ``user``, ``litellm_metadata.user``, ``metadata.user_id`` ..."""
    unscannable: list[UnscannedPart] = field(default_factory=list)
    """Parts no text rule can read (images, audio, files)."""
    unknown: list[str] = field(default_factory=list)
    """Top-level fields that were dropped because no parser of ours knows them."""
    token_prompts: list[list[int]] = field(default_factory=list)
    """Prompts given as token ids: the transport detokenizes them through the upstream and adds the text as segments."""
    choices: int = 1
    """How many answers the request asks for (prompts times n)."""
    asked: int | None = None
    """How many it asked for before the policy lowered them; None if it did not."""
    written: bytes | None = None
    """The document as it is sent, where it was written already and nothing changed it since."""

    def edit(self) -> dict[str, Any]:
        """Return the document to change it: it will be written anew."""
        self.written = None
        return self.document
