"""Which file of API keys a command is about, and what is said when it cannot be changed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from guard.policy.settings.keys import StoredKeyConfig

EX_DATA, EX_CANTCREAT = 65, 73

FILE = typer.Option(None, "--file", help="The file of keys. Default: identity.keys_file of the configuration.")
CONFIG = typer.Option(
    None, "--config", help="guard.yaml, which names the file. Default: $GUARD_CONFIG, or else ./guard.yaml."
)


def keys_file(file: Path | None, config: Path | None) -> Path:
    """Return the file of keys that ``--file`` or the configuration names. Raises PolicyError, typer.BadParameter."""
    from guard.policy.load import load_config
    from guard.policy.locations import configuration

    if file is not None:
        return file
    found = configuration(config)
    named = load_config(found).identity.keys_file if found is not None else None
    if named is None:
        missing = "there is no guard.yaml here" if found is None else f"{found} names no identity.keys_file"
        raise typer.BadParameter(f"{missing}; allowed: --file FILE", param_hint="--file")
    return Path(named)


def present(path: Path) -> None:
    """Leave with 65 where there is no file ``path``: keys are read from one, whether there are any in it or not."""
    if not path.exists():
        print(f"{path}: there is no such file; `guard keys add` makes it", file=sys.stderr)
        raise typer.Exit(EX_DATA)


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Leave with 73 and the reason where ``path`` could not be changed."""
    from guard.policy.keyedit import KeysFileError

    try:
        yield
    except (KeysFileError, OSError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else error
        print(f"{path} was not changed: {reason}", file=sys.stderr)
        raise typer.Exit(EX_CANTCREAT) from None


def today() -> date:
    """Return the day in UTC, like every day in the file."""
    return datetime.now(UTC).date()


def facts(key: "StoredKeyConfig", day: date) -> dict[str, Any]:
    """Return what is shown of ``key`` on ``day``."""
    return {
        "id": key.id,
        "name": key.name,
        "purpose": key.purpose,
        "user": key.user,
        "created": key.created.isoformat(),
        "expires": key.expires.isoformat() if key.expires else None,
        "revoked": key.revoked.isoformat() if key.revoked else None,
        "state": key.state(day),
    }
