"""What the admin port asks of the process it is in."""

from collections.abc import Callable
from io import BufferedRandom
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from guard.exchange.snapshot import Snapshot
from guard.transports.upload import Query

MAX_DECISIONS = 1000
"""As many decisions can be asked for at once."""


class AdminRuntime(Protocol):
    """What the admin port shows and does. It answers from memory, but for ``refresh``, ``reload``, ``look_up`` and
    ``export_check``, of which the last two belong into a thread; ``decisions`` and ``history`` may be called in one.

    Times are epoch seconds, days ISO dates.
    """

    @property
    def snapshot(self) -> Snapshot:
        """The policy in force."""

    @property
    def registry(self) -> CollectorRegistry:
        """Where the metrics are."""

    async def refresh(self) -> None:
        """Bring what is kept in files up to date; returns at once if that was done a moment ago."""

    def usage(self) -> list[dict[str, Any]]:
        """Return by license: license, period, users, lower, upper, exact, reasons, limits, growth.

        ``limits`` is a list of id, value, state, standing, clause, forecast: None, or verdict, earliest, middle, latest
        (days or None) and rests_on. ``growth`` is a list of day and users: how many there were by its end.
        """

    def policy(self) -> dict[str, Any]:
        """Return what the policy in force is and how the last reload went."""

    def decisions(self, limit: int) -> list[dict[str, Any]]:
        """Return the last decisions other than plain allows, newest first."""

    def history(self) -> dict[str, Any]:
        """Return the decisions by hour: since, step (seconds), and buckets of at and counts.

        ``counts`` is a list of verdict, code, license, clause, category (None where there is none) and number.
        """

    def decision(self, reference: str) -> dict[str, Any] | None:
        """Return the decision of that reference: entry and explained; None if it is not in memory.

        ``entry`` is as in ``decisions``, with the instance and seq of its audit entry. ``explained`` has summary,
        clause (license, name, clause, text or summary, confirmed), category (id, name), rule, duties, policy, late,
        receipts.
        """

    def look_up(self, reference: str, go_on: Callable[[], bool]) -> dict[str, Any] | None:
        """Return the same of any decision; an old one is looked for in files for as long as ``go_on`` returns True."""

    def candidate_facts(self) -> dict[str, Any]:
        """Return the candidate policy, None if there is none, and the last decisions it would have made otherwise."""

    def obligations(self) -> list[dict[str, Any]]:
        """Return what is owed: kind, text, trigger, license, clause, status."""

    def due(self) -> list[dict[str, Any]]:
        """Return what is open or comes due: what, license, clause, by (a day or None), state, how.

        ``state`` is one of open, soon, overdue, met.
        """

    def health(self) -> dict[str, Any]:
        """Return how every part is: parts, a list of name, state (ok, warn, bad, off), detail and facts."""

    def export_checks(self) -> list[dict[str, Any]]:
        """Return the last export checks, newest first: time, digest, target, verdict, records, hits, by."""

    async def reload(self) -> dict[str, Any]:
        """Load the policy anew and return ok, hash, problems."""

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether requests can be served, and what each part says."""

    def export_check(self, data: BufferedRandom, query: Query) -> dict[str, Any]:
        """Return the export gate's statement on a data set; takes its time and runs in a thread.

        Raises what ``guard.transports.export.check_body`` raises.
        """
