"""What a report says beside the journals, as plain data: whoever makes one reads it from configuration and ledger."""

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """What follows from configuration, ledger, attestations and index. Every row names its ``source``."""

    guard: str
    """The version that makes the report."""
    as_of: str
    """The day on which statements and attestations are looked at."""
    operator: Row
    configuration: Row
    """``name``, ``sha256``, and of the policy that follows from it ``policy``, ``mode`` and ``decisions``."""
    packs: list[Row]
    """``name`` and ``digest``."""
    licenses: list[Row]
    obligations: list[Row]
    attestations: list[Row]
    unseen: list[Row]
    """Items of acceptable use policies that no text shows."""
    usage: Row | None
    """What ``guard usage report`` says; None if the month was not counted."""
    uncounted: str = ""
    """Why it was not."""
    index: list[Row] = field(default_factory=list)
    """Coverage of the provenance index, one row for each gateway."""
    unread: list[str] = field(default_factory=list)
    """Kinds of parts that pass unread, by the configuration: ``image``."""
