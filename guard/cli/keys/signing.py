"""``guard keys signing``: the public keys of what Guard signs."""

import json
import sys
from pathlib import Path

import typer

EX_DATA = 65


def signing(
    config: Path | None = typer.Option(None, help="guard.yaml, which names the state directory."),
    pem: bool = typer.Option(False, "--pem", help="Print the key in use as PEM, for somebody who is to pin it."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List the public keys of receipts, seals and statements, oldest first: give them to whoever is to verify these.

    Ends with 65 if there are none yet: a gateway makes the first one when it starts.
    """
    from guard.evidence.signing import PUBLIC, SigningError, listed, moment

    if pem and as_json:
        raise typer.BadParameter("give one of --pem and --json", param_hint="--pem")
    directory = signing_directory(config)
    try:
        keys = listed(directory / PUBLIC)
    except SigningError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_DATA) from None
    if pem:
        print("".join(key.pem for key in keys if key.ends is None), end="")
        return
    if as_json:
        print(json.dumps({"file": str(directory / PUBLIC), "keys": [key.facts() for key in keys]}))
        return
    print(f"{'ID':18}{'FROM':22}{'UNTIL':22}PUBLIC KEY")
    for key in keys:
        begins, ends = ("-" if when is None else moment(when) for when in (key.begins, key.ends))
        print(f"{key.id:18}{begins:22}{ends:22}{key.facts()['public']}")


def signing_directory(config: Path | None) -> Path:
    """Return the directory of the signing keys of the configuration. Raises PolicyError."""
    from guard.policy.load import load_config
    from guard.policy.locations import configuration
    from guard.provenance.layout import Layout

    return Layout(Path(load_config(configuration(config)).state_dir)).signing
