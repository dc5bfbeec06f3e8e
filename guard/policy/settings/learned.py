"""The learned tier: what it may do."""

from typing import Literal

from pydantic import Field

from guard.exchange.snapshot import LearnedPolicy
from guard.policy.settings.section import Section
from guard.screening.findings import Action
from guard.screening.learned.learned import default


class LearnedConfig(Section):
    """The learned tier: a small model of words and their neighbors that reads every prompt and answer."""

    example = "{outputs: off}"

    prompts: Literal["block", "flag", "off"] = Field(
        default="block",
        description="The most that the learned tier does about a prompt; never more than the license's action. It "
        "blocks what one in a thousand long harmless prompts reaches, and flags what one in a hundred does.",
    )
    outputs: Literal["block", "flag", "off"] = Field(
        default="flag",
        description="The same for answers. It was trained on few answers: `block` makes text wait for the end of each "
        "word.",
    )

    def policy(self) -> LearnedPolicy | None:
        """Return what a snapshot holds of it; None if it is off."""
        if self.prompts == self.outputs == "off":
            return None
        return LearnedPolicy(default(), Action.parse(self.prompts), Action.parse(self.outputs))
