"""Counting monthly active users."""

from typing import Annotated, Literal

from pydantic import Field

from guard.policy.settings.section import Section
from guard.policy.values import LedgerUrl


class UsageConfig(Section):
    """Counting monthly active users."""

    example = "{at_limit: observe}"

    ledger: LedgerUrl | None = Field(
        default=None,
        description="`sqlite:///absolute/path`, optionally with `?synchronous=full` (safe against power loss) or "
        "`?synchronous=normal`. SQLite is the only store. Default: `ledger.db` in `state_dir`.",
    )
    zone: str = Field(default="UTC", description="Time zone in which calendar months begin.")
    at_limit: Literal["observe", "refuse_newcomers", "refuse_all"] = Field(
        default="observe", description="What happens at a standing limit. Counting goes on in any case."
    )
    fsync: bool = Field(default=False, description="Sync every first sighting to the disk: safe against power loss.")
    approaching: float = Field(
        default=0.8, gt=0, le=1, description="Share of a limit from which it counts as approaching."
    )
    readings: dict[str, Literal["identities", "people"]] = Field(
        default_factory=dict,
        examples=["{qwen-2024: people}"],
        description='How "active user" is read, by license id, where the license leaves it open: `identities` counts '
        "every identity that was answered, `people` does not count an application's shared credential as a user (the "
        "count becomes a lower bound). Part of every report.",
    )
    limits: dict[str, Annotated[int, Field(gt=0)]] = Field(
        default_factory=dict,
        examples=["{llama-3.1: 1000000}"],
        description="Lower limits of your own by license id, in users a month. They act at run time, whatever the "
        "window of the license's threshold.",
    )
