"""How every part of a process is: a state, a sentence, and facts; no credential is among them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from guard.behavior.observer import Observer
from guard.policy.watch import ActivePolicy
from guard.provenance.upload import Attempt
from guard.transports.assessors import Assessors
from guard.transports.candidate import Comparison
from guard.transports.disk import Disk
from guard.transports.stores import Stores
from guard.usage.address import parse_url
from guard.usage.redis_url import is_redis

OLD_SPOOL = 600.0
"""Seconds after which a sighting should long have been in the ledger."""
STALE_WATCH = 60.0
"""Seconds after which the policy's files should long have been compared again."""

Facts = Mapping[str, float | str]


class Part(NamedTuple):
    """One part."""

    name: str
    state: str
    """``ok``, ``warn`` (it does its work, and somebody should look), ``bad`` (it does not) or ``off``."""
    detail: str
    facts: Facts = MappingProxyType({})


class Process(NamedTuple):
    """What a process has to be asked about."""

    stores: Stores
    ledger: str
    """The URL of the ledger."""
    active: ActivePolicy
    candidate: Comparison
    assessors: Assessors | None
    behavior: Observer | None
    disk: Disk
    checkpoint: float | None
    """When this instance last signed its chain, in epoch seconds."""
    upload: Attempt | None
    """The last run of the upload command."""


def health_facts(process: Process, now: float) -> dict[str, Any]:
    """Return ``parts``, each with name, state, detail and facts, at ``now`` (epoch seconds)."""
    parts = (part(process, now) for part in _PARTS)
    return {"parts": [{**part._asdict(), "facts": dict(part.facts)} for part in parts]}


def _ledger(process: Process, now: float) -> Part:
    counter = process.stores.counter
    lost = sum(count.lost for count in counter.counts(now).values())
    facts: Facts = {
        "store": _store(process.ledger),
        "counts": "exactly" if counter.exact else "an estimate",
        "replays": counter.replays,
        "lost": lost,
    }
    if counter.mismatch is not None:
        return Part("ledger", "bad", str(counter.mismatch), facts)
    if not counter.ledger_up:
        said = "it does not answer, or takes no writes; sightings wait in the spool, and none is lost"
        return Part("ledger", "warn", said, facts)
    if lost:
        return Part("ledger", "warn", f"it lost {lost:,} users that it had; gateways write again what they kept", facts)
    return Part("ledger", "ok", "it answers", facts)


def _store(url: str) -> str:
    if not is_redis(url):
        return "sqlite"
    return "redis" if parse_url(url).exact else "redis+hll"


def _spool(process: Process, _now: float) -> Part:
    counter = process.stores.counter
    oldest = counter.spool_oldest_seconds
    facts: Facts = {
        "records": counter.spool_records,
        "oldest_seconds": round(oldest),
        "writable": _yes(counter.spool_error is None),
        "damaged": counter.damaged_records,
        "unspooled": counter.unspooled,
    }
    if counter.spool_error is not None:
        waits = "first sightings are refused" if counter.refusing else "sightings wait in memory"
        return Part("spool", "bad", f"{counter.spool_error}; {waits}", facts)
    if counter.unspooled:
        return Part("spool", "warn", f"{counter.unspooled:,} sightings wait in memory: a crash would lose them", facts)
    if oldest > OLD_SPOOL:
        return Part("spool", "warn", f"the oldest sighting waits for the ledger since {oldest:,.0f} s", facts)
    if counter.damaged_records:
        return Part("spool", "warn", f"{counter.damaged_records:,} records are damaged and set aside", facts)
    return Part("spool", "ok", "every sighting is on the disk or in the ledger", facts)


def _audit(process: Process, _now: float) -> Part:
    journal = process.stores.journal
    if journal is None:
        return Part("audit", "off", "evidence.audit is off: nothing that is decided is kept")
    facts: dict[str, float | str] = {
        "instance": journal.instance,
        "length": journal.length,
        "writable": _yes(journal.healthy),
        "intact": _yes(journal.intact),
        "refused": journal.refused,
    }
    if process.checkpoint is not None:
        facts["last_checkpoint"] = process.checkpoint
    if journal.damage is not None:
        return Part("audit", "bad", f"the chain is not intact: {journal.damage}", facts)
    if not journal.healthy:
        return Part("audit", "bad", f"entries are not being written: {journal.error or 'it was stopped'}", facts)
    if journal.refused:
        return Part("audit", "warn", f"{journal.refused:,} entries were refused while the disk was full", facts)
    return Part("audit", "ok", "the chain is whole, and entries are being written", facts)


def _heads(process: Process, _now: float) -> Part:
    heads = process.stores.heads
    if heads is None:
        return Part("heads", "off", "evidence.heads is not set: entries cut off the end cannot be missed")
    facts: dict[str, float | str] = {"failures": heads.failures}
    if heads.last_sent is not None:
        facts["last_sent"] = heads.last_sent
    if heads.error is not None:
        return Part("heads", "warn", heads.error, facts)
    said = "the last one arrived" if heads.last_sent is not None else "none was sent yet"
    return Part("heads", "ok", said, facts)


def _index(process: Process, _now: float) -> Part:
    recorder, disk = process.stores.recorder, process.disk
    if recorder is None:
        return Part("index", "off", "outputs.receipts is off: answers are not recognized later")
    tally = recorder.writer.tally
    facts: dict[str, float | str] = {
        "recording": _yes(recorder.healthy),
        "segments": disk.segments,
        "bytes": disk.bytes,
        "waiting": tally.waiting,
        "dropped": tally.dropped,
    }
    if process.upload is not None:
        facts["last_upload"] = process.upload.outcome
    if not recorder.healthy:
        return Part("index", "bad", recorder.error or "it was stopped", facts)
    if tally.dropped:
        return Part("index", "warn", f"{tally.dropped:,} answers were left out: an export check may miss them", facts)
    if process.upload is not None and process.upload.outcome != "uploaded":
        return Part("index", "warn", f"a segment was not copied: {process.upload.reason}", facts)
    return Part("index", "ok", "answers are being recorded", facts)


def _signing(process: Process, _now: float) -> Part:
    signer = process.stores.signer
    if signer is None:
        return Part("signing", "off", "nothing is signed where evidence.audit is off")
    if signer.error is not None:
        return Part("signing", "warn", signer.error, {"key": signer.id})
    return Part("signing", "ok", "the key is there", {"key": signer.id})


def _policy(process: Process, now: float) -> Part:
    active = process.active
    last, since = active.history[-1], now - active.checked
    facts: Facts = {
        "hash": active.snapshot.hash,
        "files": len(active.loaded.files),
        "last_load": last.at,
        "checked": active.checked,
        "warnings": len(active.snapshot.warnings),
    }
    if active.restored:
        return Part("policy", "bad", "the files are bad: the last good copy is in force", facts)
    if not last.ok:
        return Part("policy", "warn", "the files are bad: the last good policy stays in force", facts)
    if since > STALE_WATCH:
        return Part("policy", "bad", f"the files were not compared for {since:,.0f} s: changes are not seen", facts)
    return Part("policy", "ok", "in force is what the files say", facts)


def _judge(process: Process, _now: float) -> Part:
    resting = process.assessors.judge_resting if process.assessors is not None else None
    judge = process.active.snapshot.judge
    if resting is None or judge is None:
        return Part("judge", "off", "screening.judge is not set")
    if resting:
        return Part("judge", "warn", "it is left alone after failures: what it was to judge is not evaluated",
                    {"model": judge.name, "breaker": "open"})  # fmt: skip
    return Part("judge", "ok", "it is asked", {"model": judge.name, "breaker": "closed"})


def _behavior(process: Process, _now: float) -> Part:
    if process.behavior is None or process.active.snapshot.behavior is None:
        return Part("behavior", "off", "outputs.behavior is off: nobody is watched over time")
    facts = {str(step): number for step, number in process.behavior.table.identities().items()}
    if process.behavior.error is not None:
        return Part("behavior", "warn", process.behavior.error, facts)
    return Part("behavior", "ok", "identities are watched", facts)


def _candidate(process: Process, _now: float) -> Part:
    facts = process.candidate.facts()
    if facts is None:
        return Part("candidate", "off", "no candidate policy is set")
    compared: Facts = {"compared": facts["compared"], "differing": facts["differing"]}
    if not facts["ok"]:
        return Part("candidate", "warn", f"it has {len(facts['problems'])} problems and is not compared", compared)
    return Part("candidate", "ok", "finished requests are decided again under it", compared)


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


_PARTS: tuple[Callable[[Process, float], Part], ...] = (
    _ledger, _spool, _audit, _heads, _index, _signing, _policy, _judge, _behavior, _candidate,
)  # fmt: skip
