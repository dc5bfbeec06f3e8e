"""The URL of a ledger in Redis: which servers, how to reach them, and how the count is laid out there.

    redis://user:password@host:6379/0                       one server, exact
    rediss+hll://host:6379/0?ca=/etc/guard/ca.pem           TLS, an estimate
    redis+sentinel://host1:26379,host2:26379/mymaster/0     whichever server the sentinels call master
    redis+cluster://host1:6379,host2:6379                   a Redis Cluster
    redis+unix:///run/redis.sock?db=0                       a socket of this machine

What follows the first word of the scheme may come in any order.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, unquote

ALLOWED = (
    "redis://HOST:PORT/DB, or rediss:// with TLS; each with +sentinel, +cluster or +unix where it is that, and with "
    "+hll for an estimate"
)
SHARDS = tuple(2**power for power in range(4, 13))
_PARTS = ("sentinel", "cluster", "unix", "hll")
_SCHEMES = "redis:// or rediss://, with +sentinel, +cluster or +unix, and with +hll, each once"
_MOST_USERS = 10_000_000_000
_LONG = 64
"""Characters of a wrong value that are shown, and of a name for which a nearest one is looked for."""


class Topology(StrEnum):
    """How the servers belong together."""

    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"
    UNIX = "unix"


class RedisUrlProblem(Exception):
    """What is wrong with a URL, and what is allowed in its place; neither holds a password."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(found)
        self.found, self.allowed = found, allowed


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """Where a ledger in Redis is. Files and variables are named here and read when it is opened."""

    topology: Topology
    exact: bool
    """False for HyperLogLogs (``+hll``)."""
    hosts: tuple[tuple[str, int], ...]
    """The server, the sentinels, or nodes of the cluster that know the others; none where there is a socket."""
    socket: str | None = None
    service: str | None = None
    """What the sentinels call the master."""
    db: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    password_env: str | None = None
    password_file: str | None = None
    sentinel_password_env: str | None = None
    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    timeout: float = 2.0
    """Seconds that a connection attempt or an answer may take."""
    prefix: str = "guard"
    """What every key begins with."""
    users: int | None = None
    """The most users that are expected in a month; None if nobody said."""
    shards: int = 256
    """HyperLogLogs that share the users of one scope."""

    def __str__(self) -> str:
        """Return the URL without secrets and options, for messages."""
        scheme = "rediss" if self.tls else "redis"
        scheme += "" if self.topology is Topology.SERVER else f"+{self.topology}"
        scheme += "" if self.exact else "+hll"
        if self.socket is not None:
            return f"{scheme}://{self.socket}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        path = {Topology.SERVER: f"/{self.db}", Topology.SENTINEL: f"/{self.service}/{self.db}"}
        return f"{scheme}://{hosts}{path.get(self.topology, '')}"


def is_redis(url: str) -> bool:
    """Return True if ``url`` is meant for Redis, well-formed or not."""
    return re.match(r"rediss?(\+|:|$)", url.partition("://")[0].lower()) is not None


def parse_redis(url: str) -> RedisPlace:
    """Return the place that ``url`` names; nothing is opened or read. Raises RedisUrlProblem."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise RedisUrlProblem("no :// behind the scheme", ALLOWED)
    tls, topology, exact = _scheme(scheme)
    rest, _, query = rest.partition("?")
    if "#" in rest + query:
        raise RedisUrlProblem("it has a fragment (#)", "%23 for a # in a password")
    authority, _, path = rest.partition("/")
    if "@" in path + query:  # what would be taken for a host is half a password
        raise RedisUrlProblem(
            "an @ behind the host", "%2F for a / in a user name or password, %3F for a ?, %40 for an @"
        )
    userinfo, _, hosts = authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    options = _options(query, topology, tls=tls, exact=exact)
    if bool(password) + ("password_env" in options) + ("password_file" in options) > 1:
        raise RedisUrlProblem("several passwords", "one of the URL's own, password_env and password_file")
    return RedisPlace(
        topology=topology,
        tls=tls,
        exact=exact,
        user=unquote(user) or None,
        password=unquote(password) or None,
        **_where(topology, hosts, unquote(path)),
        **options,
    )


def _scheme(scheme: str) -> tuple[bool, Topology, bool]:
    first, *parts = scheme.lower().split("+")
    for part in parts:
        if part not in _PARTS:
            raise RedisUrlProblem(f"{part!r} in the scheme is unknown{_nearest(part, _PARTS)}", _SCHEMES)
    where = [part for part in parts if part != "hll"]
    if len(set(parts)) != len(parts) or len(where) > 1:
        raise RedisUrlProblem(f"the scheme {scheme!r} repeats or contradicts itself", _SCHEMES)
    topology = Topology(where[0]) if where else Topology.SERVER
    tls = first == "rediss"
    if tls and topology is Topology.UNIX:
        raise RedisUrlProblem("TLS over a socket of this machine", "redis+unix:///path.sock")
    return tls, topology, "hll" not in parts


def _where(topology: Topology, hosts: str, path: str) -> dict[str, Any]:
    if topology is Topology.UNIX:
        if hosts or not path or path.endswith("/") or "\0" in path:
            raise RedisUrlProblem("no absolute path of a socket", "redis+unix:///run/redis.sock?db=0")
        return {"hosts": (), "socket": f"/{path.lstrip('/')}"}
    found = tuple(_host(text, 26379 if topology is Topology.SENTINEL else 6379) for text in hosts.split(","))
    parts = [part for part in path.split("/") if part]
    if topology is Topology.SENTINEL:
        if not 1 <= len(parts) <= 2:
            raise RedisUrlProblem(f"the path /{path}", "redis+sentinel://HOST,HOST/NAME/DB with the name of the master")
        return {"hosts": found, "service": parts[0], "db": _db(parts[1]) if parts[1:] else 0}
    if topology is Topology.CLUSTER:
        if parts not in ([], ["0"]):
            raise RedisUrlProblem(f"the path /{path}", "no database, as a Redis Cluster has only 0")
        return {"hosts": found}
    if len(found) > 1:
        raise RedisUrlProblem(f"{len(found)} hosts for one server", "several hosts with +sentinel or +cluster")
    if len(parts) > 1:
        raise RedisUrlProblem(f"the path /{path}", "/DB with the number of the database, or nothing")
    return {"hosts": found, "db": _db(parts[0]) if parts else 0}


def _host(text: str, default: int) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?", text)
    if match is None or not 0 < int(match[3] or default) < 65536:
        raise RedisUrlProblem(f"the host {text!r}", "HOST, HOST:PORT or [IPV6]:PORT")
    return match[1] or match[2], int(match[3] or default)


def _db(text: str) -> int:
    return _whole("database", text, 0, 1_000_000)


def _whole(name: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
        raise RedisUrlProblem(f"{name} {text[:_LONG]!r}", f"a whole number from {low} to {high}")
    return int(text)


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:/-]{1,64}", text):
        raise RedisUrlProblem(f"prefix {text[:_LONG]!r}", "1 to 64 letters, digits and . _ : / -")
    return text


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):  # not shown: it may be the password itself
        raise RedisUrlProblem("no name of an environment variable", "the name of one that holds the password")
    return text


def _file(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise RedisUrlProblem("no absolute path of a file", "an absolute path, as a URL stands in no directory")
    return text


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,6})?", text) or not 0 < float(text) <= 60:
        raise RedisUrlProblem(f"timeout {text[:_LONG]!r}", "seconds above 0, up to 60")
    return float(text)


def _shards(text: str) -> int:
    if text not in map(str, SHARDS):
        raise RedisUrlProblem(f"shards {text[:_LONG]!r}", ", ".join(map(str, SHARDS)))
    return int(text)


def _users(text: str) -> int:
    return _whole("users", text, 1, _MOST_USERS)


_OPTIONS: Mapping[str, Callable[[str], str | int | float]] = {
    "prefix": _prefix,
    "password_env": _variable,
    "password_file": _file,
    "sentinel_password_env": _variable,
    "ca": _file,
    "cert": _file,
    "key": _file,
    "timeout": _seconds,
    "users": _users,
    "shards": _shards,
    "db": _db,
}


def _options(query: str, topology: Topology, *, tls: bool, exact: bool) -> dict[str, Any]:
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    if len(given) != len(pairs):
        raise RedisUrlProblem("an option is given twice", "each once")
    read: dict[str, Any] = {}
    for name, text in given.items():
        if name not in _OPTIONS:
            what = f"option {name!r}" if re.fullmatch(r"[a-z_]{1,30}", name) else "an option"
            raise RedisUrlProblem(f"{what} is unknown{_nearest(name, _OPTIONS)}", ", ".join(_OPTIONS))
        try:
            read[name] = _OPTIONS[name](text)
        except RedisUrlProblem as problem:
            raise RedisUrlProblem(f"option {name}: {problem.found}", problem.allowed) from None
    fitting = {
        "ca": (tls, "with rediss://"),
        "cert": (tls, "with rediss://"),
        "key": (tls, "with rediss://"),
        "sentinel_password_env": (topology is Topology.SENTINEL, "with +sentinel"),
        "db": (topology is Topology.UNIX, "with +unix; elsewhere the database is in the path"),
        "users": (exact, "without +hll: an estimate takes the same memory for any number of users"),
        "shards": (not exact, "with +hll"),
    }
    for name, (fits, where) in fitting.items():
        if name in read and not fits:
            raise RedisUrlProblem(f"option {name} does not belong here", f"{name} {where}")
    if ("cert" in read) != ("key" in read):
        raise RedisUrlProblem("only one of the options cert and key", "both, or none")
    return read


def _nearest(name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name[:_LONG], list(known), 1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
