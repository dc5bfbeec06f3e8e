"""Whatever bytes stand in a journal: what is no entry is said to be none, by one error, and every reader goes on."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.cli.main import run
from guard.evidence.entry import GENESIS, LONGEST, NotAnEntry, link, outline, parse
from guard.evidence.hours import Outcome, outcome_of
from guard.evidence.portable import find
from guard.evidence.signing import Verifier
from guard.evidence.timeline import Timeline
from guard.evidence.verify import verify
from guard.policy.difference import entries
from guard.policy.rehearsal import recorded

DEEP = b"[" * 100_000 + b"]" * 100_000
ODD = {
    "time that is text": b'{"seq":2,"time":"x","kind":"decision","facts":{}}',
    "time that is none": b'{"seq":2,"time":null,"kind":"decision","facts":{}}',
    "no time": b'{"seq":2,"kind":"decision","facts":{}}',
    "time of no calendar": b'{"seq":2,"time":1e300,"kind":"decision","facts":{}}',
    "time before every calendar": b'{"seq":2,"time":-1e300,"kind":"open","facts":{}}',
    "time of the year 10000": b'{"seq":2,"time":253402300800,"kind":"decision","facts":{}}',
    "number that is text": b'{"seq":"2","time":1,"kind":"decision","facts":{}}',
    "number beyond counting": b'{"seq":99999999999999999999999,"time":1,"kind":"decision","facts":{}}',
    "kind that is a number": b'{"seq":2,"time":1,"kind":7,"facts":{}}',
    "facts that are a list": b'{"seq":2,"time":1,"kind":"receipt","facts":[]}',
    "facts of the journal that are text": b'{"seq":2,"time":1,"kind":"checkpoint","facts":"x"}',
    "bytes that are no text": b'{"seq":2,"time":1,"kind":"decision","facts":{"reference":"q1","a":"\xff"}}',
    "a nest without end": b'{"seq":2,"time":1,"kind":"decision","facts":{"a":' + DEEP + b"}}",
}


def recomputed(canonical):
    """A chain of two entries whose hashes are right: what takes no key."""
    first = link(GENESIS, 1, 1.0, "open", {"instance": "a"})
    digest = sha256(first.hash + canonical).hexdigest().encode()
    return first.line, canonical[:-1] + b',"prev":"' + first.hash + b'","hash":"' + digest + b'"}\n'


@pytest.mark.parametrize("canonical", ODD.values(), ids=ODD)
def test_a_line_that_is_none_is_bad_at_its_place_and_passed_over_by_every_reader(tmp_path, canonical, capsys):
    first, second = recomputed(canonical)
    third = link(b"f" * 64, 3, 5.0, "decision", {"reference": "q1", "verdict": "deny"}).line
    path = tmp_path / "a.jsonl"
    path.write_bytes(first + second + third)
    with pytest.raises(NotAnEntry):
        parse(second)
    bad = verify(tmp_path).first_bad
    assert (bad.line, bad.offset, bad.length) == (2, len(first), len(second))
    assert bad.what == "the entry is not an entry of a journal"
    assert [entry.seq for entry in entries(tmp_path)] == [1, 3]
    assert recorded.find(tmp_path, "q1").decision.seq == 3
    timeline = Timeline(tmp_path, lambda: 6.0)
    while timeline.follow():
        pass
    assert [told["seq"] for told in timeline.decisions(9)] == [3]
    assert timeline.find("nothing") is None
    assert run(["audit", "show", str(tmp_path), "--month", "1970-01"]) == 0
    shown = capsys.readouterr()
    assert [parse(line.encode()).seq for line in shown.out.splitlines()] == [1, 3]
    assert "a.jsonl:2: not an entry" in shown.err


def test_a_receipt_is_not_looked_for_behind_a_seal_that_is_no_entry(tmp_path):
    lines = recomputed(b'{"seq":2,"time":1,"kind":"seal","facts":{"a":"\xff"}}')
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(NotAnEntry):
        find(tmp_path, "r-q1-0", Verifier(()))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 120))
def test_any_bytes_are_an_entry_or_not_and_never_anything_else(noise, at):
    line = link(GENESIS, 1, 1.5, "decision", {"a": "é", "b": [1]}).line
    for read in (parse, outline):
        try:
            read(line[:at] + noise + line[at + len(noise) :])
        except NotAnEntry:
            continue


def test_facts_that_no_line_holds_leave_a_trace_instead():
    line = link(GENESIS, 1, 1.5, "decision", {"a": "x" * LONGEST}).line
    assert parse(line).facts == {"unwritable": "OverflowError", "names": ["'a'"]}


@pytest.mark.parametrize("facts", [
    {"refused": "x"}, {"refused": {"code": []}}, {"shadowed": [1]}, {"findings": 5}, {"findings": ["x", {"action": []}]},
    {"licenses": 5}, {"licenses": [[]]},
])  # fmt: skip
def test_a_decision_of_odd_shape_is_counted_by_its_verdict(facts):
    assert outcome_of({"verdict": "deny", **facts}) == Outcome("deny")
