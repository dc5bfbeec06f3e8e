"""docs/capabilities.md says what the code does: every line of its tables is made of the code's own words."""

from pathlib import Path

import pytest

from guard.licensing.capability import BLINDING, CAPABILITIES

PAGE = (Path(__file__).parents[2] / "docs" / "capabilities.md").read_text(encoding="utf-8")


def row(*cells):
    return f"| {' | '.join(cells)} |"


def rows():
    """The lines of the three tables."""
    for name, known in CAPABILITIES.items():
        yield row(f"`{name}`", known.what, str(known.default), str(known.restricted))
    for name, known in CAPABILITIES.items():
        yield row(f"`{name}`", "; ".join(by_surfaces(known.fields)))
    for name, why in BLINDING.items():
        yield row(f"`{name}`", why)


def by_surfaces(fields):
    """``a``, ``b`` (what in it counts): chat, batch."""
    surfaces = {}
    for surface, named in fields.items():
        for field in named:
            surfaces.setdefault(field, []).append(surface)
    together = {}
    for field, where in surfaces.items():
        name, _, what = field.partition(":")
        together.setdefault(tuple(where), []).append(f"`{name}`" + (f" ({what.strip()})" if what else ""))
    return [f"{', '.join(named)}: {', '.join(where)}" for where, named in together.items()]


@pytest.mark.parametrize("line", list(rows()))
def test_every_line_of_the_tables_is_what_the_code_does(line):
    assert line in PAGE.splitlines()


def test_there_is_no_line_of_a_capability_that_has_gone():
    told = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert sorted(told) == sorted(rows())
