"""Where evidence and provenance lie under the state directory."""

from datetime import UTC, datetime
from pathlib import Path

SEGMENT_SUFFIX = ".segment"


class Layout:
    """The paths below one ``state_dir``."""

    def __init__(self, state_dir: Path) -> None:
        self.audit = state_dir / "audit"
        """Directory with one journal file per instance."""
        self.signing = state_dir / "signing"
        """Directory with the key that signs receipts and statements, and every public key it ever had."""
        self.provenance = state_dir / "provenance"
        """Directory of the index: in it a directory per month, in that a segment per run of an instance."""
        self.key = state_dir / "provenance.key"
        """File with the master key, of receipts and fingerprints; it never lies inside the index."""
        self.keys = state_dir / "provenance.keys"
        """Directory with a key for each month of the index; nor does it."""


def month_of(time: float) -> str:
    """Return the UTC month of ``time`` (epoch seconds) as ``2026-11``."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m")
