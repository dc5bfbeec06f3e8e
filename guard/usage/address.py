"""Where a ledger is: the URL of ``usage.ledger``, checked without opening anything."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from guard.usage.ledger import Ledger, LedgerError
from guard.usage.redis_url import ALLOWED, RedisPlace, RedisUrlProblem, is_redis, parse_redis

ALLOWED_URL = f"sqlite:///absolute/path.db, with ?synchronous=full against power loss; {ALLOWED}"


class LedgerUrlError(LedgerError):
    """A URL that names no ledger. ``found`` and ``allowed`` hold no password."""

    def __init__(self, found: str, allowed: str = ALLOWED_URL) -> None:
        super().__init__(f"ledger {found}; allowed: {allowed}")
        self.found, self.allowed = found, allowed


class LedgerAbsent(LedgerError):
    """Nobody has counted anything there yet, so there is nothing to read."""


class Place(NamedTuple):
    """Where an SQLite ledger is, and how its commits are synced."""

    path: str
    survives_power_loss: bool
    exact: bool = True


def parse_url(url: str) -> Place | RedisPlace:
    """Return the place that ``url`` names; nothing is opened. Raises LedgerUrlError.

    ``sqlite:////absolute/path`` with four slashes, as SQLAlchemy writes it, is the same absolute path. With three and
    one component, ``sqlite:///rel.db``, what was meant is most likely a relative path, so it is refused. For the URLs
    of Redis see ``guard.usage.redis_url``.
    """
    if is_redis(url):
        try:
            return parse_redis(url)
        except RedisUrlProblem as problem:
            raise LedgerUrlError(f"{shown(url)}: {problem.found}", problem.allowed) from None
    try:
        parts = urlsplit(url)
    except ValueError:
        raise LedgerUrlError(f"{shown(url)}: not a URL") from None
    if not parts.scheme:
        raise LedgerUrlError(f"{shown(url)}: no scheme")
    if parts.scheme != "sqlite":
        raise LedgerUrlError(f"{shown(url)}: scheme {parts.scheme!r} is unknown")
    path = unquote(parts.path)
    if parts.netloc or parts.fragment or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise LedgerUrlError(f"{shown(url)}: no absolute path of a file")
    if path.count("/") == 1:
        raise LedgerUrlError(f"{shown(url)}: it is the file {path} in the root directory")
    mode = parts.query or "synchronous=normal"
    if mode not in {"synchronous=normal", "synchronous=full"}:
        raise LedgerUrlError(f"{shown(url)}: option {mode!r} is unknown")
    return Place(f"/{path.lstrip('/')}", mode == "synchronous=full")


def open_ledger(url: str, *, read_only: bool = False) -> Ledger:
    """Return the ledger at ``url`` (``parse_url``): ``?synchronous=full`` makes what is written outlive power loss.

    A missing SQLite file is created, with mode 0600. A Redis server that cannot be reached is tried again with every
    call, so a gateway starts without it. ``read_only`` opens what is there and changes nothing; it raises LedgerAbsent
    for a missing file and a Redis that nobody has counted in, and LedgerUnavailable for one that cannot be reached.
    Raises LedgerError for a URL, a file, a secret or a store that cannot be used.
    """
    place = parse_url(url)
    # A driver loads with the URL that needs it.
    if isinstance(place, Place):
        from guard.usage.stores.sqlite import SqliteLedger  # noqa: PLC0415

        return SqliteLedger(place.path, read_only=read_only, survives_power_loss=place.survives_power_loss)
    from guard.usage.stores.redis import RedisLedger  # noqa: PLC0415
    from guard.usage.stores.redis_hll import HllLedger  # noqa: PLC0415

    return (RedisLedger if place.exact else HllLedger)(place, read_only=read_only)


def sqlite_url(path: Path) -> str:
    """Return the URL of the embedded ledger in the file ``path``; a relative path is one from here."""
    quoted = quote(str(path.absolute()))
    return f"sqlite:///{quoted}" if quoted.count("/") == 1 else f"sqlite://{quoted}"


def shown(url: str) -> str:
    """Return ``url`` without a user and password, for messages; of a Redis URL without its options, too.

    A password is none of the options, but might be written there by mistake.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:  # a typo before the slashes is to show no password either
        scheme, _, rest = url.partition(":")
        separator = ":" * (scheme != url)
    if "@" in scheme + rest:
        scheme, rest = scheme.rpartition("@")[2], f"...@{rest.rpartition('@')[2]}"
    if is_redis(url):
        rest = rest.partition("?")[0].partition("#")[0]
    return f"{scheme}{separator}{rest}"
