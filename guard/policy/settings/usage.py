"""Counting monthly active users."""

from typing import Annotated, Literal

from pydantic import Field

from guard.policy.settings.section import Section
from guard.policy.values import LedgerUrl


class AttestorConfig(Section):
    """Somebody whose signature under an attestation counts."""

    example = "{name: legal@example.org, key: attestor.pub}"

    name: str = Field(min_length=1, description="Who holds the private key.")
    key: str = Field(
        min_length=1, description="The Ed25519 public key: its 32 bytes in base64, or a file with that or PEM."
    )


class UsageConfig(Section):
    """Counting monthly active users."""

    example = "{at_limit: observe}"

    ledger: LedgerUrl | None = Field(
        default=None,
        description="`sqlite:///absolute/path`, optionally with `?synchronous=full` (safe against power loss); "
        "`redis://HOST:PORT/DB` or `rediss://` for several hosts, with `+hll` for an estimate, `+sentinel`, `+cluster` "
        "or `+unix`. Default: `ledger.db` in `state_dir`.",
    )
    zone: str = Field(default="UTC", description="Time zone in which calendar months begin.")
    at_limit: Literal["observe", "refuse_newcomers", "refuse_all"] = Field(
        default="observe", description="What happens at a standing limit. Counting goes on in any case."
    )
    windows: tuple[Literal["day", "rolling_28", "rolling_30"], ...] = Field(
        default=(),
        examples=["[day]"],
        description="Periods counted beside the calendar month: days, and the 28 or 30 days that end today. Each costs "
        "a sighting per user and day.",
    )
    keep: Annotated[int, Field(ge=2, le=120)] = Field(
        default=3,
        description="Calendar months, the current one included, whose users stay in the ledger. Of older ones their "
        "number stays.",
    )
    seen: Annotated[int, Field(ge=1000, le=1_000_000_000)] = Field(
        default=1_000_000,
        description="Users that each process remembers as counted, 32 bytes each. Whoever is forgotten costs one more "
        "sighting.",
    )
    fsync: bool = Field(default=False, description="Sync every first sighting to the disk: safe against power loss.")
    disk_full: Literal["refuse", "serve"] = Field(
        default="refuse",
        description="When a sighting cannot be written to the spool: `refuse` the answer with 503, or `serve` it and "
        "hold the sighting in memory until the ledger has it (a crash before that loses the user).",
    )
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
    affiliates: dict[str, Literal["include", "exclude"]] = Field(
        default_factory=dict,
        examples=["{qwen-2024: exclude}"],
        description="Whether declared users of affiliates count, by license id, where the license does not mention "
        "affiliates. Default: `include`, the cautious reading.",
    )
    attestations: tuple[str, ...] = Field(
        default=(),
        examples=["[attestations/llama-3.1.json]"],
        description="Files of `guard usage attest`: how many users the licensee had in the month that a license looks "
        "at, signed.",
    )
    attestors: tuple[AttestorConfig, ...] = Field(
        default=(),
        description="Whose signatures under attestations count. Without any, a signature by any key does, which shows "
        "only that nothing was changed since.",
    )
    unattested: Literal["warn", "refuse"] = Field(
        default="warn",
        description="Where a license looks at the users of one past month and no attestation shows that they were few "
        "enough: `warn` at every load, or `refuse` the requests for its models.",
    )
