"""``guard keys list``: the API keys that Guard made."""

import json
from pathlib import Path

import typer

from guard.cli.keys.file import CONFIG, FILE, facts, keys_file, present, today

COLUMNS = ("id", "name", "purpose", "user", "created", "expires", "state")


def list_keys(
    file: Path | None = FILE,
    config: Path | None = CONFIG,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List the API keys of the file, oldest first: whose they are, what for, and whether they are good.

    Ends with 65 if there is no such file.
    """
    from guard.policy.keyedit import keys_in

    path = keys_file(file, config)
    present(path)
    rows = [facts(key, today()) for key in keys_in(path)]
    if as_json:
        print(json.dumps({"file": str(path), "keys": rows}))
        return
    if not rows:
        print(f"{path} holds no keys.")
        return
    lines = [[name.upper() for name in COLUMNS]] + [[str(row[name] or "-") for name in COLUMNS] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
