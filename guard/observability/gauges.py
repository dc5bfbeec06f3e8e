"""Gauges that are read when a scrape asks for them: the count, its ledger, and what is in force.

They are read from memory, so that none is ever older than its scrape and none is written on the hot path.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import guard
from guard.usage.thresholds import State

log = logging.getLogger("guard.metrics")


class LimitReading(NamedTuple):
    """One user threshold of one license and the state the count puts it in."""

    id: str
    value: int
    state: State
    lower: int
    """At least so many users count against it, by what was measured and stated."""
    held: int
    """All users that are known of: what the state goes by."""
    upper: int | None
    """As ``held``; None where the license counts somebody who is not in it."""


class WindowReading(NamedTuple):
    """The count of one license in a period that is counted beside the month."""

    window: str
    """``day``, ``rolling_28`` or ``rolling_30``."""
    users: int
    lower: int
    upper: int | None
    """As in ``LicenseReading``."""


class LicenseReading(NamedTuple):
    """The count of one license in its current period."""

    license: str
    users: int
    lower: int
    upper: int | None
    """None where nothing bounds the true number from above (unidentified users were let through)."""
    exact: bool
    """What the ledger does: count, or estimate."""
    limits: Sequence[LimitReading] = ()
    declared: int | None = None
    """Users that were declared for services Guard does not see, if any."""
    windows: Sequence[WindowReading] = ()
    lost: int = 0
    """Users that the ledger had and lost."""


class CandidateReading(NamedTuple):
    """The candidate policy: its hash, or None while it has problems."""

    hash: str | None


class KeySetReading(NamedTuple):
    """How fresh the keys behind one URL of the policy are."""

    url: str
    up: bool
    age: float
    """Seconds."""


class ForecastReading(NamedTuple):
    """When one limit is expected to be passed."""

    license: str
    limit: str
    earliest: int | None
    """Days until it is passed in one case of ten, 0 if it is passed already; None where that is not expected."""
    middle: int | None
    """Days until it is passed in half of the cases, likewise."""


class AuditReading(NamedTuple):
    """The audit chain of a process."""

    length: int
    intact: bool
    """True while it verifies, and nothing was set aside as damaged."""
    writable: bool
    """True while entries are being written."""
    head_sent: float | None = None
    """When this process last brought a head of it to its places off the box, in epoch seconds; None if it never did."""


class UsageReading(NamedTuple):
    """What is read at scrape time, from memory."""

    licenses: Sequence[LicenseReading]
    spool_records: int
    spool_oldest_seconds: float
    ledger_up: bool
    policy_hash: str
    spool_writable: bool = True
    unspooled: int = 0
    damaged_records: int = 0
    ledger_replays: int = 0
    audit: AuditReading | None = None
    """None where no audit chain is kept."""
    index_up: bool | None = None
    """True while answers are being recorded in the index; None where receipts are off."""
    policy_checked: float | None = None
    """When the policy's files were last compared with what is in force, in epoch seconds."""
    forecasts: Sequence[ForecastReading] = ()
    attested_until: Mapping[tuple[str, str], float] = MappingProxyType({})
    """By (license, limit): when the attestation in force lapses, in epoch seconds; one without an end is missing."""
    candidate: CandidateReading | None = None
    """None where no candidate policy is set: then it has no series."""
    license_drift: Mapping[str, bool] = MappingProxyType({})
    """By license: True if a license file beside the weights is not the license's text."""
    attested: Mapping[tuple[str, str], bool] = MappingProxyType({})
    """By (license, limit): True if an attestation of the users of the month it looks at is in force."""
    key_sets: Sequence[KeySetReading] = ()
    behavior: Mapping[str, int] = MappingProxyType({})
    """By step of the ladder: the identities on it."""
    churn: Mapping[str, float] = MappingProxyType({})
    """By source of identity: the share of the last day's requests that came from identities never seen before."""


class UsageCollector(Collector):
    """Reads gauges at scrape time, so that none is ever older than its scrape and none is written on the hot path.

    Every process on one ledger reports the same users: queries take ``max by (license)``, never ``sum``.
    ``guard_license_threshold_state{license,limit,state}`` is 1 for the state that holds and 0 for the others.
    A license without a known upper bound has no ``guard_license_mau_upper`` series.
    """

    def __init__(self, read: Callable[[], UsageReading]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Return the families without samples, so that registering reads nothing."""
        return _families().values()

    def collect(self) -> Iterable[Metric]:
        """Return the families with what is true now; without samples, but for the build, if that cannot be read."""
        families = _families()
        families["guard_build_info"].add_metric([guard.__version__], 1)
        try:
            reading = self._read()
        except Exception:
            log.exception("usage could not be read for a scrape")
            return families.values()
        for row in reading.licenses:
            _add_license(families, row)
        families["guard_mau_spool_records"].add_metric([], reading.spool_records)
        families["guard_mau_spool_oldest_seconds"].add_metric([], reading.spool_oldest_seconds)
        families["guard_mau_ledger_up"].add_metric([], float(reading.ledger_up))
        families["guard_mau_spool_writable"].add_metric([], float(reading.spool_writable))
        families["guard_mau_unspooled_sightings"].add_metric([], reading.unspooled)
        families["guard_mau_spool_damaged_records"].add_metric([], reading.damaged_records)
        families["guard_mau_ledger_replays"].add_metric([], reading.ledger_replays)
        _add_policy(families, reading)
        if reading.index_up is not None:
            families["guard_index_up"].add_metric([], float(reading.index_up))
        for source, ratio in reading.churn.items():
            families["guard_identity_churn_ratio"].add_metric([source], ratio)
        for step, number in reading.behavior.items():
            families["guard_behavior_identities"].add_metric([step], number)
        for forecast in reading.forecasts:
            for bound, days in (("earliest", forecast.earliest), ("middle", forecast.middle)):
                if days is not None:
                    families["guard_license_forecast_days"].add_metric([forecast.license, forecast.limit, bound], days)
        if reading.audit is not None:
            _add_audit(families, reading.audit)
        return families.values()


GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "guard_license_mau": ("Distinct users of the current period.", ("license", "kind")),
    "guard_license_mau_lower": ("Lower bound of the users of the current period.", ("license",)),
    "guard_license_mau_upper": ("Upper bound of the users of the current period.", ("license",)),
    "guard_license_mau_limit": ("Users the license names.", ("license", "limit")),
    "guard_license_limit_users": ("Users that count against the limit.", ("license", "limit", "bound")),
    "guard_license_mau_declared": ("Users declared for services Guard does not see.", ("license",)),
    "guard_license_threshold_state": ("1 for the state the limit is in.", ("license", "limit", "state")),
    "guard_license_attested": ("1 if it is attested that the past month's users were few.", ("license", "limit")),
    "guard_license_attestation_expires_timestamp_seconds": (
        "When the attestation in force lapses.",
        ("license", "limit"),
    ),
    "guard_license_forecast_days": (
        "Days until the limit is expected to be passed.",
        ("license", "limit", "bound"),
    ),
    "guard_license_file_drift": ("1 if a license file beside the weights is not the license's text.", ("license",)),
    "guard_mau_spool_records": ("Sightings that are not in the ledger yet.", ()),
    "guard_mau_spool_oldest_seconds": ("Age of the oldest sighting that is not in the ledger yet.", ()),
    "guard_license_active_users": ("Users of the day or rolling window.", ("license", "window", "bound")),
    "guard_license_mau_lost": ("Users that the ledger had and lost.", ("license",)),
    "guard_mau_ledger_up": ("1 if the ledger answered last, and took what it was last given.", ()),
    "guard_mau_ledger_replays": ("Times the ledger was restarted or replaced and got everything kept again.", ()),
    "guard_mau_spool_writable": ("1 if a sighting could be written to the spool.", ()),
    "guard_mau_spool_damaged_records": ("Spool records whose checksum is wrong.", ()),
    "guard_mau_unspooled_sightings": ("Sightings that wait in memory because the spool cannot be written.", ()),
    "guard_identity_churn_ratio": (
        "Share of the last day's requests that came from identities never seen before.",
        ("source",),
    ),
    "guard_behavior_identities": ("Identities on a step of the ladder.", ("step",)),
    "guard_jwks_up": ("1 if the key set was fetched when it was last tried.", ("url",)),
    "guard_jwks_age_seconds": ("Seconds since the keys in use were fetched.", ("url",)),
    "guard_policy_info": ("The policy in force.", ("hash",)),
    "guard_candidate_info": ("The candidate policy.", ("hash",)),
    "guard_candidate_last_reload_successful": ("1 if the last load of the candidate policy succeeded.", ()),
    "guard_policy_checked_timestamp_seconds": (
        "When the policy's files were last compared with what is in force.",
        (),
    ),
    "guard_audit_chain_length": ("Entries in this instance's audit chain.", ()),
    "guard_audit_chain_intact": ("1 while this process's audit chain verifies.", ()),
    "guard_audit_writable": ("1 while audit entries are being written.", ()),
    "guard_audit_head_sent_timestamp_seconds": ("When a head of the audit chain last reached its off-box place.", ()),
    "guard_index_up": ("1 while answers are being recorded in the index.", ()),
    "guard_build_info": ("The version that runs.", ("version",)),
}


def _families() -> dict[str, GaugeMetricFamily]:
    return {name: GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in GAUGES.items()}


def _add_license(families: dict[str, GaugeMetricFamily], row: LicenseReading) -> None:
    families["guard_license_mau"].add_metric([row.license, "exact" if row.exact else "estimate"], row.users)
    families["guard_license_mau_lower"].add_metric([row.license], row.lower)
    if row.upper is not None:
        families["guard_license_mau_upper"].add_metric([row.license], row.upper)
    if row.declared is not None:
        families["guard_license_mau_declared"].add_metric([row.license], row.declared)
    families["guard_license_mau_lost"].add_metric([row.license], row.lost)
    for window in row.windows:
        for bound, users in (("users", window.users), ("lower", window.lower), ("upper", window.upper)):
            if users is not None:
                families["guard_license_active_users"].add_metric([row.license, window.window, bound], users)
    for limit in row.limits:
        families["guard_license_mau_limit"].add_metric([row.license, limit.id], limit.value)
        for bound, users in (("lower", limit.lower), ("held", limit.held), ("upper", limit.upper)):
            if users is not None:
                families["guard_license_limit_users"].add_metric([row.license, limit.id, bound], users)
        for state in State:
            families["guard_license_threshold_state"].add_metric(
                [row.license, limit.id, state.value], float(limit.state is state)
            )


def _add_policy(families: dict[str, GaugeMetricFamily], reading: UsageReading) -> None:
    families["guard_policy_info"].add_metric([reading.policy_hash], 1)
    if reading.policy_checked is not None:
        families["guard_policy_checked_timestamp_seconds"].add_metric([], reading.policy_checked)
    for license, drifted in reading.license_drift.items():
        families["guard_license_file_drift"].add_metric([license], float(drifted))
    for keys in reading.key_sets:
        families["guard_jwks_up"].add_metric([keys.url], float(keys.up))
        families["guard_jwks_age_seconds"].add_metric([keys.url], keys.age)
    for labels, in_force in reading.attested.items():
        families["guard_license_attested"].add_metric([*labels], float(in_force))
    for labels, lapses in reading.attested_until.items():
        families["guard_license_attestation_expires_timestamp_seconds"].add_metric([*labels], lapses)
    if reading.candidate is not None:
        families["guard_candidate_last_reload_successful"].add_metric([], float(reading.candidate.hash is not None))
        if reading.candidate.hash is not None:
            families["guard_candidate_info"].add_metric([reading.candidate.hash], 1)


def _add_audit(families: dict[str, GaugeMetricFamily], audit: AuditReading) -> None:
    families["guard_audit_chain_length"].add_metric([], audit.length)
    families["guard_audit_chain_intact"].add_metric([], float(audit.intact))
    families["guard_audit_writable"].add_metric([], float(audit.writable))
    if audit.head_sent is not None:
        families["guard_audit_head_sent_timestamp_seconds"].add_metric([], audit.head_sent)
