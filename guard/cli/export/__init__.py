"""``guard export``: what may leave as training data, and the evidence for it; one file per command."""

import typer

from guard.cli.export.behavior import app as behavior
from guard.cli.export.check import check
from guard.cli.export.receipt import receipt
from guard.cli.export.shred import shred
from guard.cli.export.verify import verify

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def export() -> None:
    """Check whether a data set may train a model, and what was recorded of the answers in it."""


app.command()(check)
app.command()(receipt)
app.command()(verify)
app.command()(shred)
app.add_typer(behavior, name="behavior")
