"""What is open or comes due: attestations, statements, duties, what expires, and months that are about to go.

Only what has a state that Guard can see, or a day, is among it; everything owed is in ``readings.obligation_facts``.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from guard.exchange.snapshot import Snapshot
from guard.policy.attestations import Filed
from guard.policy.config import Config
from guard.policy.operator import open_needs
from guard.policy.settings.operator import StatementConfig
from guard.provenance.layout import month_of
from guard.transports.readings import obligation_facts, stacks_of

SOON = 30
"""Days before which something that comes due is said to be soon."""
SOON_SHREDDED = 7
STATES = ("overdue", "soon", "open", "met")
"""Most urgent first."""


class Due(NamedTuple):
    """One thing. ``by`` is the last day on which it holds, or on which it can be done; None where there is none."""

    what: str
    state: str
    how: str
    license: str | None = None
    clause: str | None = None
    by: str | None = None


class Kept(NamedTuple):
    """What lies on the disk and has a day: read beforehand, off the event loop."""

    filed: Sequence[Filed] = ()
    """The attestations that the configuration names."""
    months: Sequence[str] = ()
    """Months of the index, oldest first."""


def due_facts(snapshot: Snapshot, config: Config, kept: Kept, now: float) -> list[dict[str, Any]]:
    """Return everything that is open or comes due at ``now`` (epoch seconds), the most urgent first."""
    today = datetime.fromtimestamp(now, UTC).date()
    found = [
        *_attestations(snapshot, kept.filed, today),
        *_statements(snapshot, config, today),
        *_displays(snapshot),
        *_expiring(snapshot, config, today),
        *_keys(snapshot, now, today),
        *_months(config, kept.months, now, today),
    ]
    order = {state: at for at, state in enumerate(STATES)}
    ordered = sorted(dict.fromkeys(found), key=lambda each: (order[each.state], each.by or "9999", each.what))
    return [each._asdict() for each in ordered]


def _attestations(snapshot: Snapshot, filed: Sequence[Filed], today: date) -> Iterator[Due]:
    lapsed: dict[tuple[str, str], str] = {}
    for each in filed:
        said = each.signed.attestation if each.signed is not None else None
        if said is not None and said.expires is not None and said.has_expired(today):
            at = (said.license, said.threshold)
            lapsed[at] = max(said.expires, lapsed.get(at, ""))
    for (id_, threshold_id), ground in snapshot.grounds.items():
        license_ = snapshot.packs[id_]
        threshold = next(each for each in license_.thresholds if each.id == threshold_id)
        users = f"users of {threshold.reference_month}"
        how = (
            f"guard usage attest --license {id_} --threshold {threshold_id} --users N ..., and its file under "
            "usage.attestations"
        )
        until, gone = snapshot.attested_until.get((id_, threshold_id)), lapsed.get((id_, threshold_id))
        if ground == "shown":
            state = "soon" if _is_soon(until, today) else "met"
            yield Due(f"the {users} are attested", state, f"before it lapses: {how}", id_, threshold.clause, until)
        elif ground == "beyond":
            what = f"the {users} are more than the {threshold.allowed:,} that the license allows, as attested"
            yield Due(what, "overdue", "an agreement with the licensor, or another model", id_, threshold.clause)
        elif ground == "open":
            what = f"what is attested of the {users} leaves open whether there were more than {threshold.allowed:,}"
            yield Due(what, "open", how, id_, threshold.clause)
        elif gone is not None:
            yield Due(f"the attestation of the {users} has lapsed", "overdue", how, id_, threshold.clause, gone)
        else:
            yield Due(f"nobody attested the {users}", "open", how, id_, threshold.clause)


def _statements(snapshot: Snapshot, config: Config, today: date) -> Iterator[Due]:
    stated: dict[tuple[str, str], StatementConfig] = {
        (each.license, each.about): each for each in config.operator.statements
    }
    wanted = dict.fromkeys(
        need for name, licenses in stacks_of(snapshot) for need in open_needs(name, licenses, config, today)
    )
    for need in wanted:
        at = f"operator.statements: license {need.license}, about {need.about}"
        last = stated.get((need.license, need.about))
        if last is None:
            yield Due(need.text, "open", f"state it under {at}", need.license, need.clause)
        else:
            what = f"the statement about {need.about} has expired: {need.text}"
            yield Due(what, "overdue", f"renew {at}", need.license, need.clause, last.expires.isoformat())
    served = {license_.id for _, licenses in stacks_of(snapshot) for license_ in licenses}
    for each in config.operator.statements:
        if each.expires >= today and each.license in served:
            state = "soon" if _is_soon(each.expires.isoformat(), today) else "met"
            how = f"renew operator.statements: license {each.license}, about {each.about}, of {each.owner}"
            what = f"stated about {each.about}: {each.says}"
            yield Due(what, state, how, each.license, None, each.expires.isoformat())


def _displays(snapshot: Snapshot) -> Iterator[Due]:
    """Yield the words that are to be shown to users: Guard sends those that it was told to."""
    for owed in obligation_facts(snapshot):
        if owed["kind"] == "display" and owed["wording"] and "serving" in owed["owed_for"]:
            carried = ", ".join(owed["carried"])
            how = (
                f"Guard sends it in the {carried} of every answer"
                if carried
                else "notices.carriers: [header, body], or show it where your users see it"
            )
            what = f"show: {owed['wording']}"
            yield Due(what, "met" if carried else "open", how, owed["license"], owed["clause"])


def _expiring(snapshot: Snapshot, config: Config, today: date) -> Iterator[Due]:
    """Yield what is looser than the licenses for a time: after its day the stricter policy comes by itself."""
    entries = [(f"shadow of {each.target} ends ({each.owner})", each.expires, "shadows") for each in config.shadows]
    entries += [
        (f"relaxation of category {each.category} ends ({each.owner})", each.expires, "screening.relax")
        for each in config.screening.relax
    ]
    views = [tenant.view(snapshot) for tenant in snapshot.tenants.ordered] if snapshot.tenants is not None else []
    rules = {rule.id: rule for view in (snapshot, *views) for rule in view.rules.rules}
    entries += [
        (f"exception of rule {rule.id} ends ({exemption.owner})", exemption.expires, "the rule's exceptions")
        for rule in rules.values()
        for exemption in rule.exceptions
    ]
    for what, expires, where in entries:
        if expires >= today:
            state = "soon" if _is_soon(expires.isoformat(), today) else "met"
            yield Due(what, state, f"nothing to do if it may end; else a later day in {where}", by=expires.isoformat())


def _keys(snapshot: Snapshot, now: float, today: date) -> Iterator[Due]:
    for id_, (key, entitlement) in snapshot.identity.stored.items():
        if key.revoked or key.expires is None or key.expires <= now:
            continue
        last = (datetime.fromtimestamp(key.expires, UTC) - timedelta(days=1)).date().isoformat()
        state = "soon" if _is_soon(last, today) else "met"
        how = f"guard keys add {entitlement.name} makes its successor; then guard keys revoke {id_}"
        yield Due(f"API key {id_} of {entitlement.name} expires", state, how, by=last)


def _months(config: Config, months: Sequence[str], now: float, today: date) -> Iterator[Due]:
    """Yield the oldest month of the index, if it is to go one day."""
    keep, current = config.outputs.keep_months, month_of(now)
    kept = [month for month in months if month <= current]
    if keep is None or not kept:
        return
    gone = _months_after(kept[0], keep + 1)
    by = (gone - timedelta(days=1)).isoformat()
    state = "soon" if _is_soon(by, today, SOON_SHREDDED) else "met"
    how = "nothing to do; to keep it, outputs.keep_months, which waits for a restart"
    yield Due(f"the index of {kept[0]} is shredded after outputs.keep_months", state, how, by=by)


def _months_after(month: str, number: int) -> date:
    year, of_year = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + number, 12)
    return date(year, of_year + 1, 1)


def _is_soon(by: str | None, today: date, days: int = SOON) -> bool:
    return by is not None and by <= (today + timedelta(days=days)).isoformat()
