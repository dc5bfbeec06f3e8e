"""``guard usage``: what the ledger says about active users; one file per command."""

import typer

from guard.cli.usage.attest import attest
from guard.cli.usage.export import export
from guard.cli.usage.forecast import forecast
from guard.cli.usage.importing import import_users
from guard.cli.usage.report import report
from guard.cli.usage.show import show

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def usage() -> None:
    """Show active users, merge other gateways' ledgers, and look ahead."""


app.command()(show)
app.command()(report)
app.command()(export)
app.command("import")(import_users)
app.command()(attest)
app.command()(forecast)
