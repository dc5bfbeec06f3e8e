"""The export checks that were run: which data set, for which model, and whether it may go."""

from collections.abc import Sequence

from guard.console.layout import Frame, page
from guard.console.markup import Html
from guard.console.parts import code, hash_, nothing, section, table
from guard.console.verdict import Facts
from guard.console.wording import badge, moment, number

_VERDICTS = {"allow": "ok", "allow_with_obligations": "ok", "deny": "bad", "undetermined": "warn"}


def exports(frame: Frame, *, checks: Sequence[Facts]) -> str:
    """Return the page. ``checks`` are the last ones, newest first."""
    return page(
        frame,
        "/exports",
        "Exports",
        section("Checks", _checks(frame, checks), id="checks",
                lead="Data sets that were to leave, held against the receipts of what was answered here."),
    )  # fmt: skip


def _checks(frame: Frame, checks: Sequence[Facts]) -> Html:
    rows = [
        (
            moment(item.get("time"), frame.now),
            badge(_VERDICTS.get(str(item.get("verdict")), "warn"), str(item.get("verdict")).replace("_", " ")),
            code(item.get("target")),
            hash_(item.get("digest")),
            str(item.get("by") or ""),
            number(item.get("records") or 0),
            number(item.get("hits") or 0),
        )
        for item in checks
    ]
    headings = ("Time (UTC)", "Verdict", "To train", "Data set (SHA-256)", "Asked by", "Records", "Hits")
    return table("Export checks, newest first", headings, rows, figures=2) or nothing(
        "No data set was checked yet.",
        code("POST /api/v1/export/check"), " on this port takes a data set, ", code("guard export check"),
        " one on disk; each check stands here with its verdict.",
    )  # fmt: skip
