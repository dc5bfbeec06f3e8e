"""The files an export check writes beside what it reads."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guard.provenance.formats import Source

NAMED = 5
"""Files that are named on the terminal; the statement names all of them."""


def distinct(targets: Mapping[str, Path | None], *sources: "Source | None") -> None:
    """Raise typer.BadParameter if a file to be written, by option, is one that is read, or that another one writes.

    Links count as what they lead to.
    """
    written: dict[str, str] = {}
    read = [part.path for source in sources if source is not None for part in source.parts if part.path is not None]
    for option, target in targets.items():
        if target is None or str(target) == "-":
            continue
        for path in read:
            if _same(target, path):
                why = f"{target} would replace the data set itself ({path}); allowed: another file"
                raise typer.BadParameter(why, param_hint=option)
        place = os.path.realpath(target)
        if place in written:
            why = f"{target} is what {written[place]} writes as well; allowed: another file"
            raise typer.BadParameter(why, param_hint=option)
        written[place] = option


def passed_over(names: Sequence[str]) -> Iterator[str]:
    """Yield a line that names what stands beside the data and is not looked at, if there is anything."""
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"not looked at, for it stands beside the data: {', '.join(names[:NAMED])}{more}"


def _same(target: Path, path: Path) -> bool:
    try:
        return target.samefile(path)
    except OSError:  # one of them is not there
        return os.path.realpath(target) == os.path.realpath(path)
