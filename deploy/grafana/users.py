"""Rows about users: what stands out, how many against each limit, and who was counted by what."""

from kinds import (
    BAD_FROM_ONE,
    LIMIT_USED,
    NEUTRAL,
    OF,
    OF_LICENSE,
    Panel,
    Query,
    bars,
    curves,
    number,
    rows,
    share,
    states,
)

_LIMIT = f"min by (ledger, license, limit) (guard_license_mau_limit{{{OF_LICENSE}}})"
_ON = "on (ledger, license, limit)"


def _counted(bound: str) -> str:
    return f'max by (ledger, license, limit) (guard_license_limit_users{{{OF_LICENSE}, bound="{bound}"}})'


def _of_limit(bound: str) -> str:
    return f"{_counted(bound)} / {_ON} ({_LIMIT} > 0)"


def _bounded(series: str, others: str, level: str) -> str:
    """Return the greatest of ``series`` as long as no process knows of something that nothing bounds."""
    return f"(max by ({level}) ({series}) unless on ({level}) max by ({level}) ({others}))"


_UPPER = f'guard_license_limit_users{{{OF_LICENSE}, bound="upper"}}'
_HELD = f'guard_license_limit_users{{{OF_LICENSE}, bound="held"}}'
_AT_MOST = _bounded(_UPPER, f"{_HELD} unless ignoring (bound) {_UPPER}", "ledger, license, limit")
_MAU, _MAU_UPPER = f"guard_license_mau{{{OF_LICENSE}}}", f"guard_license_mau_upper{{{OF_LICENSE}}}"
_MAU_AT_MOST = _bounded(_MAU_UPPER, f"{_MAU} unless ignoring (kind) {_MAU_UPPER}", "ledger, license")


_UNATTESTED = f"min by (ledger, license, limit) (guard_license_attested{{{OF_LICENSE}}})"
_EXPIRES = (
    f"min by (ledger, license, limit) (guard_license_attestation_expires_timestamp_seconds{{{OF_LICENSE}}}) - time()"
)
_FORECAST = f"guard_license_forecast_days{{{OF_LICENSE}"


def outstanding() -> list[Panel]:
    """Return what is to be seen first."""
    return [
        number(
            "Nearest limit",
            "Of all limits, the share used of the one that is used most: all users that are known of against the "
            "number in the license or your own. This is what the limit's state and the alerts go by.",
            "percentunit",
            f"max({_of_limit('held')})",
            steps=LIMIT_USED,
            none="no limit",
            runbook="GuardUsersAt80Percent",
        ),
        number(
            "Days to a limit",
            "Days until the first limit is expected to be passed, in one case of ten (the cautious end of the "
            "forecast). 0: one is passed. No number: none is expected to be passed within a year.",
            "d",
            f'min({_FORECAST}, bound="earliest"}})',
            steps=((None, "red"), (7, "orange"), (30, "yellow"), (90, "green")),
            none="not expected",
            runbook="GuardForecastWithin30Days",
        ),
        number(
            "Attestations missing",
            "Limits that look at one past month, which no live count can answer, and for which no attestation in "
            "force shows that the users were few enough. No number: no such limit applies.",
            "none",
            f"sum({_UNATTESTED} == bool 0)",
            steps=BAD_FROM_ONE,
            none="none needed",
            runbook="GuardAttestationMissing",
        ),
        number(
            "Requests",
            "Requests a second over all processes, refused ones included.",
            "reqps",
            f"sum(rate(guard_requests_total{{{OF_LICENSE}}}[$__rate_interval]))",
        ),
        number(
            "Refused or cut",
            "Share of requests that the policy refused, or whose answer it ended early. What could not be served "
            "because the server behind failed is not in it.",
            "percentunit",
            share(
                f'sum(rate(guard_requests_total{{{OF_LICENSE}, decision="deny", '
                'reason!="upstream_unavailable"}[$__rate_interval]))',
                f"sum(rate(guard_requests_total{{{OF_LICENSE}}}[$__rate_interval]))",
            ),
            steps=((None, "green"), (0.05, "yellow"), (0.2, "orange")),
            none="no traffic",
            runbook="GuardBlockRateJump",
        ),
        number(
            "Served unchecked",
            "Share of requests that were served although a check could not be made: one of a rule that only notes, or "
            "of the judge where screening.judge.on_error is serve. Other checks that block are never skipped: without "
            "them the request is refused.",
            "percentunit",
            share(
                f'sum(rate(guard_requests_total{{{OF_LICENSE}, decision="not_evaluated"}}[$__rate_interval]))',
                f"sum(rate(guard_requests_total{{{OF_LICENSE}}}[$__rate_interval]))",
            ),
            steps=((None, "green"), (0.001, "yellow"), (0.01, "red")),
            none="none",
            runbook="GuardScreeningNotEvaluated",
        ),
        number(
            "Processes",
            "Guard processes that are scraped now: each process that serves is one target.",
            "none",
            f"count(count by (job, instance) (guard_build_info{{{OF}}}))",
            steps=((None, "red"), (1, "green")),
            none="none",
            runbook="GuardAbsent",
        ),
        number(
            "Alerts firing",
            "Alerts of Guard that fire now, as far as this Prometheus evaluates deploy/prometheus/guard-alerts.yml.",
            "none",
            'count(ALERTS{alertname=~"Guard.+", alertstate="firing"})',
            steps=BAD_FROM_ONE,
            none="none",
        ),
        rows(
            "Alerts that fire",
            "Each alert of Guard that fires now, with what it is about. docs/runbooks.md has a section for each.",
            "none",
            "max by (alertname, severity, ledger, license, limit, instance) "
            '(ALERTS{alertname=~"Guard.+", alertstate="firing"})',
            hidden=["Value"],
            none="no alert fires",
            span=24,
            height=6,
        ),
    ]


def limits() -> list[Panel]:
    """Return the users against the limits of the licenses."""
    return [
        bars(
            "Share of each limit used",
            "Users that count against each limit, in its own period and in the reading of its license, stated numbers "
            "included. 'at most' is the upper bound and is missing where nothing bounds the number from above; 'at "
            "least' is the lower bound. Full is the number in the license, or your own.",
            "percentunit",
            [
                Query(f"{_AT_MOST} / {_ON} ({_LIMIT} > 0)", "{{license}} {{limit}} {{ledger}} at most"),
                Query(_of_limit("lower"), "{{license}} {{limit}} {{ledger}} at least"),
            ],
            steps=LIMIT_USED,
            span=12,
            most=1,
            none="no limit",
            runbook="GuardUsersAt80Percent",
        ),
        states(
            "State of each limit",
            "What Guard itself holds each limit to be in, over time: it goes by all users that are known of. "
            "Approaching begins at 80 % unless the policy says otherwise.",
            [
                Query(
                    "max by (ledger, license, limit) ("
                    f'guard_license_threshold_state{{{OF_LICENSE}, state="approaching"}}'
                    f' or 2 * guard_license_threshold_state{{{OF_LICENSE}, state="over"}})',
                    "{{license}} {{limit}} {{ledger}}",
                )
            ],
            {0: ("ok", "green"), 1: ("approaching", "orange"), 2: ("over", "red")},
            runbook="GuardUsersOverLimit",
        ),
        curves(
            "Users of the month against the limit",
            "Distinct users of the calendar month, with bounds, and the limits as lines. The scale is logarithmic, so "
            "that a small service sees both. The count begins anew with the month, in the zone of usage.zone.",
            "short",
            [
                Query(f"max by (ledger, license) ({_MAU})", "{{license}} {{ledger}} users"),
                Query(_MAU_AT_MOST, "{{license}} {{ledger}} at most"),
                Query(
                    f"max by (ledger, license) (guard_license_mau_lower{{{OF_LICENSE}}})",
                    "{{license}} {{ledger}} at least",
                ),
                Query(_LIMIT, "{{license}} {{ledger}} limit {{limit}}"),
            ],
            span=16,
            logarithmic=True,
            runbook="GuardUsersAt95Percent",
        ),
        bars(
            "Days until a limit is passed",
            "Days until the limit is expected to be passed: 'middle' in half of the cases, 'earliest' in one of ten. "
            "0: it is passed. No bar where that is not expected within a year, or there is too little to say.",
            "d",
            [
                Query(
                    f"min by (ledger, license, limit, bound) ({_FORECAST}}})",
                    "{{license}} {{limit}} {{ledger}} {{bound}}",
                )
            ],
            steps=((None, "red"), (7, "orange"), (30, "yellow"), (90, "green")),
            none="not expected",
            runbook="GuardForecastWithin30Days",
        ),
        states(
            "Attestations",
            "For limits that look at one past month: whether an attestation in force shows that the users were few "
            "enough. Only a document answers this, never the live count.",
            [Query(_UNATTESTED, "{{license}} {{limit}} {{ledger}}")],
            {1: ("attested", "green"), 0: ("missing", "red")},
            span=8,
            runbook="GuardAttestationMissing",
        ),
        rows(
            "Attestations lapse in",
            "Time until the attestation in force lapses. One without an end has no row.",
            "s",
            _EXPIRES,
            names={"Value": "lapses in"},
            steps=((None, "red"), (7 * 86400, "orange"), (30 * 86400, "green")),
            none="none lapses",
            runbook="GuardAttestationLapsing",
        ),
        bars(
            "Stated, and lost",
            "Users stated for services that Guard does not see, which count too; and users that the ledger had and "
            "has no more, which should be none.",
            "short",
            [
                Query(f"max by (ledger, license) (guard_license_mau_declared{{{OF_LICENSE}}})", "{{license}} stated"),
                Query(f"max by (ledger, license) (guard_license_mau_lost{{{OF_LICENSE}}})", "{{license}} lost"),
            ],
            none="none",
            runbook="GuardLedgerLostUsers",
        ),
        curves(
            "Users of a day or of rolling windows",
            "Distinct users of the day and of rolling windows, where usage.windows has them counted beside the month.",
            "short",
            [
                Query(
                    f'max by (ledger, license, window) (guard_license_active_users{{{OF_LICENSE}, bound="users"}})',
                    "{{license}} {{window}} {{ledger}}",
                )
            ],
            span=12,
        ),
        curves(
            "First sightings in a day",
            "Users seen for the first time in their month, over the 24 hours before each point. Each process "
            "counts whom it sees first, so a user who comes to two processes is in it twice: for trends, not "
            "as a count.",
            "short",
            [Query(f"sum by (ledger) (increase(guard_mau_first_sightings_total{{{OF}}}[1d]))", "first sightings")],
            span=12,
            runbook="GuardIdentityChurn",
        ),
    ]


def identities() -> list[Panel]:
    """Return by what users were known."""
    unidentified = share(
        f"sum(rate(guard_requests_unidentified_total{{{OF}}}[$__rate_interval]))",
        f"sum(rate(guard_identity_total{{{OF}}}[$__rate_interval]))",
    )
    return [
        curves(
            "Identity sources",
            "Requests a second by what identified their user: a certificate, a verified token, a trusted header, an "
            "API key or a field of the body; 'none' where nothing did.",
            "reqps",
            [Query(f"sum by (source) (rate(guard_identity_total{{{OF}}}[$__rate_interval]))", "{{source}}")],
            stacked=True,
        ),
        curves(
            "Requests of nobody",
            "Share of requests that no source identified. While they are served, the number of users has no upper "
            "bound.",
            "percentunit",
            [Query(unidentified, "unidentified")],
            steps=((None, "green"), (0.05, "red")),
            runbook="GuardUnidentifiedShare",
        ),
        curves(
            "Churn of identities",
            "Share of the last day's requests that came from identities never seen before, by source. Near 1 the ids "
            "may be sessions, and the count too high. No curve on the first day of a month or below 1000 requests.",
            "percentunit",
            [Query(f"max by (source) (guard_identity_churn_ratio{{{OF}}})", "{{source}}")],
            steps=((None, "green"), (0.8, "red")),
            most=1,
            runbook="GuardIdentityChurn",
        ),
        curves(
            "First sightings by source",
            "Users seen for the first time in their month, by what identified them, in each interval.",
            "short",
            [Query(f"sum by (source) (increase(guard_identity_new_total{{{OF}}}[$__rate_interval]))", "{{source}}")],
            events=True,
        ),
        curves(
            "Terms not accepted",
            "Requests a second of callers for whom no acceptance of the license's terms is on record, where the "
            "license wants its terms passed on. They count here whether they were refused or not.",
            "reqps",
            [
                Query(
                    f"sum by (license) (rate(guard_terms_unaccepted_total{{{OF_LICENSE}}}[$__rate_interval]))",
                    "{{license}}",
                )
            ],
        ),
        curves(
            "Age of token keys",
            "Time since the key set of each token issuer was fetched. It is fetched anew in the background; the keys "
            "in use stay while that fails.",
            "s",
            [Query(f"max by (url) (guard_jwks_age_seconds{{{OF}}})", "{{url}}")],
            steps=NEUTRAL,
            runbook="GuardKeySetOld",
        ),
    ]
