"""``guard policy``: the licenses Guard knows, what they say, and whether a policy file is sound."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from guard.licensing.license import License, Threshold
    from guard.policy.document import Problem

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="List, show and check policies."
)
WIDTH = 100


@app.command("list")
def list_packs(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the licenses that ship with Guard: status, thresholds, rule on outputs."""
    from guard.policy.packs import shipped_packs

    packs = shipped_packs()
    if as_json:
        typer.echo(json.dumps([_summary(license_) for license_ in packs.values()], indent=2))
        return
    rows = [("LICENSE", "STATUS", "THRESHOLD", "TRAINING ON OUTPUTS", "NAME")]
    for license_ in packs.values():
        limits = ", ".join(_threshold(threshold) for threshold in license_.thresholds) or "-"
        rule = license_.output_use.rule.value.replace("_", " ")
        rows.append((license_.id, license_.status.value, limits, rule, license_.name))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        typer.echo("  ".join([*cells, row[4]]).rstrip())


@app.command()
def show(
    license_id: str = typer.Argument(metavar="ID", help="License id, as `guard policy list` prints it."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show what a license says, fact by fact, with its clauses."""
    from guard.policy.document import nearest
    from guard.policy.packs import shipped_packs

    packs = shipped_packs()
    license_ = packs.get(license_id)
    if license_ is None:
        near = nearest(license_id, packs)
        hint = f"; did you mean '{near}'?" if near else f"; allowed: {', '.join(packs)}"
        raise typer.BadParameter(f"unknown license '{license_id}'{hint}", param_hint="ID")
    if as_json:
        typer.echo(json.dumps(_facts(license_), indent=2))
        return
    for line in _describe(license_):
        typer.echo(line)


@app.command()
def check(
    given: Path | None = typer.Argument(
        None,
        metavar="[PATH]",
        help="A configuration, a license pack, a rule file, or a directory of packs or rules. "
        "Default: $GUARD_CONFIG, or else ./guard.yaml.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Check a policy: every problem with its line, or the policy's hash. Exits 1 if there is a problem."""
    from guard.policy.document import PolicyError
    from guard.policy.locations import configuration

    path = configuration(given) or Path("guard.yaml")
    try:
        what, digest, warnings = _check(path)
    except PolicyError as error:
        _report(error.problems, as_json)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps({"ok": True, "kind": what, "hash": digest, "warnings": warnings, "problems": []}))
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{path}: {what} ok, {digest}")


def _check(path: Path) -> tuple[str, str, list[str]]:
    from guard.policy import document
    from guard.policy.load import digest_of, load
    from guard.policy.locations import shipped_licenses, shipped_rules, yaml_files
    from guard.policy.packs import load_packs
    from guard.policy.rules import load_rules

    files = yaml_files(path) if path.is_dir() else [path]
    if not files:
        raise document.PolicyError(
            [document.Problem(str(path), 0, "", "no YAML files", "a directory of packs or rules")]
        )
    found = document.scan(document.read_text(files[0]), str(files[0])).data
    names = set(found) if isinstance(found, dict) else set()
    if {"id", "family"} & names:
        directory = path if path.is_dir() else path.parent
        own = [] if directory.resolve() == shipped_licenses().resolve() else [shipped_licenses()]
        packs = load_packs([*own, directory])
        from guard.policy.check import unconfirmed

        checked = [packs[file.stem] for file in files]
        warnings = [f"license {item.id}: {fact} is unconfirmed" for item in checked for fact in unconfirmed(item)]
        return "license pack" + ("s" if path.is_dir() else ""), digest_of([path]), warnings
    if path.is_dir() or {"rules", "lists", "category"} & names:
        own_rules = path if path.is_dir() else path.parent
        shipped = own_rules.resolve() == shipped_rules().resolve()
        _, notes = load_rules([shipped_rules()] if shipped else [shipped_rules(), path])
        return "rules", digest_of([path]), list(notes)
    snapshot = load(path).snapshot
    return "configuration", snapshot.hash, list(snapshot.warnings)


def _report(problems: "tuple[Problem, ...]", as_json: bool) -> None:
    if not as_json:
        for problem in problems:
            typer.echo(str(problem), err=True)
        return
    entries = [
        {
            "file": problem.file,
            "line": problem.line,
            "path": problem.path,
            "found": problem.found,
            "allowed": problem.allowed,
            "nearest": problem.nearest,
        }
        for problem in problems
    ]
    typer.echo(json.dumps({"ok": False, "problems": entries}))


def _threshold(threshold: "Threshold") -> str:
    units = {"monthly_active_users": "MAU", "daily_active_users": "DAU"}
    sign = "<" if threshold.comparator == "must_be_less_than" else ">"
    value = "?" if threshold.value is None else f"{threshold.value:,}"
    metric = units.get(threshold.metric, threshold.metric.replace("_", " "))
    return f"{metric} {sign} {value} ({threshold.window.value.replace('_', ' ')})"


def _summary(license_: "License") -> dict[str, Any]:
    return {
        "id": license_.id,
        "name": license_.name,
        "date": license_.date,
        "status": license_.status.value,
        "family": license_.family,
        "version": license_.version,
        "thresholds": [_threshold(threshold) for threshold in license_.thresholds],
        "output_rule": license_.output_use.rule.value,
        "models": list(license_.models),
    }


def _facts(license_: "License") -> dict[str, Any]:
    from dataclasses import asdict

    from guard.screening.findings import Action

    def plain(value: Any) -> Any:
        if isinstance(value, Action):
            return value.name.lower()
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value

    facts: dict[str, Any] = plain(asdict(license_))
    return facts


def _describe(license_: "License") -> Iterator[str]:
    yield f"{license_.name} ({license_.id})"
    yield f"dated {license_.date}; {_established(license_.status.value)}; not legal advice, read the license text"
    for source in license_.sources:
        yield from _wrapped(f"source: {source}")
    if license_.models:
        yield from _wrapped(f"models: {', '.join(license_.models)}")
    for derivation in license_.derived:
        stack = " + ".join(derivation.licenses)
        yield from _wrapped(f"models under {stack}: {', '.join(derivation.models)} ({derivation.reason})")
    yield from _heading("Use")
    yield from _fact(f"commercial use: {license_.commercial}", license_.commercial_text, license_.commercial_clause)
    hosting = license_.hosting.replace("_", " ")
    yield from _fact(f"hosting: {hosting}", license_.hosting_text, license_.hosting_clause)
    if license_.territory is not None:
        territory = license_.territory
        places = f" ({', '.join(territory.excluded)} excluded)" if territory.excluded else ""
        kind = territory.kind.replace("_", " ")
        yield from _fact(f"territory, {kind}{places}", territory.applies_to, territory.clause, territory.status.value)
    yield from _heading("Thresholds")
    for threshold in license_.thresholds:
        month = f", {threshold.reference_month}" if threshold.reference_month else ""
        text = f"{threshold.scope}; {threshold.counted_entities}. Beyond it: {threshold.consequence_text}"
        if threshold.exempt:
            text += f". Exempt: {threshold.exempt}"
        yield from _fact(_threshold(threshold) + month, text, threshold.clause, threshold.status.value)
    if not license_.thresholds:
        yield "  none"
    yield from _heading("Outputs")
    use = license_.output_use
    parts = [use.detail, use.scope and f"covers {use.scope}", use.exception and f"except {use.exception}"]
    yield from _fact(
        use.rule.value.replace("_", " "), "; ".join(part for part in parts if part), use.clause, use.status.value
    )
    yield from _heading("Owed")
    for duty in license_.duties:
        text = f"{duty.text} (for {', '.join(duty.owed_for)}; when: {duty.trigger})"
        yield from _fact(duty.kind.replace("_", " "), text, duty.clause, duty.status.value)
    yield from _policy(license_)
    if license_.notes:
        yield from _heading("Notes")
        for note in license_.notes:
            yield from _wrapped(note, "  ")


def _policy(license_: "License") -> Iterator[str]:
    yield from _heading("Acceptable use policy")
    if not license_.aup_text:
        yield "  none"
        return
    yield from _fact("", license_.aup_text, "", license_.aup_status.value)
    for item in license_.aup:
        if item.categories:
            actions: dict[str, list[str]] = {}
            for category in item.categories:
                actions.setdefault(item.action_for(category).name.lower(), []).append(category)
            done = ", ".join(f"{action} {' '.join(categories)}" for action, categories in actions.items())
            how = f"{done}; coverage {item.coverage}"
        else:
            how = f"not visible in text. Instead: {item.duty}"
        yield from _fact(item.id.replace("_", " "), f"{item.paraphrase} [{how}]", item.clause)


def _established(status: str) -> str:
    return {
        "confirmed": "read in the licensor's own file",
        "copy": "read in a faithful copy",
        "excerpt": "only part of the text was read",
        "unconfirmed": "UNCONFIRMED, not seen in a license text",
    }[status]


def _fact(name: str, text: str, clause: str, status: str = "") -> Iterator[str]:
    tail = f" [{clause}]" if clause else ""
    if status and status != "confirmed":
        tail += f" ({_established(status)})"
    yield from _wrapped(": ".join(part for part in (name, text) if part) + tail, "  ")


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield text


def _wrapped(text: str, indent: str = "") -> Iterator[str]:
    from textwrap import wrap

    yield from wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False)
