"""Which ledger a command is about, and what the configuration says beside it."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guard.licensing.license import License
    from guard.policy.config import Config
    from guard.usage.ledger import Ledger
    from guard.usage.period import Calendar, Period
    from guard.usage.spool import Leftover
    from guard.usage.thresholds import Limit

EX_CONFIG = 78

LEDGER = typer.Option(
    None,
    "--ledger",
    help="URL of the ledger: sqlite:///absolute/path.db, redis://host. Default: the configuration's.",
)
CONFIG = typer.Option(
    None, "--config", help="guard.yaml, which names ledger, zone, state directory and models. Default: $GUARD_CONFIG, "
    "or else ./guard.yaml, unless --ledger is given.",
)  # fmt: skip
SPOOL = typer.Option(None, "--spool", help="The spool directory, if it is elsewhere than beside the ledger.")


@dataclass(frozen=True, slots=True)
class Source:
    """A ledger that is not open yet."""

    url: str
    spool: Path | None
    """Where the gateway's spool is; None if nothing says so."""
    config: "Config | None"
    """The configuration, if one was named or found."""
    limits: "Mapping[str, Sequence[Limit]] | None"
    """By license, every license of the configuration; None without one."""
    packs: "Mapping[str, License]"
    """The licenses that are known: those that ship with Guard and the configuration's own."""
    named: bool = True
    """False if the ledger is the one in the state directory, as nobody named another."""
    path: Path | None = None
    """The file of the configuration."""

    def missing(self) -> str:
        """Return what is to be said beside "there is no ledger": which directory its place follows from."""
        if self.named or self.config is None:
            return ""
        state = Path(self.config.state_dir)
        whence = "" if state.is_absolute() else f", which is taken from {Path.cwd()}"
        return f" (state_dir is {state}{whence})"

    def reading(self, license_: str) -> str | None:
        """Return how "active user" is read under a license (``usage.readings``); None without a configuration."""
        if self.config is None:
            return None
        from guard.policy.operator import people_only

        known = self.packs.get(license_)
        return "people" if known is not None and people_only([known], self.config) else "identities"

    def key_of(self, month: str) -> str | None:
        """Return the fingerprint of the configured gateway's key in ``month``; None where no key is there yet.

        Raises PseudonymKeyError for a key file that cannot be used.
        """
        if self.config is None:
            return None
        from guard.usage.keyring import load_keyring

        path = Path(self.config.identity.pseudonym_key_file or Path(self.config.state_dir) / "pseudonym.key")
        return load_keyring(path).fingerprint_of(month) if path.exists() else None

    def calendar(self, ledger: "Ledger | None", zone: str = "UTC") -> "Calendar":
        """Return the calendar of ``ledger``: its own zone, or while it has none the configuration's, or ``zone``.

        Tracked are the windows of the configuration and those that the ledger has.
        """
        from guard.usage.period import Calendar, Kind, kind_of

        usage = self.config.usage if self.config else None
        counted = ledger.periods() if ledger is not None else ()
        kinds = {Kind(window) for window in (usage.windows if usage else ())} | set(map(kind_of, counted))
        bound = ledger.zone() if ledger is not None else None
        return Calendar(bound or (usage.zone if usage else zone), kinds)


def source(ledger: str | None, config: Path | None, spool: Path | None = None) -> Source:
    """Return the ledger that ``--ledger`` or the configuration names. Raises PolicyError, and leaves with 64."""
    from guard.policy.known import known_licenses
    from guard.policy.locations import configuration
    from guard.usage.address import sqlite_url

    if ledger is None or config is not None:
        config = configuration(config)
    if config is None:
        if ledger is None:
            raise typer.BadParameter(
                "name a ledger (--ledger sqlite:///path.db) or a configuration (--config guard.yaml)"
            )
        return Source(ledger, spool or _beside(ledger), None, None, known_licenses(()))
    from guard.policy.load import load_config
    from guard.policy.snapshot import limits_by_license

    settings = load_config(config)
    packs = known_licenses([Path(name) for name in settings.policies])
    state = Path(settings.state_dir)
    synced = "?synchronous=full" * settings.usage.fsync
    url = ledger or settings.usage.ledger or sqlite_url(state / "ledger.db") + synced
    named = bool(ledger or settings.usage.ledger)
    return Source(url, spool or state / "spool", settings, limits_by_license(settings, packs), packs, named, config)


def _beside(url: str) -> Path | None:
    """Return the spool directory beside an embedded ledger's file; a server's ledger says nothing of spools."""
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return None  # said when it is opened
    return Path(unquote(parts.path)).parent / "spool" if parts.scheme == "sqlite" else None


@contextmanager
def opened(where: Source, *, read_only: bool = True, create: bool = False) -> "Iterator[Ledger]":
    """Give the ledger, open; for writing, one that is not there is made with ``create`` only.

    What makes it unusable goes to standard error, and the command ends with 78.
    """
    from guard.usage.address import LedgerAbsent, open_ledger
    from guard.usage.ledger import LedgerError, LedgerUnavailable
    from guard.usage.period import CalendarError
    from guard.usage.pseudonym import PseudonymKeyError
    from guard.usage.spool import SpoolError

    try:
        if not read_only and not create:
            _must_exist(where.url)
        store = open_ledger(where.url, read_only=read_only)
        try:
            yield store
        finally:
            store.close()
    except LedgerAbsent as error:
        hint = "" if read_only else "; --create makes one"
        print(f"{error}{where.missing()}{hint}", file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from error
    except (LedgerError, LedgerUnavailable, SpoolError, CalendarError, PseudonymKeyError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from error


def _must_exist(url: str) -> None:
    """Raise LedgerAbsent if there is no ledger at ``url``; anything else about it is said when it is opened."""
    from guard.usage.address import LedgerAbsent, open_ledger
    from guard.usage.ledger import LedgerError

    try:
        open_ledger(url, read_only=True).close()
    except LedgerAbsent:
        raise
    except LedgerError:  # of an older schema, say: opening it for writing brings that up to date
        return


def period_of(calendar: "Calendar", text: str) -> "Period":
    """Return the period with the id ``text``; leaves with 64 for what is none."""
    from guard.usage.period import CalendarError

    try:
        return calendar.parse(text)
    except CalendarError as error:
        raise typer.BadParameter(str(error), param_hint="--period") from error


def leftover_of(where: Source, ledger: "Ledger") -> "Leftover | None":
    """Return what the spool holds for ``ledger``; None where there is none to look at. Raises SpoolError."""
    from guard.usage.spool import inspect

    return inspect(where.spool, ledger.key_of) if where.spool is not None and where.spool.is_dir() else None
