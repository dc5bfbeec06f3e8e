"""``guard doctor``: what Guard cannot see or guard in this deployment, found by looking."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.policy.config import Config
    from guard.transports.upstream import Upstream

EX_CONFIG = 78
PROBES: tuple[tuple[str, str], ...] = (
    ("/invocations", "runs whole chats and completions, also past an --api-key"),
    ("/generative_scoring", "gives token probabilities, also past an --api-key"),
    ("/pooling", "gives hidden-state vectors, also past an --api-key"),
    ("/tokenize", "shows the rendered chat template, also past an --api-key"),
    ("/detokenize", "gives text for token ids, also past an --api-key"),
    ("/tokenizer_info", "gives the whole tokenizer configuration"),
    ("/scale_elastic_ep", "changes the deployment"),
    ("/v1/load_lora_adapter", "adds a model that no policy knows"),
    ("/server_info", "development mode: the engine's configuration"),
    ("/collective_rpc", "development mode: calls any method of the workers"),
    ("/sleep", "development mode: stops the engine"),
    ("/update_weights", "development mode: replaces the weights"),
)
"""Paths of vLLM that Guard never forwards. Whoever reaches the server without Guard reaches them.

They are asked with GET: a POST route that is mounted says 405 and does nothing (a POST to /sleep would act).
"""
CLOSED = frozenset({401, 403, 404})
CLOCK_TOLERANCE = 5.0
"""Seconds; a month's boundary should not depend on which clock is right."""
STALE_DAYS = 180
"""A policy that nobody has touched for so long deserves a look: licenses and lists of rules change."""


class Check(NamedTuple):
    """One thing that was looked at. ``state`` is ``ok``, ``warn`` or ``fail``; only ``fail`` makes the code not 0."""

    name: str
    state: str
    detail: str


def doctor(
    config: Path | None = typer.Option(None, help="guard.yaml of the deployment."),
    upstream: str | None = typer.Option(None, help="Inference server, instead of the configuration's."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Probe a deployment for what Guard cannot see or guard.

    Ends with 0 if nothing failed, 1 if something did, and 78 if it is the configuration.
    """
    from guard.policy.document import PolicyError
    from guard.policy.load import load_config
    from guard.policy.locations import configuration

    if upstream is not None:
        try:
            load_config(None, {"upstream": upstream})
        except PolicyError as error:
            allowed = error.problems[0].allowed
            raise typer.BadParameter(f"'{upstream}'; allowed: {allowed}", param_hint="--upstream") from None
    checks = list(examine(configuration(config), upstream))
    failed = any(check.state == "fail" for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "checks": [check._asdict() for check in checks]}, indent=2))
    else:
        _table(checks)
    if any(check.name == "policy" and check.state == "fail" for check in checks):
        raise typer.Exit(EX_CONFIG)
    raise typer.Exit(1 if failed else 0)


def examine(path: Path | None, upstream: str | None = None) -> Iterator[Check]:
    """Yield every check of the deployment that ``path`` configures; nothing is created or changed by looking."""
    import asyncio

    from guard.policy.document import PolicyError
    from guard.policy.load import load, load_config

    overrides = {"upstream": upstream} if upstream is not None else {}
    try:
        config = load_config(path, overrides)
    except PolicyError as error:
        yield Check("policy", "fail", str(error))
        return
    try:
        yield from _policy(load(path, overrides).snapshot.hash, path)
    except PolicyError as error:
        yield Check("policy", "fail", str(error))
    yield from _state(config)
    yield from _ports(config)
    yield from asyncio.run(_upstream(config))


def _policy(digest: str, path: Path | None) -> Iterator[Check]:
    import time

    if path is None:
        yield Check("policy", "warn", f"no configuration file; the defaults are policy {digest[:12]}")
        return
    days = int((time.time() - path.stat().st_mtime) / 86400)
    state = "warn" if days > STALE_DAYS else "ok"
    yield Check("policy", state, f"{digest[:12]} loads; {path} was last changed {days} days ago")


def _state(config: "Config") -> Iterator[Check]:
    import os
    import time
    from contextlib import closing

    from guard.usage.address import LedgerAbsent, Place, open_ledger, parse_url, sqlite_url
    from guard.usage.keyring import read_keyring
    from guard.usage.ledger import LedgerError, LedgerUnavailable
    from guard.usage.period import Calendar
    from guard.usage.pseudonym import PseudonymKeyError

    state = Path(config.state_dir)
    existing = next(place for place in (state.absolute(), *state.absolute().parents) if place.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Check("state directory", "fail", f"{existing} cannot be written by this user")
    elif not state.is_dir():
        yield Check("state directory", "warn", f"{state} is not there yet; it will be made on the first start")
    else:
        yield Check("state directory", "ok", f"{state} can be written")

    month = Calendar(config.usage.zone).period(time.time()).id
    fingerprint = None
    key = Path(config.identity.pseudonym_key_file or state / "pseudonym.key")
    if not key.exists():
        own = config.identity.pseudonym_key_file is not None
        what = "it is named in the configuration" if own else "it will be made on the first start"
        yield Check("pseudonym key", "fail" if own else "warn", f"{key} is not there; {what}")
    else:
        mode = key.stat().st_mode & 0o777
        try:
            fingerprint = read_keyring(key).fingerprint_of(month)
        except PseudonymKeyError as error:
            yield Check("pseudonym key", "fail", str(error))
        else:
            detail = f"{key}, fingerprint {fingerprint}, mode {mode:04o}"
            private = not mode & 0o077
            yield Check("pseudonym key", "ok" if private else "fail", detail + ("" if private else "; allowed: 0600"))

    url = config.usage.ledger or sqlite_url(state / "ledger.db")
    place = parse_url(url)
    if isinstance(place, Place) and not Path(place.path).exists():
        yield Check("ledger", "warn", f"{place.path} is not there yet; it will be made on the first start")
        return
    try:
        with closing(open_ledger(url, read_only=True)) as store:
            found = store.key_of(month)
    except LedgerAbsent:
        yield Check("ledger", "warn", f"{place} answers; nothing was counted there yet")
        return
    except (LedgerError, LedgerUnavailable) as error:
        yield Check("ledger", "fail", str(error))
        return
    if fingerprint is not None and found not in {None, fingerprint}:
        detail = f"{month} was counted with key {found}, not {fingerprint}: every user would count twice"
        yield Check("ledger", "fail", detail)
    elif found is None:
        yield Check("ledger", "ok", f"opens; nothing was counted in {month} yet")
    else:
        yield Check("ledger", "ok", "opens" + ("" if fingerprint is None else " and belongs to this pseudonym key"))


def _ports(config: "Config") -> Iterator[Check]:
    from guard.transports.listener import Address

    if config.admin == "off":
        yield Check("admin port", "warn", "off: no metrics, no health, no reload over HTTP")
    elif Address.parse(config.admin).loopback:
        yield Check("admin port", "ok", f"{config.admin} is loopback")
    elif config.admin_token_file is None:
        yield Check("admin port", "fail", f"{config.admin} is beyond loopback and no admin_token_file is set")
    else:
        yield from _token(Path(config.admin_token_file), config.admin)


def _token(path: Path, admin: str) -> Iterator[Check]:
    from guard.transports.access import read_token

    try:
        read_token(path)
    except (OSError, ValueError) as error:
        yield Check("admin port", "fail", str(error))
    else:
        yield Check("admin port", "ok", f"{admin} asks for the token in {path}")


async def _upstream(config: "Config") -> list[Check]:
    import ssl
    from urllib.parse import urlsplit

    from guard.transports.upstream import Upstream, UpstreamError

    checks: list[Check] = []
    host = urlsplit(config.upstream).hostname
    try:
        upstream = Upstream(config.upstream, connect_timeout=3.0, read_timeout=10.0, ca_file=config.upstream_ca)
    except (ValueError, OSError, ssl.SSLError) as error:
        return [Check("inference server", "fail", str(error))]
    try:
        status, headers = await _ask(upstream, "/health")
        checks.append(
            Check("inference server", "ok" if status == 200 else "warn", f"{config.upstream}/health says {status}")
        )
        checks += _clock(headers)
        checks.append(_exposure(host))
        checks += await _paths(upstream, private=_exposure(host).state == "ok")
    except UpstreamError as error:
        checks.append(Check("inference server", "fail", f"{config.upstream}: {error.reason}"))
    finally:
        upstream.close()
    return checks


async def _ask(upstream: "Upstream", path: str) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Return status and headers of a GET; the body is not read."""
    response = await upstream.request("GET", path)
    response.close()
    return response.status, response.headers


def _clock(headers: "Sequence[tuple[bytes, bytes]]") -> Iterator[Check]:
    import time
    from email.utils import parsedate_to_datetime

    for name, value in headers:
        if name == b"date":
            try:
                apart = abs(time.time() - parsedate_to_datetime(value.decode("latin-1")).timestamp())
            except ValueError:
                continue
            state = "ok" if apart <= CLOCK_TOLERANCE else "warn"
            yield Check("clock", state, f"within {apart + 1:.0f} s of the inference server's")
            return
    yield Check("clock", "warn", "the inference server sends no Date to compare with")


def _exposure(host: str | None) -> Check:
    from guard.transports.listener import Address

    if host is None:
        return Check("exposure", "ok", "the inference server is behind a unix socket")
    if Address(host).loopback:
        return Check("exposure", "ok", "the inference server is reached over loopback")
    detail = f"the inference server answers on {host}: whoever reaches that address needs no Guard"
    return Check("exposure", "warn", detail)


async def _paths(upstream: "Upstream", *, private: bool) -> list[Check]:
    """Return a check for every path that is there; on a server nobody else reaches it is only worth a warning."""
    found = []
    for path, what in PROBES:
        status, _ = await _ask(upstream, path)
        if status not in CLOSED:
            found.append(Check("open path", "warn" if private else "fail", f"{path} answers {status}: {what}"))
    return found or [Check("open path", "ok", f"none of {len(PROBES)} unguarded paths answers")]


def _table(checks: "Sequence[Check]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colors: dict[str, Any] = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = Table(box=None, pad_edge=False)
    for heading in ("", "Check", "Found"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        table.add_row(Text(check.state, style=colors[check.state]), Text(check.name), Text(check.detail))
    Console().print(table)
