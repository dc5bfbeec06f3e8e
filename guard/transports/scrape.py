"""What a scrape reads of a process: everything from memory."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from guard.behavior.observer import Observer
from guard.evidence.chain import Journal
from guard.evidence.sender import HeadSender
from guard.observability.gauges import AuditReading, CandidateReading, KeySetReading, UsageReading
from guard.policy.watch import ActivePolicy
from guard.transports import counts
from guard.transports.outlook import Outlook
from guard.transports.stores import Stores
from guard.usage.churn import Measure
from guard.usage.states import States


def reading(
    active: ActivePolicy,
    stores: Stores,
    states: States,
    candidate: CandidateReading | None,
    churn: Sequence[Measure],
    behavior: Observer | None,
    outlook: Outlook,
    now: float,
) -> UsageReading:
    """Return the gauges of a process at ``now`` (epoch seconds)."""
    snapshot, counter = active.snapshot, stores.counter
    return UsageReading(
        counts.readings(snapshot, counter, states, stores.calendar, stores.began, now),
        counter.spool_records,
        counter.spool_oldest_seconds,
        counter.ledger_up,
        snapshot.hash,
        counter.spool_error is None,
        counter.unspooled,
        counter.damaged_records,
        counter.replays,
        audit=None if stores.journal is None else _audit(stores.journal, stores.heads),
        index_up=None if stores.recorder is None else stores.recorder.healthy,
        policy_checked=active.checked,
        forecasts=outlook.readings(now),
        attested_until=lapses(snapshot.attested_until),
        license_drift=snapshot.license_drift,
        attested=snapshot.attested,
        candidate=candidate,
        churn={measure.source: measure.ratio for measure in churn},
        behavior=behavior.table.identities() if behavior is not None else {},
        key_sets=[KeySetReading(*state) for state in active.key_sets.states()],
    )


def _audit(journal: Journal, heads: HeadSender | None) -> AuditReading:
    sent = heads.last_sent if heads is not None else None
    return AuditReading(journal.length, intact=journal.intact, writable=journal.healthy, head_sent=sent)


def lapses(attested_until: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], float]:
    """Return when the last days in ``attested_until`` are over, in epoch seconds."""
    days = {at: date.fromisoformat(day) for at, day in attested_until.items()}
    return {at: _end_of(day) for at, day in days.items() if day < date.max}


def _end_of(day: date) -> float:
    """Return when ``day`` is over in UTC, by which attestations expire."""
    return datetime.combine(day + timedelta(days=1), time(), UTC).timestamp()
