"""``guard keys rotate-users``: another pseudonym key, from a month on."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

if TYPE_CHECKING:
    from guard.usage.keyring import Keyring
    from guard.usage.period import Kind, Period

EX_CANTCREAT, EX_CONFIG = 73, 78


class _Place(NamedTuple):
    """The keyring's file, and what the configuration says of months."""

    file: Path
    zone: str
    windows: "tuple[Kind, ...]"


def rotate_users(
    begins: str | None = typer.Option(None, "--from", metavar="MONTH", help="Its first month. Default: the next."),
    file: Path | None = typer.Option(None, help="The key file. Default: the configuration's."),
    config: Path | None = typer.Option(None, help="guard.yaml, which names the key file and the zone of months."),
    only_list: bool = typer.Option(False, "--list", help="Show the keys' months and fingerprints, and add none."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Add a random key for the pseudonyms of users, in force from the start of a month that has not begun.

    Users are counted under one key in a month: a replica that still has the old file is refused by the ledger. Copy the
    file to all of them and restart them before the month begins.

    Ends with 64 for a month that has begun or has a key, 78 for a key file that cannot be used, 73 for one that cannot
    be written.
    """
    from guard.usage.keyring import check_rolling, read_keyring, write_keyring
    from guard.usage.pseudonym import KEY_BYTES, PseudonymKeyError

    place = _place(file, config)
    added: Period | None = None
    with _ending(EX_CONFIG):
        keyring = read_keyring(place.file)
    if not only_list:
        import secrets

        now = time.time()
        added = _month(begins, place.zone, now)
        try:
            keyring = keyring.with_key(added, now, secrets.token_bytes(KEY_BYTES))
        except PseudonymKeyError as error:
            raise typer.BadParameter(str(error), param_hint="--from") from error
        with _ending(EX_CONFIG):
            check_rolling(keyring, place.windows)
        with _ending(EX_CANTCREAT):
            write_keyring(place.file, keyring)
    _show(place.file, keyring, added, as_json=as_json)


@contextmanager
def _ending(code: int) -> Iterator[None]:
    """Leave with ``code`` and the reason for a key file with which nothing can be done."""
    from guard.usage.pseudonym import PseudonymKeyError

    try:
        yield
    except PseudonymKeyError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(code) from error


def _place(file: Path | None, config: Path | None) -> _Place:
    from guard.policy.load import load_config
    from guard.policy.locations import configuration
    from guard.usage.period import Kind

    found = configuration(config) if file is None or config is not None else None
    if found is None:
        if file is None:
            raise typer.BadParameter("name the key file (--file FILE) or a configuration (--config guard.yaml)")
        # A month that has begun in any zone may have begun in the ledger's: this is where it begins first.
        return _Place(file, "Pacific/Kiritimati", ())
    settings = load_config(found)
    named = file or settings.identity.pseudonym_key_file
    windows = tuple(Kind(window) for window in settings.usage.windows)
    return _Place(Path(named or Path(settings.state_dir) / "pseudonym.key"), settings.usage.zone, windows)


def _month(text: str | None, zone: str, now: float) -> "Period":
    from guard.usage.period import Calendar, CalendarError, Kind, kind_of

    calendar = Calendar(zone)
    if text is None:
        return calendar.period(calendar.period(now).end)
    try:
        month = calendar.parse(text)
    except CalendarError as error:
        raise typer.BadParameter(str(error), param_hint="--from") from error
    if kind_of(month.id) is not Kind.MONTH:
        raise typer.BadParameter(f"{text!r}; allowed: a month such as 2026-12", param_hint="--from")
    return month


def _show(file: Path, keyring: "Keyring", added: "Period | None", *, as_json: bool) -> None:
    if as_json:
        keys = [{"from": key.month or None, "fingerprint": key.fingerprint} for key in keyring.keys]
        print(json.dumps({"file": str(file), "keys": keys, "added": added.id if added is not None else None}))
        return
    print(f"{'from':9}fingerprint")
    for key in keyring.keys:
        print(f"{key.month or '-':9}{key.fingerprint}")
    if added is not None:
        print(f"{file} has a new key: every replica needs the file, and a restart, before {added.id} begins.")
