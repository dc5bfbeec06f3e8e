"""``guard audit``: whether the audit chains are as they were written, and what is in them; one file per command."""

import typer

from guard.cli.audit.show import show
from guard.cli.audit.verify import verify

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def audit() -> None:
    """Verify the audit chains, and read them."""


app.command()(verify)
app.command()(show)
