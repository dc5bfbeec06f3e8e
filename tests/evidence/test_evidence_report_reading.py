"""What a month's report reads from journals: entries of the month, what was in force before it, and what is broken."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_journal import NOVEMBER, Written, at, decision, evidence, finding, known

from guard.evidence.report.counts import Counts, Listed, Place
from guard.evidence.report.document import document, sealed
from guard.evidence.report.page import page


@pytest.fixture
def gateway(tmp_path):
    return Written(tmp_path)


def numbers(counts, *names):
    return {tuple(row[name] for name in names): row["number"] for row in counts.rows()}


def test_refusals_go_by_license_clause_category_and_code_and_name_their_entries(gateway, tmp_path):
    gateway.run(at(1), at(2))
    first = gateway.add(at(3), "decision", decision("a"))
    gateway.add(at(3), "decision", decision("b", "flag", "served"))
    last = gateway.add(at(4), "decision", decision("c"))
    other = {"code": "usage_threshold", "license": "qwen-2024", "clause": "4", "category": None}
    gateway.add(at(5), "decision", decision("d", refused=other))
    found = evidence(tmp_path).decisions
    assert numbers(found.refused, "license", "clause", "category", "code") == {
        ("llama-3.1", "AUP 1.a", "S1", "aup"): 2, ("qwen-2024", "4", None, "usage_threshold"): 1,
    }  # fmt: skip
    assert found.refused.rows()[0]["source"] == {
        "kind": "decision", "entries": [{"journal": "guard-0", "from": first, "to": last, "entries": 2}],
    }  # fmt: skip
    assert found.entries.entries == 4


def test_a_cut_stream_is_no_refusal_and_a_flag_is_counted_once_for_a_request(gateway, tmp_path):
    gateway.add(at(3), "decision", decision("a", ending="cut", findings=[finding("block", "output")]))
    gateway.add(at(3), "decision", decision("b", "flag", "served", findings=[finding(), finding(), finding("log")]))
    found = evidence(tmp_path).decisions
    assert (found.refused.total, found.cut.total) == (0, 1)
    assert numbers(found.flagged, "action") == {("flag",): 1, ("log",): 1}


def test_what_shadow_let_pass_and_what_no_check_was_made_for_is_never_an_allow(gateway, tmp_path):
    would = {"code": "aup", "license": "llama-3.1", "clause": "AUP 1.a", "category": "S1"}
    gateway.add(at(3), "decision", decision("a", "flag", "served", mode="shadow", shadowed=[would]))
    gateway.add(at(3), "decision", decision("b", "not_evaluated", "served", not_evaluated=["ledger", "ledger"]))
    gateway.add(at(3), "late_findings", {"findings": [finding("log", "output")], "not_evaluated": ["overload"]})
    found = evidence(tmp_path).decisions
    assert numbers(found.shadowed, "code") == {("aup",): 1}
    assert numbers(found.shadow_mode, "mode") == {("shadow",): 1, ("enforce",): 1}
    assert numbers(found.unevaluated, "reason") == {("ledger",): 1}
    assert (found.late.total, numbers(found.late_unevaluated, "reason")) == (1, {("overload",): 1})


def test_tenants_places_notes_and_strangers_are_counted(gateway, tmp_path):
    refused = {"code": "territory", "license": "hunyuan-large", "clause": "5.c", "category": None}
    gateway.add(at(3), "decision", decision("a", refused=refused, identity={"tenant": "x"}, given={"country": "FR"}))
    gateway.add(at(3), "decision", decision("b", "allow", "served", obligations=["not read by any rule: image"]))
    stranger = {"reference": "c", "verdict": "deny", "ending": "refused", "not_listed_before": 7,
                "refused": {"code": "surface_denied", "license": None, "clause": None, "category": None}}  # fmt: skip
    gateway.add(at(3), "decision", stranger)
    found = evidence(tmp_path).decisions
    assert numbers(found.tenants, "tenant", "verdict") == {("x", "deny"): 1}
    assert numbers(found.places, "country", "license", "clause") == {("FR", "hunyuan-large", "5.c"): 1}
    assert numbers(found.noted, "note") == {("not read by any rule: image",): 1}
    assert found.held_back == 7


def test_a_month_begins_with_what_was_in_force_before_it(gateway, tmp_path):
    gateway.add(at(20, month=10), "open")
    gateway.add(at(20, month=10), "start", {"policy": "p1", "mode": "shadow", "decisions": "all"})
    gateway.add(at(5), "reload", {"ok": True, "hash": "p2", "mode": "enforce", "decisions": "all", "problems": [],
                                  "confirmed": ["mode: shadow -> enforce"]})  # fmt: skip
    gateway.add(at(6), "close")
    found = evidence(tmp_path)
    shadow, enforced = found.versions.rows()
    assert (shadow["policy"], shadow["mode"], shadow["began_earlier"]) == ("p1", "shadow", True)
    assert (shadow["from"], shadow["to"], shadow["seconds"]) == (
        "2026-11-01T00:00:00+00:00", "2026-11-05T00:00:00+00:00", 4 * 86400,
    )  # fmt: skip
    assert (enforced["policy"], enforced["seconds"]) == ("p2", 86400)
    assert [row["change"] for row in found.versions.confirmed.rows] == ["mode: shadow -> enforce"]
    (run,) = found.runs.rows()
    assert (run["began_earlier"], run["ended"], run["from"]) == (True, "closed", "2026-11-01T00:00:00+00:00")


def test_a_failed_reload_changes_nothing_and_names_files_without_their_folders(gateway, tmp_path):
    gateway.add(at(1), "open")
    gateway.add(at(1), "start", {"policy": "p1", "mode": "enforce", "decisions": "all"})
    gateway.add(at(2), "reload", {"ok": False, "hash": "p1", "problems": ["/srv/x/guard.yaml:3: mode: 'on'"]})
    gateway.add(at(3), "close")
    found = evidence(tmp_path).versions
    assert found.failed.rows[0]["problems"] == ["guard.yaml:3: mode: not allowed"]
    assert {row["policy"] for row in found.rows()} == {"p1"}
    assert sum(row["seconds"] for row in found.rows()) == 2 * 86400


def test_how_a_version_acts_is_learnt_from_decisions_where_a_reload_does_not_say(gateway, tmp_path):
    gateway.add(at(1), "open")
    gateway.add(at(1), "start", {"policy": "p1", "mode": "enforce"})
    gateway.add(at(2), "reload", {"ok": True, "hash": "p2", "problems": []})
    gateway.add(at(3), "reload", {"ok": True, "hash": "p3", "problems": []})
    gateway.add(at(4), "decision", decision(policy="p2", mode="shadow"))
    found = evidence(tmp_path).versions.rows()
    assert [(row["policy"], row["mode"]) for row in found] == [
        ("p1", "enforce"), ("p2", "shadow"), ("p3", "not recorded"),
    ]  # fmt: skip
    assert {row["decisions"] for row in found} == {"not recorded"}


def test_runs_kills_and_gaps_are_those_of_gateways(tmp_path):
    one, two, command = Written(tmp_path, "guard-0"), Written(tmp_path, "guard-1"), Written(tmp_path, "usage")
    one.run(at(1), at(3))
    one.add(at(4), "open")
    one.add(at(4), "start", {"policy": "p1", "mode": "enforce"})
    one.add(at(4, 12), "decision", decision())
    one.run(at(6), at(7))
    two.run(at(2), at(5))
    command.add(at(10), "open")
    command.add(at(10), "usage_declared", {"declared": {"license": "qwen-2024", "period": "2026-11", "users": 3}})
    command.add(at(10), "close")
    found = evidence(tmp_path)
    assert [(run["source"]["journal"], run["ended"]) for run in found.runs.rows()] == [
        ("guard-0", "closed"), ("guard-1", "closed"), ("guard-0", "killed"), ("guard-0", "closed"),
    ]  # fmt: skip
    assert [(gap["from"][:10], gap["to"][:10]) for gap in found.runs.gaps(at(1, month=12))] == [
        ("2026-11-05", "2026-11-06"), ("2026-11-07", "2026-12-01"),
    ]  # fmt: skip
    days = {day["day"]: day["seconds"] for day in found.runs.days(at(8))}
    assert days == {f"2026-11-0{day}": 0 if day in {5, 7} else 86400 for day in range(1, 8)}
    assert found.records.imports.rows[0]["users"] == 3


def test_torn_lines_refused_entries_and_journals_set_apart_are_noted(gateway, tmp_path):
    gateway.add(at(1), "open")
    gateway.add(at(1), "torn", {"bytes": 4, "sha256": "00", "file": "guard-0.torn-2"})
    gateway.add(at(2), "gap", {"entries": 12})
    found = evidence(tmp_path).runs
    assert [(row["kind"], row["entries"]) for row in found.disturbed.rows] == [("torn", None), ("gap", 12)]
    assert (found.disturbances, found.refused) == ({"torn": 1, "gap": 1}, 12)


def test_a_chain_that_a_gateway_found_changed_is_not_one_that_was_set_apart(gateway, tmp_path):
    gateway.add(at(2), "damaged", {"file": "guard-0.jsonl", "line": 3, "what": "the entry was changed"})
    gateway.add(at(3), "damaged", {"file": "guard-0.damaged-1.jsonl", "what": "the entry was changed"})
    must = document(evidence(tmp_path), known())["summary"]["must_be_known"]
    assert "1 time a gateway found that its own audit chain was changed while it ran." in must
    assert "Set apart, as nothing could follow: 1 journal." in must


def test_totals_are_not_those_of_the_rows_that_are_listed(gateway, tmp_path):
    for second in range(1500):
        gateway.add(at(2) + second, "gap", {"entries": 10})
        gateway.add(at(2) + second, "threshold", {"license": "x", "before": "ok", "after": "over"})
        gateway.add(at(2) + second, "export_check", {"verdict": "deny"})
    summary = document(evidence(tmp_path), known())["summary"]
    assert "Not on record, as a disk refused them: 15,000 entries." in summary["must_be_known"]
    numbers = {row["what"]: row["number"] for row in summary["incidents"]}
    assert numbers["limits that were passed"] == numbers["data sets that were not plainly allowed"] == 1500
    assert numbers["torn lines, journals set apart and refused entries"] == 1500


def test_a_month_that_only_the_ledger_knows_to_be_over_has_the_same_gaps_everywhere(gateway, tmp_path):
    gateway.run(at(1), at(20))
    usage = {"over": True, "licenses": [], "not_in_the_number": [], "definition": "."}
    found = document(evidence(tmp_path), known(usage=usage))
    (gap,) = found["running"]["gaps"]
    assert gap["to"] == "2026-12-01T00:00:00+00:00"
    assert any(row["what"].startswith("times without") and row["number"] == 1 for row in found["summary"]["incidents"])
    assert found["not_visible"][0]["what"].startswith("264 h 0 min of the month")


def test_a_day_of_which_nothing_is_over_yet_is_no_day(gateway, tmp_path):
    gateway.run(at(21, 8), at(22) + 0.3)
    found = sealed(document(evidence(tmp_path), known()))
    assert found["running"]["days"][-1]["day"] == "2026-11-21"
    assert "2026-11-21" in page(found)


def test_receipts_purposes_crossings_checks_and_steps(gateway, tmp_path):
    licenses = [["llama-3.1", "1.b.v"]]
    gateway.add(at(2), "receipt", {"id": "r-a-0", "licenses": licenses, "tenant": "x", "output_digest": "aa"})
    gateway.add(at(2), "receipt", {"id": "r-b-0", "licenses": licenses, "tenant": "x", "output_digest": None})
    said = {"id": "d-a", "purpose": "evaluation", "source": "key", "licenses": licenses, "verdict": "allow"}
    gateway.add(at(2), "declaration", {**said, "clause": "1.b.v"})
    crossing = {
        "license": "qwen-2024",
        "limit": "mau",
        "value": 9,
        "users": 10,
        "before": "ok",
        "after": "over",
        "over": 1,
    }
    gateway.add(at(2), "threshold", crossing)
    check = {"target": "m", "sha256": "bb", "records": 5, "verdict": "deny", "found": {"records": 2}, "asker": "ip"}
    gateway.add(at(2), "export_check", check)
    gateway.add(at(2), "behavior", {"before": "metric", "step": "clamp", "enforced": True, "user": "0" * 16})
    gateway.add(at(2), "behavior", {"deed": "hold", "step": "suspend", "user": "0" * 16})
    found = evidence(tmp_path).records
    assert numbers(found.receipts, "licenses", "tenant") == {("llama-3.1", "x"): 2}
    assert found.undigested.entries == 1
    assert numbers(found.purposes, "purpose", "stated_by", "verdict") == {("evaluation", "key", "allow"): 1}
    assert found.crossings.rows[0] == {
        "at": "2026-11-02T00:00:00+00:00", "source": {"journal": "guard-0", "entry": 4}, **crossing,
    }  # fmt: skip
    assert (found.checks.rows[0]["found"], found.checks.rows[0]["verdict"]) == (2, "deny")
    assert numbers(found.steps, "before", "step", "enforced") == {
        ("metric", "clamp", "yes"): 1, ("by a person: hold", "suspend", "no"): 1,
    }  # fmt: skip


def test_entries_of_other_months_count_nowhere_and_tell_that_the_month_is_over(gateway, tmp_path):
    gateway.add(at(30, month=10), "decision", decision())
    inside = gateway.add(at(30, 23, 59), "decision", decision())
    assert not evidence(tmp_path).later
    gateway.add(at(1, month=12), "decision", decision())
    found = evidence(tmp_path)
    assert (found.later, found.decisions.entries.entries) == (True, 1)
    (chain,) = found.chains
    assert (chain.length, chain.entries, chain.from_) == (inside, 1, inside)


def change(path, line, old, new):
    lines = path.read_bytes().split(b"\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize("place", ["before", "within", "after"])
def test_a_changed_entry_anywhere_is_a_fault_and_what_follows_it_is_not_proven(gateway, tmp_path, place):
    lines = {name: gateway.add(time, "decision", decision(name)) for name, time in
             (("before", at(2, month=10)), ("within", at(2)), ("after", at(2, month=12)))}  # fmt: skip
    change(gateway.path, lines[place], b'"verdict":"deny"', b'"verdict":"flag"')
    (chain,) = evidence(tmp_path).chains
    assert chain.fault == (lines[place], "the entry was changed after it was written")
    assert chain.unproven == 4 - lines[place]


def test_a_line_that_is_no_entry_breaks_the_chain_and_the_rest_is_still_read(gateway, tmp_path):
    gateway.add(at(2), "decision", decision())
    gateway.path.write_bytes(gateway.path.read_bytes() + b"nonsense\n")
    gateway.add(at(3), "decision", decision())
    found = evidence(tmp_path)
    assert (found.decisions.entries.entries, found.chains[0].unreadable, found.chains[0].fault.entry) == (2, 1, 2)


def test_a_journal_whose_first_file_was_moved_away_is_not_trusted_without_a_signature(gateway, tmp_path):
    gateway.add(at(2, month=10), "decision", decision())
    gateway.add(at(2, month=10), "rotate", {"number": 1})
    whole = {"number": 2, "seq": 2, "hash": gateway.prev.decode()}
    closed = gateway.path.rename(tmp_path / "guard-0.000001.jsonl")
    gateway.add(at(2), "continue", whole)
    gateway.add(at(3), "decision", decision())
    (chain,) = evidence(tmp_path).chains
    assert (chain.fault, chain.trusted, chain.first, chain.entries) == (None, True, 1, 2)
    closed.unlink()
    (chain,) = evidence(tmp_path).chains
    assert (chain.fault, chain.trusted, chain.first, chain.entries) == (None, False, 3, 2)


def test_a_line_that_is_being_written_is_no_fault(gateway, tmp_path):
    gateway.add(at(2), "decision", decision())
    gateway.path.write_bytes(gateway.path.read_bytes() + b'{"seq":2,"ti')
    found = evidence(tmp_path)
    assert (found.chains[0].fault, found.chains[0].length) == (None, 1)


def test_a_clock_that_was_set_back_is_noted(gateway, tmp_path):
    for time in (at(3), at(2), at(4)):
        gateway.add(time, "decision", decision())
    assert evidence(tmp_path).chains[0].backwards == 1


def test_entries_that_threads_stamped_out_of_order_are_no_clock_that_was_set_back(gateway, tmp_path):
    for time in (at(3), at(3) - 0.05, at(3) - 0.9, at(3) + 1, at(3) - 0.5):
        gateway.add(time, "decision", decision())
    assert evidence(tmp_path).chains[0].backwards == 1


def test_days_follow_the_zone_over_a_change_of_the_clock():
    from guard.evidence.report.month import Month

    october = Month("2026-10", "Europe/Berlin", at(30, 22, month=9), at(31, 23, month=10))
    lengths = {day: end - begin for day, begin, end in october.days()}
    assert len(lengths) == 31
    assert {day for day, length in lengths.items() if length != 86400} == {"2026-10-25"}
    assert lengths["2026-10-25"] == 25 * 3600
    assert october.moment(at(31, month=10)) == "2026-10-31T01:00:00+01:00"


def test_counts_are_bounded_and_keep_their_sum():
    counts = Counts("decision", ("country", "license"), most=3)
    for number in range(10):
        counts.add((f"c{number}", "l"), Place("guard-0", number))
    assert counts.total == 10
    assert counts.of(("(others)", None)) == 7
    assert len(counts.rows()) == 4
    listed = Listed(most=2)
    for number in range(5):
        listed.add({"at": str(number), "source": {"journal": "j", "entry": number}})
    assert (len(listed.by_time()), listed.left_out) == (2, 3)


KINDS = st.sampled_from(["decision", "start", "reload", "close", "open", "gap", "threshold", "behavior"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(KINDS, st.integers(-5, 40)), max_size=30), st.integers(1, 5))
def test_a_journal_that_grew_after_the_month_says_the_same_of_it(tmp_path_factory, story, grown):
    directory = tmp_path_factory.mktemp("audit")
    gateway = Written(directory)
    for kind, day in sorted(story, key=lambda each: each[1]):
        facts = decision() if kind == "decision" else {"policy": f"p{day % 3}", "mode": "enforce", "entries": 1}
        gateway.add(NOVEMBER.start + day * 43200, kind, facts)
    gateway.add(NOVEMBER.end + 1, "open")
    before = told(evidence(directory))
    for number in range(grown):
        gateway.add(
            NOVEMBER.end + 2 + number, ("open", "start", "close")[number % 3], {"policy": "p9", "mode": "shadow"}
        )
    assert told(evidence(directory)) == before


def told(found):
    """Everything that a report takes from the journals, as text."""
    chains = [
        (chain.name, chain.length, chain.head, chain.entries, sorted(chain.kinds.items())) for chain in found.chains
    ]
    parts = (chains, found.later, found.until, found.runs.rows(), found.runs.gaps(NOVEMBER.end), found.versions.rows(),
             found.versions.confirmed.rows, found.decisions.verdicts.rows(), found.records.crossings.rows,
             found.runs.disturbed.rows)  # fmt: skip
    return json.dumps(parts)
