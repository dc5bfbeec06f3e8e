"""The timeline: what happened of late, followed over rotation, damage and half-written lines, equal to a whole reading."""

import json
from threading import Thread

import pytest
from evidence_clock import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.evidence import lookup
from guard.evidence import timeline as module
from guard.evidence.chain import Journal
from guard.evidence.entry import link
from guard.evidence.timeline import Timeline

NOW = 1_795_000_000.0
REFUSED = {"code": "aup", "license": "llama-3.1", "clause": "AUP 1", "category": "S9"}


def decided(reference, verdict="deny", **more):
    facts = {"reference": reference, "verdict": verdict, "refused": None, "shadowed": [], "findings": [],
             "licenses": ["llama-3.1"], "obligations": []}  # fmt: skip
    return {**facts, **({"refused": REFUSED} if verdict == "deny" else {}), **more}


class Written:
    """A journal as bytes, line by line."""

    def __init__(self, start=NOW):
        self.seq, self.prev, self.time = 0, b"0" * 64, start

    def line(self, kind, facts, step=1.0):
        self.seq, self.time = self.seq + 1, self.time + step
        line, self.prev = link(self.prev, self.seq, self.time, kind, facts)
        return line


@pytest.fixture
def audit(tmp_path):
    (tmp_path / "audit").mkdir()
    return tmp_path / "audit"


def made(directory, now=NOW + 600, **settings):
    timeline = Timeline(directory, lambda: now, **settings)
    while timeline.follow():
        pass
    return timeline


def everything(timeline):
    kinds = {kind: timeline.last(kind) for kind in sorted(module.KINDS)}
    found = {row["reference"]: timeline.find(row["reference"]) for row in timeline.decisions(1000)}
    return timeline.history(), timeline.decisions(1000), kinds, found


def test_it_tells_what_was_decided_by_hour_and_who_it_was(audit):
    clock = Clock(NOW)
    journal = Journal(audit, instance="guard-0", clock=clock, linger=0.0)
    journal.start()
    journal.append("decision", decided("ref-1"))
    journal.append("decision", decided("ref-2"))
    clock.now += 7200
    journal.append("decision", decided("ref-3", "flag", findings=[
        {"action": "flag", "license": "llama-3.1", "clause": "AUP 2", "category": "S5"}, {"action": "log"},
    ]))  # fmt: skip
    journal.append("decision", decided("ref-4", "allow"))  # plain: counted, and not among the last decisions
    journal.append("reload", {"ok": True, "hash": "ab", "problems": []})
    journal.append("threshold", {"license": "qwen", "limit": "mau", "after": "over"})
    journal.append("export_check", {"digest": "d", "verdict": "deny"})
    journal.append("late_findings", {"reference": "ref-3", "findings": [{"rule": "S5.x"}], "not_evaluated": []})
    journal.append("receipt", {"id": "r-ref-3-0", "model": "m"})
    journal.append("receipt", {"id": "r-ref-4-0", "model": "m"})
    journal.close()
    timeline = made(audit, clock.now)
    history = timeline.history()
    assert history["step"] == 3600
    assert [bucket["at"] for bucket in history["buckets"]] == [int(NOW // 3600) * 3600 + ahead for ahead in (0, 7200)]
    first, second = (bucket["counts"] for bucket in history["buckets"])
    assert first == [{"verdict": "deny", **REFUSED, "number": 2}]
    assert second == [
        {"verdict": "allow", "code": None, "license": "llama-3.1", "clause": None, "category": None, "number": 1},
        {"verdict": "flag", "code": None, "license": "llama-3.1", "clause": "AUP 2", "category": "S5", "number": 1},
    ]
    rows = timeline.decisions(2)
    assert [row["reference"] for row in rows] == ["ref-3", "ref-2"]
    assert (rows[0]["instance"], rows[0]["seq"]) == ("guard-0", 4)
    assert timeline.last("reload")[0]["hash"] == "ab"
    assert timeline.last("threshold")[0]["limit"] == "mau"
    assert timeline.last("export_check")[0]["verdict"] == "deny"
    assert timeline.last("checkpoint") == []
    found = timeline.find("ref-3")
    assert found.decision["verdict"] == "flag"
    assert [late["findings"] for late in found.late] == [[{"rule": "S5.x"}]]
    assert [receipt["id"] for receipt in found.receipts] == ["r-ref-3-0"]
    allowed = timeline.find("ref-4")  # a plain allow is looked for in the files
    assert (allowed.decision["verdict"], len(allowed.receipts)) == ("allow", 1)
    assert timeline.find("ref-5") is None
    assert timeline.find("") is None
    assert timeline.since == pytest.approx(NOW, abs=1)


def test_those_turned_away_without_an_entry_of_their_own_are_counted(audit):
    written = Written()
    lines = [written.line("decision", {"reference": "r", "verdict": "deny", "ending": "refused", "refused": REFUSED,
                                       "not_listed_before": 12})]  # fmt: skip
    (audit / "guard-0.jsonl").write_bytes(b"".join(lines))
    (bucket,) = made(audit).history()["buckets"]
    assert [row["number"] for row in bucket["counts"]] == [12, 1]
    assert bucket["counts"][0]["code"] is None


ENTRY = st.sampled_from(
    ["deny", "flag", "allow", "reload", "threshold", "export_check", "checkpoint", "late", "receipt"]
)


def entry(instance, number, what):
    reference = f"{instance}-{number}"
    if what in {"deny", "flag", "allow"}:
        return "decision", decided(reference, what)
    if what == "receipt":
        return "receipt", {"id": f"r-{instance}-{number - 1}-0"}
    if what == "late":
        return "late_findings", {"reference": f"{instance}-{number - 1}", "findings": []}
    return what, {"number": number}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_however_the_journals_are_written_the_timeline_is_that_of_a_whole_reading(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("audit")
    clock_now = NOW + 600
    followed = Timeline(directory, lambda: clock_now)
    chains = {f"guard-{number}": Written(NOW + number / 7) for number in range(data.draw(st.integers(1, 3)))}
    left, rotated = dict.fromkeys(chains, b""), dict.fromkeys(chains, 0)
    for number in range(data.draw(st.integers(1, 30))):
        instance = data.draw(st.sampled_from(sorted(chains)))
        live = directory / f"{instance}.jsonl"
        line = left[instance] + chains[instance].line(*entry(instance, number, data.draw(ENTRY)), step=0.5)
        cut = data.draw(st.integers(0, len(line)))
        with live.open("ab") as file:
            file.write(line[:cut])
        if data.draw(st.booleans()):
            followed.follow(data.draw(st.sampled_from([1, 200, 10**6])))
        with live.open("ab") as file:
            file.write(line[cut:])
        left[instance] = b""
        if data.draw(st.booleans()):
            rotated[instance] += 1
            live.rename(directory / f"{instance}.{rotated[instance]:06d}.jsonl")
    while followed.follow():
        pass
    assert everything(followed) == everything(made(directory, clock_now))


def test_only_the_end_is_read_at_the_start_and_it_says_so(audit):
    old, new = Written(), Written(NOW + 300)
    (audit / "guard-0.000001.jsonl").write_bytes(b"".join(old.line("decision", decided(f"a-{n}")) for n in range(50)))
    (audit / "guard-0.jsonl").write_bytes(b"".join(old.line("decision", decided(f"b-{n}")) for n in range(50)))
    (audit / "guard-1.jsonl").write_bytes(b"".join(new.line("decision", decided(f"c-{n}")) for n in range(3)))
    whole = made(audit)
    assert (len(whole.decisions(500)), whole.since) == (103, NOW + 1)
    timeline = made(audit, window=30_000)
    rows = timeline.decisions(500)
    assert 3 < len(rows) < 103
    assert {row["reference"] for row in rows} >= {"c-0", "c-1", "c-2", "b-49"}  # each chain has its part
    oldest = min(row["time"] for row in rows if row["instance"] == "guard-0")
    assert timeline.since == oldest > NOW + 1
    assert timeline.find("a-7").decision["seq"] == 8  # and what is older is still found
    assert timeline.find("a-7", most=2000) is None
    assert timeline.find("a-7", go_on=lambda: False) is None


def test_a_half_written_line_is_read_when_it_is_whole_and_one_that_is_cut_off_never(audit):
    written, live = Written(), audit / "guard-0.jsonl"
    whole, torn = written.line("decision", decided("one")), written.line("decision", decided("two"))
    live.write_bytes(whole + torn[:40])
    timeline = made(audit)
    assert [row["reference"] for row in timeline.decisions(9)] == ["one"]
    live.write_bytes(whole)  # what a start after a crash does to it
    assert not timeline.follow()
    written.seq -= 1
    with live.open("ab") as file:
        file.write(written.line("decision", decided("three")))
    timeline.follow()
    assert [row["reference"] for row in timeline.decisions(9)] == ["three", "one"]


def test_a_journal_set_aside_is_not_counted_twice_and_its_successor_is_counted(audit):
    written, live = Written(), audit / "guard-0.jsonl"
    live.write_bytes(b"".join(written.line("decision", decided(f"a-{n}")) for n in range(3)))
    timeline = made(audit)
    with live.open("ab") as file:
        file.write(b"garbage\n")
    live.rename(audit / "guard-0.damaged-1.jsonl")
    fresh = Written(NOW + 100)
    live.write_bytes(fresh.line("decision", decided("b-0")))
    while timeline.follow():
        pass
    assert [row["reference"] for row in timeline.decisions(9)] == ["b-0", "a-2", "a-1", "a-0"]
    assert sum(row["number"] for bucket in timeline.history()["buckets"] for row in bucket["counts"]) == 4


def test_a_file_that_shrank_is_not_counted_twice(audit):
    written, live = Written(), audit / "guard-0.jsonl"
    lines = [written.line("decision", decided(f"a-{n}")) for n in range(3)]
    live.write_bytes(b"".join(lines))
    timeline = made(audit)
    live.write_bytes(b"".join(lines[:2]))
    timeline.follow()
    with live.open("ab") as file:
        file.write(Written(NOW + 100).line("decision", decided("b")))
    timeline.follow()
    assert [row["reference"] for row in timeline.decisions(9)] == ["b", "a-2", "a-1", "a-0"]


def test_a_directory_that_goes_away_leaves_what_is_known(audit):
    (audit / "guard-0.jsonl").write_bytes(Written().line("decision", decided("one")))
    timeline = made(audit)
    (audit / "guard-0.jsonl").unlink()
    audit.rmdir()
    assert not timeline.follow()
    assert len(timeline.decisions(9)) == 1
    assert timeline.find("two") is None


def test_the_files_are_left_when_nobody_waits_and_a_line_without_end_hides_nothing(audit, monkeypatch):
    monkeypatch.setattr(lookup, "BLOCK", 1000)
    monkeypatch.setattr(lookup, "LONGEST", 3000)
    written = Written()
    lines = [written.line("decision", decided(f"a-{n}", "allow")) for n in range(20)]
    (audit / "guard-0.jsonl").write_bytes(b"".join(lines[:10]) + b"a-3" * 20_000 + b"\n" + b"".join(lines[10:]))
    timeline, asked = made(audit), []
    assert [timeline.find(f"a-{n}").decision["seq"] for n in (0, 9, 10, 19)] == [1, 10, 11, 20]
    assert timeline.find("a-3", go_on=lambda: asked.append(1) or len(asked) < 5) is None
    assert len(asked) == 5


def test_memory_is_bounded(audit, monkeypatch):
    monkeypatch.setattr(module, "DECISIONS", 10)
    monkeypatch.setattr(module, "OTHERS", 5)
    monkeypatch.setattr(module, "ATTACHED", 3)
    written = Written()
    with (audit / "guard-0.jsonl").open("wb") as file:
        for n in range(40):
            file.write(written.line("decision", decided(f"a-{n}")))
            file.write(written.line("reload", {"n": n}))
            for choice in range(5):
                file.write(written.line("receipt", {"id": f"r-a-{n}-{choice}"}))
    timeline = made(audit)
    assert [row["reference"] for row in timeline.decisions(99)] == [f"a-{n}" for n in range(39, 29, -1)]
    assert [row["n"] for row in timeline.last("reload", 99)] == [39, 38, 37, 36, 35]
    assert len(timeline._by_reference) == 10
    assert len(timeline.find("a-39").receipts) == 3
    assert len(timeline.find("a-1").receipts) == 5  # from the file


def test_hours_are_kept_for_31_days(audit):
    day = 86400
    written = Written(NOW - 40 * day)
    (audit / "guard-0.jsonl").write_bytes(
        b"".join(written.line("decision", decided(f"a-{n}"), step=day) for n in range(45))  # the last ones lie ahead
    )
    timeline = made(audit, NOW)
    history = timeline.history()
    assert len(history["buckets"]) == 31
    assert history["buckets"][-1]["at"] <= NOW
    assert history["since"] == NOW - 31 * day


def test_it_may_be_read_while_it_is_followed(audit):
    written, timeline, seen = Written(), Timeline(audit, lambda: NOW + 600), []

    def look():
        for _ in range(200):
            seen.append(len(timeline.decisions(1000)))
            timeline.history()

    readers = [Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    with (audit / "guard-0.jsonl").open("ab") as file:
        for n in range(300):
            file.write(written.line("decision", decided(f"a-{n}", step=0.1)))
            file.flush()
            timeline.follow()
    for reader in readers:
        reader.join()
    assert max(seen) <= len(timeline.decisions(1000)) == 300


def test_what_it_tells_is_json(audit):
    (audit / "guard-0.jsonl").write_bytes(Written().line("decision", decided("one")))
    timeline = made(audit)
    assert json.loads(json.dumps([timeline.history(), timeline.decisions(5)]))
