"""Which store profiles are in, and the key that they are hashed under."""

from hashlib import blake2b
from pathlib import Path

from guard.behavior.store import Store
from guard.usage.address import parse_url
from guard.usage.keyring import Keyring
from guard.usage.redis_url import RedisPlace


def open_store(ledger: str | None, state_dir: Path, *, read_only: bool = False) -> Store:
    """Return the store of a gateway: the Redis of its ``ledger``, else ``behavior.db`` in the state directory.

    Nothing is asked of it yet. Raises LedgerError for a URL, or files that it names, that cannot be used.
    """
    place = parse_url(ledger) if ledger is not None else None
    if isinstance(place, RedisPlace):
        from guard.behavior.stores.redis import RedisStore  # noqa: PLC0415 - the driver is loaded where it is used

        return RedisStore(place)
    from guard.behavior.stores.sqlite import SqliteStore  # noqa: PLC0415 - as above

    return SqliteStore(state_dir / "behavior.db", read_only=read_only)


def behavior_key(keyring: Keyring) -> bytes:
    """Return the key of profiles: derived from the first pseudonym key, which all gateways on one ledger share.

    It stays when later months get a pseudonym key of their own. Profiles are under pseudonyms, so those of one month
    are not carried over into one with another pseudonym key.
    """
    return blake2b(keyring.keys[0].secret, digest_size=32, person=b"guard-behavior").digest()
