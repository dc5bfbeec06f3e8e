"""Which surfaces are open."""

from typing import Literal, get_args

from pydantic import Field

from guard.policy.settings.section import Section

Surface = Literal["batch", "embeddings", "pooling", "score", "rerank", "classify", "tokenize", "detokenize", "metrics"]


class SurfaceConfig(Section):
    """Which optional surfaces are open, and how large a request may be."""

    example = "{enabled: [embeddings]}"

    enabled: tuple[Surface, ...] = Field(
        default=("embeddings",),
        description="Optional surfaces to open: " + ", ".join(f"`{name}`" for name in get_args(Surface)) + ".",
    )
    max_body: int = Field(default=4 * 1024 * 1024, gt=0, description="Largest request body in bytes.")
    max_answer: int = Field(
        default=64 * 1024 * 1024,
        gt=0,
        description="Largest unstreamed answer, or stream event, that Guard holds, in bytes.",
    )
    max_depth: int = Field(default=64, gt=0, le=512, description="Deepest nesting of a request's JSON.")
    unknown_fields: Literal["drop", "deny"] = Field(
        default="drop", description="Top-level request fields Guard does not know."
    )
