"""The ledger: that it opens, is of this key, and keeps what it is given."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.cli.doctor.check import Check, fail, ok, warn
from guard.cli.doctor.keys import month_now

if TYPE_CHECKING:
    from guard.policy.config import Config
    from guard.usage.redis_url import RedisPlace

OLDEST_REDIS = (6, 0)
"""With ACLs, and what the ledger's scripts need."""
APART = 5.0
"""Seconds between two clocks; a month's boundary should not depend on which one is right."""
SETTINGS = ("maxmemory-policy", "appendonly", "appendfsync", "save")


def checks(config: "Config") -> Iterator[Check]:
    """Yield what is to be said of ``usage.ledger``."""
    from guard.usage.address import LedgerAbsent, Place, open_ledger, parse_url, sqlite_url
    from guard.usage.keyring import read_keyring
    from guard.usage.ledger import LedgerError, LedgerUnavailable
    from guard.usage.pseudonym import PseudonymKeyError

    state, month = Path(config.state_dir), month_now(config)
    url = config.usage.ledger or sqlite_url(state / "ledger.db")
    place = parse_url(url)
    if isinstance(place, Place) and not Path(place.path).exists():
        yield warn("ledger", f"{place.path} is not there yet", "none: the first start makes it")
        return
    if not isinstance(place, Place):
        yield from _redis(place)
    fingerprint = None
    key = Path(config.identity.pseudonym_key_file or state / "pseudonym.key")
    with suppress(OSError, PseudonymKeyError):  # the check of the key says so
        fingerprint = read_keyring(key).fingerprint_of(month)
    try:
        with closing(open_ledger(url, read_only=True)) as store:
            found = store.key_of(month)
    except LedgerAbsent:
        yield warn("ledger", f"{place} answers; nothing was counted there yet", "none: the first start makes it")
    except LedgerUnavailable as error:
        yield fail("ledger", str(error), "start it; a gateway starts without it, and its spool keeps what it sees")
    except LedgerError as error:
        yield fail("ledger", str(error), "mend what it says; Guard does not start on such a ledger")
    else:
        yield _key(month, found, fingerprint)


def _key(month: str, found: str | None, fingerprint: str | None) -> Check:
    if fingerprint is not None and found not in {None, fingerprint}:
        detail = f"{month} was counted with key {found}, not {fingerprint}: every user would count twice"
        return fail("ledger", detail, "use the key that it was counted with: every replica needs the same")
    if found is None:
        return ok("ledger", f"opens; nothing was counted in {month} yet")
    return ok("ledger", "opens" + ("" if fingerprint is None else " and belongs to this pseudonym key"))


def _redis(place: "RedisPlace") -> Iterator[Check]:
    """Yield what is to be said of every master of a Redis."""
    from guard.usage.ledger import LedgerError, LedgerUnavailable
    from guard.usage.stores.redis_connection import RedisConnection

    try:
        with closing(RedisConnection(place)) as connection:
            before = time.time()
            clocks = connection.ask_servers("TIME")
            now = (before + time.time()) / 2
            about = connection.ask_servers("INFO")
            settings: Mapping[str, Mapping[str, Any]] | None
            try:
                asked = [connection.ask_servers("CONFIG GET", name) for name in SETTINGS]
                settings = {server: {k: v for each in asked for k, v in each[server].items()} for server in about}
            except LedgerError:
                settings = None
    except (LedgerError, LedgerUnavailable):
        return  # the check of the ledger says so
    for server, info in about.items():
        name = f"Redis {server}".strip()
        yield from _server(name, info)
        yield clock(name, now - _seconds(clocks[server]))
        if settings is None:
            do = "give its user +config|get, or look yourself: noeviction, and appendonly yes"
            yield warn(name, "its user may not see its settings (CONFIG GET)", do)
        else:
            yield from _kept(name, settings[server], info)


def _server(name: str, info: Mapping[str, Any]) -> Iterator[Check]:
    version = str(info.get("redis_version", "0"))
    major_minor = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if major_minor < OLDEST_REDIS:
        yield warn(name, f"version {version}", "6.0 or later")
    else:
        yield ok(name, f"version {version}, {info.get('used_memory_human', '?')} used")
    if info.get("role") != "master":
        yield fail(name, f"is a {info.get('role')}, which takes no writes", "name the master, or redis+sentinel://")
    elif not info.get("connected_slaves"):
        yield warn(name, "has no replica: if its disk is lost, users of this month are", "a replica, or AOF and a copy")
    else:
        yield ok(name, f"{info['connected_slaves']} replicas follow it")


def _kept(name: str, settings: Mapping[str, Any], info: Mapping[str, Any]) -> Iterator[Check]:
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy == "noeviction":
        yield ok(name, "maxmemory-policy is noeviction")
    elif info.get("maxmemory"):
        yield fail(name, f"maxmemory-policy is {policy}: users are dropped when memory is full", "noeviction")
    else:
        yield warn(name, f"maxmemory-policy is {policy}, without maxmemory", "noeviction, before somebody sets a limit")
    if settings.get("appendonly") == "yes":
        yield ok(name, f"appendonly is yes, appendfsync {settings.get('appendfsync')}")
    else:
        saved = "with snapshots only" if settings.get("save") else "without snapshots too"
        detail = f"appendonly is no, {saved}: a restart of Redis loses users that no gateway keeps any more"
        yield warn(name, detail, "appendonly yes, appendfsync everysec")


def clock(name: str, apart: float) -> Check:
    """Return whether two clocks agree that are ``apart`` seconds apart."""
    if abs(apart) <= APART:
        return ok("clock", f"within {abs(apart) + 1:.0f} s of {name}")
    return warn("clock", f"{abs(apart):.0f} s apart from {name}", "let NTP set both: months are counted by the clock")


def _seconds(reply: Any) -> float:
    return int(reply[0]) + int(reply[1]) / 1e6
