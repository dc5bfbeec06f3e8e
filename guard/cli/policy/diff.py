"""``guard policy diff``: what a candidate policy would change."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from guard.policy.difference import Change, Replay
    from guard.policy.load import Loaded


def diff(
    candidate: Path = typer.Argument(
        metavar="CANDIDATE", help="The guard.yaml that would take the active one's place."
    ),
    config: Path | None = typer.Option(
        None, help="The active guard.yaml (default: GUARD_CONFIG, else ./guard.yaml); its state_dir has the decisions."
    ),
    since: str | None = typer.Option(None, metavar="DATE", help="Only decisions from this day on (YYYY-MM-DD, UTC)."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show what a candidate policy demands otherwise, and which recorded decisions it would have made otherwise.

    Ends with 1 if one of the two policies cannot be used.
    """
    from guard.policy.difference import demands, entries, replay
    from guard.policy.wording import wordings
    from guard.provenance.layout import Layout

    begin = _begin(since)
    active, proposed = both(config, candidate)
    directory = Layout(Path(active.config.state_dir)).audit
    changes, said = demands(active, proposed), wordings(active, proposed)
    try:
        replayed = replay(entries(directory), active.snapshot, proposed.snapshot, begin)
    except OSError as error:
        typer.echo(f"{error.filename}: cannot be read: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        listed = {"changes": [change._asdict() for change in changes], "settings": said}
        typer.echo(json.dumps({**listed, **facts(replayed)}, indent=2))
        return
    for line in (*change_lines(changes, said), "", *replay_lines(replayed, directory)):
        typer.echo(line)


def both(config: Path | None, candidate: Path) -> "tuple[Loaded, Loaded]":
    """Return the active policy and the candidate. Exits with 1 and every problem of both, 64 without an active one."""
    from guard.policy.candidate import load_candidate
    from guard.policy.document import PolicyError, Problem
    from guard.policy.load import Loaded, RuleCache, load
    from guard.policy.locations import configuration

    path = configuration(config)
    if path is None:
        raise typer.BadParameter("there is no guard.yaml here to compare with", param_hint="--config")
    rules = RuleCache()
    found: list[Loaded] = []
    problems: list[Problem] = []
    for source, read in ((path, load), (candidate, load_candidate)):
        try:
            found.append(read(source, rules=rules))
        except PolicyError as error:
            problems += error.problems
    if problems:
        typer.echo("\n".join(dict.fromkeys(map(str, problems))), err=True)
        raise typer.Exit(1)
    return found[0], found[1]


def change_lines(changes: "Sequence[Change]", said: Sequence[str]) -> Iterator[str]:
    """Yield what is demanded otherwise, the looser first, and what else is ``said`` otherwise in the configuration."""
    if not changes and not said:
        yield "The two policies say the same."
        return
    for title, looser in (("Looser (a reload wants each line under confirm:)", True), ("Otherwise", False)):
        lines = [change.line for change in changes if change.looser is looser]
        if lines:
            yield title
            yield from (f"  {line}" for line in lines)
    listed = {change.line for change in changes}
    rest = [line for line in said if line not in listed]
    if rest:
        yield "Settings and rules"
        yield from (f"  {line}" for line in rest)


def replay_lines(replayed: "Replay", directory: Path) -> Iterator[str]:
    """Yield which recorded decisions turn out otherwise."""
    from guard.policy.difference import SAMPLES

    if not replayed.decisions:
        yield f"No decision is recorded in {directory}."
    else:
        told = replayed.unchanged + sum(map(len, replayed.changed.values()))
        yield (
            f"{replayed.decisions} recorded decisions from {_day(replayed.first)} to {_day(replayed.last)}: "
            f"{told - replayed.unchanged} otherwise, {replayed.unchanged} the same, "
            f"{sum(replayed.untold.values())} cannot be told"
        )
    for turn, references in sorted(replayed.changed.items(), key=lambda item: -len(item[1])):
        cited = " ".join(part for part in (turn.license, turn.clause) if part)
        why = f"{turn.reason}{f' ({cited})' if cited else ''}"
        yield f"  {len(references):6}  {turn.before} -> {turn.after}, {why}: {', '.join(references[:SAMPLES])}"
    for why, number in sorted(replayed.untold.items(), key=lambda item: -item[1]):
        yield f"  {number:6}  cannot be told: {why}"
    if replayed.incomplete:
        yield "Plain allows were not recorded all the time (evidence.decisions: notable): what they would turn into is"
        yield "not in these numbers. evidence.decisions: all records them from now on."


def facts(replayed: "Replay") -> dict[str, Any]:
    """Return the recorded decisions as JSON."""
    return {
        "decisions": replayed.decisions,
        "unchanged": replayed.unchanged,
        "changed": [{**turn._asdict(), "references": names} for turn, names in replayed.changed.items()],
        "untold": replayed.untold,
        "incomplete": replayed.incomplete,
        "first": replayed.first,
        "last": replayed.last,
    }


def _begin(since: str | None) -> float:
    try:
        day = date.fromisoformat(since) if since is not None else None
    except ValueError:
        raise typer.BadParameter(f"'{since}'; allowed: a day such as 2026-06-01", param_hint="--since") from None
    return 0.0 if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _day(moment: float | None) -> str:
    return "-" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"
