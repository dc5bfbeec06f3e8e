"""``guard report``: a month's evidence, the same bytes from the same inputs, and nothing claimed that is not known."""

import json
import re
import shutil
from functools import partial
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_world import CONFIG, MONTH, Journal, at, attest, decision, month, refusal
from typer.testing import CliRunner

from guard.cli import main
from guard.evidence.report.verdicts import EXPECTED
from guard.policy.load import RuleCache, load
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.ledger import Scope

RUN = CliRunner()
NAMES = [f"guard-report-{MONTH}.html", f"guard-report-{MONTH}.json"]
LATER = at(20, month=12)
COMPILED = RuleCache()
"""The rules are those that ship: compiled once for all tests."""


@pytest.fixture(autouse=True)
def in_december(monkeypatch):
    monkeypatch.setattr("time.time", lambda: LATER)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    monkeypatch.setattr("guard.policy.load.load", partial(load, rules=COMPILED))


def run(root, *arguments, code=0):
    result = RUN.invoke(
        _command(), ["--month", MONTH, "--out", str(root / "out"), *map(str, arguments)], catch_exceptions=False
    )
    assert result.exit_code == code, result.output
    return result


def _command():
    import typer

    from guard.cli.report import report

    app = typer.Typer(add_completion=False)
    app.command()(report)
    return app


def written(root):
    return [(root / "out" / name).read_bytes() for name in NAMES]


def document(root):
    return json.loads(written(root)[1])


@pytest.fixture
def root(tmp_path, monkeypatch):
    month(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_month_that_is_known_ends_with_0_and_says_so_on_its_first_page(root):
    said = run(root).stdout
    found = document(root)
    assert "llama-3.1: attested" in said
    assert "qwen-2024: within" in said
    assert found["summary"]["must_be_known"] == []
    assert "nothing that must be known is missing" in written(root)[0].decode()
    assert (found["month"], found["over"], found["as_of"]) == (MONTH, True, "2026-11-30")
    assert found["operator"]["name"] == "Example GmbH"


def test_decisions_policies_and_thresholds_are_those_of_the_journal(root):
    run(root)
    found = document(root)
    rows = {(row["license"], row["clause"], row["code"]): row["number"] for row in found["decisions"]["refused"]}
    assert rows == {("llama-3.1", "AUP 1.a", "aup"): 3, ("qwen-2024", "4", "usage_threshold"): 1}
    assert [row["category"] for row in found["decisions"]["cut"]] == ["S2"]
    assert [row["reason"] for row in found["decisions"]["not_evaluated"]] == ["ledger"]
    assert found["decisions"]["recorded"] == ["notable"]
    assert [(row["policy"], row["mode"], row["from"][:10], row["to"][:10]) for row in found["policy"]["in_force"]] == [
        ("p0", "shadow", "2026-11-01", "2026-11-03"), ("p1", "enforce", "2026-11-03", "2026-11-19"),
        ("p1", "enforce", "2026-11-20", "2026-11-30"),
    ]  # fmt: skip
    assert found["policy"]["seconds_by_mode"] == {"enforce": 28 * 86400 - 5400, "shadow": 2 * 86400}
    assert [row["change"] for row in found["policy"]["confirmed_changes"]["rows"]] == ["mode: shadow -> enforce"]
    assert [row["after"] for row in found["crossings"]["rows"]] == ["approaching"]
    assert found["running"]["unclean_stops"] == 1
    assert [gap["from"][:16] for gap in found["running"]["gaps"]] == ["2026-11-19T23:00", "2026-11-30T23:30"]
    assert any("was in shadow" in each for each in found["summary"]["cautions"])
    assert any("plain allows are not in the chain" in each for each in found["summary"]["cautions"])


def test_users_licenses_and_attestations_come_with_their_sources(root):
    run(root)
    found = document(root)
    counts = {row["license"]: row["users"] for row in found["usage"]["licenses"]}
    assert counts == {"llama-3.1": 4, "qwen-2024": 4}
    assert found["usage"]["definition"].startswith("An active user is")
    llama, qwen = found["licenses"]
    assert (llama["license"], llama["models"], qwen["models"]) == ("llama-3.1", ["chat"], ["code"])
    assert {len(file["sha256"] or file["words_sha256"]) for row in (llama, qwen) for file in row["files"]} == {64}
    assert {each["clause"] for each in llama["thresholds"]} == {"2"}
    (row,) = found["attestations"]
    assert (row["ground"], row["owner"], row["limit"]) == ("shown", "legal@example.org", "mau_700m")
    assert row["sha256"] == sha256((root / "llama.json").read_bytes()).hexdigest()
    assert row["source"]["clause"] == "2"


def test_obligations_say_how_they_are_known(root):
    run(root)
    rows = {(row["license"], row["kind"], row["clause"]): row for row in document(root)["obligations"]}
    assert rows["llama-3.1", "threshold", "2"]["how"] == "attested"
    assert (rows["qwen-2024", "threshold", "4"]["state"], rows["qwen-2024", "threshold", "4"]["how"]) == (
        "met",
        "counted",
    )
    assert rows["llama-3.1", "flow_down", "AUP Prohibited Uses, opening words; 1.b.iv"]["how"] == "unknown"
    assert rows["llama-3.1", "name_prefix", "1.b.i"]["state"] == "not_for_serving"
    assert {row["state"] for row in rows.values()} == {"met", "open", "condition", "not_for_serving"}


def test_a_statement_has_an_owner_and_an_end_after_which_it_is_open(root):
    text = CONFIG.replace("llama-3.1", "falcon-180b").replace("  attestations: [llama.json]\n", "")
    text += "  statements:\n    - {license: falcon-180b, about: hosting, says: order 7, owner: legal@example.org, expires: %s}\n"
    for day, state in (("2026-12-31", "met"), ("2026-11-10", "open")):
        (root / "guard.yaml").write_text(text % day)
        run(root)
        row = next(row for row in document(root)["obligations"] if row["kind"] == "hosting")
        assert (row["state"], row["owner"], row["expires"]) == (state, "legal@example.org", day)


@pytest.mark.parametrize("carriers", ["[]", "[header]"])
def test_a_line_that_guard_sends_is_carried(root, carriers):
    (root / "guard.yaml").write_text(CONFIG + f"notices: {{carriers: {carriers}}}\n")
    run(root)
    row = next(
        row for row in document(root)["obligations"] if row["kind"] == "display" and row["license"] == "llama-3.1"
    )
    assert (row["state"], row["how"]) == (("open", "unknown") if carriers == "[]" else ("met", "carried"))


def test_without_an_attestation_it_ends_with_1_and_is_written_all_the_same(root):
    (root / "llama.json").unlink()
    said = run(root, code=1).stdout
    assert "llama-3.1: unknown" in said
    assert "no attestation in force says how many there were" in document(root)["summary"]["must_be_known"][0]
    assert "Must be known, and is not" in written(root)[0].decode()


def test_more_users_than_allowed_by_the_attestation_is_over(root):
    attest(root / "llama.json", users=800_000_000)
    run(root, code=1)
    verdicts = {row["license"]: row["verdict"] for row in document(root)["summary"]["verdicts"]}
    assert verdicts == {"llama-3.1": "over", "qwen-2024": "within"}


def test_a_chain_that_does_not_verify_ends_with_1_and_names_the_entry(root):
    path = root / "state" / "audit" / "guard-0.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"category":"S2"', b'"category":"S3"', 1))
    run(root, code=1)
    found = document(root)
    assert found["summary"]["must_be_known"] == [
        "The audit chain guard-0 does not verify: entry 8: the entry was changed after it was written."
    ]
    (chain,) = found["audit_chain"]
    assert (chain["verifies"], chain["fault"]["entry"]) == (False, 8)
    assert "are not proven" in written(root)[0].decode()


def test_a_month_without_journals_or_count_says_that_nothing_is_known(root):
    shutil.rmtree(root / "state" / "audit")
    result = RUN.invoke(_command(), ["--month", "2026-09", "--out", str(root / "out")])
    assert result.exit_code == 1
    found = json.loads((root / "out" / "guard-report-2026-09.json").read_text())
    assert any("no entry of this month" in each for each in found["summary"]["must_be_known"])
    assert any("Users of the month are not known: 2026-09 was not counted" in each
               for each in found["summary"]["must_be_known"])  # fmt: skip
    assert found["usage"] is None
    assert {row["verdict"] for row in found["summary"]["verdicts"]} == {"attested", "unknown"}


def test_refused_entries_are_missing_and_must_be_known(root):
    journal = Journal(root)
    journal.add(at(21), "gap", {"entries": 12})
    run(root, code=1)
    assert document(root)["summary"]["must_be_known"] == ["Not on record, as a disk refused them: 12 entries."]


def test_the_same_inputs_give_the_same_bytes_elsewhere_and_later_though_the_journals_grew(root, tmp_path, monkeypatch):
    run(root)
    before = written(root)
    elsewhere = tmp_path / "another" / "place"
    elsewhere.mkdir(parents=True)
    for name in ("guard.yaml", "llama.json", "state"):
        (shutil.copytree if name == "state" else shutil.copy)(root / name, elsewhere / name)
    journal = Journal(elsewhere)
    journal.begin(at(5, month=12), "p7", "shadow")
    for day in range(6, 15):
        journal.add(at(day, month=12), "decision", decision(refused=refusal()))
    other = Journal(elsewhere, "guard-1")
    other.begin(at(6, month=12), "p7")
    ledger = open_ledger(sqlite_url(elsewhere / "state" / "ledger.db"))
    ledger.write({Scope("2026-12", "qwen-2024"): [1, 2, 30]}, {}, owner="guard-1", day="2026-12-09")
    ledger.close()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("time.time", lambda: LATER + 1e7)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("COLUMNS", "40")
    run(elsewhere)
    assert written(elsewhere) == before
    assert str(root).encode() not in b"".join(before)


def test_digests_are_those_of_the_files(root):
    run(root)
    page, text = written(root)
    found = json.loads(text)
    stated = found.pop("sha256")
    canonical = json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert sha256(canonical.encode()).hexdigest() == stated
    head, _, tail = page.partition(b'<p id="digest">')
    assert f"<code>{sha256(head).hexdigest()}</code>" in tail.decode()
    assert stated in head.decode()
    usage = json.dumps(found["usage"], ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert found["inputs"]["usage_report"] == sha256(usage.encode()).hexdigest()
    assert found["inputs"]["journals"][0]["head"] == json.loads(
        (root / "state/audit/guard-0.jsonl").read_bytes().splitlines()[found["inputs"]["journals"][0]["length"] - 1]
    )["hash"]  # fmt: skip


class Outline(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.ids, self.links, self.outside = [], set(), set(), []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids |= {given["id"]} if "id" in given else set()
        self.links |= {given["href"][1:]} if given.get("href", "").startswith("#") else set()
        self.outside += [name for name in ("src", "style", "onclick") if name in given]
        if not given.get("href", "#").startswith("#"):
            self.outside.append(given["href"])


def test_the_page_is_one_file_that_is_accessible_and_escapes_what_it_is_told(root):
    run(root)
    page = written(root)[0].decode()
    outline = Outline()
    outline.feed(page)
    assert outline.outside == []
    assert not {"script", "link", "img", "iframe"} & set(outline.tags)
    assert "url(" not in page
    assert "@import" not in page
    assert outline.links <= outline.ids
    assert {"header", "main", "nav", "footer", "section"} <= set(outline.tags)
    assert outline.tags.count("table") == outline.tags.count("caption") == outline.tags.count("thead")
    assert "&lt;b&gt;nothing&lt;/b&gt;" in page
    assert "<b>nothing</b>" not in page
    assert "tok-HUNTER2" not in page


def test_several_gateways_are_told_apart_and_users_counted_once(root, tmp_path):
    second = tmp_path / "second"
    other = Journal(second)
    other.begin(at(2), "p1")
    other.add(at(3), "decision", decision(refused=refusal()))
    run(root, "--state", root / "state", "--state", second / "state")
    found = document(root)
    assert [chain["journal"] for chain in found["audit_chain"]] == ["1/guard-0", "2/guard-0"]
    assert found["summary"]["refused"] == 5
    assert {row["license"]: row["users"] for row in found["usage"]["licenses"]} == {"llama-3.1": 4, "qwen-2024": 4}


def test_a_month_that_is_not_over_says_as_of_when(tmp_path, monkeypatch):
    month(tmp_path, over=False)
    monkeypatch.chdir(tmp_path)
    said = run(tmp_path).stdout
    found = document(tmp_path)
    assert "The month is not over: as of 2026-11-04." in said
    assert (found["over"], found["entries_until"]) == (False, "2026-11-20T00:00:00+00:00")
    assert found["running"]["of"] == 19 * 86400
    assert "The month is not over" in written(tmp_path)[0].decode()


def test_every_member_of_the_document_is_on_the_page_of_the_docs(root):
    run(root)
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text().partition("## Members")[2]
    listed = set(re.findall(r"^\| `([a-z_0-9.]+)`", page, re.MULTILINE))
    found = document(root)
    top = set(found)
    inside = {f"{name}.{member}" for name in ("summary", "policy", "decisions", "receipts", "running", "inputs")
              for member in found[name]}  # fmt: skip
    assert listed == top | inside


@pytest.mark.parametrize(("arguments", "code", "says"), [
    (["--month", "2026-13"], 2, "a year and a month"),
    (["--month", "2027-03"], 65, "2027-03 has not begun"),
    (["--month", MONTH, "--at", "2027-01-01"], 2, "is a day to come"),
    (["--month", MONTH, "--at", "soon"], 2, "YYYY-MM-DD"),
    (["--month", MONTH, "--state", "nowhere"], 78, "not a directory"),
    (["--month", "0000-01"], 2, "Invalid value for --month"),
    (["--month", MONTH, "--state", "state", "--state", "./state/"], 2, "a directory is named twice"),
    (["--month", MONTH, "--archive", "nowhere"], 78, "not a directory"),
    (["--month", MONTH, "--state", "state", "--state", "out", "--archive", "state"], 2, "N=DIR, N from 1 to 2"),
])  # fmt: skip
def test_what_cannot_be_meant_is_said(root, arguments, code, says):
    (root / "out").mkdir()
    result = RUN.invoke(_command(), [*arguments, "--out", str(root / "out")])
    assert result.exit_code == code
    assert says in " ".join(result.output.split())


def test_a_directory_that_cannot_be_written_ends_with_73(root):
    (root / "out").write_text("a file")
    run(root, code=73)


def test_without_a_browser_there_is_no_pdf_and_nothing_is_written(root, monkeypatch):
    monkeypatch.setenv("PATH", str(root))
    assert "no browser to print with" in run(root, "--pdf", code=73).output
    assert not (root / "out").exists()


def test_the_command_is_listed():
    assert "report" in main.COMMANDS


def test_the_summary_can_be_had_as_json(root):
    found = json.loads(run(root, "--json").stdout)
    assert [Path(name).name for name in found["files"]] == [NAMES[1], NAMES[0]]
    assert {row["verdict"] for row in found["verdicts"]} == {"attested", "within"}


def verdict_of(root, license_="qwen-2024"):
    return next(row for row in document(root)["summary"]["verdicts"] if row["license"] == license_)


def test_a_gateway_that_ran_for_a_part_of_the_month_has_no_green_verdict_and_ends_with_1(root):
    shutil.rmtree(root / "state" / "audit")
    journal = Journal(root)
    journal.begin(at(21), "p1")
    journal.add(at(30, 23, 30), "decision", decision())
    journal.add(at(1, month=12), "decision", decision())
    said = run(root, code=1).stdout
    assert "qwen-2024: within what was counted" in said
    assert verdict_of(root)["verdict"] == "within_counted"
    (must,) = document(root)["summary"]["must_be_known"]
    assert must.startswith(
        "Gateways are known to have run for 239 h 30 min of 720 h 0 min: what was served in the rest"
    )
    page = written(root)[0].decode()
    assert '<span class="verdict within_counted">within what was counted</span>' in page
    assert 'class="verdict within"' not in page
    row = next(row for row in document(root)["obligations"] if row["clause"] == "4" and row["kind"] == "threshold")
    assert (row["state"], row["how"]) == ("open", "counted")


def in_ledger(root, **counts):
    ledger = open_ledger(sqlite_url(root / "state" / "ledger.db"))
    ledger.write({}, {Scope(MONTH, license_.replace("_", "-")): number for license_, number in counts.items()},
                 owner="guard-0", day="2026-11-05")  # fmt: skip
    ledger.close()


def test_requests_that_named_nobody_leave_no_bound_which_is_to_be_borne_in_mind(root):
    in_ledger(root, qwen_2024=5)
    run(root)
    row, summary = verdict_of(root), document(root)["summary"]
    assert (row["verdict"], row["upper"]) == ("within_counted", None)
    assert (
        "Users of qwen-2024 are counted as far as they can be; not included: unidentified requests."
        in (summary["cautions"])
    )


def test_a_count_that_began_within_the_month_has_no_bound_which_must_be_known(tmp_path, monkeypatch):
    month(tmp_path)
    (tmp_path / "state" / "ledger.db").unlink()
    ledger = open_ledger(sqlite_url(tmp_path / "state" / "ledger.db"))
    ledger.bind("UTC")
    ledger.write({Scope(MONTH, "qwen-2024"): [1]}, {}, owner="guard-0", day="2026-11-04")
    ledger.close()
    monkeypatch.chdir(tmp_path)
    run(tmp_path, code=1)
    assert verdict_of(tmp_path)["verdict"] == "within_counted"
    assert document(tmp_path)["summary"]["must_be_known"] == [
        "Nothing bounds the number of users of qwen-2024 from above; not included: time before counting began."
    ]


def test_what_a_count_is_expected_to_leave_out_is_called_what_the_count_calls_it():
    from guard.usage import scope

    assert {scope.UNIDENTIFIED, "other products and services"} == EXPECTED
    assert '"other products and services"' in Path(scope.__file__).read_text()


def test_without_a_ledger_there_is_a_report_of_the_journals(root):
    (root / "state" / "ledger.db").unlink()
    said = run(root, code=1).stdout
    assert "not known: Users of the month are not known: there is no ledger." in said
    assert document(root)["decisions"]["entries"] == 9


def test_without_ledger_and_journals_there_is_none(root):
    shutil.rmtree(root / "state")
    assert RUN.invoke(_command(), ["--month", MONTH, "--out", str(root / "out")]).exit_code == 78
    assert not (root / "out").exists()


def test_journals_that_were_moved_away_are_read_where_they_are_named(root, tmp_path):
    run(root)
    before = written(root)
    (tmp_path / "moved").mkdir()
    shutil.copy(root / "state" / "audit" / "guard-0.jsonl", tmp_path / "moved" / "guard-0.jsonl")
    run(root, "--archive", tmp_path / "moved")
    assert written(root) == before
    (root / "state" / "audit" / "guard-0.jsonl").unlink()
    run(root, "--archive", tmp_path / "moved")
    assert written(root) == before
    (tmp_path / "second").mkdir()
    states = ["--state", root / "state", "--state", tmp_path / "second"]
    run(root, *states, "--archive", f"1={tmp_path / 'moved'}")
    assert [chain["journal"] for chain in document(root)["audit_chain"]] == ["1/guard-0"]


def test_a_copied_state_directory_counts_once(root, tmp_path):
    run(root)
    before = document(root)
    shutil.copytree(root / "state", tmp_path / "copy")
    run(root, "--state", root / "state", "--state", tmp_path / "copy", code=1)
    found = document(root)
    assert found["summary"]["decisions"] == before["summary"]["decisions"]
    assert found["running"]["seconds"] == before["running"]["seconds"]
    assert "a copy, of which nothing is counted" in found["summary"]["must_be_known"][0]
