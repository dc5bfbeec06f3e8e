"""``guard keys rotate-signing``: another key for what Guard signs, from now on."""

import json
import sys
import time
from pathlib import Path

import typer

from guard.cli.keys.signing import signing_directory

EX_CANTCREAT = 73


def rotate_signing(
    config: Path | None = typer.Option(None, help="guard.yaml, which names the state directory."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Put a new key in place of the one that signs receipts, seals and statements; running gateways use it at once.

    The private half of the old one is gone then; its public half stays listed, and what it signed stays valid. Give the
    new public key (`guard keys signing`) to whoever pinned the old one. Ends with 73 if it cannot be written.
    """
    from guard.evidence.signing import PUBLIC, SigningError, rotate

    directory = signing_directory(config)
    try:
        key = rotate(directory, time.time())
    except SigningError as error:
        print(f"the key was not rotated: {error}", file=sys.stderr)
        raise typer.Exit(EX_CANTCREAT) from None
    if as_json:
        print(json.dumps({**key.facts(), "file": str(directory / PUBLIC)}))
        return
    print(f"{key.id} signs from now on; {directory / PUBLIC} lists it.")
