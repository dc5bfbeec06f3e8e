"""Rows about Guard itself: its stores and its evidence, and the policy that it acts by."""

from kinds import GOOD_AT_ONE, OF, OF_LICENSE, Panel, Query, bars, curves, number, rows, states

_UP = {1: ("ok", "green"), 0: ("down", "red")}


def _worst(metric: str, what: str) -> Query:
    return Query(f"min by (instance) ({metric}{{{OF}}})", f"{what} {{{{instance}}}}")


def _age(metric: str) -> str:
    return f"time() - min by (instance) ({metric}{{{OF}}})"


def stores() -> list[Panel]:
    """Return the state of what Guard writes to."""
    return [
        states(
            "Ledger, spool, audit log and judge",
            "Each part of each process over time. While the ledger is down, sightings wait in the spool and nobody is "
            "lost; while the spool cannot be written, by default nobody new is served; the judge is 'down' while it is "
            "left alone after failures.",
            [
                _worst("guard_mau_ledger_up", "ledger"),
                _worst("guard_mau_spool_writable", "spool"),
                _worst("guard_audit_writable", "audit log"),
                _worst("guard_audit_chain_intact", "audit chain"),
                Query(f"1 - max by (instance) (guard_judge_breaker_open{{{OF}}})", "judge {{instance}}"),
            ],
            _UP,
            span=24,
            runbook="GuardLedgerDown",
        ),
        curves(
            "Sightings not in the ledger yet",
            "Sightings that wait in the spool on disk, and in memory where the disk refused them (usage.disk_full: "
            "serve). In a healthy system they are a handful.",
            "short",
            [
                Query(f"sum by (instance) (guard_mau_spool_records{{{OF}}})", "spool {{instance}}"),
                Query(f"sum by (instance) (guard_mau_unspooled_sightings{{{OF}}})", "memory {{instance}}"),
            ],
            runbook="GuardSightingsInMemory",
        ),
        curves(
            "Age of the oldest sighting",
            "How long the oldest sighting has waited for the ledger. Minutes mean that the ledger does not take them.",
            "s",
            [Query(f"max by (instance) (guard_mau_spool_oldest_seconds{{{OF}}})", "{{instance}}")],
            steps=((None, "green"), (600, "red")),
            runbook="GuardSpoolOld",
        ),
        bars(
            "Damage and repair",
            "Spool records whose checksum was wrong and that were set aside; times that the ledger was restarted or "
            "replaced and got everything kept once more; audit entries that the disk refused. Since each "
            "process started.",
            "short",
            [
                Query(f"sum(guard_mau_spool_damaged_records{{{OF}}})", "damaged spool records"),
                Query(f"max(guard_mau_ledger_replays{{{OF}}})", "ledger replays"),
                Query(f"sum(guard_audit_refused_total{{{OF}}})", "audit entries refused"),
            ],
            runbook="GuardSpoolDamaged",
        ),
        curves(
            "Length of the audit chain",
            "Entries in each process's audit chain. It only grows, while the process runs under one name.",
            "short",
            [Query(f"max by (instance) (guard_audit_chain_length{{{OF}}})", "{{instance}}")],
            runbook="GuardAuditChainBroken",
        ),
        curves(
            "Age of the head off the box",
            "Time since a head of each audit chain last reached its place off the box: what shows later that nothing "
            "was cut off or recomputed. No curve where no place is configured, or none arrived yet.",
            "s",
            [
                Query(
                    f"time() - min by (instance) (guard_audit_head_sent_timestamp_seconds{{{OF}}})",
                    "{{instance}}",
                )
            ],
            runbook="GuardAuditHeadNotSent",
        ),
        bars(
            "Heads that did not arrive",
            "Attempts to bring a head of the audit chain off the box that failed, since each process started.",
            "short",
            [Query(f"sum by (instance) (guard_audit_head_failures_total{{{OF}}})", "{{instance}}")],
            steps=((None, "green"), (1, "orange")),
            none="no place configured",
            runbook="GuardAuditHeadNotSent",
        ),
    ]


def policy() -> list[Panel]:
    """Return what policy is in force, where, and whether it is the one in the files."""
    return [
        rows(
            "Policies in force",
            "The hash of the policy in force and how many processes have it. More than one row for longer than a "
            "roll-out means that replicas disagree.",
            "none",
            f"count by (ledger, hash) (max by (ledger, job, instance, hash) (guard_policy_info{{{OF}}}))",
            names={"Value": "processes"},
            runbook="GuardReplicasDisagree",
        ),
        states(
            "Last load of the policy",
            "Whether the files were good when they were last loaded. While they are not, the last good policy stays in "
            "force.",
            [_worst("guard_policy_last_reload_successful", "")],
            {1: ("loaded", "green"), 0: ("refused", "red")},
            span=8,
            runbook="GuardReloadFailed",
        ),
        number(
            "Files last compared",
            "Time since the files were last compared with what is in force, of the process that is furthest behind. It "
            "is done every two seconds: if it grows, changes are not seen.",
            "s",
            f"max({_age('guard_policy_checked_timestamp_seconds')})",
            steps=((None, "green"), (60, "red")),
            span=4,
            height=8,
            runbook="GuardReloadStale",
        ),
        number(
            "Last good load",
            "Time since a policy was last loaded successfully, of the process where that is longest ago. Old is fine: "
            "nothing has changed.",
            "s",
            f"max({_age('guard_policy_last_reload_success_timestamp_seconds')})",
            span=4,
            height=8,
        ),
        rows(
            "Versions",
            "Versions of Guard and how many processes run them.",
            "none",
            f"count by (version) (max by (job, instance, version) (guard_build_info{{{OF}}}))",
            names={"Value": "processes"},
        ),
        bars(
            "License files that changed",
            "1 where a license file beside the weights is not the license's text: somebody should read what it says "
            "now. No bar where no file was named.",
            "none",
            [Query(f"max by (license) (guard_license_file_drift{{{OF_LICENSE}}})", "{{license}}")],
            steps=((None, "green"), (1, "red")),
            most=1,
            none="no file named",
            runbook="GuardLicenseFileDrift",
        ),
        bars(
            "The candidate would decide otherwise",
            "Exchanges that the candidate policy would have decided in another way, since each process started: what "
            "was decided, what it would have been, and why. No bar without a candidate.",
            "short",
            [
                Query(
                    f'sum by (active, candidate, reason) (guard_candidate_decisions_total{{{OF}, reason!="same"}})',
                    "{{active}} -> {{candidate}}: {{reason}}",
                )
            ],
            none="no difference",
            runbook="GuardCandidateFailed",
        ),
        rows(
            "Candidates",
            "The hash of the candidate policy, and how many processes compare with it.",
            "none",
            f"count by (hash) (max by (job, instance, hash) (guard_candidate_info{{{OF}}}))",
            names={"Value": "processes"},
            none="no candidate",
            span=16,
            runbook="GuardCandidateFailed",
        ),
        number(
            "Candidate is good",
            "1 if the candidate policy could be loaded everywhere.",
            "none",
            f"min(guard_candidate_last_reload_successful{{{OF}}})",
            steps=GOOD_AT_ONE,
            none="no candidate",
            span=4,
            height=8,
            runbook="GuardCandidateFailed",
        ),
        number(
            "Candidate not compared",
            "Exchanges that were not decided under the candidate since each process started: overload, an answer that "
            "was too long, or something out of order.",
            "short",
            f"sum(guard_candidate_not_evaluated_total{{{OF}}})",
            none="none",
            span=4,
            height=8,
        ),
    ]
