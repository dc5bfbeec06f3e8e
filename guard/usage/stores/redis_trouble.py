"""What an error of Redis means to whoever runs the gateway."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from guard.usage.ledger import LedgerError, LedgerUnavailable

_CODE = re.compile(r"(?:^|[\s:])-?([A-Z]{4,12}|OOM|ERR)\s")
_AWAY: dict[str, str] = {
    "OOM": "it is full (maxmemory): give it more memory, or forget old months (usage.keep)",
    "READONLY": "it is a replica, which cannot be written: name the master, or the sentinels (redis+sentinel://)",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "it is a replica that has lost its master",
    "CLUSTERDOWN": "the cluster is down",
    "TRYAGAIN": "the cluster is moving the slot",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write asks for",
    "MISCONF": "it cannot save its data to the disk and so takes no writes",
    "BUSY": "it is busy with a script",
    "UNKILLABLE": "it is busy with a script",
}
_UNUSABLE: dict[str, str] = {
    "NOAUTH": "it asks for a password; allowed: one in the URL, password_env or password_file",
    "WRONGPASS": "it refuses the user or the password",
    "NOPERM": "its user may not do that; allowed: +@read +@write +@scripting +@connection +info +time on the ledger's "
    "keys, in a cluster also +cluster",
    "WRONGTYPE": "a key under the prefix is of another type; allowed: a prefix of the ledger's own (?prefix=)",
    "INVALIDOBJ": "a HyperLogLog is damaged",
    "CROSSSLOT": "it is a cluster; allowed: redis+cluster://",
    "MOVED": "it is a node of a cluster; allowed: redis+cluster://",
}


def explain(error: Exception, where: str) -> LedgerError | LedgerUnavailable:
    """Return ``error`` as the ledger's own: LedgerUnavailable for what may pass, LedgerError for what must be mended.

    ``where`` is the place without secrets; Redis itself repeats no password.
    """
    text = str(error).strip() or type(error).__name__
    code = code_of(error)
    if code in _AWAY:
        return LedgerUnavailable(f"ledger {where}: {_AWAY[code]} ({code})")
    if code in _UNUSABLE:
        return LedgerError(f"ledger {where}: {_UNUSABLE[code]} ({code}: {text})")
    if isinstance(error, exceptions.AuthenticationError):
        return LedgerError(f"ledger {where}: {_UNUSABLE['WRONGPASS']} ({text})")
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return LedgerUnavailable(f"ledger {where}: no answer in time ({text})")
    if isinstance(error, exceptions.ResponseError):
        return LedgerError(f"ledger {where}: {text}")
    if isinstance(error, exceptions.RedisClusterException) and "not enabled" in text:
        return LedgerError(f"ledger {where}: it is no cluster; allowed: redis://")
    return LedgerUnavailable(f"ledger {where}: cannot be reached ({text})")


def code_of(error: Exception) -> str:
    """Return the error code of Redis, such as READONLY; ``""`` if there is none. Of a script's error, the cause's."""
    kinds = (
        (exceptions.OutOfMemoryError, "OOM"),
        (exceptions.ReadOnlyError, "READONLY"),
        (exceptions.BusyLoadingError, "LOADING"),
        (exceptions.MasterDownError, "MASTERDOWN"),
        (exceptions.ClusterDownError, "CLUSTERDOWN"),
        (exceptions.TryAgainError, "TRYAGAIN"),
        (exceptions.NoPermissionError, "NOPERM"),
        (exceptions.ClusterCrossSlotError, "CROSSSLOT"),
        (exceptions.MovedError, "MOVED"),
    )
    for kind, code in kinds:
        if isinstance(error, kind):
            return code
    if not isinstance(error, exceptions.ResponseError):
        return ""
    if "can't run this command" in str(error):  # within a script it has no code of its own
        return "NOPERM"
    found = [code for code in _CODE.findall(str(error)) if code in _AWAY or code in _UNUSABLE]
    return found[0] if found else ""


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raise errors of Redis and of the network as LedgerUnavailable or LedgerError."""
    try:
        yield
    except (exceptions.RedisError, exceptions.RedisClusterException, OSError) as error:
        raise explain(error, where) from error
