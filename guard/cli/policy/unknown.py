"""A license that nobody knows, as bad usage of a command."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guard.licensing.license import License


def known_license(id_: str, packs: "Mapping[str, License]", named_by: str) -> "License":
    """Return the license ``id_``. Raises typer.BadParameter of the parameter ``named_by`` with the nearest name."""
    from guard.policy.document import nearest

    if id_ in packs:
        return packs[id_]
    near = nearest(id_, packs)
    hint = f"did you mean '{near}'?" if near else "`guard policy list` names those that are known"
    raise typer.BadParameter(f"unknown license '{id_}'; {hint}", param_hint=named_by)
