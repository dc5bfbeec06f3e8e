"""The formats of files of data, and how they are told by name."""

from typing import NamedTuple

FORMATS = ("jsonl", "ndjson", "json", "csv", "tsv", "parquet")
ALLOWED = ", ".join(f".{name}" for name in FORMATS) + "; each but .parquet also with .gz"


class Format(NamedTuple):
    """How a file is written."""

    name: str
    compressed: bool

    @property
    def suffix(self) -> str:
        """``.jsonl.gz``."""
        return f".{self.name}" + ".gz" * self.compressed

    def equals(self, other: "Format") -> bool:
        """Return whether two formats are one and the same: ``.ndjson`` is another name of ``.jsonl``."""
        names = {"jsonl" if name == "ndjson" else name for name in (self.name, other.name)}
        return len(names) == 1 and self.compressed == other.compressed


def format_of(name: str) -> Format | None:
    """Return the format a file has by its name; None if it has none that is known."""
    stem, dot, suffix = name.lower().rpartition(".")
    compressed = suffix == "gz" and bool(dot)
    if compressed:
        stem, dot, suffix = stem.rpartition(".")
    if not dot or suffix not in FORMATS or (compressed and suffix == "parquet"):
        return None
    return Format(suffix, compressed)


def format_named(text: str) -> Format:
    """Return the format that is named by itself (``csv``, ``.jsonl.gz``). Raises ValueError if it is not known."""
    found = format_of(f"x.{text.removeprefix('.')}")
    if found is None:
        raise ValueError(f"the format {text!r}; allowed: {', '.join(FORMATS)}; each but parquet also with .gz")
    return found
