"""``guard serve``: the sidecar in front of an inference server."""

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from guard.transports.post import Post

if TYPE_CHECKING:
    from guard.policy.config import Config
    from guard.transports.server import Bound

EX_UNAVAILABLE, EX_CONFIG = 69, 78

log = logging.getLogger("guard")


def serve(
    config: Path | None = typer.Option(
        None, help="guard.yaml (default: GUARD_CONFIG, else ./guard.yaml); flags override it."
    ),
    upstream: str | None = typer.Option(None, envvar="GUARD_UPSTREAM", help="URL of the inference server."),
    license: str | None = typer.Option(None, envvar="GUARD_LICENSE", help="License id of every model not listed."),
    listen: str | None = typer.Option(None, envvar="GUARD_LISTEN", help="HOST:PORT or unix:///path for clients."),
    admin: str | None = typer.Option(None, envvar="GUARD_ADMIN", help="HOST:PORT of metrics, API and console, or off."),
    ledger: str | None = typer.Option(None, envvar="GUARD_LEDGER", help="Usage ledger, e.g. sqlite:///path."),
    mode: str | None = typer.Option(None, envvar="GUARD_MODE", help="enforce or shadow."),
    state_dir: Path | None = typer.Option(None, envvar="GUARD_STATE_DIR", help="Directory of keys, ledger and logs."),
    last_good: bool = typer.Option(
        False, "--last-good", envvar="GUARD_LAST_GOOD", help="Start from the last good copy of a bad policy."
    ),
    workers: int | None = typer.Option(
        None, envvar="GUARD_WORKERS", help="Processes that share the client port, one for each core it may use."
    ),
    candidate: Path | None = typer.Option(
        None, envvar="GUARD_CANDIDATE", help="A configuration to compare with: exchanges are decided again under it."
    ),
) -> None:
    """Stand in front of an inference server as a sidecar.

    Ends with 78 for a configuration or key file that cannot be used and 69 for a port or store that cannot.
    """
    from guard.observability.logs import log_to
    from guard.policy.document import PolicyError
    from guard.policy.load import load_config
    from guard.policy.locations import configuration

    given = {
        "upstream": upstream,
        "license": license,
        "listen": listen,
        "admin": admin,
        "usage.ledger": ledger,
        "mode": mode,
        "state_dir": str(state_dir) if state_dir is not None else None,
        "workers": workers,
        "candidate": str(candidate.absolute()) if candidate is not None else None,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    path, post = configuration(config), Post.taken()
    number = post.number if post is not None else None
    try:
        found: Config | None = load_config(path, overrides)
    except PolicyError:
        found = _last_good(path, overrides) if last_good else None  # else whoever loads all of it says what is wrong
    if found is not None:
        log_to(sys.stderr, found.observability, number)
        if post is None and found.workers > 1:
            _supervise(found)
            return
    _serve(path, overrides, post, last_good=last_good)


def _supervise(settings: "Config") -> None:
    """Run the workers, each by the same command as this process. Raises typer.Exit."""
    from guard.transports.listener import Address, StartupError
    from guard.transports.relaunch import same_command
    from guard.transports.supervisor import Supervisor

    def ready(listen: Address, admin: Address | None) -> None:
        log.info("serving on %s, admin on %s, with %d workers", listen, admin, settings.workers)

    command, environment = same_command()
    supervisor = Supervisor(
        command, workers=settings.workers, listen=settings.listen,
        admin=None if settings.admin == "off" else settings.admin,
        seconds=settings.drain.delay + settings.drain.seconds, on_ready=ready, environment=environment,
        later={"GUARD_LAST_GOOD": "1", "GUARD_STATE_DIR": settings.state_dir},
    )  # fmt: skip
    try:
        code = asyncio.run(supervisor.run())
    except StartupError as error:
        print(f"guard cannot start: {error}", file=sys.stderr)
        raise typer.Exit(EX_UNAVAILABLE) from error
    log.info("stopped")
    if code:
        raise typer.Exit(code)


def _serve(path: Path | None, overrides: dict[str, Any], post: Post | None, *, last_good: bool) -> None:
    """Serve in this process, as the only one or at a ``post`` among several. Raises typer.Exit and PolicyError."""
    from guard.evidence.signing import SigningError
    from guard.observability.logs import log_to
    from guard.policy.document import PolicyError
    from guard.transports.admin import AdminExposedError, build_admin, read_token
    from guard.transports.asgi import GuardMiddleware
    from guard.transports.fleet import Fleet
    from guard.transports.proxy import ProxyApp
    from guard.transports.runtime import Runtime
    from guard.transports.server import Drain, StartupError, run, run_sidecar
    from guard.transports.telemetry import TelemetryError
    from guard.transports.upstream import Upstream
    from guard.transports.worker import serve_worker
    from guard.usage.pseudonym import PseudonymKeyError

    number, workers = (post.number, post.workers) if post is not None else (None, 1)
    try:
        runtime = Runtime(path, overrides, last_good=last_good, slot=number or 0, copies=post is not None)
    except PolicyError as error:
        if post is None:
            raise
        _say(str(error), number)
        raise typer.Exit(EX_CONFIG) from error
    settings = runtime.config
    log_to(sys.stderr, settings.observability, number)
    limits = settings.upstream_timeouts
    fleet = Fleet(runtime, workers) if post is not None and post.admin >= 0 else None
    try:
        inner = ProxyApp(
            Upstream(
                settings.upstream,
                connect_timeout=limits.connect,
                read_timeout=limits.read,
                write_timeout=limits.write,
                max_connections=-(-settings.upstream_connections // workers),
                ca_file=settings.upstream_ca,
            )
        )
        token = read_token(Path(settings.admin_token_file)) if settings.admin_token_file else None
        admin_app = None
        if fleet is not None:
            admin_app = build_admin(
                fleet.admin_runtime, token=token, listen=settings.admin, exposition=fleet.exposition
            )
        elif post is None and settings.admin != "off":
            admin_app = build_admin(runtime, token=token, listen=settings.admin)
    except (AdminExposedError, OSError, ValueError) as error:
        _say(f"guard cannot start: {error}", number)
        raise typer.Exit(EX_CONFIG) from error
    guarded = GuardMiddleware(inner, runtime)
    drain = Drain(settings.drain.delay, settings.drain.seconds, runtime.drain, guarded.cut_short)
    try:
        if post is not None:
            run(serve_worker(guarded, runtime, post, admin_app=admin_app, fleet=fleet, drain=drain))
            return
        run_sidecar(
            guarded,
            settings.listen,
            admin_app,
            settings.admin,
            on_ready=_ready,
            reload=runtime.reload,
            drain=drain,
        )
    except StartupError as error:
        _say(f"guard cannot start: {guarded.failure or error}", number)
        misconfigured = isinstance(guarded.failure, (PseudonymKeyError, SigningError, TelemetryError))
        raise typer.Exit(EX_CONFIG if misconfigured else EX_UNAVAILABLE) from error
    log.info("stopped")


def _say(text: str, worker: int | None) -> None:
    """Tell standard error; where several processes write to it, every line says which one did."""
    prefix = "" if worker is None else f"worker {worker}: "
    print(prefix + text.replace("\n", f"\n{prefix}"), file=sys.stderr)


def _last_good(path: Path | None, overrides: dict[str, Any]) -> "Config | None":
    """Return the configuration of the last good copy; None if there is none."""
    from guard.policy import lastgood
    from guard.policy.document import PolicyError
    from guard.policy.load import load_config

    if path is None or "state_dir" not in overrides:
        return None
    with suppress(PolicyError):
        return load_config(lastgood.find(Path(str(overrides["state_dir"])), path).config, overrides)
    return None


def _ready(bound: "Bound") -> None:
    log.info("serving on %s, admin on %s", bound.listen, bound.admin)
