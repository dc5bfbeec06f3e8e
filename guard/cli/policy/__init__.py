"""``guard policy``: the licenses Guard knows, what they say, and whether a policy is sound; one file per command."""

import typer

from guard.cli.policy.check import check
from guard.cli.policy.listing import list_packs
from guard.cli.policy.show import show

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="List, show and check policies."
)
app.command("list")(list_packs)
app.command()(show)
app.command()(check)
