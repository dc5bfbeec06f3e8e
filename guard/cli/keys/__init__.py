"""``guard keys``: the keys of applications, of the pseudonyms, and of signatures; one file per command."""

import typer

from guard.cli.keys.add import add
from guard.cli.keys.listing import list_keys
from guard.cli.keys.revoke import revoke
from guard.cli.keys.rotate import rotate_users
from guard.cli.keys.rotate_signing import rotate_signing
from guard.cli.keys.signing import signing

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def keys() -> None:
    """Manage the API keys of applications, the key that users are counted by, and the one that signs receipts."""


app.command()(add)
app.command("list")(list_keys)
app.command()(revoke)
app.command("rotate-users")(rotate_users)
app.command()(signing)
app.command("rotate-signing")(rotate_signing)
