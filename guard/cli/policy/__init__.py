"""``guard policy``: the licenses Guard knows, what they say, and whether a policy is sound; one file per command."""

import typer

from guard.cli.policy.check import check
from guard.cli.policy.diff import diff
from guard.cli.policy.explain import explain
from guard.cli.policy.listing import list_packs
from guard.cli.policy.promote import promote
from guard.cli.policy.show import show
from guard.cli.policy.test import run_cases

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="List, show, check, test, explain, compare and promote policies.",
)
app.command("list")(list_packs)
app.command()(show)
app.command()(check)
app.command("test")(run_cases)
app.command()(explain)
app.command()(diff)
app.command()(promote)
