from datetime import date

import pytest

from guard.policy.document import PolicyError
from guard.policy.rules import load_rules
from guard.screening.findings import Action
from guard.screening.rules import DEFAULT_SOURCES, Literal, Where
from guard.screening.segments import Direction, Source

TODAY = date(2026, 11, 22)
RULE = """\
category: S9
rules:
  - id: S9.agent
    anchors: [nerve agent]
    requires: [{any: [make]}]
"""


@pytest.fixture
def written(tmp_path):
    def write(text, name="rules.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(*paths):
    with pytest.raises(PolicyError) as caught:
        load_rules(list(paths), today=TODAY)
    return [(problem.line, problem.path, problem.found, problem.nearest) for problem in caught.value.problems]


def test_a_rule_needs_little_and_may_say_much(written):
    short, full = written(RULE, "a.yaml"), written("""\
category: S1
lists: {making: [make, Synthes*]}
rules:
  - id: S1.full
    directions: [prompt, output]
    sources: [user, output]
    anchors: [Sarín gas, "*caine"]
    requires: [{any: [$making, build], within: 30, where: before}]
    forbids: [{any: [treaty], where: after}]
    exceptions: [{phrase: sarin gas mask, owner: safety@example.org, expires: 2026-11-22}]
    score: 0.4
    action: flag
    note: why
""", "b.yaml")  # fmt: skip
    (agent, sarin), warnings = load_rules([short, full], today=TODAY)
    assert warnings == []
    assert (agent.id, agent.category, agent.directions, agent.sources) == (
        "S9.agent",
        "S9",
        {Direction.PROMPT},
        DEFAULT_SOURCES,
    )
    assert (agent.score, agent.action, agent.requires[0].within, agent.requires[0].where) == (
        0.9,
        Action.BLOCK,
        80,
        Where.NEAR,
    )
    assert sarin.anchors == (Literal("sarin gas"), Literal("caine", left=False))
    assert sarin.requires[0].literals == (Literal("make"), Literal("synthes", right=False), Literal("build"))
    assert (sarin.requires[0].within, sarin.requires[0].where, sarin.forbids[0].where) == (
        30,
        Where.BEFORE,
        Where.AFTER,
    )
    assert (sarin.score, sarin.action, sarin.sources) == (0.4, Action.FLAG, {Source.USER, Source.OUTPUT})
    assert [(exemption.phrase.text, exemption.owner) for exemption in sarin.exceptions] == [
        ("sarin gas mask", "safety@example.org")
    ]


def test_a_directory_stands_for_its_files_and_shares_their_lists(written, tmp_path):
    written("lists: {making: [make]}\n", "z.yaml")
    written(RULE.replace("[make]", "[$making]"))
    written("not: [a, rule", "note.txt")
    rules, _ = load_rules([tmp_path], today=TODAY)
    assert rules[0].requires[0].literals == (Literal("make"),)


def test_an_expired_exception_warns_and_no_longer_applies(written):
    path = written(RULE + "    exceptions: [{phrase: nerve agent kit, owner: o, expires: 2026-11-21}]\n")
    (rule,), (warning,) = load_rules([path], today=TODAY)
    assert rule.exceptions == ()
    assert (
        warning
        == f"{path}:6: rule 'S9.agent': the exception 'nerve agent kit' (o) expired on 2026-11-21 and no longer applies"
    )


@pytest.mark.parametrize(("change", "expected"), [
    (("[nerve agent]", "[bomb]\n    "), [(4, "rules[0].anchors", "anchor 'bomb' has fewer than three words and nothing is required around it", None)]),
    (("requires", "requries"), [(5, "rules[0].requries", "unknown name", "requires")]),
    (("category: S9", "category: S99"), [(1, "category", "unknown category 'S99'", None)]),
    (("category: S9\n", ""), [(1, "category", "no category", None)]),
    (("S9.agent", "S1.agent"), [(3, "rules[0].id", "'S1.agent'", None)]),
    (("S9.agent", "S9."), [(3, "rules[0].id", "'S9.'", None)]),
    (("[make]", "[$makin]"), [(5, "rules[0].requires[0].any[0]", "unknown list '$makin'", None)]),
    (("[make]", "[]"), [(5, "rules[0].requires[0].any", "a list", None)]),
    (("[make]", "[' - ']"), [(5, "rules[0].requires[0].any[0]", "' - ' holds no text", None)]),
    (("[make]", "[true]"), [(5, "rules[0].requires[0].any[0]", "'true'", None)]),
    (("[make]}", "[make], where: befor}"), [(5, "rules[0].requires[0].where", "'befor'", "before")]),
    (("[make]}", "[make], within: 0}"), [(5, "rules[0].requires[0].within", "'0'", None)]),
    (("[nerve agent]", "[nerve agent]\n    sources: [usr]"), [(5, "rules[0].sources[0]", "'usr'", "user")]),
    (("[nerve agent]", "[nerve agent]\n    score: 2"), [(5, "rules[0].score", "'2'", None)]),
    (("[nerve agent]", "['...']"), [(4, "rules[0].anchors", "an anchor without a word", None)]),
    (("[nerve agent]", "[nerve agent]\n    exceptions: [{phrase: mustard gas, owner: o, expires: 2030-01-01}]"),
     [(5, "rules[0].exceptions[0].phrase", "'mustard gas' holds none of the rule's anchors", None)]),
    (("[nerve agent]", "[nerve agent]\n    exceptions: [{phrase: nerve agent kit, expires: 2030-01-01}]"), [(5, "rules[0].exceptions[0].owner", "missing", None)]),
])  # fmt: skip
def test_every_mistake_is_named_at_its_line(written, change, expected):
    text = RULE.replace(*change)
    if "fewer than three" in expected[0][2]:
        text = text.replace("    requires: [{any: [make]}]\n", "")
    assert problems(written(text)) == expected


def test_the_nearest_list_is_suggested(written):
    text = "category: S9\nlists: {making: [make]}\n" + RULE.split("\n", 1)[1].replace("[make]", "[$makin]")
    assert problems(written(text))[0][3] == "making"


def test_all_problems_of_all_files_come_at_once(written):
    first = written(RULE.replace("S9.agent", "S1.agent"), "a.yaml")
    second = written(RULE.replace("requires", "requries"), "b.yaml")
    third = written("lists: {x: [a], x: [b]}", "c.yaml")
    assert len(problems(first, second, third)) == 3


def test_ids_and_lists_are_there_once_over_all_files(written):
    first, second = written(RULE, "a.yaml"), written(RULE, "b.yaml")
    assert problems(first, second) == [(3, "rules[0].id", "'S9.agent' is there twice", None)]
    first, second = written("lists: {making: [make]}", "a.yaml"), written("lists: {making: [build]}", "b.yaml")
    assert problems(first, second) == [(1, "lists.making", "the list is there twice", None)]


def test_a_file_that_is_missing_is_a_problem(tmp_path):
    assert problems(tmp_path / "none.yaml")[0][2].startswith("cannot be read")
