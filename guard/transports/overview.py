"""What console and API tell of a process beside its stores: kept in memory, brought up to date behind whoever asks.

``refresh`` reads files in a thread, at most every two seconds and only when somebody asks; forecasts are made by a
thread of their own. Nothing here is on the way of a request.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from guard.evidence.chain import JournalError
from guard.evidence.hours import HOUR, Hours
from guard.evidence.timeline import Found, Timeline
from guard.exchange.snapshot import Snapshot
from guard.policy.config import Config
from guard.provenance.layout import Layout
from guard.transports import disk
from guard.transports.decisions import Decisions
from guard.transports.disk import Disk
from guard.transports.due import due_facts
from guard.transports.explained import decision_facts
from guard.transports.outlook import Outlook
from guard.transports.readings import limits_of
from guard.transports.stores import Stores, ledger_url
from guard.usage.period import Kind

log = logging.getLogger("guard")

FOLLOW_SECONDS = 2.0
"""How old what the journals say may be when somebody asks."""
DISK_SECONDS = 60.0
"""How old what lies on the disk may be."""
AT_ONCE = 16
"""Times that new entries are taken before the answer: more than the window that is read at the start."""


class Overview:
    """What ``config`` and ``stores`` make of one process; ``decisions`` are those that it made itself."""

    def __init__(
        self, config: Config, stores: Stores, decisions: Decisions, clock: Callable[[], float] = time.time
    ) -> None:
        self._config, self._stores, self._own, self._clock = config, stores, decisions, clock
        self._state = Path(config.state_dir).absolute()
        journal = stores.journal
        self.timeline = Timeline(Layout(self._state).audit, clock) if journal is not None else None
        self.outlook = Outlook(ledger_url(config), self._state / "spool", stores.calendar, clock)
        self.disk = Disk()
        self._turn = asyncio.Lock()
        self._followed = self._looked = -DISK_SECONDS
        self._looking: asyncio.Task[None] | None = None

    async def refresh(self, config: Config) -> None:
        """Bring what is told up to date with the files, by the policy of ``config``; at most every two seconds."""
        async with self._turn:
            if time.monotonic() - self._followed >= FOLLOW_SECONDS:
                await asyncio.to_thread(self._refresh, config)
                self._followed = time.monotonic()

    def look_ahead(self, snapshot: Snapshot) -> None:
        """Begin to look ahead in a thread if it is time to, in one process of those that share a state directory."""
        limits = limits_of(snapshot)
        idle = self._looking is None or self._looking.done()
        if self._stores.first and idle and self.outlook.due(limits):
            self._looking = asyncio.get_running_loop().create_task(asyncio.to_thread(self.outlook.look, limits))

    def close(self) -> None:
        """Leave what is being looked at to itself; idempotent."""
        if self._looking is not None:
            self._looking.cancel()

    @property
    def checkpoint(self) -> float | None:
        """When this process last signed its chain, as far as the journals were followed, in epoch seconds."""
        journal = self._stores.journal
        if self.timeline is None or journal is None:
            return None
        own = (each["time"] for each in self.timeline.last("checkpoint") if each["instance"] == journal.instance)
        return next(own, None)

    def usage(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the counts with what is expected of their limits, and how the month grew."""
        outlook = self.outlook
        return [
            {
                **row,
                "limits": [
                    {**each, "forecast": outlook.facts(row["license"], each["id"], Kind(each["window"]))}
                    for each in row["limits"]
                ],
                "growth": list(outlook.found.growth.get(row["license"], ())),
            }
            for row in rows
        ]

    def history(self) -> dict[str, Any]:
        """Return the decisions by hour; without an audit log those that this process remembers."""
        if self.timeline is not None:
            return self.timeline.history()
        hours, now, recent = Hours(), self._clock(), list(self._own.recent)
        for each in recent:
            hours.add(each["time"], each, now)
        full = len(recent) == self._own.recent.maxlen
        return {"since": recent[0]["time"] if full else self._own.began, "step": HOUR, "buckets": hours.buckets(now)}

    def decisions(self, limit: int) -> list[dict[str, Any]]:
        """Return the last decisions that were no plain allow, newest first: of all processes, if there is a log."""
        told = self.timeline.decisions(limit) if self.timeline is not None else []
        known = {each["reference"] for each in told}
        told += [each for each in self._own.recent.copy() if each["reference"] not in known]
        return sorted(told, key=lambda each: float(each["time"]), reverse=True)[:limit]

    def decision(self, reference: str, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the decision about the request ``reference``, explained; None if it is not in memory."""
        known = self.timeline.known(reference) if self.timeline is not None else self._of_this_process(reference)
        return decision_facts(known, snapshot.packs) if known is not None else None

    def look_up(self, reference: str, snapshot: Snapshot, go_on: Callable[[], bool]) -> dict[str, Any] | None:
        """Return the decision, looked for in the journals too for as long as ``go_on`` returns True."""
        found = self.timeline.find(reference, go_on=go_on) if self.timeline is not None else None
        if found is None or found.decision is None:
            own = self._of_this_process(reference)
            if own is not None:
                found = Found(
                    reference, own.decision, *((found.late, found.receipts) if found is not None else ((), ()))
                )
        return decision_facts(found, snapshot.packs) if found is not None else None

    def _of_this_process(self, reference: str) -> Found | None:
        own = next((each for each in self._own.recent.copy() if each["reference"] == reference), None)
        return Found(reference, own, (), ()) if own is not None else None

    def due(self, snapshot: Snapshot, config: Config) -> list[dict[str, Any]]:
        """Return what is open or comes due under ``snapshot``, which is that of ``config``."""
        return due_facts(snapshot, config, self.disk.kept, self._clock())

    def export_checks(self) -> list[dict[str, Any]]:
        """Return the last export checks, newest first; none without an audit log."""
        rows = self.timeline.last("export_check") if self.timeline is not None else []
        return [
            {
                "time": row["time"],
                "digest": row.get("sha256"),
                "target": row.get("target"),
                "verdict": row.get("verdict"),
                "records": row.get("records"),
                "hits": (row.get("found") or {}).get("records"),
                "complete": row.get("complete"),
                "by": row.get("asker"),
                "instance": row["instance"],
                "seq": row["seq"],
            }
            for row in rows
        ]

    def _refresh(self, config: Config) -> None:
        """Read what is new. Nothing is worth failing for: what cannot be read is as it was."""
        try:
            if self._stores.journal is not None and self.timeline is not None:
                with suppress(JournalError):
                    self._stores.journal.flush()
                for _ in range(AT_ONCE):
                    if not self.timeline.follow():
                        break
            if time.monotonic() - self._looked >= DISK_SECONDS:
                self.disk = disk.look(self._state, config, self._clock())
                self._looked = time.monotonic()
        except Exception:
            log.exception("what the console shows could not be brought up to date")
