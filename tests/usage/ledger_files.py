"""Ledgers in SQLite files as gateways leave them, and the ``guard usage`` command over them."""

import json
from datetime import UTC, datetime

from typer.testing import CliRunner
from usage_world import PRINT

from guard.cli.usage import app
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.ledger import Scope

MONTH, TODAY = "2026-11", "2026-11-22"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
RUN = CliRunner()


def url_of(path):
    return sqlite_url(path)


def gateway(path, sightings, *, key=PRINT, zone="UTC", unidentified=0, period=MONTH, day=TODAY):
    """Write the users of each license to the ledger in the file ``path``, as a gateway does. Returns its URL."""
    ledger = open_ledger(url_of(path))
    try:
        ledger.bind(zone)
        ledger.claim_key(period[:7], key)
        for license, users in sightings.items():
            scope = Scope(period, license)
            ledger.write({scope: list(users)}, {scope: unidentified}, owner=path.stem, day=day)
    finally:
        ledger.close()
    return url_of(path)


def guard_yaml(directory, text="", *, ledger="ledger.db"):
    """Write a configuration over the ledger in ``directory``. Returns its path."""
    (directory / "spool").mkdir(exist_ok=True)
    path = directory / "guard.yaml"
    path.write_text(
        f"state_dir: {directory}\nmodels:\n  q: {{license: qwen-2024}}\n  l: {{license: llama-3.1}}\n"
        f"usage:\n  ledger: {url_of(directory / ledger)}\n{text}"
    )
    return path


def usage(*arguments, code=0):
    """Run ``guard usage`` with ``arguments``, which is to end with ``code``. Returns what was printed."""
    result = RUN.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    return result.stdout if code == 0 else result.output


def usage_json(*arguments):
    return json.loads(usage(*arguments, "--json"))


def users_in(url, license="qwen-2024", period=MONTH):
    ledger = open_ledger(url, read_only=True)
    try:
        return {user for some in ledger.pseudonyms(Scope(period, license)) for user in some}
    finally:
        ledger.close()


def declared_in(url, period=MONTH):
    ledger = open_ledger(url, read_only=True)
    try:
        return list(ledger.declarations(period))
    finally:
        ledger.close()
