"""What a ledger in Redis notes beside the users: whose count it is, numbers from outside, and whether it was lost."""

import json
import re
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from guard.usage.address import LedgerAbsent
from guard.usage.declaration import Declaration
from guard.usage.ledger import LedgerError, LedgerMismatch, LedgerUnavailable
from guard.usage.redis_url import RedisPlace
from guard.usage.stores.redis_connection import Command, RedisConnection, command
from guard.usage.stores.redis_layout import SCHEMA, Layout


class RedisRecord:
    """The part of a Ledger that is about no user (see guard.usage.ledger.Ledger).

    Opened for writing, a server that cannot be reached yet is looked at when it can, before anything is written to it.
    """

    forgetful = True

    def __init__(self, place: RedisPlace, layout: Layout, what: str, *, read_only: bool) -> None:
        """Open the ledger at ``place``; ``what`` is counted there and how, which never changes.

        Raises LedgerError for a place that cannot be used; for reading also LedgerAbsent and LedgerUnavailable.
        """
        self.place, self.layout = place, layout
        self.survives_power_loss = False
        self._schema = f"{SCHEMA} {what}"
        self._read_only = read_only
        self._connection = RedisConnection(place)
        self._looking = threading.Lock()
        self._looked = False
        self._masters: Mapping[str, str] = {}
        try:
            self._look()
        except LedgerUnavailable:
            if read_only:
                self.close()
                raise
        except LedgerError:
            self.close()
            raise

    def bind(self, zone: str) -> None:
        """Record the zone of the periods (see Ledger)."""
        if (found := self._noted("zone", zone)) != zone:
            raise LedgerMismatch(
                f"ledger {self.place}: it was counted in zone {found} and refuses to mix that with zone {zone}; "
                "allowed: the zone it was counted in, or a prefix of its own for the new one"
            )

    def zone(self) -> str | None:
        """Return the zone of the periods (see Ledger)."""
        return self._note("zone")

    def claim_key(self, month: str, fingerprint: str) -> None:
        """Record the key of ``month`` (see Ledger)."""
        if (found := self._noted(f"key {month}", fingerprint)) != fingerprint:
            raise LedgerMismatch(
                f"ledger {self.place}: {month} was counted under key {found} and refuses to mix that with key "
                f"{fingerprint}; allowed: the key it was counted under, or a prefix of its own for the new one"
            )

    def key_of(self, month: str) -> str | None:
        """Return the fingerprint of the key of ``month`` (see Ledger)."""
        return self._note(f"key {month}")

    def declare(self, declaration: Declaration) -> None:
        """Keep a number from outside (see Ledger)."""
        self._check_writable()
        key = self.layout.meta("declared", declaration.period)
        name = json.dumps([declaration.license, declaration.source])
        self.ask([command("HSET", key, name, declaration.to_json())])

    def declarations(self, period: str) -> Sequence[Declaration]:
        """Return the numbers from outside for ``period`` (see Ledger)."""
        (found,) = self.ask([command("HVALS", self.layout.meta("declared", period))])
        return sorted(map(Declaration.from_json, found), key=lambda each: (each.license, each.source))

    def incarnation(self) -> str:
        """Return the ledger's own id and those of the servers' processes (see Ledger).

        The first is lost with the data; the others change with a restart, which may have lost some, and with a
        fail-over, as a replica may not have had the last writes.
        """
        epoch = self._note("epoch")
        if epoch is None and not self._read_only:
            self._establish()
            epoch = self._note("epoch")
        masters = self._run_ids()
        if masters != self._masters:
            self._inspect()
            self._masters = masters
        return " ".join((epoch or "", *sorted(masters.values())))

    def close(self) -> None:
        """Close the connections (see Ledger)."""
        self._connection.close()

    def ask(self, commands: Iterable[Command]) -> list[Any]:
        """Return the replies to ``commands``, once the servers were looked at."""
        if not self._looked:
            self._look()
        return self._connection.ask(commands)

    def _check_writable(self) -> None:
        if self._read_only:
            raise LedgerUnavailable(f"ledger {self.place}: opened for reading only")

    def _note(self, name: str) -> str | None:
        (found,) = self.ask([command("HGET", self.layout.meta(), name)])
        return None if found is None else str(found)

    def _noted(self, name: str, value: str) -> str:
        """Return what was noted under ``name`` first: ``value``, if nothing was."""
        self._check_writable()
        meta = self.layout.meta()
        noting = [command("HSETNX", meta, name, value), command("HGET", meta, name)]
        return str(self.ask([*self._founding(), *noting])[-1])  # the server may have come back empty

    def _founding(self) -> list[Command]:
        meta = self.layout.meta()
        epoch = secrets.token_hex(8)
        return [command("HSETNX", meta, "schema", self._schema), command("HSETNX", meta, "epoch", epoch)]

    def _look(self) -> None:
        """See to it that the servers keep what they are given, and that the prefix is a ledger's of this kind."""
        with self._looking:
            if self._looked:
                return
            masters = self._run_ids()
            self._inspect()
            self._masters = masters
            self._establish()
            self._looked = True

    def _run_ids(self) -> Mapping[str, str]:
        return {name: str(info["run_id"]) for name, info in self._connection.ask_servers("INFO", "server").items()}

    def _inspect(self) -> None:
        for info in self._connection.ask_servers("INFO", "memory").values():
            policy = info.get("maxmemory_policy", "noeviction")
            if info.get("maxmemory") and policy != "noeviction":
                raise LedgerError(
                    f"ledger {self.place}: maxmemory-policy is {policy}, so Redis drops users when its memory is full; "
                    "allowed: noeviction, or no maxmemory"
                )
        try:
            configurations = self._connection.ask_servers("CONFIG GET", "append*").values()
        except LedgerError:  # who may not see the configuration does not know what survives
            self.survives_power_loss = False
        else:
            synced = {"appendonly": "yes", "appendfsync": "always"}
            self.survives_power_loss = all(synced.items() <= each.items() for each in configurations)

    def _establish(self) -> None:
        meta = self.layout.meta()
        (there,) = self._connection.ask([command("HGETALL", meta)])
        if not there:
            if self._read_only:
                raise LedgerAbsent(
                    f"ledger {self.place}: nothing was counted under the prefix {self.place.prefix!r} yet; "
                    "allowed: the prefix of a ledger"
                )
            *_, there = self._connection.ask([*self._founding(), command("HGETALL", meta)])
        found = there.get("schema")
        if not re.fullmatch(r"\d+ .+", found or ""):
            raise LedgerError(
                f"ledger {self.place}: the prefix {self.place.prefix!r} is used by something else; "
                "allowed: a prefix of the ledger's own (?prefix=)"
            )
        if found != self._schema:
            raise LedgerMismatch(
                f"ledger {self.place}: the prefix {self.place.prefix!r} has a ledger of schema {found!r}, not "
                f"{self._schema!r}; allowed: the URL it was counted with, or a prefix of its own (?prefix=)"
            )
