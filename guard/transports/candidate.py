"""Finished exchanges decided again under the candidate policy: off the request's path, on one thread of its own.

What cannot be taken is counted as not evaluated, never dropped in silence, and nothing waits for it. Texts stay in
memory until they are judged; what is written down is names, clauses and rule ids.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Condition, Lock, Thread
from typing import Any, NamedTuple

from guard.exchange.exchange import Exchange
from guard.exchange.outcome import outcome, stricter
from guard.exchange.redecide import UNAVAILABLE, redecide
from guard.observability.gauges import CandidateReading
from guard.observability.metrics import Metrics
from guard.policy.candidate import CandidatePolicy
from guard.transports.readings import kept
from guard.transports.throttle import Throttle
from guard.usage.count import Count

log = logging.getLogger("guard")

MOST_WAITING = 256
"""Exchanges that may wait for their turn."""
MOST_TEXT = 16_000_000
"""Characters of theirs that may wait."""
RECENT = 200
"""Differences that are kept in memory for the admin port."""
STOP_SECONDS = 5.0

Append = Callable[[str, Mapping[str, Any]], None]


class _Finished(NamedTuple):
    exchange: Exchange
    counts: Mapping[str, Count]
    """As they were when it was finished."""
    weight: int
    """Characters of its texts."""


class Comparison:
    """Holds the candidate policy and compares it with what was decided. ``follow`` before all else."""

    def __init__(self, policy: CandidatePolicy, metrics: Metrics) -> None:
        self._policy = policy
        self._metrics = metrics
        self._append: Append = lambda _kind, _facts: None
        self._following = Lock()
        self._ready = Condition()
        self._waiting: deque[_Finished] = deque()
        self._text = 0
        self._thread: Thread | None = None
        self._closing = False
        self._listed = Throttle(10, 100, time.monotonic)
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self._compared = self._differing = 0

    @property
    def wanted(self) -> bool:
        """True if a candidate is set, sound or not."""
        return self._policy.path is not None

    def start(self, append: Append) -> None:
        """Write differences with ``append(kind, facts)`` from now on."""
        self._append, self._closing = append, False

    def follow(self, name: str | None) -> None:
        """Make the configuration called ``name`` the candidate, as its files are now; None: there is none."""
        with self._following:
            try:
                news = self._policy.follow(name)
            except Exception:
                # The active policy depends on nothing here, not even on its mistakes being foreseen.
                log.exception("the candidate policy could not be looked at")
                return
            if not news:
                return
            self._compared = self._differing = 0
            self._recent.clear()
            if name is None:
                return
            loaded, problems = self._policy.loaded, [str(problem) for problem in self._policy.problems]
            if loaded is None:
                log.error("candidate policy not loaded, the active one is untouched:\n%s", "\n".join(problems))
            else:
                log.info("candidate policy loaded: %s", loaded.snapshot.hash[:12])
            hash_ = loaded.snapshot.hash if loaded is not None else None
            facts = {"ok": loaded is not None, "hash": hash_, "problems": kept(self._policy.problems)}
            self._append("candidate_reload", facts)

    def offer(self, exchange: Exchange) -> None:
        """Take a finished exchange, or count why it cannot be; returns at once."""
        if self._policy.loaded is None:
            self._metrics.candidate_not_evaluated("broken")
        elif exchange.refused is not None and exchange.refused.code in UNAVAILABLE:
            self._metrics.candidate_not_evaluated("unavailable")
        elif exchange.answered and exchange.answer is None:
            self._metrics.candidate_not_evaluated("too_long")
        elif not self._take(exchange):
            self._metrics.candidate_not_evaluated("stopped" if self._closing else "overload")

    def stop(self) -> None:
        """Finish the exchange at hand and count those that wait as not evaluated; idempotent."""
        with self._ready:
            self._closing = True
            left, self._text = len(self._waiting), 0
            self._waiting.clear()
            self._ready.notify()
        for _ in range(left):
            self._metrics.candidate_not_evaluated("stopped")
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            self._thread = None

    def reading(self) -> CandidateReading | None:
        """Return what a scrape shows of the candidate; None where there is none."""
        if not self.wanted:
            return None
        loaded = self._policy.loaded
        return CandidateReading(loaded.snapshot.hash if loaded is not None else None)

    def facts(self) -> dict[str, Any] | None:
        """Return what the candidate is and how it compares so far; None where there is none."""
        if not self.wanted:
            return None
        loaded = self._policy.loaded
        return {
            "path": str(self._policy.path),
            "ok": loaded is not None,
            "hash": loaded.snapshot.hash if loaded is not None else None,
            "problems": [str(problem) for problem in self._policy.problems],
            "warnings": list(loaded.snapshot.warnings) if loaded is not None else [],
            "at": self._policy.at,
            "compared": self._compared,
            "differing": self._differing,
        }

    def differences(self) -> list[dict[str, Any]]:
        """Return the last decisions that the candidate would have made otherwise, newest first."""
        return list(self._recent)[::-1]

    def _take(self, exchange: Exchange) -> bool:
        weight = sum(len(segment.text) for segment in exchange.inquiry.segments)
        weight += sum(len(text) for _, text in exchange.answer or () if text is not None)
        weight += sum(map(len, exchange.inquiry.token_prompts))
        # The body itself is not looked at again, and may be as large as a body can be.
        exchange = replace(exchange, inquiry=replace(exchange.inquiry, document={}))
        with self._ready:
            if self._closing or len(self._waiting) >= MOST_WAITING or self._text + weight > MOST_TEXT:
                return False
            services = exchange.services
            self._waiting.append(_Finished(exchange, services.counter.counts(services.now()), weight))
            self._text += weight
            if self._thread is None:
                self._thread = Thread(target=self._work, name="guard-candidate", daemon=True)
                self._thread.start()
            self._ready.notify()
        return True

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._waiting and not self._closing:
                    self._ready.wait()
                if self._closing:
                    return
                finished = self._waiting.popleft()
                self._text -= finished.weight
            try:
                self._compare(finished.exchange, finished.counts)
            except Exception as error:  # noqa: BLE001 - one that cannot be compared ends no thread
                # The text of the error may quote the request.
                log.error("an exchange could not be decided under the candidate: %s", type(error).__name__)  # noqa: TRY400
                self._metrics.candidate_not_evaluated("error")
            del finished
            time.sleep(0)  # requests come first: hand the interpreter over after each

    def _compare(self, exchange: Exchange, counts: Mapping[str, Count]) -> None:
        loaded = self._policy.loaded
        if loaded is None:
            self._metrics.candidate_not_evaluated("broken")
            return
        again, partial = redecide(exchange, loaded.snapshot, counts)
        active, candidate = outcome(exchange), outcome(again)
        current = loaded is self._policy.loaded  # or replaced while this was compared: the numbers are of the new one
        self._compared += current
        if active == candidate:
            self._metrics.candidate_decision(active.verdict, candidate.verdict, "same")
            return
        self._differing += current
        self._metrics.candidate_decision(active.verdict, candidate.verdict, stricter(active, candidate).reason)
        model = exchange.named
        facts = {
            "reference": exchange.head.reference,
            "surface": exchange.inquiry.surface,
            "model": model.name if model is not None else None,
            "policy": exchange.snapshot.hash,
            "candidate_policy": loaded.snapshot.hash,
            "active": active.facts(),
            "candidate": candidate.facts(),
            "partial": partial,
        }
        if current:
            self._recent.append({"time": exchange.services.now(), **facts})
        held_back = self._listed.admit()
        if held_back is not None:
            self._append("candidate", {**facts, "not_listed_before": held_back})
