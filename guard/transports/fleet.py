"""What the admin port of several workers says: it is served by the first one and answers for all of them.

How the others are is in memory, as the supervisor told it last (every second, and at once when one comes or goes);
metrics and reloads go to every worker by way of the supervisor. Everything else is told of the shared ledger and the
shared journals, and so is the same whoever tells it.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from guard.observability.metrics import exposition
from guard.transports.admin_runtime import AdminRuntime
from guard.transports.candidate import RECENT
from guard.transports.line import Line, LineBrokenError
from guard.transports.runtime import Runtime

log = logging.getLogger("guard.workers")

SECONDS = 10.0
RELOAD_SECONDS = 620.0
_WORSE = {"off": 0, "ok": 1, "warn": 2, "bad": 3}


class Fleet:
    """The AdminRuntime of ``workers`` processes, of which this is the first and ``runtime`` its own.

    ``line`` is None until there is one to the supervisor.
    """

    def __init__(self, runtime: Runtime, workers: int) -> None:
        self._runtime, self._workers = runtime, workers
        self._told: Mapping[str, Any] = {"workers": (), "restarts": 0}
        self._others: Sequence[Mapping[str, Any]] = ()
        self.line: Line | None = None

    def __getattr__(self, name: str) -> Any:
        """Everything that is not said here is said by the first worker."""
        return getattr(self._runtime, name)

    @property
    def admin_runtime(self) -> AdminRuntime:
        """The same object, by the type of what it stands for."""
        return cast("AdminRuntime", self)

    async def hear(self, told: Mapping[str, Any]) -> None:
        """Take what the supervisor says of the workers."""
        self._told = told

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether every worker can serve, and what the parts of the first one say, and which worker cannot."""
        ready, parts = self._runtime.ready()
        others = [each for each in self._told["workers"] if each["number"] != 0]
        missing = [_state(each) for each in others if not each["ready"]]
        if len(others) < self._workers - 1:
            missing = ["the others are starting"]
        parts["workers"] = "; ".join(missing) or "ok"
        return ready and not missing, parts

    async def exposition(self) -> bytes:
        """Return the metrics of all workers together; of this one alone where the supervisor is gone."""
        if self.line is not None:
            try:
                return str(await self.line.ask("metrics", seconds=SECONDS)).encode()
            except LineBrokenError as error:
                log.warning("metrics are the first worker's alone: %s", error)
        return exposition(self._runtime.registry)

    async def reload(self) -> dict[str, Any]:
        """Have every worker load the policy anew; not ok if one of them could not."""
        if self.line is not None:
            try:
                return dict(await self.line.ask("reload", seconds=RELOAD_SECONDS))
            except LineBrokenError as error:
                log.warning("the policy is reloaded in the first worker alone: %s", error)
        return await self._runtime.reload()

    async def refresh(self) -> None:
        """Bring what is told up to date, the others' parts included."""
        if self.line is not None:
            try:
                self._others = [each for each in await self.line.ask("facts", seconds=SECONDS) if each["number"]]
            except LineBrokenError as error:
                log.warning("the other workers' parts are as they were: %s", error)
        await self._runtime.refresh()

    def health(self) -> dict[str, Any]:
        """Return how every part is, in the worker in which it is worst, and how the workers are."""
        parts = {each["name"]: each for each in self._runtime.health()["parts"]}
        for other in self._others:
            for each in other["health"]:
                known = parts.get(each["name"])
                if known is not None and _WORSE[each["state"]] > _WORSE[known["state"]]:
                    parts[each["name"]] = {**each, "detail": f"worker {other['number']}: {each['detail']}"}
        return {"parts": [*parts.values(), self._part()]}

    def candidate_facts(self) -> dict[str, Any]:
        """Return the candidate policy with what all workers compared, and the last differences of all."""
        own = self._runtime.candidate_facts()
        if own["candidate"] is None:
            return own
        candidate, differences = dict(own["candidate"]), list(own["differences"])
        for other in self._others:
            theirs = other["candidate"]
            if theirs["candidate"] is not None and theirs["candidate"]["hash"] == candidate["hash"]:
                for number in ("compared", "differing"):
                    candidate[number] += theirs["candidate"][number]
                differences += theirs["differences"]
        differences.sort(key=lambda each: float(each["time"]), reverse=True)
        return {"candidate": candidate, "differences": differences[:RECENT]}

    def policy(self) -> dict[str, Any]:
        """Return what the policy in force is, for all workers that are up."""
        return {**self._runtime.policy(), "candidate": self.candidate_facts()["candidate"]}

    def _part(self) -> dict[str, Any]:
        told = self._told["workers"]
        ready, up = sum(bool(each["ready"]) for each in told), sum(bool(each["up"]) for each in told)
        facts = {"workers": self._workers, "up": up, "ready": ready, "restarts": self._told["restarts"]}
        if ready < self._workers:
            missing = "; ".join(_state(each) for each in told if not each["ready"])
            state = "bad" if up < self._workers else "warn"
            return {"name": "workers", "state": state, "detail": missing or "starting", "facts": facts}
        return {"name": "workers", "state": "ok", "detail": "all of them answer", "facts": facts}


def _state(worker: Mapping[str, Any]) -> str:
    if not worker["up"]:
        return f"worker {worker['number']} is {'starting' if worker['pid'] else 'not there'}"
    return f"worker {worker['number']} is not ready"
