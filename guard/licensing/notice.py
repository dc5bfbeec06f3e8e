"""What can be shown with every answer: the display lines of the licenses, and that a machine wrote it.

A header or a JSON member is a carrier: a duty is fulfilled by what the application then shows, at a place the license
accepts.
"""

from collections.abc import Sequence
from typing import NamedTuple

from guard.licensing.license import License

MACHINE_ITEMS = frozenset({"machine_label", "claim_human_made"})
"""Policy items that a label on the answer serves (RAIL A.5, BigCode A.f, Hunyuan A.12, Llama 3.e, Gemma 3)."""


class Notice(NamedTuple):
    """One line to be shown."""

    kind: str
    """``display`` or ``machine_made``."""
    text: str
    license: str
    clause: str


def display_notices(licenses: Sequence[License]) -> tuple[Notice, ...]:
    """Return the display lines owed for serving a model under ``licenses``, where their exact words are known.

    A line that is owed beyond a number of users only (Kimi K2) is among them: to show it earlier breaks nothing.
    """
    return tuple(
        dict.fromkeys(
            Notice("display", duty.wording, license_.id, duty.clause)
            for license_ in licenses
            for duty in license_.duties
            if duty.kind == "display" and duty.wording and "serving" in duty.owed_for
        )
    )


def machine_notice(licenses: Sequence[License], text: str) -> Notice | None:
    """Return ``text`` as the label that a machine wrote the answer, if a policy of ``licenses`` asks for one."""
    for license_ in licenses:
        for item in license_.aup:
            if item.id in MACHINE_ITEMS:
                return Notice("machine_made", text, license_.id, item.clause)
    return None
