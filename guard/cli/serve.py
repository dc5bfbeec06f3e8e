"""``guard serve``: the sidecar in front of an inference server."""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guard.transports.server import Bound

EX_UNAVAILABLE, EX_CONFIG = 69, 78


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
    candidate: Path | None = typer.Option(
        None, envvar="GUARD_CANDIDATE", help="A configuration to compare with: exchanges are decided again under it."
    ),
) -> None:
    """Stand in front of an inference server as a sidecar.

    Ends with 78 for a configuration or key file that cannot be used and 69 for a port or store that cannot.
    """
    from guard.evidence.signing import SigningError
    from guard.observability.logs import log_to
    from guard.policy.document import PolicyError
    from guard.policy.load import load_config
    from guard.policy.locations import configuration
    from guard.transports.admin import AdminExposedError, build_admin, read_token
    from guard.transports.asgi import GuardMiddleware
    from guard.transports.proxy import ProxyApp
    from guard.transports.runtime import Runtime
    from guard.transports.server import Drain, StartupError, run_sidecar
    from guard.transports.telemetry import TelemetryError
    from guard.transports.upstream import Upstream
    from guard.usage.pseudonym import PseudonymKeyError

    given = {
        "upstream": upstream,
        "license": license,
        "listen": listen,
        "admin": admin,
        "usage.ledger": ledger,
        "mode": mode,
        "state_dir": str(state_dir) if state_dir is not None else None,
        "candidate": str(candidate.absolute()) if candidate is not None else None,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    path = configuration(config)
    with suppress(PolicyError):  # the runtime says what is wrong with the file; its last good copy may do
        log_to(sys.stderr, load_config(path, overrides).observability)
    runtime = Runtime(path, overrides, last_good=last_good)
    log_to(sys.stderr, runtime.config.observability)
    settings = runtime.config
    limits = settings.upstream_timeouts
    try:
        inner = ProxyApp(
            Upstream(
                settings.upstream,
                connect_timeout=limits.connect,
                read_timeout=limits.read,
                write_timeout=limits.write,
                max_connections=settings.upstream_connections,
                ca_file=settings.upstream_ca,
            )
        )
        token = read_token(Path(settings.admin_token_file)) if settings.admin_token_file else None
        admin_app = None if settings.admin == "off" else build_admin(runtime, token=token, listen=settings.admin)
    except (AdminExposedError, OSError, ValueError) as error:
        print(f"guard cannot start: {error}", file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from error
    guarded = GuardMiddleware(inner, runtime)
    try:
        run_sidecar(
            guarded,
            settings.listen,
            admin_app,
            settings.admin,
            on_ready=_ready,
            reload=runtime.reload,
            drain=Drain(settings.drain.delay, settings.drain.seconds, runtime.drain, guarded.cut_short),
        )
    except StartupError as error:
        print(f"guard cannot start: {guarded.failure or error}", file=sys.stderr)
        misconfigured = isinstance(guarded.failure, (PseudonymKeyError, SigningError, TelemetryError))
        raise typer.Exit(EX_CONFIG if misconfigured else EX_UNAVAILABLE) from error
    logging.getLogger("guard").info("stopped")


def _ready(bound: "Bound") -> None:
    logging.getLogger("guard").info("serving on %s, admin on %s", bound.listen, bound.admin)
