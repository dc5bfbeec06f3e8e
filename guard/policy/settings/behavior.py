"""Behavior of identities over time: what is watched, and what is done about it."""

from typing import Annotated, Literal

from pydantic import Field

from guard.behavior.ladder import HOUR, BehaviorPolicy, Clamp, Step
from guard.policy.settings.section import Section

Hours = Annotated[float, Field(ge=0, le=8760)]


class DwellConfig(Section):
    """Hours for which a condition has to hold before a step is taken."""

    example = "{clamp: 6, suspend: 72}"

    alert: Hours = Field(default=0, description="Hours at the risk of an alert before there is one.")
    clamp: Hours = Field(default=6, description="Hours at the risk of the step, after the one before it.")
    require_purpose: Hours = Field(default=24, description="The same for requiring a purpose.")
    suspend: Hours = Field(default=72, description="The same for suspending.")
    down: Hours = Field(default=24, description="Hours below a step's risk before one step is taken back.")


class ClampConfig(Section):
    """What an identity on the step `clamp` or above may ask for at most."""

    example = "{samples: 1, length: 1024, requests_per_minute: 10}"

    samples: Annotated[int, Field(ge=1)] = Field(default=1, description="Answers of one request.")
    length: Annotated[int, Field(ge=1)] = Field(default=1024, description="Tokens of an answer.")
    requests_per_minute: Annotated[int, Field(ge=1)] = Field(
        default=10, description="Requests a minute, in each process."
    )


class BehaviorConfig(Section):
    """Behavior of identities over time."""

    example = "{mode: enforce, most: clamp}"

    mode: Literal["off", "shadow", "enforce"] = Field(
        default="shadow",
        description="`shadow` watches and writes steps down; `enforce` also does what they say; `off` watches nothing.",
    )
    most: Literal["alert", "clamp", "require_purpose", "suspend"] = Field(
        default="alert", description="The highest step that is ever taken."
    )
    dwell: DwellConfig = Field(default=DwellConfig(), description="How long the condition of a step has to hold.")
    clamp: ClampConfig = Field(default=ClampConfig(), description="What is left to an identity that is clamped.")

    def policy(self) -> BehaviorPolicy | None:
        """Return what a snapshot holds of it; None if it is off."""
        if self.mode == "off":
            return None
        dwell = (self.dwell.alert, self.dwell.clamp, self.dwell.require_purpose, self.dwell.suspend)
        alert, clamp, require_purpose, suspend = (hours * HOUR for hours in dwell)
        return BehaviorPolicy(
            self.mode == "enforce",
            Step.parse(self.most),
            (0.0, alert, clamp, require_purpose, suspend),
            self.dwell.down * HOUR,
            Clamp(self.clamp.samples, self.clamp.length, self.clamp.requests_per_minute),
        )
