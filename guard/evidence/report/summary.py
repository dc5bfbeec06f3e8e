"""The first page: what must be known and is not, what happened, and what is owed."""

from collections.abc import Iterator

from guard.evidence.report.extent import Extent
from guard.evidence.report.known import Known, Row
from guard.evidence.report.reading import FOUND, SET_APART, Evidence
from guard.evidence.report.verdicts import EXPECTED, tested


def unknowns(evidence: Evidence, known: Known, reach: Extent) -> list[str]:
    """Return what must be known and is not: while there is any, the report does not speak for the whole month."""
    return [*_chain(evidence), *_ran(evidence, reach), *_counts(known)]


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
        if chain.missing:
            yield (
                f"The files read of the audit chain {chain.name} begin with entry {chain.first} within the month: "
                "those before them, which are not among the ones read, may have entries of it."
            )
        if chain.unreadable:
            places = ", ".join(chain.places)
            more = chain.unreadable - len(chain.places)
            yield (
                f"{_number(chain.unreadable, 'entry', 'entries')} of {chain.name} cannot be read, and "
                f"{'is' if chain.unreadable == 1 else 'are'} in no count: {places}{f' and {more:,} more' * (more > 0)}."
            )
    runs = evidence.runs
    if runs.disturbances["gap"]:
        yield f"Not on record, as a disk refused them: {_number(runs.refused, 'entry', 'entries')}."
    if runs.disturbances[SET_APART]:
        number = _number(runs.disturbances[SET_APART], "journal", "journals")
        yield f"Set apart, as nothing could follow: {number}."
    if runs.disturbances[FOUND]:
        yield (
            f"{_number(runs.disturbances[FOUND], 'time', 'times')} a gateway found that its own audit chain was "
            "changed while it ran."
        )


def _ran(evidence: Evidence, reach: Extent) -> Iterator[str]:
    if reach.covered or not any(chain.entries for chain in evidence.chains):
        return
    so_far = "" if reach.over else " that the month has had so far"
    yield (
        f"Gateways are known to have run for {hours(round(reach.ran))} of {hours(round(reach.of))}{so_far}: what was "
        "served in the rest, and to whom, is not on record."
    )


def _counts(known: Known) -> Iterator[str]:
    if known.usage is None:
        yield f"Users of the month are not known: {known.uncounted}."
    for license_, omitted in _unbounded(known):
        lost = sorted(omitted - EXPECTED)
        if lost:
            yield f"Nothing bounds the number of users of {license_} from above; not included: {', '.join(lost)}."
    for row in known.attestations:
        if row["ground"] != "shown":
            yield f"{row['lacks'][:1].upper()}{row['lacks'][1:]}."


def _unbounded(known: Known) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each license of whose count for a standing limit something is missing, and what."""
    for row in known.usage["licenses"] if known.usage is not None else ():
        omitted = frozenset(each for limit in tested(row) if limit["standing"] for each in limit["not_included"])
        if omitted:
            yield row["license"], omitted


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
    for license_, omitted in _unbounded(known):
        seen = sorted(omitted & EXPECTED)
        if seen:
            yield f"Users of {license_} are counted as far as they can be; not included: {', '.join(seen)}."
    for row in known.index:
        if not row["complete"]:
            yield f"The index of what was answered is not complete{row['of']}: see the section on receipts."


def incidents(evidence: Evidence, known: Known, reach: Extent) -> list[Row]:
    """Return what happened that somebody should look at, by kind; kinds of which there is nothing are left out."""
    records, decisions, runs = evidence.records, evidence.decisions, evidence.runs
    broken = sum(chain.fault is not None or not chain.trusted for chain in evidence.chains)
    found = [
        ("audit-chain", "audit chains that do not verify", broken),
        ("running", "times without any gateway on record, a minute or longer", len(runs.gaps(reach.until))),
        ("running", "gateways that were killed or crashed", sum(run.ended == "killed" for run in runs.found)),
        ("running", "torn lines, journals set apart and refused entries", runs.disturbed.total),
        ("policy", "policies that could not be loaded", evidence.versions.failed.total),
        ("policy", "dangerous changes that were confirmed", evidence.versions.confirmed.total),
        ("users", "limits that were passed", records.passed),
        ("decisions", "requests that a check could not be made for", _entries(decisions.unevaluated.rows())),
        ("decisions", "requests that were let pass in shadow", _entries(decisions.shadowed.rows())),
        ("receipts", "data sets that were not plainly allowed", records.not_allowed),
        ("behavior", "steps of identities on the behavior ladder", records.steps.total),
        ("obligations", "obligations that are open", sum(row["state"] == "open" for row in known.obligations)),
    ]
    return [{"section": section, "what": what, "number": number} for section, what, number in found if number]


def _number(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _entries(rows: list[Row]) -> int:
    return sum(int(row["number"]) for row in rows)


def hours(seconds: int) -> str:
    """Return a time in words: ``12 h 5 min``; seconds only below a minute."""
    if seconds < 60:
        return f"{seconds} s"
    whole, minutes = divmod(round(seconds / 60), 60)
    return f"{whole:,} h {minutes} min" if whole else f"{minutes} min"
