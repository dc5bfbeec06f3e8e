"""The metrics of several processes as those of one, in Prometheus' text format: what a scrape of all workers shows.

Every worker's own text is read line by line: the name and labels of a sample are its key as they stand, so whatever a
process shows is merged without being known here. Counters and histograms add up, gauges go by ``RULES``.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple


class Rule(Enum):
    """What several processes' values of a gauge are together."""

    SUM = "sum"
    LOWEST = "lowest"
    HIGHEST = "highest"
    FIRST = "first"
    """Those of the first process that has the family, whole: values that belong together stay together."""


_SUMMED = (
    "guard_mau_spool_records guard_mau_unspooled_sightings guard_audit_chain_length process_resident_memory_bytes "
    "process_virtual_memory_bytes process_open_fds"
)
_LOWEST = (
    "guard_mau_ledger_up guard_mau_spool_writable guard_policy_last_reload_successful guard_jwks_up guard_index_up "
    "guard_policy_last_reload_success_timestamp_seconds guard_policy_checked_timestamp_seconds "
    "guard_candidate_last_reload_successful guard_audit_chain_intact guard_audit_writable "
    "guard_audit_head_sent_timestamp_seconds process_start_time_seconds process_max_fds"
)
_HIGHEST = (
    "guard_mau_spool_oldest_seconds guard_mau_spool_damaged_records guard_mau_ledger_replays guard_build_info "
    "guard_identity_churn_ratio guard_behavior_identities guard_jwks_age_seconds guard_policy_info "
    "guard_candidate_info guard_judge_breaker_open python_info"
)
_FIRST = (
    "guard_license_mau guard_license_mau_lower guard_license_mau_upper guard_license_mau_limit guard_license_mau_lost "
    "guard_license_limit_users guard_license_mau_declared guard_license_threshold_state guard_license_attested "
    "guard_license_attestation_expires_timestamp_seconds guard_license_forecast_days guard_license_file_drift "
    "guard_license_active_users"
)
RULES: Mapping[str, Rule] = {
    name: rule
    for rule, names in ((Rule.SUM, _SUMMED), (Rule.LOWEST, _LOWEST), (Rule.HIGHEST, _HIGHEST), (Rule.FIRST, _FIRST))
    for name in names.split()
}
"""By gauge; of one that is not named the highest value shows. Where a rule is the lowest, the worst process shows."""

Values = dict[str, float]
"""By name and labels as they stand in the text."""


class Family(NamedTuple):
    """The samples of one metric."""

    name: str
    kind: str
    """``counter``, ``gauge``, ``histogram`` ..."""
    head: str
    """Its lines of help and type."""
    values: Values


def families(text: str) -> dict[str, Family]:
    """Return the families of an exposition by name. ``text`` is our own, in the format 0.0.4 without timestamps."""
    found: dict[str, Family] = {}
    help_, values = "", Values()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            help_ = line
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            values = {}
            found[name] = Family(name, kind, f"{help_}\n{line}\n", values)
        elif line:
            key, _, value = line.rpartition(" ")
            values[key] = float(value)
    return found


class Departed:
    """What processes that have ended had counted: a counter never goes back because its process was replaced."""

    def __init__(self) -> None:
        self._kept: dict[str, Family] = {}

    def add(self, text: str, before: str = "") -> None:
        """Take the last exposition of a process that ended, and of the one ``before`` what is no more in it."""
        for family in {**families(before), **families(text)}.values():
            if family.kind == "gauge":
                continue
            kept = self._kept.setdefault(family.name, family._replace(values={}))
            for key, value in family.values.items():
                kept.values[key] = kept.values.get(key, 0.0) + value

    def families(self) -> dict[str, Family]:
        """Return what is kept."""
        return self._kept


def merged(texts: Iterable[str], departed: Departed) -> str:
    """Return the exposition of all processes whose own are ``texts``, in the order of their numbers."""
    each = [departed.families(), *map(families, texts)]
    heads = {name: family for one in each for name, family in one.items()}
    return "".join(
        family.head + "".join(_lines(_together(family, [one[name].values for one in each if name in one])))
        for name, family in heads.items()
    )


def _together(family: Family, values: list[Values]) -> Values:
    rule = RULES.get(family.name, Rule.HIGHEST) if family.kind in {"gauge", "untyped"} else Rule.SUM
    if rule is Rule.FIRST:
        return next((each for each in values if each), Values())
    result = Values()
    for each in values:
        for key, value in each.items():
            result[key] = value if key not in result else _combined(rule, result[key], value)
    return result


def _combined(rule: Rule, one: float, other: float) -> float:
    if rule is Rule.SUM:
        return one + other
    return min(one, other) if rule is Rule.LOWEST else max(one, other)


def _lines(values: Values) -> Iterator[str]:
    for key, value in values.items():
        yield f"{key} {_number(value)}\n"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)
