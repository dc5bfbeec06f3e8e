"""Heads that were kept elsewhere, to hold a chain against: they show a cut end, and a recomputed chain."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from guard.evidence.checkpoint import Checkpoint, CheckpointError

_HASH = re.compile(r"[0-9a-fA-F]{64}")


class KeptError(Exception):
    """A file of heads that is none; the text says where and why."""


class Kept(NamedTuple):
    """A head: the hash of some entry, and which entry of which instance, if that was kept too."""

    head: str
    """64 lower-case hexadecimal digits."""
    file: str
    line: int
    """Where it stands; 0 if it was given by itself."""
    checkpoint: Checkpoint | None = None

    @property
    def where(self) -> str:
        """The place for a sentence."""
        return f"{self.file}:{self.line}" if self.line else self.file


def read(path: Path) -> list[Kept]:
    """Return the heads in a file: per line a hash, or a head as it was sent, whatever stands before it (a log's time).

    Raises KeptError for a line that is neither and for a file without any, OSError if it cannot be read.
    """
    kept: list[Kept] = []
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            text = raw.decode("utf-8", "replace").strip()
            if not text:
                continue
            if _HASH.fullmatch(text):
                kept.append(Kept(text.lower(), str(path), number))
                continue
            try:
                facts = json.loads(text[max(0, text.find("{")) :])
                found = Checkpoint.of_line(facts if isinstance(facts, dict) else {})
            except (ValueError, RecursionError) as error:
                why = f"the head {error}" if isinstance(error, CheckpointError) else "no head"
                allowed = "64 hexadecimal digits, or a line as Guard sends it"
                raise KeptError(f"{path}:{number}: {why}; allowed: {allowed}") from None
            kept.append(Kept(found.head, str(path), number, found))
    if not kept:
        raise KeptError(f"{path}: holds no head; allowed: one per line")
    return kept
