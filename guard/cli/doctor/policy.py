"""The policy: that it loads, how old it is, and what it warns of."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from guard.cli.doctor.check import Check, ok, warn

if TYPE_CHECKING:
    from guard.exchange.snapshot import Snapshot

STALE_DAYS = 180
"""A policy that nobody has touched for so long deserves a look: licenses and lists of rules change."""
DAY = 86400


def checks(snapshot: "Snapshot", path: Path | None) -> Iterator[Check]:
    """Yield what is to be said of a policy that loads: its warnings name missing attestations and unconfirmed facts."""
    digest = snapshot.hash[:12]
    if path is None:
        yield warn("policy", f"no configuration file; the defaults are policy {digest}", "write a guard.yaml")
    else:
        age = time.time() - path.stat().st_mtime
        detail = f"{digest} loads; {path} was last changed {int(age / DAY)} days ago"
        if age < -DAY:
            detail = f"{digest} loads; {path} was last changed in the future"
            yield warn("policy", detail, "set this machine's clock: months are counted by it")
        elif age > STALE_DAYS * DAY:
            yield warn("policy", detail, "see whether licenses and rules are what they were")
        else:
            yield ok("policy", detail)
    for warning in snapshot.warnings:
        yield warn("policy warning", warning, "see docs/checking.md; what is confirmed or stated warns no more")
