"""``guard keys``: the keys of applications, and those of the pseudonyms; one file per command."""

import typer

from guard.cli.keys.add import add
from guard.cli.keys.listing import list_keys
from guard.cli.keys.revoke import revoke
from guard.cli.keys.rotate import rotate_users

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def keys() -> None:
    """Manage the API keys of applications, and the key that users are counted by."""


app.command()(add)
app.command("list")(list_keys)
app.command()(revoke)
app.command("rotate-users")(rotate_users)
