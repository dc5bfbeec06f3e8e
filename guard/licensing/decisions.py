"""The decision table of output use: what every license says about every purpose and lineage of the target.

Small enough to be read whole by a lawyer, and kept beside the packs so that a change in one shows up as a line.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from guard.licensing.license import License
from guard.licensing.lineage import resolve_target
from guard.licensing.purpose import Purpose
from guard.licensing.verdict import OutputVerdict, output_use_verdict

UNHEARD_OF = "acme-model"
"""A target that no pack and no family name tells anything about."""

WIDTH = 30
"""Of the first column: fixed, so that a new pack changes no line but its own."""

_TARGETS: Mapping[str, Callable[[License], str]] = {
    "train-same": lambda license_: license_.version,
    "train-family": lambda license_: f"{license_.family}-new",
    "train-other": lambda license_: "gemma-2-9b" if license_.family != "gemma" else "mistral-7b",
    "train-unknown": lambda _license: UNHEARD_OF,
}
KINDS = ("serve", "evaluate", "unknown", *_TARGETS)
"""The columns of the table: purposes, and training split by whose model the target is."""


class Decision(NamedTuple):
    """One line of the table."""

    license: str
    kind: str
    """One of KINDS."""
    purpose: Purpose
    """The purpose that stands for the kind."""
    verdict: OutputVerdict


def stand_in(license_: License, kind: str) -> Purpose:
    """Return the purpose that stands for ``kind`` of ``license_``."""
    return Purpose.parse(f"train:{_TARGETS[kind](license_)}" if kind in _TARGETS else kind)


def decisions(packs: Mapping[str, License]) -> Iterator[Decision]:
    """Yield the whole table: every license of ``packs`` in order, every kind."""
    for license_ in packs.values():
        for kind in KINDS:
            purpose = stand_in(license_, kind)
            target = resolve_target(purpose.target, packs) if purpose.target is not None else None
            yield Decision(license_.id, kind, purpose, output_use_verdict(license_, purpose, target))


def lines(packs: Mapping[str, License]) -> Iterator[str]:
    """Yield the table as text, in columns, the head first."""
    yield f"{'license':<{WIDTH}} {'purpose':<14} {'verdict':<23} clause"
    for found in decisions(packs):
        verdict = found.verdict
        yield f"{found.license:<{WIDTH}} {found.kind:<14} {verdict.kind!s:<23} {verdict.clause or '-'}"
