"""``guard keys revoke``: an API key that is good no longer."""

import json
import sys
from pathlib import Path

import typer

from guard.cli.keys.file import CONFIG, FILE, changing, keys_file, present, today


def revoke(
    id_: str = typer.Argument(metavar="ID", help="The key's id: the part of it between gk_ and the next _."),
    file: Path | None = FILE,
    config: Path | None = CONFIG,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Refuse a key from now on: a running gateway does so within seconds, with 401 identity_required.

    The entry stays in the file, because a key that is gone from it would be an unknown one, and may be served. Ends
    with 1 if there is no such key, 65 if there is no such file.
    """
    from guard.policy.document import nearest
    from guard.policy.keyedit import keys_in, revoke_key

    path, day = keys_file(file, config), today()
    present(path)
    with changing(path):
        before = revoke_key(path, id_, day)
    if before is None:
        known = [key.id for key in keys_in(path)]
        near = nearest(id_, known) if not id_.startswith("gk_") else None
        shown = "that id (a key was given, not its id)" if id_.startswith("gk_") else f"the id '{id_}'"
        print(f"{path}: no key has {shown}" + (f"; did you mean '{near}'?" if near else ""), file=sys.stderr)
        raise typer.Exit(1)
    since = before.revoked or day
    if as_json:
        changed = before.revoked is None
        facts = {"id": before.id, "name": before.name, "revoked": since.isoformat(), "changed": changed}
        print(json.dumps({**facts, "file": str(path)}))
        return
    print(f"{before.id} of {before.name} " + ("was revoked on" if before.revoked else "is revoked from") + f" {since}.")
