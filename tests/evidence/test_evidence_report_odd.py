"""Entries that are not as Guard writes them: they are named and in no count, and the report is made all the same."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_journal import Written, at, decision, evidence, known

from guard.evidence.entry import GENESIS, link
from guard.evidence.report.document import document, sealed
from guard.evidence.report.page import page
from guard.evidence.report.problem import NOWHERE, shown
from guard.evidence.report.shapes import _SHAPES


def made(directory):
    """The document of what is in ``directory``, which must be one that a page and a file can be made of."""
    found = sealed(document(evidence(directory), known()))
    (json.dumps(found, ensure_ascii=False) + page(found)).encode()
    return found


ODD = [
    ("receipt", {"licenses": 5}),
    ("receipt", {"licenses": [[]]}),
    ("declaration", {"licenses": ["x"]}),
    ("decision", {"findings": 5}),
    ("decision", {"findings": ["x"], "shadowed": [1]}),
    ("decision", {"identity": "x"}),
    ("decision", {"refused": "y"}),
    ("decision", {"not_evaluated": [{}]}),
    ("late_findings", {"findings": 7}),
    ("reload", {"ok": False, "problems": 5}),
    ("start", {"policy": "p1", "confirmed": 5}),
    ("usage_import", {"licenses": ["x"]}),
    ("usage_declared", {"declared": "x"}),
    ("gap", {"entries": "x"}),
    ("behavior", {"before": [1]}),
    ("threshold", {"license": ["a"]}),
    ("continue", {"policy": "p1", "started": "x"}),
]


@pytest.mark.parametrize(("kind", "facts"), ODD)
def test_an_entry_of_another_shape_is_named_and_not_counted(tmp_path, kind, facts):
    gateway = Written(tmp_path)
    gateway.run(at(1), at(30, 23))
    number = gateway.add(at(30, 23), kind, facts)
    gateway.add(at(30, 23), "decision", decision())
    found = made(tmp_path)
    assert (
        f"1 entry of guard-0 cannot be read, and is in no count: entry {number}." in found["summary"]["must_be_known"]
    )
    assert found["decisions"]["entries"] == 1
    assert found["audit_chain"][0]["unreadable"] == {"number": 1, "places": [f"entry {number}"]}


@pytest.mark.parametrize("kind", ["decision", "open", "seal", "receipt", "behavior"])
@pytest.mark.parametrize("byte", [b"\xff", b'"', b"\x00", b"[", b"\n"])
def test_one_flipped_byte_leaves_a_report_that_names_the_place(tmp_path, kind, byte):
    gateway = Written(tmp_path)
    gateway.run(at(1), at(30, 23))
    gateway.add(at(3), kind, {"a": "MARKED"} if kind != "open" else {"b": "MARKED"})
    gateway.add(at(4), "decision", decision())
    gateway.path.write_bytes(gateway.path.read_bytes().replace(b"MARKED", b"MA" + byte + b"KED"))
    found = made(tmp_path)
    assert any(each.startswith("The audit chain guard-0 does not verify: entry 5:")
               for each in found["summary"]["must_be_known"])  # fmt: skip
    assert found["decisions"]["entries"] >= 1


def test_lines_that_are_no_entries_count_where_they_may_be_of_the_month(tmp_path):
    def story(*times):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        gateway = Written(directory)
        for time in times:
            if time is None:
                gateway.path.write_bytes((gateway.path.read_bytes() if gateway.path.exists() else b"") + b"nonsense\n")
            else:
                gateway.add(time, "decision", decision())
        return evidence(directory).chains[0].places

    october, november, december = at(3, month=10), at(3), at(3, month=12)
    assert story(october, None, october, november) == []
    assert story(october, None, november) == ["behind entry 1"]
    assert story(november, None) == ["behind entry 1"]
    assert story(november, None, december) == ["behind entry 1"]
    assert story(november, december, None) == []
    assert story(None, november, None, None) == ["behind entry 0", "behind entry 1", "behind entry 1"]


def test_more_than_a_few_are_counted(tmp_path):
    gateway = Written(tmp_path)
    for _ in range(25):
        gateway.add(at(2), "receipt", {"licenses": 5})
    (said,) = [each for each in made(tmp_path)["summary"]["must_be_known"] if "cannot be read" in each]
    assert said.startswith("25 entries of guard-0 cannot be read, and are in no count: entry 1, ")
    assert said.endswith("entry 20 and 5 more.")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KNOWN = sorted({name for shape in _SHAPES.values() for name in shape.__struct_fields__})
FACTS = st.dictionaries(st.sampled_from(KNOWN), JSON, max_size=6)
KINDS = st.sampled_from([*sorted(_SHAPES), "open", "close", "stop", "torn", "damaged", "rotate", "anything"])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(KINDS, FACTS, st.integers(-2, 34)), max_size=6))
def test_whatever_entries_say_there_is_a_report(tmp_path_factory, story):
    gateway = Written(tmp_path_factory.mktemp("audit"))
    for kind, facts, day in story:
        gateway.add(at(1) + day * 86400, kind, facts)
    made(gateway.path.parent)


CONTENT = st.dictionaries(st.sampled_from(["seq", "time", "kind", "facts"]), JSON, max_size=4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")),
                          CONTENT.map(lambda each: json.dumps(each).encode())), max_size=5))  # fmt: skip
def test_whatever_is_in_a_file_there_is_a_report(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("audit") / "guard-0.jsonl"
    whole = link(GENESIS, 1, at(2), "open", {"instance": "guard-0"}).line
    path.write_bytes(whole + b"".join(line + b"\n" for line in lines))
    found = made(path.parent)
    assert found["audit_chain"][0]["unreadable"]["number"] <= len(lines)


@pytest.mark.parametrize(("text", "said"), [
    ("/srv/x y/guard.yaml:3: operator.domicile: 'XXLEAK'; allowed: CH", "guard.yaml:3: operator.domicile: not allowed"),
    ("../private/alice/p.yaml:1: models.a/b.license: unknown license 'x'", "p.yaml:1: models.a/b.license: unknown license"),
    ("C:\\Users\\alice\\p.yaml:9: admin: 'tok-HUNTER2'", "p.yaml:9: admin: not allowed"),
    ("guard.yaml: identity.keys_file: cannot be read: /run/secrets/tok", "guard.yaml: identity.keys_file: cannot be read"),
    ('guard.yaml:4: mode: a dangerous change: "mode: enforce -> shadow"; allowed', "guard.yaml:4: mode: a dangerous change"),
    ("guard.yaml:4: admin: 'unknown: missing'", "guard.yaml:4: admin: not allowed"),
    ("guard.yaml:3: policies: not allowed", "guard.yaml:3: policies: not allowed"),
    ("token_file:/run/secrets/tok: missing", NOWHERE),
    ("file:///home/alice/p.yaml", NOWHERE),
    ("redis://:PASS@host:6379/0", NOWHERE),
    ("(/home/bob/x.yaml)", NOWHERE),
    ("", NOWHERE),
])  # fmt: skip
def test_a_problem_is_shown_without_what_was_written_there(text, said):
    assert shown(text) == said
    assert said == NOWHERE or shown(said) == said
