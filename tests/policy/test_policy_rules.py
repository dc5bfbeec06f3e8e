from dataclasses import replace
from datetime import date

import pytest

from guard.licensing.items import AUP_ITEMS
from guard.policy.document import PolicyError
from guard.policy.locations import rule_pack, shipped_rules
from guard.policy.packs import shipped_packs
from guard.policy.rules import load_rules
from guard.policy.ruletest import failures
from guard.screening.findings import Action
from guard.screening.rules import DEFAULT_SOURCES, Literal, Release, Where
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Direction, Segment, Source

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
        warning.note
        == f"{path}:6: rule 'S9.agent': the exception 'nerve agent kit' (o) expired on 2026-11-21 and no longer applies"
    )


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


def test_a_rule_names_the_items_it_is_evidence_of_and_only_items_that_some_pack_has(written):
    path = written(RULE + "    items: [guns_illegal_weapons, fruad, house_rules]\n")
    assert problems(path) == [
        (6, "rules[0].items[1]", "unknown item 'fruad'", "fraud"),
        (6, "rules[0].items[2]", "unknown item 'house_rules'", None),
    ]
    (rule,), _ = load_rules([path], today=TODAY, items=frozenset({"guns_illegal_weapons", "fruad", "house_rules"}))
    assert rule.items == ("guns_illegal_weapons", "fruad", "house_rules")
    (rule,), _ = load_rules([path], today=TODAY, items=None)
    compiled = RuleSet([rule])
    assert (compiled.items_of("S9.agent"), compiled.items_of("S9.other")) == (rule.items, ())
    assert compiled.digest == RuleSet([replace(rule, items=())]).digest  # what it finds is the same


def test_every_shipped_rule_about_a_hazard_names_items_and_every_known_item_stands_in_a_pack():
    packs = shipped_packs().values()
    assert {item.id for license_ in packs for item in license_.aup} == AUP_ITEMS
    rules, _ = load_rules([shipped_rules()], today=TODAY)
    assert {rule.category for rule in rules if not rule.items} == {"D1"}  # making training data is no item of a policy
    assert all(len(set(rule.items)) == len(rule.items) for rule in rules)


def test_every_item_that_text_can_show_has_a_rule_in_one_of_its_categories():
    rules, _ = load_rules([shipped_rules()], today=TODAY)
    shown = {(item, rule.category) for rule in rules for item in rule.items}
    packs = shipped_packs().values()
    items = {(item.id, item.categories) for license_ in packs for item in license_.aup if item.categories}
    assert [item for item, categories in items if not any((item, category) in shown for category in categories)] == []


def test_every_shipped_rule_has_a_text_it_finds_and_one_it_leaves_alone_and_they_hold():
    rules, _ = load_rules([shipped_rules(), rule_pack("privacy")], today=TODAY)
    assert [rule.id for rule in rules if not rule.hits or not rule.misses] == []
    assert list(failures(RuleSet(rules))) == []


def test_a_rule_of_ones_own_that_says_its_action_acts_by_itself_and_a_shipped_one_does_not(written):
    silent, said = (
        written(RULE, "a.yaml"),
        written(RULE.replace("S9.agent", "S9.other") + "    action: flag\n", "b.yaml"),
    )
    rules, _ = load_rules([shipped_rules(), rule_pack("privacy"), silent, said], today=TODAY)
    acting = {rule.id for rule in rules if rule.acts}
    assert {rule.id for rule in rules if rule.action is Action.MASK} == acting - {"S9.other"}
    assert "S9.other" in acting
    assert "S9.agent" not in acting


def test_patterns_checks_masks_and_releases_are_read(written):
    path = written("""\
category: S7
rules:
  - id: S7.card
    patterns: ['\\b\\d{4}(?:-?\\d{4}){3}\\b']
    check: luhn
    exceptions: [{phrase: 4111 1111 1111 1111, owner: safety@example.org, expires: 2026-11-22}]
    action: mask
    mask: "[card]"
  - {id: S7.seen, patterns: ['\\bid \\d{4}\\b'], action: flag, release: immediate}
  - {id: S7.slow, patterns: ['\\bid \\d{4}\\b'], action: block, release: window, window: 40}
""")
    (card, seen, slow), _ = load_rules([path], today=TODAY)
    assert (card.mask, card.release, card.lag, card.patterns[0].check) == ("[card]", Release.SCANNED, None, "luhn")
    assert (seen.mask, seen.lag, slow.lag, slow.blocks) == (None, 0, 40, "own")
    text = "4111-1111-1111-1111 and 5555 5555 5555 4444"
    assert [finding.start for finding in RuleSet([card]).scan([Segment(Source.USER, text)])] == [24]
