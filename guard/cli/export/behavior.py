"""``guard export behavior``: who is on the ladder and why, and what an operator decides about it."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from guard.behavior.cohort import Cohort
    from guard.behavior.ladder import Step
    from guard.behavior.profile import Profile
    from guard.behavior.store import Store
    from guard.policy.config import Config

EX_NONE, EX_UNAVAILABLE = 1, 69
CHAIN = "export"
"""The audit chain that this command writes, beside those of the gateways."""
ROUNDS = 20
_ANEW = "this Guard cannot read it, and begins it anew with the identity's next request"

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def behavior() -> None:
    """Show who is on the ladder, and clear or hold an identity."""


@app.command("list")
def list_(
    config: Path | None = typer.Option(None, help="guard.yaml, which names the ledger or the state directory."),
    json_: bool = typer.Option(False, "--json", help="One JSON object a line."),
) -> None:
    """List the identities on the ladder with their figures and reasons; they are called as in the audit chain."""
    from guard.behavior.cohort import Cohort
    from guard.behavior.store import COHORT, StoreUnavailable

    store = _store(_settings(config), read_only=True)
    try:
        standing = store.standing()
        names = sorted(standing)
        rows = store.read([*names, COHORT])
    except StoreUnavailable as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_UNAVAILABLE) from error
    finally:
        store.close()
    try:
        cohort = Cohort.unpack(rows[COHORT].data) if COHORT in rows else Cohort()
    except ValueError:  # of another version, which a gateway replaces: nothing is known to be usual
        cohort = Cohort()
    for name in names:
        if name in rows:
            facts = _facts(name, rows[name].data, standing[name], cohort)
            print(json.dumps(facts) if json_ else _line(facts))
    if not names and not json_:
        print("nobody is on the ladder")


@app.command()
def clear(
    user: str = typer.Argument(help="The identity: 16 hex digits, as `list` and the audit chain have them."),
    config: Path | None = typer.Option(None, help="guard.yaml, which names the ledger or the state directory."),
) -> None:
    """Forget what is known of an identity, held or not: it begins anew. Gateways know within 15 seconds."""
    from guard.behavior.profile import Profile

    _decide(user, config, "clear", Profile())


@app.command()
def hold(
    user: str = typer.Argument(help="The identity: 16 hex digits, as `list` and the audit chain have them."),
    step: str = typer.Option(help="metric, alert, clamp, require_purpose or suspend."),
    config: Path | None = typer.Option(None, help="guard.yaml, which names the ledger or the state directory."),
) -> None:
    """Put an identity on a step and keep it there, whatever it does, until it is cleared; `metric` exempts it."""
    from guard.behavior.ladder import Standing, Step
    from guard.behavior.profile import Profile

    try:
        held = Step.parse(step)
    except KeyError:
        allowed = ", ".join(each.word for each in Step)
        raise typer.BadParameter(f"'{step}'; allowed: {allowed}", param_hint="--step") from None
    profile = Profile()
    profile.standing = Standing(held, held=True, since=time.time())
    _decide(user, config, "hold", profile)


def _decide(user: str, config: Path | None, deed: str, wanted: "Profile") -> None:
    """Put the decision on record, then write it over what gateways write meanwhile."""
    from guard.behavior.store import StoreUnavailable, identity_of, name_of
    from guard.cli.usage.trail import Deed, put_on_record

    try:
        name = name_of(identity_of(user.lower()))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="USER") from None
    settings = _settings(config)
    facts = {"user": name, "deed": deed, "step": wanted.standing.step.word}
    put_on_record(settings, [Deed("behavior", facts)], CHAIN)
    store = _store(settings)
    try:
        written = _written(store, name, wanted)
    except StoreUnavailable as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_UNAVAILABLE) from error
    finally:
        store.close()
    if written is None:
        print(f"{name}: nothing is known of it; allowed: one that `guard export behavior list` shows", file=sys.stderr)
        raise typer.Exit(EX_NONE)
    print(f"{name}: {written}")


def _written(store: "Store", name: str, wanted: "Profile") -> str | None:
    """Return what was done; None if there was nothing to clear. Raises StoreUnavailable."""
    from guard.behavior.profile import Profile, version
    from guard.behavior.store import Change, StoreUnavailable

    for _ in range(ROUNDS):
        row = store.read([name]).get(name)
        if row is None and not wanted.standing.held:
            return None
        profile = wanted
        if row is not None and wanted.standing.held:
            try:
                profile = Profile.unpack(row.data)
            except ValueError:
                print(f"{name}: profile of version {version(row.data)}; it begins anew, held", file=sys.stderr)
            profile.standing = wanted.standing
        seen = profile.last or time.time()
        change = Change(name, row.revision if row is not None else 0, profile.pack(), profile.standing.step, seen)
        if not store.write([change]):
            return f"held at {profile.standing.step.word}" if wanted.standing.held else "cleared"
    raise StoreUnavailable("behavior: gateways write it again and again; try once more")


def _settings(config: Path | None) -> "Config":
    from guard.policy.load import load_config
    from guard.policy.locations import configuration

    return load_config(configuration(config))


def _store(settings: "Config", *, read_only: bool = False) -> "Store":
    from guard.behavior.address import open_store

    return open_store(settings.usage.ledger, Path(settings.state_dir).absolute(), read_only=read_only)


def _facts(name: str, data: bytes, step: "Step", cohort: "Cohort") -> dict[str, Any]:
    """Return what there is to say of an identity; of a profile of another version no more than its step."""
    from guard.behavior.profile import Profile, version

    try:
        profile, now = Profile.unpack(data), time.time()
    except ValueError:
        return {"user": name, "step": step.word, "unreadable": f"profile of version {version(data)}"}
    figures = profile.figures(cohort, now)
    return {
        "user": name,
        "step": profile.standing.step.word,
        "held": profile.standing.held,
        "since": int(profile.standing.since),
        "risk": round(figures.risk, 3),
        "reasons": [reason.value for reason in profile.why(figures)],
        "figures": {field: round(value, 3) for field, value in figures._asdict().items()},
    }


def _line(facts: dict[str, Any]) -> str:
    if "unreadable" in facts:
        return f"{facts['user']}  {facts['step']}: {facts['unreadable']}; {_ANEW}"
    since = time.strftime("%Y-%m-%d %H:%M", time.gmtime(facts["since"]))
    held = " (held)" if facts["held"] else ""
    figures = facts["figures"]
    return (
        f"{facts['user']}  {facts['step']}{held} since {since} UTC, risk {facts['risk']:.2f}: "
        f"{', '.join(facts['reasons']) or 'no reason that weighs'}\n"
        f"    {figures['requests']} requests, {figures['tokens_day']:.0f} tokens a day, "
        f"evidence {figures['evidence']:.1f}, "
        f"template {figures['template']:.2f}, distinct {figures['distinct']:.2f}, coverage {figures['coverage']:.2f}"
    )
