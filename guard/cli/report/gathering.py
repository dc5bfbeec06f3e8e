"""Everything a report is made of, gathered from ledger, journals, configuration and index."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import typer

from guard.cli.report.attestations import attestation_rows
from guard.cli.report.index import index_rows
from guard.cli.report.licenses import license_rows, unseen_items
from guard.cli.report.obligations import obligation_rows
from guard.cli.usage.grounds import grounds
from guard.cli.usage.progress import progress
from guard.cli.usage.report import NotCounted, month_document
from guard.cli.usage.source import Source, opened

if TYPE_CHECKING:
    from guard.evidence.report.month import Month
    from guard.evidence.report.reading import Evidence, Named
    from guard.exchange.snapshot import Snapshot
    from guard.licensing.license import License
    from guard.policy.config import Config
    from guard.usage.ledger import Ledger
    from guard.usage.period import Calendar, Period

EX_DATA, EX_CONFIG = 65, 78


class State(NamedTuple):
    """A gateway's state directory, and where closed files of its journals were moved to."""

    name: str
    """What the gateway is called; empty where there is one."""
    directory: Path
    archives: tuple[Path, ...] = ()


States = Sequence[State]


def gathered(where: Source, states: States, month_id: str, asked: date | None, now: float) -> dict[str, Any]:
    """Return the document of a month, without its digest; ``asked`` is the day as of which statements are looked at.

    ``now`` (epoch seconds) only tells days and months to come. Leaves with 65 for journals that cannot be read, 78 for
    a ledger or an index that cannot; raises PolicyError for a configuration.
    """
    import guard
    from guard.evidence.report.document import document
    from guard.evidence.report.extent import extent_of
    from guard.evidence.report.known import Known
    from guard.policy.load import load

    config, path = where.config, where.path
    if config is None or path is None:
        raise typer.BadParameter("no guard.yaml here; name one with --config", param_hint="--config")
    usage, uncounted, month, today = _counted(where, states, month_id, asked, now)
    evidence = _evidence(states, month)
    covered = extent_of(evidence, over=bool(usage and usage["over"])).covered
    day = asked or date.fromisoformat(usage["as_of"] if usage is not None else _as_of(evidence, today))
    loaded = load(path, today=day)
    snapshot = loaded.snapshot
    served = _served(snapshot)
    licenses = {each.id: each for stack in served.values() for each in stack}
    attested = grounds(where, sorted(licenses), day, by_clock=False)
    attestations = attestation_rows(attested, config)
    return document(
        evidence,
        Known(
            guard=guard.__version__,
            as_of=day.isoformat(),
            operator={
                "name": config.operator.name,
                "domicile": config.operator.domicile,
                "source": {"configuration": path.name},
            },
            configuration={
                "name": path.name,
                "sha256": sha256(path.read_bytes()).hexdigest(),
                "policy": snapshot.hash,
                "mode": snapshot.mode.value,
            },
            packs=_packs(config),
            licenses=license_rows(served, config, attested),
            obligations=obligation_rows(
                snapshot, config, licenses, _states_of(usage, covered=covered), attestations, day
            ),
            attestations=attestations,
            unseen=unseen_items(licenses.values()),
            usage=usage,
            uncounted=uncounted,
            index=_index(states, month_id),
            unread=sorted(
                kind.value for kind, action in snapshot.surface.unscannable.items() if action.value == "allow"
            ),
        ),
    )


def _counted(
    where: Source, states: States, month_id: str, asked: date | None, now: float
) -> "tuple[dict[str, Any] | None, str, Month, date]":
    """Return what is known of the month's users, or why nothing is, with the month in the ledger's zone and today."""
    from guard.evidence.report.month import Month

    with _ledger(where, states) as ledger:
        calendar = where.calendar(ledger)
        period, today = _period(calendar, month_id), date.fromisoformat(calendar.day(now))
        if period.start > now:
            _leave(EX_DATA, f"{month_id} has not begun")
        if asked is not None and asked > today:
            raise typer.BadParameter(f"{asked} is a day to come; allowed: {today} or earlier", param_hint="--at")
        month = Month(period.id, calendar.zone, period.start, period.end)
        if ledger is None:
            return None, "there is no ledger", month, today
        try:
            return month_document(where, ledger, calendar, period, asked, today), "", month, today
        except NotCounted as error:
            return None, str(error), month, today


def _ledger(where: Source, states: States) -> "AbstractContextManager[Ledger | None]":
    """Return the ledger, to be opened; nothing where it is not there and journals are: they say the rest."""
    from guard.usage.address import LedgerAbsent, open_ledger
    from guard.usage.ledger import LedgerError, LedgerUnavailable

    try:
        open_ledger(where.url, read_only=True).close()
    except LedgerAbsent:
        if any(_chains(state) for state in states):
            return nullcontext()
    except (LedgerError, LedgerUnavailable):
        pass  # said when it is opened
    return opened(where)


def _period(calendar: "Calendar", month: str) -> "Period":
    from guard.usage.period import CalendarError

    try:
        return calendar.parse(month)
    except CalendarError as error:
        raise typer.BadParameter(str(error), param_hint="--month") from error


def _evidence(states: States, month: "Month") -> "Evidence":
    from guard.evidence.report.reading import read

    chains = [named for state in states for named in _chains(state)]
    try:
        total = sum(path.stat().st_size for named in chains for path in named.chain.files)
        with progress("reading journals", total, unit="bytes") as told:
            return read(chains, month, _in_steps(told))
    except OSError as error:
        _leave(EX_DATA, f"{error.filename or 'a journal'}: {error.strerror or error}")


def _chains(state: State) -> "list[Named]":
    from guard.evidence.journals import journals
    from guard.evidence.report.reading import Named
    from guard.evidence.signing import PUBLIC, SigningError, Verifier
    from guard.provenance.layout import Layout

    layout = Layout(state.directory)
    listed = layout.signing / PUBLIC
    try:
        keys = Verifier.of_list(listed) if listed.exists() else None
    except SigningError as error:
        _leave(EX_CONFIG, str(error))
    prefix = f"{state.name}/" if state.name else ""
    return [Named(f"{prefix}{chain.name}", chain, keys) for chain in journals(layout.audit, *state.archives)]


def _in_steps(told: Callable[[int], None], step: int = 1 << 20) -> Callable[[int], None]:
    """Return a function that passes on bytes by the megabyte: a bar need not know of every line."""
    waiting = 0

    def take(read: int) -> None:
        nonlocal waiting
        waiting += read
        if waiting >= step:
            told(waiting)
            waiting = 0

    return take


def _as_of(evidence: "Evidence", today: date) -> str:
    """Return the day as of which statements are looked at where the ledger says nothing: the last one on record."""
    month = evidence.month
    last = month.end - 1 if evidence.later or not evidence.until else evidence.until
    return min(month.moment(last)[:10], today.isoformat())


def _served(snapshot: "Snapshot") -> "dict[str, Sequence[License]]":
    models: dict[str, Sequence[License]] = {name: model.licenses for name, model in snapshot.models.items()}
    if snapshot.default_model is not None:
        models.setdefault(snapshot.default_model.name, snapshot.default_model.licenses)
    return models


def _states_of(usage: dict[str, Any] | None, *, covered: bool) -> dict[tuple[str, str], str]:
    """Return the state of every standing limit, by license and limit."""
    from guard.evidence.report.verdicts import COUNTED, bounded

    return {
        (row["license"], limit["id"]): (
            COUNTED if limit["state"] == "ok" and not bounded(limit, covered=covered) else limit["state"]
        )
        for row in (usage["licenses"] if usage is not None else ())
        for limit in row["limits"] or ()
        if limit["state"] is not None
    }


def _packs(config: "Config") -> list[dict[str, Any]]:
    from guard.policy.load import digest_of
    from guard.policy.locations import shipped_licenses

    return [
        {"name": each.name, "digest": digest_of([each])} for each in (shipped_licenses(), *map(Path, config.policies))
    ]


def _index(states: States, month_id: str) -> list[dict[str, Any]]:
    from guard.provenance.layout import Layout

    try:
        directories = [Layout(state.directory).provenance / month_id for state in states]
        size = sum(path.stat().st_size for each in directories for path in each.glob("*.segment"))
        with progress("reading the index", size, unit="bytes") as told:
            return index_rows([(state.name, state.directory) for state in states], month_id, told)
    except (OSError, ValueError) as error:
        _leave(EX_CONFIG, f"the index: {getattr(error, 'strerror', None) or error}")


def _leave(code: int, why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(code)
