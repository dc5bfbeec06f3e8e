"""Profiles in Redis, shared by all gateways on one ledger.

    <prefix>:behavior:state:<name>              revision in 8 bytes, then the data; gone after KEPT
    <prefix>:behavior:standing                  hash: who is above the first step
    <prefix>:behavior:crowd:<day>:<template>    set of identities; gone after two days

A row is written only over the revision it was read under (``lua/change.lua``), so of two gateways that saw the same
identity neither undoes what the other learnt: the late one reads again and adds its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from guard.behavior.ladder import Step
from guard.behavior.store import Change, Row, StoreUnavailable
from guard.usage.ledger import LedgerError, LedgerUnavailable
from guard.usage.redis_url import RedisPlace
from guard.usage.stores.redis_connection import Command, RedisConnection, call, command
from guard.usage.stores.redis_script import Script

KEPT = 40 * 86400
CROWD_KEPT, CROWD_MOST = 2 * 86400, 64
"""Seconds for which a template's identities are kept, and the most of them: more say nothing new."""
_FOLDER = Path(__file__).parent / "lua"
CHANGE, SAW = Script("change", folder=_FOLDER), Script("saw", folder=_FOLDER)


class RedisStore:
    """A Store at ``place`` (see guard.behavior.store.Store). Raises LedgerError as RedisConnection does."""

    def __init__(self, place: RedisPlace) -> None:
        self._connection = RedisConnection(place, text=False)
        self._prefix = f"{place.prefix}:behavior"

    def read(self, names: Sequence[str]) -> Mapping[str, Row]:
        """Return rows (see Store)."""
        replies = self._ask(command("GET", self._state(name)) for name in names)
        return {
            name: Row(int.from_bytes(reply[:8], "big"), reply[8:])
            for name, reply in zip(names, replies, strict=True)
            if reply is not None
        }

    def write(self, changes: Sequence[Change]) -> Sequence[str]:
        """Write rows, each by itself (see Store)."""
        replies = self._ask(
            call(
                CHANGE,
                [self._state(change.name)],
                change.revision.to_bytes(8, "big"),
                (change.revision + 1).to_bytes(8, "big") + change.data,
                KEPT,
            )
            for change in changes
        )
        written = [change for change, reply in zip(changes, replies, strict=True) if reply]
        standing = f"{self._prefix}:standing"
        self._ask(
            command("HSET", standing, each.name, int(each.step)) if each.step else command("HDEL", standing, each.name)
            for each in written
        )
        return [change.name for change, reply in zip(changes, replies, strict=True) if not reply]

    def standing(self) -> Mapping[str, Step]:
        """Return who is above the first step (see Store); who was forgotten is not."""
        (reply,) = self._ask([command("HGETALL", f"{self._prefix}:standing")])
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        return {name.decode(): Step(int(step)) for name, step in pairs}

    def saw(self, day: str, sightings: Iterable[tuple[int, str]]) -> Sequence[int]:
        """Note templates (see Store); no more than ``CROWD_MOST`` identities of one are told apart."""
        replies = self._ask(
            call(SAW, [f"{self._prefix}:crowd:{day}:{template:08x}"], identity, CROWD_MOST, CROWD_KEPT)
            for template, identity in sightings
        )
        return [int(reply) for reply in replies]

    def forget(self, before: float, day: str) -> None:  # noqa: ARG002 - the server drops what is old by itself
        """Drop who has a step and no profile any more; the rest goes by itself (see Store)."""
        names = list(self.standing())
        replies = self._ask(command("EXISTS", self._state(name)) for name in names)
        gone = [name for name, reply in zip(names, replies, strict=True) if not reply]
        self._ask(command("HDEL", f"{self._prefix}:standing", name) for name in gone)

    def close(self) -> None:
        """Close all connections (see Store)."""
        self._connection.close()

    def _state(self, name: str) -> str:
        return f"{self._prefix}:state:{name}"

    def _ask(self, commands: Iterable[Command]) -> list[Any]:
        try:
            return self._connection.ask(commands)
        except (LedgerUnavailable, LedgerError) as error:
            raise StoreUnavailable(f"behavior: {error}") from error
