"""``guard export shred``: delete a month of the index for good, wherever it was copied."""

import sys
import time
from pathlib import Path

import typer

EX_NONE, EX_CANTCREAT = 1, 73
CHAIN = "export"
"""The audit chain that this command writes, beside those of the gateways."""


def shred(
    month: str = typer.Option(help="The month, such as 2026-11."),
    config: Path | None = typer.Option(None, help="guard.yaml, which names the state directory."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
) -> None:
    """Delete the key of a MONTH of the index, then its segments: copies of them are worth nothing without the key.

    The receipts in the audit chain stay. Ends with 1 if there is nothing of that month, a gateway writes to it, or the
    answer is no; with 64 for a month that is not over, because nothing could be recorded in it any more; with 73 where
    something cannot be written.
    """
    from guard.cli.usage.trail import Deed, put_on_record
    from guard.policy.load import load_config
    from guard.policy.locations import configuration
    from guard.provenance.layout import SEGMENT_SUFFIX, Layout, month_of
    from guard.provenance.months import MonthKeyError, MonthKeys
    from guard.provenance.retention import Shredded, is_month, months_in
    from guard.provenance.retention import shred as delete
    from guard.provenance.upload import is_over

    if not is_month(month):
        allowed = "a year and a month such as 2026-11"
        raise typer.BadParameter(f"'{month}'; allowed: {allowed}", param_hint="--month")
    if month >= (current := month_of(time.time())):
        why = f"{month} is not over (UTC), and nothing could be recorded in it any more"
        raise typer.BadParameter(f"{why}; allowed: a month before {current}", param_hint="--month")
    settings = load_config(configuration(config))
    layout = Layout(Path(settings.state_dir))
    keys = MonthKeys(layout.keys)
    known = months_in(layout.provenance, keys)
    if month not in known:
        print(f"{layout.provenance}: nothing of {month}; there are: {', '.join(known) or 'none'}", file=sys.stderr)
        raise typer.Exit(EX_NONE)
    segments = sorted((layout.provenance / month).glob(f"*{SEGMENT_SUFFIX}"))
    if live := [path for path in segments if not is_over(path)]:
        found = f"{live[0]}: is being written"
        print(f"{found}; allowed: a month that is over, or one without a running gateway", file=sys.stderr)
        raise typer.Exit(EX_NONE)
    if not yes and not typer.confirm(f"Delete the key of {month} and {len(segments)} segments? It cannot be undone."):
        raise typer.Exit(EX_NONE)
    put_on_record(settings, [Deed("shredded", Shredded(month, len(segments)).facts())], CHAIN)
    try:
        delete(layout.provenance, keys, month)
    except (OSError, MonthKeyError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_CANTCREAT) from error
    print(f"{month}: shredded, {len(segments)} segments; the receipts in the audit chain stay")
