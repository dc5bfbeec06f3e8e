"""``guard keys add``: a new API key, shown once."""

import json
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from guard.cli.keys.file import CONFIG, FILE, changing, keys_file, today

if TYPE_CHECKING:
    from guard.policy.settings.keys import StoredKeyConfig


def add(
    name: str = typer.Argument(metavar="NAME", help="Name of the application or tenant, as shown in reports."),
    purpose: str | None = typer.Option(
        None, help="Declared purpose: serve, evaluate, train:TARGET, synthetic-data:TARGET or unknown (the default)."
    ),
    user: str | None = typer.Option(None, help="The person the key belongs to: then that person is counted."),
    expires: str | None = typer.Option(None, metavar="DATE", help="Last day on which the key is good, in UTC."),
    file: Path | None = FILE,
    config: Path | None = CONFIG,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Make an API key and print it: this once, since only a hash of it is kept.

    A second key of a NAME is the same application's: it takes over what the first says, so that the first can be
    revoked when the second is in use. A running gateway knows the key within seconds.
    """
    import secrets

    from guard.exchange.credential import SALT_BYTES, hash_key, key_id, new_key
    from guard.policy.keyedit import add_key

    day, wanted = today(), {"purpose": _purpose(purpose), "user": user}
    last = _day(expires, day)
    if not name.strip() or user == "":
        raise typer.BadParameter("a name that is not empty")
    path, key, salt = keys_file(file, config), new_key(secrets.token_bytes), secrets.token_bytes(SALT_BYTES)
    entry: dict[str, Any] = {}

    def make(known: "tuple[StoredKeyConfig, ...]") -> dict[str, Any]:
        other = next((one for one in known if one.name == name and one.revoked is None), None)
        said = _taken_over(other, wanted) if other is not None else wanted
        entry.update({"id": key_id(key), "name": name, "purpose": said["purpose"] or "unknown"})
        entry.update({"user": said["user"]} if said["user"] is not None else {})
        entry.update({"created": day}, **({"expires": last} if last is not None else {}))
        entry.update(salt=salt.hex(), hash=hash_key(key, salt).hex())
        if other is not None and other.fields:
            entry["fields"] = {name: own.written for name, own in other.fields.items()}
        if other is not None and other.terms:
            entry["terms"] = [terms.model_dump() for terms in other.terms]
        return entry

    with changing(path):
        add_key(path, make)
    if as_json:
        shown = {field: entry.get(field) for field in ("id", "name", "purpose", "user")}
        days = {"created": day.isoformat(), "expires": last.isoformat() if last else None}
        print(json.dumps({**shown, **days, "key": key, "file": str(path)}))
        return
    print(key)
    print(f"This is the only time the key of {name} is shown; {path} knows it as {entry['id']}.", file=sys.stderr)


def _purpose(text: str | None) -> str | None:
    from guard.licensing.purpose import Purpose

    try:
        return str(Purpose.parse(text)) if text is not None else None
    except ValueError:
        allowed = "serve, evaluate, train:TARGET, synthetic-data:TARGET or unknown"
        raise typer.BadParameter(f"'{text}'; allowed: {allowed}", param_hint="--purpose") from None


def _day(text: str | None, day: date) -> date | None:
    if text is None:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}'; allowed: a date such as 2027-06-30", param_hint="--expires") from None
    if found < day:
        raise typer.BadParameter(f"{found} is over; allowed: {day} or later", param_hint="--expires")
    return found


def _taken_over(other: "StoredKeyConfig", wanted: dict[str, str | None]) -> dict[str, str | None]:
    """Return what the other key of the name says, which a new one may not say otherwise."""
    for field, value in wanted.items():
        own = getattr(other, field)
        if value is not None and value != own:
            raise typer.BadParameter(
                f"'{value}', and '{own or 'nobody'}' for {other.id}, another key of {other.name}; allowed: the same, "
                "or another name",
                param_hint=f"--{field}",
            )
    return {field: getattr(other, field) for field in wanted}
