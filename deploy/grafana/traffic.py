"""Rows about traffic: what was decided and why, what was found, what Guard cost, what answers may be used for."""

from kinds import NEUTRAL, OF, OF_LICENSE, Panel, Query, bars, curves, quantiles, share, states

_REQUESTS = f"guard_requests_total{{{OF_LICENSE}"


def _rate(labels: str, series: str) -> str:
    return f"sum by ({labels}) (rate({series}[$__rate_interval]))"


def _events(labels: str, series: str) -> str:
    return f"sum by ({labels}) (increase({series}[$__rate_interval]))"


def decisions() -> list[Panel]:
    """Return what was decided, and by which license and reason."""
    refused = _REQUESTS + ', decision="deny"'
    return [
        curves(
            "Decisions",
            "Requests a second by decision: allow, flag (something was noted), deny (refused, or the server behind "
            "failed), not_evaluated (served although a check could not be made).",
            "reqps",
            [Query(_rate("decision", _REQUESTS + "}"), "{{decision}}")],
            stacked=True,
        ),
        curves(
            "Refusals by reason",
            "Refused requests a second by error code, as clients see it; docs/errors.md explains each. 'cut' are "
            "streams that a rule ended early.",
            "reqps",
            [Query(_rate("reason", refused + "}"), "{{reason}}")],
            stacked=True,
            runbook="GuardBlockRateJump",
        ),
        curves(
            "Refusals by license",
            "Refused requests a second by the first license of the model's stack; 'none' where they were refused "
            "before their model was read.",
            "reqps",
            [Query(_rate("license", refused + "}"), "{{license}}")],
            stacked=True,
        ),
        curves(
            "How requests ended",
            "Requests a second by how they ended: served whole, cut by a rule, rejected by the server's own 4xx, left "
            "by the client, or with the error code of a refusal.",
            "reqps",
            [Query(_rate("reason", _REQUESTS + "}"), "{{reason}}")],
            stacked=True,
        ),
        curves(
            "Share refused or cut",
            "Share of requests that the policy refused or cut, by license: a jump is a new rule, a new kind of "
            "traffic, or an attack.",
            "percentunit",
            [
                Query(
                    share(
                        _rate("license", refused + ', reason!="upstream_unavailable"}'),
                        _rate("license", _REQUESTS + "}"),
                    ),
                    "{{license}}",
                )
            ],
            runbook="GuardBlockRateJump",
        ),
        curves(
            "The server behind fails",
            "Share of requests that could not be served because the inference server did not answer.",
            "percentunit",
            [
                Query(
                    share(
                        f'sum(rate({_REQUESTS}, reason="upstream_unavailable"}}[$__rate_interval]))',
                        f"sum(rate({_REQUESTS}}}[$__rate_interval]))",
                    ),
                    "of requests",
                )
            ],
            steps=((None, "green"), (0.05, "red")),
            runbook="GuardUpstreamUnavailable",
        ),
    ]


def screening() -> list[Panel]:
    """Return what screening found and what it could not look at."""
    findings = f"guard_screen_findings_total{{{OF}"
    return [
        curves(
            "Findings by category",
            "Findings in each interval by hazard category (S1 to S14, HR harassment, D1 making of training data) and "
            "by what was done: block, flag, log or mask.",
            "short",
            [Query(_events("category, action", findings + "}"), "{{category}} {{action}}")],
            events=True,
        ),
        curves(
            "Blocked by category",
            "Findings that blocked in each interval, by category and direction: a prompt refused, or an answer cut.",
            "short",
            [Query(_events("category, direction", findings + ', action="block"}'), "{{category}} {{direction}}")],
            events=True,
            runbook="GuardBlockRateJump",
        ),
        curves(
            "Checks not made",
            "Checks that could not be made in each interval, by why. Where the rule blocks, the request was refused, "
            "or by screening.judge.on_error served; where it notes, it was served and marked.",
            "short",
            [Query(_events("reason", f"guard_screen_not_evaluated_total{{{OF}}}"), "{{reason}}")],
            events=True,
            runbook="GuardScreeningNotEvaluated",
        ),
        curves(
            "Parts of requests",
            "Parts of requests a second: texts that were scanned, and images, audio and the like that no rule can "
            "read, by what became of them.",
            "short",
            [Query(_rate("type, outcome", f"guard_screen_parts_total{{{OF}}}"), "{{type}} {{outcome}}")],
            stacked=True,
        ),
        curves(
            "Questions to the judge",
            "Questions a second to the guard model by what came of them: safe, unsafe, cached, or why there was no "
            "verdict. No curve without a judge.",
            "reqps",
            [Query(_rate("outcome", f"guard_judge_requests_total{{{OF}}}"), "{{outcome}}")],
            stacked=True,
            runbook="GuardJudgeBreakerOpen",
        ),
        curves(
            "Time of the judge",
            "Median and 99th percentile of the time until an answer of the judge was there. The model's own first "
            "token takes time too: only what the judge is slower than that is waited for.",
            "s",
            quantiles("guard_judge_seconds"),
            runbook="GuardJudgeBreakerOpen",
        ),
    ]


def speed() -> list[Panel]:
    """Return what Guard cost."""
    return [
        curves(
            "Time Guard added",
            "Median and 99th percentile of the wall time that Guard added to a request, a response and each chunk of a "
            "stream, everything included. Percentiles are read off buckets and so are no finer than these.",
            "s",
            quantiles("guard_overhead_seconds", "phase"),
            runbook="GuardOverheadHigh",
        ),
        curves(
            "Hold-back of streams",
            "Median and 99th percentile of the time that streamed text waited for its verdict: it leaves as soon as no "
            "blocking rule can still match it.",
            "s",
            quantiles("guard_stream_holdback_seconds"),
        ),
        curves(
            "Wait for checks beside the call",
            "Median and 99th percentile of the time that the first byte of an answer waited for the neural tier or the "
            "judge, which work while the model does.",
            "s",
            quantiles("guard_screen_wait_seconds"),
        ),
    ]


def outputs() -> list[Panel]:
    """Return what answers were recorded for, and who may be making training data of them."""
    return [
        curves(
            "Receipts",
            "Receipts a second for finished answers: each is in the audit chain with keyed digests and is signed.",
            "ops",
            [Query(f"sum(rate(guard_receipts_total{{{OF}}}[$__rate_interval]))", "receipts")],
        ),
        states(
            "Index of answers",
            "Whether answers are being recorded in the index that the export gate searches. No band where receipts are "
            "off.",
            [Query(f"min by (instance) (guard_index_up{{{OF}}})", "{{instance}}")],
            {1: ("recording", "green"), 0: ("not recording", "red")},
            span=8,
            runbook="GuardIndexNotRecording",
        ),
        bars(
            "Copies of the index",
            "Runs of the upload command since each process started, by what became of them. No bar without one.",
            "short",
            [Query(f"sum by (outcome) (guard_index_uploads_total{{{OF}}})", "{{outcome}}")],
            none="no upload configured",
            runbook="GuardIndexUploadsFailing",
        ),
        bars(
            "Export checks",
            "Data sets checked on the admin port since each process started, by verdict of the export gate.",
            "short",
            [Query(f"sum by (verdict) (guard_export_checks_total{{{OF}}})", "{{verdict}}")],
            none="none",
            span=6,
        ),
        curves(
            "What requests seem to be for",
            "Answered requests in each interval by reason of intent: what looks like the making of training data. One "
            "request may have several.",
            "short",
            [Query(_events("reason", f"guard_intent_total{{{OF}}}"), "{{reason}}")],
            events=True,
            span=6,
        ),
        bars(
            "Identities on the ladder",
            "Identities that stand on each step now. In the default mode steps are only noted.",
            "short",
            [Query(f"max by (step) (guard_behavior_identities{{{OF}}})", "{{step}}")],
            steps=NEUTRAL,
            none="behavior is off",
            span=6,
            runbook="GuardBehaviorStep",
        ),
        bars(
            "Steps taken",
            "Identities that came to each step since each process started, by the reason that weighed most; 'over' is "
            "a step taken back.",
            "short",
            [Query(f"sum by (step, reason) (guard_behavior_step_total{{{OF}}})", "{{step}}: {{reason}}")],
            none="none",
            span=6,
            runbook="GuardBehaviorStep",
        ),
    ]
