"""The neural tier: which prompts it is asked about, and what happens where it cannot answer."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from guard.policy.settings.section import Section
from guard.policy.values import Seconds
from guard.screening.neural.model import WEIGHTS, NeuralUnavailable, unavailable
from guard.screening.neural.policy import NeuralPolicy

EVERY = (0.0, 1.0)


def _band(value: Any) -> tuple[float, float]:
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(end) in {int, float} for end in value):
        low, high = value
        if 0 <= low < high <= 1:
            return (float(low), float(high))
    raise ValueError("[LOW, HIGH] with 0 <= LOW < HIGH <= 1")


class NeuralConfig(Section):
    """A small transformer that reads prompts beside the upstream call."""

    example = "{scope: all}"

    scope: Literal["auto", "off", "band", "all"] = Field(
        default="auto",
        description="Prompts it is asked about: none, those in the `band`, or all. `auto` is `band` where the extra "
        "`neural` is installed with its weights, else `off`; `band` and `all` want it installed.",
    )
    band: Annotated[tuple[float, float], PlainValidator(_band)] = Field(
        default=(0.1, 1.0),
        description="Learned risks, from and to, of the prompts that it is asked about; a prompt without a risk is one "
        "of them, one that the rules refuse is not.",
    )
    deadline: Seconds = Field(default=2, description="Seconds for one prompt, the queue included.")
    on_error: Literal["refuse", "serve"] = Field(
        default="refuse",
        description="What happens where a prompt could not be assessed and the model's policy blocks: 503 "
        "`screening_unavailable`, or the request is served and counted as not evaluated.",
    )
    threads: int = Field(default=1, ge=1, le=64, description="Prompts read at a time; each takes a core.")
    queue: int = Field(default=64, ge=1, le=4096, description="Most prompts that wait; beyond it they are not read.")
    weights: str | None = Field(default=None, description="Directory with other weights than the shipped ones.")

    @property
    def folder(self) -> Path:
        """Where the weights are."""
        return Path(self.weights) if self.weights is not None else WEIGHTS

    @property
    def missing(self) -> NeuralUnavailable | None:
        """Why the model cannot be used although it is to be; None where it can or need not."""
        return unavailable(self.folder) if self.scope in {"band", "all"} else None

    def policy(self) -> NeuralPolicy | None:
        """Return what a snapshot holds of it; None where it is off."""
        if self.scope == "off" or (self.scope == "auto" and unavailable(self.folder) is not None):
            return None
        return NeuralPolicy(*(EVERY if self.scope == "all" else self.band), self.deadline, self.on_error == "refuse")
