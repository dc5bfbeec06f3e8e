"""``guard policy explain``: why a hypothetical or a real request is decided as it is."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from guard.cli.policy.explanation import as_facts, as_lines, recorded_facts, recorded_lines
from guard.cli.policy.unknown import known_license

if TYPE_CHECKING:
    from guard.policy.load import Loaded
    from guard.policy.rehearsal.explanation import Explanation
    from guard.policy.rehearsal.hypothetical import Request

EX_DATA = 65


def explain(
    config: Path | None = typer.Option(None, help="guard.yaml. Default: $GUARD_CONFIG, or else ./guard.yaml."),
    licenses: list[str] | None = typer.Option(
        None,
        "--license",
        metavar="ID",
        help="Try a license alone instead, or, given several times, a stack of them; of the configuration only its "
        "packs count then.",
    ),
    model: str | None = typer.Option(None, help="Served name of the model."),
    purpose: str | None = typer.Option(None, help="serve, evaluate, train:TARGET or synthetic-data:TARGET."),
    user: str = typer.Option("u1", help="The user; an empty name is nobody's."),
    tenant: str | None = typer.Option(None, help="The request is this tenant's, or carries the key of that name."),
    known: bool = typer.Option(False, "--known/--newcomer", help="The user is counted in the period already, or not."),
    users: int = typer.Option(0, min=0, help="Other users counted in the period so far."),
    at: str | None = typer.Option(None, metavar="DATE", help="When (2026-06-01, 2026-06-01T12:00:00Z). Default: now."),
    country: str | None = typer.Option(None, help="Country the request comes from (ISO 3166)."),
    path: str = typer.Option("/v1/chat/completions", help="Path of the request."),
    text: str | None = typer.Option(None, help="What the user says."),
    body: str | None = typer.Option(None, metavar="FILE", help="The whole JSON body instead; - is standard input."),
    answer: str | None = typer.Option(None, help="What the model says, to be screened too."),
    at_limit: str | None = typer.Option(None, help="observe, refuse_newcomers or refuse_all."),
    reference: str | None = typer.Option(None, metavar="REF", help="Explain a real request, from the audit chain."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Explain a decision: each step, the rule, license and clause it rests on, and what would change the outcome.

    The request is hypothetical: nothing is sent, counted or recorded. With --reference it is a real one.
    """
    if reference is not None:
        _recorded(config, reference, as_json)
        return
    from guard.policy.rehearsal.hypothetical import PROMPT, Caller, Request

    if text is not None and body is not None:
        raise typer.BadParameter("allowed: --text or --body", param_hint="--body")
    caller = Caller(user or None, tenant=tenant, purpose=_purpose(purpose), country=_country(country))
    request = Request(
        at=_moment(at),
        path=path,
        model=model,
        text=PROMPT if text is None else text,
        body=None if body is None else _body(body),
        caller=caller,
        users=users,
        known=known,
        answer=answer,
    )
    settings: dict[str, object] = {} if at_limit is None else {"usage.at_limit": _at_limit(at_limit)}
    found = _explained(config, licenses or [], request, settings)
    if as_json:
        typer.echo(json.dumps(as_facts(found), indent=2))
        return
    for line in as_lines(found):
        typer.echo(line)


def _explained(
    config: Path | None, licenses: list[str], request: "Request", settings: dict[str, object]
) -> "Explanation":
    from datetime import UTC, datetime

    from guard.policy.load import load
    from guard.policy.locations import configuration
    from guard.policy.rehearsal.cases import SERVED, RunRules
    from guard.policy.rehearsal.explanation import explain as explained
    from guard.policy.rehearsal.hypothetical import settings_for
    from guard.policy.rehearsal.rehearse import rehearse

    source = None
    if licenses:
        if request.caller.tenant is not None:
            raise typer.BadParameter(
                "a license alone has no tenants and no keys; allowed: --config with --model", param_hint="--tenant"
            )
        own = _known(licenses, configuration(config))
        request = replace(request, model=request.model or SERVED)
        settings = {**settings_for(licenses, request.model or "", request.caller), **own, **settings}
    else:
        source = _configuration(config)
    day, rules = datetime.fromtimestamp(request.at, UTC).date(), RunRules()

    def loaded(over: Mapping[str, object]) -> "Loaded":
        return load(source, {**settings, **over}, today=day, environment=os.environ, rules=rules)

    active = loaded({})
    if request.caller.tenant is not None:
        _known_tenant(request.caller.tenant, active)
    rehearsal = rehearse(active.snapshot, request)
    return explained(rehearsal, active.snapshot, active.config, lambda over: loaded(over).snapshot)


def _recorded(config: Path | None, reference: str, as_json: bool) -> None:
    from guard.policy.known import known_licenses
    from guard.policy.load import load_config
    from guard.policy.rehearsal.recorded import find
    from guard.provenance.layout import Layout

    settings = load_config(_configuration(config))
    directory = Layout(Path(settings.state_dir)).audit
    recorded = find(directory, reference)
    if recorded is None:
        typer.echo(
            f"{directory}: nothing is recorded about {reference}: no decision, and no receipt; plain allows leave "
            "receipts only, unless evidence.decisions is all",
            err=True,
        )
        raise typer.Exit(1)
    packs = known_licenses([Path(name) for name in settings.policies])
    if as_json:
        typer.echo(json.dumps(recorded_facts(recorded, packs), indent=2))
        return
    for line in recorded_lines(recorded, packs):
        typer.echo(line)


def _configuration(given: Path | None) -> Path:
    from guard.policy.locations import configuration

    found = configuration(given)
    if found is None:
        raise typer.BadParameter("there is no guard.yaml here; allowed: --config FILE, or --license ID")
    return found


def _known(licenses: list[str], configuration: Path | None) -> dict[str, object]:
    """Return the settings that name the packs ``licenses`` may be in; one that nobody knows is bad usage."""
    from guard.policy.known import known_licenses, own_packs

    own = own_packs(configuration)
    packs = known_licenses(own)
    for id_ in licenses:
        known_license(id_, packs, "--license")
    return {"policies": list(map(str, own))} if own else {}


def _known_tenant(name: str, loaded: "Loaded") -> None:
    """Raise typer.BadParameter if ``loaded`` has neither a tenant nor a key called ``name``."""
    from guard.policy.document import nearest

    identity = loaded.snapshot.identity
    keys = (*identity.keys.values(), *(entitlement for _, entitlement in identity.stored.values()))
    names = dict.fromkeys([*loaded.config.tenants, *(entitlement.name for entitlement in keys)])
    if name in names:
        return
    near = nearest(name, names)
    hint = f"did you mean '{near}'?" if near else f"allowed: {', '.join(names) or 'none, as there are none'}"
    raise typer.BadParameter(f"no tenant and no key is called '{name}'; {hint}", param_hint="--tenant")


def _body(name: str) -> "Mapping[str, object] | bytes":
    """Return the body in the file ``name``: a document, or, where it is no JSON object, the bytes as they are."""
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        typer.echo(f"{name} cannot be read: {error.strerror}", err=True)
        raise typer.Exit(EX_DATA) from None
    try:
        document = json.loads(raw)
    except ValueError:
        return raw
    return document if isinstance(document, dict) else raw


def _moment(at: str | None) -> float:
    import time

    from guard.policy.rehearsal.case import moment

    try:
        return time.time() if at is None else moment(at).timestamp()
    except ValueError as error:
        raise typer.BadParameter(f"'{at}'; allowed: {error}", param_hint="--at") from None


def _purpose(purpose: str | None) -> str | None:
    from guard.licensing.purpose import Purpose

    try:
        return None if purpose is None else str(Purpose.parse(purpose))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--purpose") from None


def _at_limit(given: str) -> str:
    from guard.usage.thresholds import AtLimit

    if given not in set(AtLimit):
        raise typer.BadParameter(f"'{given}'; allowed: {', '.join(AtLimit)}", param_hint="--at-limit")
    return given


def _country(given: str | None) -> str | None:
    from guard.licensing.place import country

    if given is None or country(given) is not None:
        return given and country(given)
    raise typer.BadParameter(f"'{given}'; allowed: an ISO 3166 code such as DE", param_hint="--country")
