"""What the watch of a process says when it sees that something changed: in the log, and in the audit chain."""

import logging

from guard.transports.decisions import Decisions
from guard.transports.stores import Stores
from guard.usage.states import States
from guard.usage.thresholds import State

log = logging.getLogger("guard")


class Remarks:
    """Says each thing once, when it begins and when it is over."""

    def __init__(self) -> None:
        self._index_error: str | None = None

    def crossings(self, states: States, decisions: Decisions) -> None:
        """Write down every limit that came into another state: the record of when it was passed, and by how much."""
        for limit, before, after, users in states.crossings():
            facts = {"license": limit.license, "limit": limit.id, "value": limit.value, "users": users}
            became = {"before": before.value if before is not None else None, "after": after.value}
            decisions.append("threshold", {**facts, **became, "over": max(0, users - limit.allowed)})
            level = logging.WARNING if after is not State.OK else logging.INFO
            log.log(
                level, "usage: %s %s is %s: %d of %d users", limit.license, limit.id, after.value, users, limit.allowed
            )

    def index(self, stores: Stores) -> None:
        """Say in the log when the index begins to take nothing more, why, and when it takes answers again."""
        recorder = stores.recorder or stores.unrecorded
        error = recorder.error if recorder is not None else "receipts are off, and answers cannot be counted either"
        if error != self._index_error:
            self._index_error = error
            log.log(logging.ERROR if error else logging.INFO, "index: %s", error or "answers are recorded again")
