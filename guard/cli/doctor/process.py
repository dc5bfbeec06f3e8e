"""What the process finds around it: its limits, its metric files, the time zones."""

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from guard.cli.doctor.check import Check, fail, ok, warn

if TYPE_CHECKING:
    from guard.policy.config import Config

OWN_FILES = 256
"""Open files beside connections: stores, segments, libraries, the admin port."""
CLIENTS = 2
"""Connections of clients for each to the inference server: the one that is served, and one that is idle."""
STALE_FILES = 500
"""Files of ended processes in PROMETHEUS_MULTIPROC_DIR that make a scrape slow."""


def checks(config: "Config") -> Iterator[Check]:
    """Yield what is to be said of limits, metric files and zones."""
    yield files(config, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if config.workers > 1:
        yield workers(config, len(os.sched_getaffinity(0)))
    yield zone(config)
    yield from metrics(os.environ)


def files(config: "Config", limit: int) -> Check:
    """Return whether ``limit`` open files are enough for the connections that are configured."""
    connections = -(-config.upstream_connections // config.workers)
    needed = OWN_FILES + connections * (1 + CLIENTS)
    of = " of each worker" if config.workers > 1 else ""
    detail = f"{limit} may be open; {connections} upstream connections{of} and their clients take {needed}"
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return ok("open files", detail)
    return warn("open files", detail, f"ulimit -n {needed} (LimitNOFILE), or fewer upstream_connections")


def workers(config: "Config", cores: int) -> Check:
    """Return whether ``cores`` are enough for the workers that are configured."""
    detail = f"{config.workers} on {cores} cores that this process may use"
    if config.workers <= cores:
        return ok("workers", detail)
    return warn("workers", detail, f"workers: {cores}, as each takes a core and its own memory")


def zone(config: "Config") -> Check:
    """Return whether the zone that months are counted in is known here."""
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(config.usage.zone)
    except (OSError, ValueError) as error:
        return fail("time zone", f"{config.usage.zone}: {error}", "install tzdata")
    if not available_timezones():
        return warn("time zone", f"{config.usage.zone} is built in; this machine has no others", "install tzdata")
    return ok("time zone", f"months are counted in {config.usage.zone}")


def metrics(environment: Mapping[str, str]) -> Iterator[Check]:
    """Yield what is to be said of the directory that several processes keep their metrics in."""
    name = environment.get("PROMETHEUS_MULTIPROC_DIR")
    if name is None:
        return
    directory = Path(name)
    if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
        yield fail("metric files", f"PROMETHEUS_MULTIPROC_DIR {name} cannot be written", "make it, for this user")
        return
    stale = [path for path in directory.glob("*.db") if not _alive(path)]
    detail = f"{name}: {len(stale)} files of processes that have ended"
    if len(stale) > STALE_FILES:
        yield warn("metric files", detail, "empty it before each start: every scrape reads them all")
    else:
        yield ok("metric files", detail)


def _alive(path: Path) -> bool:
    pid = path.stem.rpartition("_")[2]
    return not pid.isdigit() or Path("/proc", pid).exists()
