"""One process's Guard: the active policy, the stores behind it, and what the admin port asks of it.

Both deployments hold one Runtime per process. ``start`` raises on anything that would let an unguarded or uncounted
request through; the transport turns that into a server that does not start.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BufferedRandom
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry

from guard.behavior.observer import Observer
from guard.exchange.refusal import Refusal
from guard.exchange.services import Services
from guard.exchange.snapshot import Snapshot
from guard.observability.audit import AuditMetrics
from guard.observability.gauges import UsageCollector, UsageReading
from guard.observability.metrics import Metrics
from guard.policy.candidate import CandidatePolicy
from guard.policy.config import Config
from guard.policy.locations import shipped_licenses
from guard.policy.packs import pack_digests
from guard.policy.watch import ActivePolicy
from guard.provenance.upload import Attempt
from guard.transports import counts, readings, scrape
from guard.transports.assessors import Assessors
from guard.transports.beside import LateChecks
from guard.transports.candidate import Comparison
from guard.transports.decisions import Decisions
from guard.transports.health import Process, health_facts
from guard.transports.overview import Overview
from guard.transports.readiness import readiness
from guard.transports.remarks import Remarks
from guard.transports.stores import STOP_SECONDS, Stores, ledger_url
from guard.transports.telemetry import Telemetry
from guard.transports.throttle import Throttle
from guard.transports.trim import trim
from guard.transports.upload import Query
from guard.usage.churn import Churn, Measure
from guard.usage.counter import UsageCounter
from guard.usage.states import States

if TYPE_CHECKING:
    from guard.observability.tracing import Tracing

log = logging.getLogger("guard")

WATCH_SECONDS = 2.0
"""How often the policy's files are compared with what is active."""


class Runtime:
    """Guard in one process. ``path`` is guard.yaml (None: defaults and ``overrides`` by dotted name alone).

    Raises PolicyError for a policy that cannot be used; with ``last_good`` the last good copy takes its place.
    ``slot`` is the number of a worker among those of one port; with ``copies`` what replaces it finds such a copy.
    """

    services: Services
    overview: Overview

    def __init__(
        self, path: Path | None, overrides: Mapping[str, object] | None = None, *,
        registry: CollectorRegistry = REGISTRY, last_good: bool = False, slot: int = 0,
        copies: bool = False,
    ) -> None:  # fmt: skip
        self._slot = slot
        self.active = ActivePolicy(path, overrides, remember=True, last_good=last_good, copies=copies)
        self.registry = registry
        self.metrics = Metrics(registry)
        if self.active.restored:
            self.metrics.reloaded(ok=False)
        self.candidate = Comparison(CandidatePolicy(overrides, key_sets=self.active.key_sets), self.metrics)
        self._collector = UsageCollector(self._reading)
        self._states = States()
        self._strangers = Throttle(10, 100, time.monotonic)
        self._stores: Stores | None = None
        self._assessors: Assessors | None = None
        self._behavior: Observer | None = None
        self._audit: AuditMetrics | None = None
        self._telemetry: Telemetry | None = None
        self._started = False
        self.draining = False
        """True once the process was told to end: it is not ready any more, and serves on until the transport stops."""
        self.late = LateChecks()
        self._watcher: asyncio.Task[None] | None = None
        self._remarks = Remarks()
        self._upload: Attempt | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The policy that requests begin with from now on."""
        return self.active.snapshot

    @property
    def config(self) -> Config:
        """The configuration the process started with; a reload changes the policy, not the process."""
        return self.active.config

    @property
    def stores(self) -> Stores:
        """The open stores. Raises RuntimeError before ``start``: without them nothing may be served."""
        if self._stores is None:
            raise RuntimeError("guard has not been started")
        return self._stores

    @property
    def tracing(self) -> "Tracing | None":
        """What traces requests; None where nothing is traced."""
        return self._telemetry.tracing if self._telemetry is not None else None

    @property
    def counter(self) -> UsageCounter:
        """The usage counter of the open stores."""
        return self.stores.counter

    async def start(self) -> None:
        """Open every store and begin to watch the policy. Raises when Guard could not do its work; idempotent."""
        if self._stores is not None:
            return
        if self._telemetry is None:
            self._telemetry = await asyncio.to_thread(Telemetry, self.config, self.registry)
        if self._assessors is None:
            self._assessors = Assessors(self.config, self.registry, _failed)
        assessors = await asyncio.to_thread(self._assessors.of_prompts, self.snapshot, starting=True)
        stores = self._stores = await asyncio.to_thread(Stores, self.config, self._uploaded, slot=self._slot)
        self.log = Decisions(stores.journal, self.metrics)
        self._audit = (
            AuditMetrics(self.registry, heads=stores.heads is not None) if stores.journal is not None else None
        )
        self.overview = Overview(self.config, stores, self.log)
        self._behavior = Observer(stores.behavior, stores.behavior_key, self.metrics, self.log, failed=_failed)
        if self.snapshot.behavior is not None:
            self._behavior.start()
        self.services = Services(
            stores.counter, stores.pseudonyms, self.metrics, self.log, stores.recorder, time.time, _failed,
            behavior=self._behavior, churn=Churn(stores.calendar, _suspected), assessors=assessors,
            answer_assessors=self._assessors.of_answers, unrecorded=stores.unrecorded,
            notable=self._telemetry.decisions,
        )  # fmt: skip
        self.registry.register(self._collector)
        started = {"policy": self.snapshot.hash, "mode": self.snapshot.mode.value}
        confirmed = list(self.active.loaded.confirmed)
        self.log.stand(readings.standing(self.snapshot))
        self.log.append("start", {**started, "decisions": readings.recorded(self.snapshot), "confirmed": confirmed})
        self.candidate.start(self.log.append)
        await self._follow_candidate()
        self._watcher = asyncio.get_running_loop().create_task(self._watch())
        log.info("guard is active: policy %s, mode %s", self.snapshot.hash[:12], self.snapshot.mode.value)
        self._remarks.index(stores)
        for warning in self.snapshot.warnings:
            log.warning("policy: %s", warning)
        if self.active.restored:
            problems = [str(problem) for problem in self.active.restored]
            kept = readings.kept(self.active.restored)
            facts = {"ok": False, "hash": self.snapshot.hash, "problems": kept, "restart": [], "last_good": True}
            self.log.append("reload", {**facts, **started, "decisions": readings.recorded(self.snapshot)})
            log.critical("the policy files are bad; THE LAST GOOD COPY IS IN FORCE:\n%s", "\n".join(problems))
        await self._keep()
        await asyncio.to_thread(trim)
        self._started = True

    def drain(self) -> None:
        """Say from now on that no request should be sent here; those that come are served."""
        self.draining = True

    async def stop(self) -> None:
        """Flush and close every store, within about STOP_SECONDS; idempotent."""
        if self._stores is None:
            return
        until = time.monotonic() + STOP_SECONDS
        stores, self._stores, self._started = self._stores, None, False
        if self._watcher is not None:
            self._watcher.cancel()
        self.overview.close()
        await self.late.stop()
        if self._assessors is not None:
            assessors, self._assessors = self._assessors, None
            await asyncio.to_thread(assessors.close)
        if self._behavior is not None:
            behavior, self._behavior = self._behavior, None
            await asyncio.to_thread(behavior.close, STOP_SECONDS / 5)
        self.log.append("stop", {"policy": self.snapshot.hash})
        self.registry.unregister(self._collector)
        if self._audit is not None:
            self._audit.close()
        await asyncio.to_thread(self.candidate.stop)
        closing = [asyncio.to_thread(stores.close, until - time.monotonic())]
        if self._telemetry is not None:
            telemetry, self._telemetry = self._telemetry, None
            closing.append(asyncio.to_thread(telemetry.close, STOP_SECONDS / 5))
        await asyncio.gather(*closing)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                self._note()
                self._follow_audit()
                self.overview.look_ahead(self.snapshot)
                if not self.stores.began:
                    await asyncio.to_thread(self.stores.look_back)
                if await asyncio.to_thread(self.active.changed):
                    await self.reload()
                else:
                    await self._follow_candidate()
            except Exception:
                # The watch outlives whatever it met: a policy that is not reloaded is better seen than unwatched.
                log.exception("the policy could not be watched")

    def _note(self) -> None:
        """Say what changed since the last look, and let the other processes' scrapes see what was counted here."""
        self.metrics.gather()
        stores = self.stores
        counts.readings(self.snapshot, stores.counter, self._states, stores.calendar, stores.began, time.time())
        self._remarks.crossings(self._states, self.log)
        self._remarks.index(self.stores)

    def _follow_audit(self) -> None:
        """Bring the counters of the audit chain up to what it counted itself."""
        if self._audit is not None and self.stores.journal is not None:
            heads = self.stores.heads
            self._audit.follow(self.stores.journal.refused, heads.failures if heads is not None else 0)

    async def reload(self) -> dict[str, Any]:
        """Load the policy anew; a bad one changes nothing and says why (invariant 7)."""
        result = await asyncio.to_thread(self.active.reload)
        problems = [str(problem) for problem in result.problems]
        facts = {"ok": result.ok, "hash": result.hash, "problems": problems, "restart": list(result.restart)}
        self.metrics.reloaded(ok=result.ok)
        after = readings.reloaded(self.active.loaded, changed=result.changed)
        self.log.stand(readings.standing(self.snapshot))
        self.log.append("reload", {**facts, "problems": readings.kept(result.problems), **after})
        await self._follow_candidate()
        if result.changed and self._assessors is not None:
            assessors = await asyncio.to_thread(self._assessors.of_prompts, self.snapshot)
            self.services = replace(self.services, assessors=assessors)
        if result.ok:
            log.info("policy loaded: %s", result.hash[:12])
            for warning in self.snapshot.warnings if result.changed else ():
                log.warning("policy: %s", warning)
            await self._keep()
            await asyncio.to_thread(trim)
        else:
            log.error("policy not loaded, the last good one stays:\n%s", "\n".join(problems))
        if result.restart:
            log.warning("these settings wait for a restart: %s", ", ".join(result.restart))
        return facts

    async def _keep(self) -> None:
        """Let the state directory remember what is in force; one process of those that share it does."""
        if self._stores is None or not self._stores.first:
            return
        try:
            await asyncio.to_thread(self.active.keep)
        except OSError as error:
            # What is in force stays in force; the next start compares with the policy before it.
            log.error("the state directory does not remember this policy: %s", error)  # noqa: TRY400 - says it all

    async def _follow_candidate(self) -> None:
        """Bring the candidate up to date with its files, and have finished exchanges offered to it if there is one."""
        name = self.active.loaded.config.candidate
        if name is not None or self.candidate.wanted:
            await asyncio.to_thread(self.candidate.follow, name)
        beside = self.candidate if self.candidate.wanted else None
        if self.services.candidate is not beside:
            self.services = replace(self.services, candidate=beside)

    def turned_away(self, refusal: Refusal) -> None:
        """Report a request that was refused before it could become an exchange.

        The metrics count every one; the audit chain gets as many as a stranger may write there (100 at once, 10 a
        second), each with the number of those before it that were left out.
        """
        self.metrics.request("deny", refusal.code.value, "none")
        if self.services.candidate is not None:
            self.metrics.candidate_not_evaluated("turned_away")
        held_back = self._strangers.admit()
        if held_back is None:
            return
        if self._telemetry is not None and self._telemetry.decisions is not None:
            self._telemetry.decisions.turned_away(refusal, held_back)
        self.log.turned_away(refusal, held_back)

    def usage(self) -> list[dict[str, Any]]:
        """Return the count of every license with its bounds and limits."""
        stores = self.stores
        rows = counts.usage_facts(
            self.snapshot, stores.counter, self._states, stores.calendar, stores.began, time.time()
        )
        suspected = [measure.reason for measure in self._churn() if measure.suspect]
        return self.overview.usage([{**row, "reasons": [*row["reasons"], *suspected]} for row in rows])

    def _churn(self) -> list[Measure]:
        return self.services.churn.measures(time.time()) if self.services.churn is not None else []

    def policy(self) -> dict[str, Any]:
        """Return what the policy in force is and how the last loads went."""
        return {**readings.policy_facts(self.snapshot, self.active.history), "candidate": self.candidate.facts()}

    def decisions(self, limit: int) -> list[dict[str, Any]]:
        """Return the last decisions that were not a plain allow, newest first."""
        return self.overview.decisions(limit)

    async def refresh(self) -> None:
        """Bring what is told of the journals and the disk up to date, at most every two seconds."""
        await self.overview.refresh(self.active.loaded.config)

    def history(self) -> dict[str, Any]:
        """Return the decisions of the last 31 days by hour."""
        return self.overview.history()

    def decision(self, reference: str) -> dict[str, Any] | None:
        """Return one decision of those in memory, explained."""
        return self.overview.decision(reference, self.snapshot)

    def look_up(self, reference: str, go_on: Callable[[], bool]) -> dict[str, Any] | None:
        """Return one decision, explained. An old one is looked for in the journals: not for an event loop."""
        return self.overview.look_up(reference, self.snapshot, go_on)

    def due(self) -> list[dict[str, Any]]:
        """Return what is open or comes due, the most urgent first."""
        return self.overview.due(self.snapshot, self.active.loaded.config)

    def export_checks(self) -> list[dict[str, Any]]:
        """Return the last export checks, newest first."""
        return self.overview.export_checks()

    def health(self) -> dict[str, Any]:
        """Return how every part is."""
        return health_facts(
            Process(
                self.stores, ledger_url(self.config), self.active, self.candidate, self._assessors, self._behavior,
                self.overview.disk, self.overview.checkpoint, self._upload,
            ), time.time(),
        )  # fmt: skip

    def candidate_facts(self) -> dict[str, Any]:
        """Return what the candidate policy is, and the last decisions that it would have made otherwise."""
        return {"candidate": self.candidate.facts(), "differences": self.candidate.differences()}

    def obligations(self) -> list[dict[str, Any]]:
        """Return everything owed for serving the configured models."""
        return readings.obligation_facts(self.snapshot)

    def export_check(self, data: BufferedRandom, query: Query) -> dict[str, Any]:
        """Return the export gate's statement on a data set. Raises what ``guard.transports.export`` does."""
        from guard.transports.export import check_body, entry  # noqa: PLC0415 - rarely needed, and not by a request

        digests = pack_digests([shipped_licenses(), *map(Path, self.config.policies)])
        state_dir = Path(self.config.state_dir)
        snapshot = self.snapshot
        statement = check_body(data, query, state_dir, snapshot.packs, digests)
        self.metrics.export_check(str(statement["verdict"]))
        self.log.append("export_check", entry(statement, query, digests, snapshot.hash))
        return statement

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether requests can be served, and what each part says."""
        behavior = "off" if self._behavior is None else self._behavior.error or "ok"
        parts = {"policy": self.snapshot.hash[:12], "policy_files": self._policy_files(), "behavior": behavior}
        return readiness(self._stores, started=self._started, draining=self.draining, parts=parts)

    def _uploaded(self, attempt: Attempt) -> None:
        """Count a run of the upload command, and say it where it failed: never the command, which may hold secrets."""
        self._upload = attempt
        self.metrics.upload(attempt.outcome)
        if attempt.outcome != "uploaded":
            log.error(
                "index: %s/%s was not uploaded: %s; tried again in %.0f s",
                attempt.month, attempt.name, attempt.reason, attempt.wait,
            )  # fmt: skip

    def _policy_files(self) -> str:
        if self.active.restored:
            return "bad: the last good copy is in force"
        return "ok" if self.active.history[-1].ok else "bad: the last good policy stays"

    def _reading(self) -> UsageReading:
        return scrape.reading(
            self.active, self.stores, self._states, self.candidate.reading(), self._churn(), self._behavior,
            self.overview.outlook, time.time(),
        )  # fmt: skip


def _suspected(measure: Measure) -> None:
    log.warning("identity_churn: %s", measure.reason)


def _failed(what: str, error: BaseException) -> None:
    # Its text may quote what was screened: that is for whoever asks for debugging.
    log.error("%s could not be evaluated: %s", what, type(error).__name__)
    log.debug("%s could not be evaluated", what, exc_info=error)
