"""Whose texts a model was trained on, as Markdown: the lists of the model card and of the notice beside the weights."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from guard.screening.train.corpus import Row

_PACKAGE = re.compile(r"(\S+) \d\S*: ")
"""Before a file's path: a package and its version."""
_ASKS = "asks.txt"
PROJECT = "own (project licence)"
"""What rows of the project's own say where they name no license."""


def origin(row: Row) -> str:
    """Return what a row is from: a data set, a package, or a list of the project's own."""
    package = _PACKAGE.match(row.source)
    if package is not None:
        return package[1]
    return _ASKS if row.source.startswith(_ASKS) else row.source


def license_of(row: Row) -> str:
    """Return the license of a row as it is shown: the project's own texts are under its license."""
    return "Apache-2.0" if row.license == PROJECT else row.license


def sources(rows: Sequence[Row]) -> str:
    """Return a table of the labeled sources: license and rows by split, and one line for the packages of each license.

    Packages are what was harvested from: sources with a version.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        harvested = _PACKAGE.match(row.source) is not None
        counts["packages" if harvested else origin(row), license_of(row)][row.split] += 1
    splits = ("train", "dev", "unlabelled", "calibration", "check")
    lines = [f"| source | license | {' | '.join(splits)} |", f"|{'---|' * (2 + len(splits))}"]
    for (name, license), found in sorted(counts.items()):
        lines.append(f"| {name} | {license} | {' | '.join(str(found[split] or '') for split in splits)} |")
    return "\n".join(lines) + "\n"


def notices(rows: Iterable[Row]) -> str:
    """Return the sources by license, every one by its name."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[license_of(row)].add(origin(row))
    return "".join(f"- {license}: {', '.join(sorted(names))}\n" for license, names in sorted(found.items()))
