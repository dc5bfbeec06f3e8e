"""What the facts of an entry look like that a report can be made from: an entry of another shape is in no count.

A name that is not there is nothing; names that are not listed here are nobody's business. Values that are only shown
may be of any plain kind.
"""

from typing import Annotated, Any

import msgspec

from guard.evidence.entry import CONTINUE

Plain = str | int | float | bool | None


class Unreadable(ValueError):
    """An entry that says nothing that can be counted."""


class _Shape(msgspec.Struct):
    """A JSON object."""


class _Cause(_Shape):
    license: Plain = None
    clause: Plain = None
    category: Plain = None
    code: Plain = None


class _Finding(_Shape):
    license: Plain = None
    clause: Plain = None
    category: Plain = None
    direction: Plain = None
    action: Plain = None


class _Identity(_Shape):
    tenant: Plain = None


class _Given(_Shape):
    country: Plain = None


class _Decision(_Shape):
    verdict: Plain = None
    ending: Plain = None
    policy: str | None = None
    mode: str | None = None
    identity: _Identity | None = None
    refused: _Cause | None = None
    shadowed: list[_Cause] | None = None
    not_evaluated: list[str] | None = None
    obligations: list[str] | None = None
    findings: list[_Finding] | None = None
    given: _Given | None = None
    not_listed_before: int | None = None


class _Late(_Shape):
    findings: list[_Finding] | None = None
    not_evaluated: list[str] | None = None


class _Policy(_Shape):
    policy: str | None = None
    hash: str | None = None
    mode: str | None = None
    decisions: str | None = None
    ok: bool | None = None
    last_good: bool | None = None
    problems: list[str] | None = None
    confirmed: list[str] | None = None


class _Continued(_Shape):
    policy: str | None = None
    mode: str | None = None
    decisions: str | None = None
    started: float | None = None
    last: float | None = None


_Stack = list[Annotated[list[Plain], msgspec.Meta(min_length=1)]]


class _Receipt(_Shape):
    licenses: _Stack | None = None
    tenant: Plain = None


class _Declaration(_Shape):
    licenses: _Stack | None = None
    purpose: Plain = None
    source: Plain = None
    clause: Plain = None
    verdict: Plain = None


class _Signed(_Shape):
    key: str
    count: int | None = None
    late: bool | None = None


class _Crossing(_Shape):
    license: Plain = None
    limit: Plain = None
    value: Plain = None
    users: Plain = None
    before: Plain = None
    after: Plain = None
    over: Plain = None


class _Hits(_Shape):
    records: Plain = None


class _Check(_Shape):
    target: Plain = None
    tenant: Plain = None
    sha256: Plain = None
    records: Plain = None
    verdict: Plain = None
    complete: Plain = None
    found: _Hits | None = None
    asker: Plain = None


class _Shredded(_Shape):
    month: Plain = None
    segments: Plain = None


class _Share(_Shape):
    license: Plain = None
    users: Plain = None


class _Import(_Shape):
    licenses: list[_Share] | None = None
    period: Plain = None
    source: Plain = None
    digest: Plain = None


class _Number(_Shape):
    license: Plain = None
    period: Plain = None
    source: Plain = None
    users: Plain = None
    owner: Plain = None


class _Declared(_Shape):
    declared: _Number | None = None


class _Step(_Shape):
    before: Plain = None
    step: Plain = None
    deed: Plain = None
    enforced: Plain = None


class _Candidate(_Shape):
    candidate_policy: Plain = None


class _Gap(_Shape):
    entries: int | None = None


_SHAPES: dict[str, type[_Shape]] = {
    "decision": _Decision,
    "late_findings": _Late,
    "start": _Policy,
    "reload": _Policy,
    CONTINUE: _Continued,
    "receipt": _Receipt,
    "declaration": _Declaration,
    "seal": _Signed,
    "checkpoint": _Signed,
    "threshold": _Crossing,
    "export_check": _Check,
    "shredded": _Shredded,
    "usage_import": _Import,
    "usage_declared": _Declared,
    "behavior": _Step,
    "candidate": _Candidate,
    "gap": _Gap,
}


class _Entry(msgspec.Struct, frozen=True):
    facts: dict[str, Any]


_entry = msgspec.json.Decoder(_Entry)


def facts_of(kind: str, raw: bytes) -> dict[str, Any]:
    """Return the facts of the entry of ``kind`` in ``raw``. Raises Unreadable."""
    try:
        facts = _entry.decode(raw).facts
        shape = _SHAPES.get(kind)
        if shape is not None:
            msgspec.convert(facts, shape)
    except (ValueError, RecursionError) as error:
        raise Unreadable(type(error).__name__) from error
    return facts
