"""``guard usage report``: everything that is known of one month's users, for whoever answers for the licenses."""

import json
import sys
import time
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from guard.cli.usage.document import figure_document, period_document, tested_document
from guard.cli.usage.grounds import Grounds, grounds, stated_days
from guard.cli.usage.growth import days_in
from guard.cli.usage.output import EX_CANTCREAT, whole_file
from guard.cli.usage.page import page
from guard.cli.usage.source import CONFIG, LEDGER, SPOOL, Source, leftover_of, opened, period_of, source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guard.policy.attestations import Attested
    from guard.usage.coverage import Extent
    from guard.usage.figure import Figure
    from guard.usage.ledger import Ledger
    from guard.usage.period import Calendar, Period
    from guard.usage.spool import Leftover

EX_DATA = 65


class NotCounted(Exception):
    """A month that nobody was counted in, as far as the ledger can tell; the text says why."""


def report(
    period: str | None = typer.Option(None, help="The month (2026-11). Default: the newest in the ledger."),
    at: str | None = typer.Option(
        None,
        metavar="DAY",
        help="The day on which attestations are to be in force, none to come. Default: the last of the month, or "
        "while it is not over the newest with a sighting; or the day that the latest of them was stated.",
    ),
    out: Path | None = typer.Option(None, help="Write the report to this file."),
    ledger: str | None = LEDGER,
    config: Path | None = CONFIG,
    spool: Path | None = SPOOL,
    as_json: bool = typer.Option(False, "--json", help="JSON instead of text."),
) -> None:
    """Report a month's users by license: what was counted and how surely, limits, attestations, and what is not in it.

    The same ledger, spool and configuration give the same report byte for byte, whenever it is made, and its digest
    with it: in text that of the lines above it, in JSON that of the rest (sorted names, no spaces, UTF-8).
    """
    where = source(ledger, config, spool)
    asked = _day(at)
    with opened(where) as store:
        calendar = where.calendar(store)
        now = time.time()
        month, today = _month(calendar, store, period), date.fromisoformat(calendar.day(now))
        if month.start > now:
            _refuse(f"{month.id} has not begun")
        if asked is not None and asked > today:
            raise typer.BadParameter(f"{asked} is a day to come; allowed: {today} or earlier", param_hint="--at")
        try:
            document = month_document(where, store, calendar, month, asked, today)
        except NotCounted as error:
            _refuse(str(error))
    text = _sealed_json(document) if as_json else _sealed("".join(f"{line}\n" for line in page(document)))
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        with whole_file(out) as file:
            file.write(text.encode())
    except OSError as error:
        print(f"{out}: {error.strerror or error}", file=sys.stderr)
        raise typer.Exit(EX_CANTCREAT) from error
    typer.echo(f"{out}: the report of {month.id}", err=True)


def _refuse(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    raise typer.Exit(EX_DATA)


def _sealed(text: str) -> str:
    text += "\n"
    return f"{text}sha256 of the lines above: {sha256(text.encode()).hexdigest()}\n"


def _sealed_json(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return json.dumps({**document, "sha256": sha256(canonical.encode()).hexdigest()}, indent=2) + "\n"


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}; allowed: YYYY-MM-DD such as 2026-11-30", param_hint="--at") from None


def _month(calendar: "Calendar", ledger: "Ledger", text: str | None) -> "Period":
    from guard.usage.period import Kind, kind_of

    if text is None:
        months = [period for period in ledger.periods() if kind_of(period) is Kind.MONTH]
        if not months:
            raise typer.BadParameter("the ledger has counted nobody yet; name a month", param_hint="--period")
        text = months[-1]
    month = period_of(calendar, text)
    if kind_of(month.id) is not Kind.MONTH:
        raise typer.BadParameter(f"{text}; allowed: a month such as 2026-11", param_hint="--period")
    return month


def month_document(
    where: Source, ledger: "Ledger", calendar: "Calendar", month: "Period", asked: date | None, today: date
) -> dict[str, Any]:
    """Return everything that is known of the users of ``month``, attestations as of the day ``asked``.

    Without one it is the day that ``--at`` defaults to, none after ``today``. Raises NotCounted, LedgerUnavailable and
    SpoolError.
    """
    import guard
    from guard.usage.coverage import coverage, extent
    from guard.usage.figure import figures, spooled

    leftover = leftover_of(where, ledger)
    waiting = spooled(leftover)
    covered = coverage(ledger, month.id, waiting)
    if not covered.counted:
        raise NotCounted(f"{month.id} was not counted: {covered.reason}")
    reach = extent(ledger, month.id, waiting)
    day = asked or _as_of(where, month, reach, today)
    rows = figures(ledger, calendar, month, leftover, where.limits)
    attested = grounds(where, [row.license for row in rows], day, by_clock=False)
    peaks = _peaks(where, ledger, calendar, month, leftover)
    return {
        "report": "usage",
        "guard": guard.__version__,
        **period_document(calendar, month),
        "over": reach.over,
        "sightings_until": reach.newest,
        "as_of": day.isoformat(),
        "limits_from": _files(where),
        "ledger": _store(where, ledger, month),
        "licenses": [_license(where, ledger, figure, peaks.get(figure.license, []), attested) for figure in rows],
        "not_in_the_number": list(_omissions(where, rows, leftover)),
    }


def _as_of(where: Source, month: "Period", reach: "Extent", today: date) -> date:
    """Return the day as of which attestations are looked at, if nobody named one: never a day to come."""
    last = date.fromisoformat(days_in(month.id)[-1] if reach.over or reach.newest is None else reach.newest)
    return min(max([last, *stated_days(where, today)]), today)


def _files(where: Source) -> list[dict[str, str]] | None:
    """Return what the limits follow from; None where there are none.

    The digest of a file is its SHA-256, that of a directory of packs what ``guard policy check`` prints of it.
    """
    if where.config is None or where.path is None:
        return None
    from guard.policy.load import digest_of
    from guard.policy.locations import shipped_licenses

    files = [where.path, shipped_licenses(), *map(Path, where.config.policies)]
    return [
        {"name": each.name, "digest": digest_of([each]) if each.is_dir() else sha256(each.read_bytes()).hexdigest()}
        for each in files
    ]


def _store(where: Source, ledger: "Ledger", month: "Period") -> dict[str, Any]:
    return {
        "store": where.url.partition(":")[0],
        "exact": ledger.exact,
        "error_bounds": None if ledger.exact else "three standard errors; the bounds of each count are stated with it",
        "survives_power_loss": ledger.survives_power_loss,
        "forgetful": ledger.forgetful,
        "key": ledger.key_of(month.id),
    }


def _license(
    where: Source, ledger: "Ledger", figure: "Figure", peaks: "Sequence[Figure]", attested: Grounds
) -> dict[str, Any]:
    from guard.usage.declaration import Part
    from guard.usage.outlook.ahead import came

    known = where.packs.get(figure.license)
    plain = figure_document(figure, where.reading(figure.license), attested)
    grown = ledger.growth(figure.license, figure.period)
    stated, merged = [], []
    for declaration, each in zip(figure.declarations, plain.pop("declared"), strict=True):
        if declaration.part is Part.GATEWAY:
            merged.append({name: each[name] for name in ("source", "unidentified_requests", "stated")})
        else:
            stated.append({name: each[name] for name in each if name not in {"license", "period"}})
    limits = None if figure.tests is None else [
        {**tested_document(each, attested), "reasons": list(each.reasons)} for each in figure.tests
    ]  # fmt: skip
    return {
        "license": figure.license,
        "name": known.name if known else None,
        **plain,
        "limits": limits,
        "attestations": [_ground(each) for each in attested.values() if each.license.id == figure.license],
        "declared": stated,
        "merged": merged,
        "growth": [each._asdict() for each in grown],
        "undated_users": max(0, figure.users - came(grown)),
        "peaks": [
            {"period": each.period, "users": each.users, "lower": each.lower, "upper": each.upper,
             "reasons": list(each.reasons),
             "limits": None if each.tests is None else [tested_document(one, {}) for one in each.tests]}
            for each in peaks
        ],
    }  # fmt: skip


def _ground(each: "Attested") -> dict[str, Any]:
    """What is attested of a threshold that looks at one past month."""
    return {
        "limit": each.threshold.id,
        "clause": each.threshold.clause,
        "reference_month": each.threshold.reference_month,
        "ground": each.ground.value,
        "statement": each.words,
        "lacks": each.lacks,
    }


def _peaks(
    where: Source, ledger: "Ledger", calendar: "Calendar", month: "Period", leftover: "Leftover | None"
) -> "dict[str, list[Figure]]":
    """Return, by license, the day and the rolling windows of the month that had most users."""
    from guard.usage.figure import figures
    from guard.usage.period import kind_of, month_of

    within = [each for each in ledger.periods() if month_of(each) == month.id]
    found: dict[str, list[Figure]] = {}
    for kind in calendar.kinds[1:]:
        highest: dict[str, Figure] = {}
        for each in within:
            if kind_of(each) is kind:
                for figure in figures(ledger, calendar, calendar.parse(each), leftover, where.limits):
                    if _most(figure) > (_most(highest[figure.license]) if figure.license in highest else 0):
                        highest[figure.license] = figure
        for name, figure in highest.items():
            found.setdefault(name, []).append(figure)
    return found


def _most(figure: "Figure") -> int:
    return max(figure.measured.upper, figure.lower)


def _omissions(where: Source, rows: "Sequence[Figure]", leftover: "Leftover | None") -> "Iterator[str]":
    from guard.usage.scope import requests

    unnamed = sum(each.measured.unidentified + sum(one.unidentified for one in each.declarations) for each in rows)
    if unnamed:
        yield f"Who sent the {requests(unnamed)} that named no user."
    if leftover is None:
        yield "Users on their way from a gateway's spool to the ledger: no spool was looked at."
    elif leftover.damaged:
        yield f"Users in damaged records of the spool: {leftover.damaged:,} of them."
    yield "Users of gateways and products that neither write to this ledger nor are merged into it or declared."
    yield "Users whose requests were all refused or failed: without an answer nobody is active."
    packs = where.packs
    for name, limits in (where.limits or {}).items():
        for threshold in packs[name].thresholds:
            if threshold.counts_users and threshold.id not in {limit.id for limit in limits}:
                yield (
                    f"Users a day, which {name} limits to {threshold.allowed:,} (clause {threshold.clause}): days are "
                    "not counted (usage.windows: [day])."
                )
