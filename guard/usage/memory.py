"""What a gateway remembers of a ledger that may forget: which one it was, how much it held, what was declared in it.

A server that comes back without its data gets the sightings from the spool, and from here the numbers from outside;
and who reads the count is told how many users the ledger once had. One file in the spool directory, replaced whole; the
processes of a directory share it, and each knows by itself what it saw since its start.
"""

import json
import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from guard.usage.declaration import Declaration
from guard.usage.ledger import Scope

NAME = "ledger.json"
MONTHS = 12
"""Months that are remembered; of days and windows only the last seen."""


class Memory:
    """What was noted in the spool directory ``directory``: nothing, if it never was or cannot be read."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._changed = False
        self.incarnation: str | None = None
        """The life of the store that has everything kept; None: none was met yet."""
        self.highest: dict[Scope, int] = {}
        """The most users the ledger had in a scope."""
        self._declared: dict[tuple[str, str, str], Declaration] = {}
        with suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads(self._path.read_text(encoding="utf-8"))
            self.incarnation = noted["incarnation"]
            self.highest = {Scope(period, license): users for period, license, users in noted["highest"]}
            self.learn_declared([Declaration.from_json(each) for each in noted["declarations"]])
            self._changed = False

    @property
    def declarations(self) -> Collection[Declaration]:
        """Every number from outside that was seen in the ledger, withdrawn ones included."""
        return self._declared.values()

    def learn(self, scope: Scope, users: int) -> int:
        """The ledger has ``users`` in ``scope`` now; return the most it ever had."""
        highest = self.highest.get(scope, 0)
        if users > highest:
            self.highest[scope] = highest = users
            self._changed = True
        return highest

    def learn_declared(self, declarations: Collection[Declaration]) -> None:
        """The ledger has these numbers from outside."""
        for each in declarations:
            key = (each.period, each.license, each.source)
            if self._declared.get(key) != each:
                self._declared[key] = each
                self._changed = True

    def meet(self, incarnation: str) -> None:
        """The store in this life has everything kept. Raises OSError if that cannot be noted."""
        self.incarnation, self._changed = incarnation, True
        self.note()

    def note(self) -> None:
        """Write down what changed since the last time. Raises OSError."""
        if not self._changed:
            return
        periods = [scope.period for scope in self.highest] + [each.period for each in self.declarations]
        months = {*sorted({period[:7] for period in periods})[-MONTHS:]}
        newest = max((scope.period[:10] for scope in self.highest if len(scope.period) > len("2026-11")), default="")
        self.highest = {
            scope: users
            for scope, users in self.highest.items()
            if scope.period in months or scope.period[:10] == newest
        }
        text = json.dumps(
            {
                "incarnation": self.incarnation,
                "highest": [[*scope, users] for scope, users in sorted(self.highest.items())],
                "declarations": [each.to_json() for each in self._declared.values() if each.period[:7] in months],
            }
        )
        draft = self._path.with_name(f"{NAME}.{os.getpid()}-{secrets.token_hex(6)}")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(self._path)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise
        self._changed = False
