"""What lies in the state directory, looked at beforehand so that whoever asks is answered from memory."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from guard.policy.attestations import filed
from guard.policy.config import Config
from guard.policy.known import known_licenses
from guard.provenance.layout import SEGMENT_SUFFIX, Layout
from guard.provenance.months import MonthKeys
from guard.provenance.retention import months_in
from guard.transports.due import Kept


class Disk(NamedTuple):
    """The state directory as it was at the last look."""

    kept: Kept = Kept()
    segments: int = 0
    """Segments of the index."""
    bytes: int = 0
    """Bytes of them, and of what lies beside them."""


def look(state_dir: Path, config: Config, now: float) -> Disk:
    """Return what lies in ``state_dir``, and what ``config`` names, at ``now`` (epoch seconds); takes its time."""
    layout = Layout(state_dir)
    months = tuple(months_in(layout.provenance, MonthKeys(layout.keys)))
    segments = size = 0
    for month in months:
        for path in (layout.provenance / month).glob("*"):
            with suppress(OSError):
                size += path.stat().st_size
                segments += path.name.endswith(SEGMENT_SUFFIX)
    today = datetime.fromtimestamp(now, UTC).date()
    attestations = filed(config, known_licenses([Path(name) for name in config.policies]), today)
    return Disk(Kept(tuple(attestations), months), segments, size)
