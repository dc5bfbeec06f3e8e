"""The training data: JSON lines with text, role, labels, source, licence, provenance and split, in one folder."""

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zlib import error as DamagedStream  # noqa: N812 - an exception, named for what it says

from guard.screening.categories import CATEGORIES
from guard.screening.learned.weights import NAMES
from guard.screening.train.splice import Chance

HEADS = NAMES
BENIGN = "benign"
ROLES = ("prompt", "response")
SPLITS = ("train", "dev", "unlabelled", "calibration", "check")
"""``check`` is like ``calibration``, long and harmless, and nothing is fixed on it."""
TEACHER = "teacher.jsonl.gz"
"""What tier 2n said of texts, beside the rows; see ``teach``."""
TWEETS, TWEETS_KEPT = "t-davidson tweets", 0.35
"""Three in four rows on hate would be tweets; so many are kept that they do not drown the rest."""

_UNREADABLE = (OSError, EOFError, UnicodeDecodeError, DamagedStream)


class Row(NamedTuple):
    """One text and what it is; ``labels`` is ``("benign",)`` or codes, and empty where nobody said."""

    text: str
    role: str
    labels: tuple[str, ...]
    source: str
    split: str
    lang: str
    license: str

    @property
    def targets(self) -> tuple[float, ...]:
        """1.0 for every head that is true of it, in the order of HEADS."""
        codes = set(self.labels) - {BENIGN}
        return tuple(float(head in codes) if head != "unsafe" else float(bool(codes - {"D1"})) for head in HEADS)


class BadData(ValueError):
    """The data cannot be trained on: the message says where and why."""


def read(folder: Path) -> list[Row]:
    """Return the rows of every ``*.jsonl`` and ``*.jsonl.gz`` under ``folder``, each text once.

    Their order depends on what they say alone, not on the files they are in. Raises BadData for a file that cannot be
    read, for a line that is no row, and if there is none.
    """
    paths = [path for path in folder.rglob("*.jsonl*") if path.name.endswith((".jsonl", ".jsonl.gz"))]
    kept: dict[str, Row] = {}
    for row in sorted({row for path in sorted(paths) if path.name != TEACHER for row in _rows(path)}):
        kept.setdefault(row.text.strip().casefold(), row)
    if not kept:
        raise BadData(f"{folder}: no rows; wanted: *.jsonl or *.jsonl.gz with one JSON object a line")
    return list(kept.values())


def lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield what the lines of a JSON lines file say, each with its place. Raises BadData for what is none."""
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as found:
            for number, line in enumerate(found, 1):
                if line.strip():
                    yield f"{path}:{number}", json.loads(line)
    except json.JSONDecodeError as error:
        raise BadData(f"{path}:{number}: no JSON: {error}") from None
    except _UNREADABLE as error:
        raise BadData(f"{path}:{number + 1}: cannot be read: {error}") from None


def digest(rows: Iterable[Row], taught: Mapping[str, Sequence[float]]) -> str:
    """Return the SHA-256 of ``rows`` and of what a teacher said of texts, whatever files they came in."""
    found = hashlib.sha256()
    for fact in (*sorted(rows), *sorted(taught.items())):
        found.update(json.dumps(fact).encode() + b"\n")
    return found.hexdigest()


def training(rows: Iterable[Row]) -> list[Row]:
    """Return the labeled rows to train on, tweets thinned out."""
    chance = Chance(1)
    return [
        row
        for row in rows
        if row.split == "train" and (row.source != TWEETS or chance.below(1000) < 1000 * TWEETS_KEPT)
    ]


def wanted(rows: Iterable[Row], folder: Path) -> None:
    """Raises BadData if there is nothing in ``rows`` to train on, or nothing to fix thresholds on."""
    splits = {row.split for row in rows}
    for split, use in (("train", "to learn from"), ("calibration", "to fix the thresholds on")):
        if split not in splits:
            raise BadData(f"{folder}: no rows of split {split!r} {use}; found: {', '.join(sorted(splits))}")


def _rows(path: Path) -> Iterator[Row]:
    for place, found in lines(path):
        if not isinstance(found, dict):
            raise BadData(f"{place}: no object; wanted: text, role, labels, source, licence, split")
        labels = found.get("labels", [])
        if not isinstance(labels, list):
            raise BadData(f"{place}: labels: {labels!r}; allowed: a list")
        row = Row(
            found.get("text", ""),
            found.get("role", "prompt"),
            tuple(labels),
            found.get("source", ""),
            found.get("split", "unlabelled"),
            found.get("lang", "en"),
            found.get("licence", ""),
        )
        for name, value in (("text", row.text), ("source", row.source), ("licence", row.license), ("lang", row.lang)):
            if not isinstance(value, str) or not value.strip():
                raise BadData(f"{place}: {name}: {value!r}; allowed: a text")
        _check(place, "role", [row.role], ROLES)
        _check(place, "split", [row.split], SPLITS)
        _check(place, "labels", row.labels, (BENIGN, *CATEGORIES))
        if (row.split == "unlabelled") is bool(row.labels) or (BENIGN in row.labels and len(row.labels) > 1):
            raise BadData(
                f"{place}: labels: {list(row.labels)} in split {row.split!r}; "
                f"allowed: none where it is 'unlabelled', otherwise {BENIGN!r} alone or codes"
            )
        yield row


def _check(place: str, name: str, found: Iterable[str], allowed: Sequence[str]) -> None:
    for value in found:
        if value not in allowed:
            raise BadData(f"{place}: {name}: {value!r}; allowed: {', '.join(allowed)}")
