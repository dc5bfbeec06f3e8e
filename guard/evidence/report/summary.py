"""The first page: what must be known and is not, what happened, and what is owed."""

from collections.abc import Iterator

from guard.evidence.report.counts import Listed
from guard.evidence.report.known import Known, Row
from guard.evidence.report.reading import Evidence


def unknowns(evidence: Evidence, known: Known) -> list[str]:
    """Return what must be known and is not: while there is any, the report does not speak for the whole month."""
    return [*_chain(evidence), *_counts(known)]


def _chain(evidence: Evidence) -> Iterator[str]:
    if not any(chain.entries for chain in evidence.chains):
        yield "There is no entry of this month in any journal: nothing is on record of what was decided in it."
    for chain in evidence.chains:
        if chain.fault is not None:
            yield f"The audit chain {chain.name} does not verify: entry {chain.fault.entry}: {chain.fault.what}."
        if not chain.trusted:
            yield (
                f"The audit chain {chain.name} begins with entry {chain.first}, and no checkpoint whose signature was "
                "checked speaks for that."
            )
        if chain.first > 1 and chain.began >= evidence.month.start:
            yield (
                f"The audit chain {chain.name} begins with entry {chain.first} within the month: those before it are "
                "not among the journals read."
            )
    refused = [each for each in evidence.runs.disturbed.rows if each["kind"] == "gap"]
    if refused:
        number = sum(each["entries"] or 0 for each in refused)
        yield f"{number:,} entries were refused by a disk, and are not on record."
    damaged = [each for each in evidence.runs.disturbed.rows if each["kind"] == "damaged"]
    if damaged:
        yield f"{len(damaged)} journals could not be continued, and were set apart."


def _counts(known: Known) -> Iterator[str]:
    if known.usage is None:
        yield f"Users of the month are not known: {known.uncounted}."
    for row in known.attestations:
        if row["ground"] != "shown":
            yield f"{row['lacks'][:1].upper()}{row['lacks'][1:]}."


def cautions(evidence: Evidence, known: Known) -> list[str]:
    """Return what a reader has to bear in mind, though nothing that must be known is missing."""
    return list(_cautions(evidence, known))


def _cautions(evidence: Evidence, known: Known) -> Iterator[str]:
    rows = evidence.versions.rows()
    shadow = sum(row["seconds"] for row in rows if row["mode"] == "shadow")
    if shadow:
        yield (
            f"For {hours(shadow)} of {hours(sum(row['seconds'] for row in rows))} of process time the policy was in "
            "shadow: what it would have refused was served."
        )
    unrecorded = sum(row["seconds"] for row in rows if row["mode"] not in {"shadow", "enforce"})
    if unrecorded:
        time = hours(unrecorded)
        yield f"For {time} of process time it is not recorded whether the policy was enforced or in shadow."
    policies = {row["policy"] for row in rows}
    if policies and known.configuration["policy"] not in policies:
        yield (
            "The configuration given is none that was in force in the month: limits and obligations are those of that "
            "configuration, decisions those of the policies listed."
        )
    if evidence.runs.found and any(row["decisions"] != "all" for row in rows):
        yield "Not recorded: evidence.decisions was notable, plain allows are not in the chain."
    for row in known.index:
        if not row["complete"]:
            yield f"The index of what was answered is not complete{row['of']}: see the section on receipts."


def incidents(evidence: Evidence, known: Known) -> list[Row]:
    """Return what happened that somebody should look at, by kind; kinds of which there is nothing are left out."""
    records, decisions, runs = evidence.records, evidence.decisions, evidence.runs
    over = [row for row in records.crossings.rows if row["after"] == "over"]
    denied = [row for row in records.checks.rows if row["verdict"] != "allow"]
    broken = sum(chain.fault is not None or not chain.trusted for chain in evidence.chains)
    until = evidence.month.end if evidence.later else evidence.until
    found = [
        ("audit-chain", "audit chains that do not verify", broken),
        ("running", "times without any gateway on record, a minute or longer", len(runs.gaps(until))),
        ("running", "gateways that were killed or crashed", sum(run.ended == "killed" for run in runs.found)),
        ("running", "torn lines, journals set apart and refused entries", _all(runs.disturbed)),
        ("policy", "policies that could not be loaded", _all(evidence.versions.failed)),
        ("policy", "dangerous changes that were confirmed", _all(evidence.versions.confirmed)),
        ("users", "limits that were passed", len(over)),
        ("decisions", "requests that a check could not be made for", _entries(decisions.unevaluated.rows())),
        ("decisions", "requests that were let pass in shadow", _entries(decisions.shadowed.rows())),
        ("receipts", "data sets that were not plainly allowed", len(denied)),
        ("behavior", "steps of identities on the behavior ladder", records.steps.total),
        ("obligations", "obligations that are open", sum(row["state"] == "open" for row in known.obligations)),
    ]
    return [{"section": section, "what": what, "number": number} for section, what, number in found if number]


def _all(listed: Listed) -> int:
    return len(listed.rows) + listed.left_out


def _entries(rows: list[Row]) -> int:
    return sum(int(row["number"]) for row in rows)


def hours(seconds: int) -> str:
    """Return a time in words: ``12 h 5 min``; seconds only below a minute."""
    if seconds < 60:
        return f"{seconds} s"
    whole, minutes = divmod(round(seconds / 60), 60)
    return f"{whole:,} h {minutes} min" if whole else f"{minutes} min"
