"""The judge in a policy: what cannot be asked is a mistake with its line, and its own license is found and owed."""

from datetime import date

import pytest

from guard.policy.deltas import dangerous
from guard.policy.document import PolicyError
from guard.policy.load import load
from guard.policy.posture import posture
from guard.transports.readings import obligation_facts

TODAY = date(2026, 9, 1)
LLAMA_GUARD = "model: meta-llama/Llama-Guard-3-8B, family: llama_guard_3, license: llama-3.1"
RULE = "rules: [{categories: [S9]}]"
ASK = "yes_no: {category: S7, question: 'Private? {text}'}"


def judge(*settings, url="http://127.0.0.1:8001"):
    inside = ", ".join((f"url: '{url}'", *settings))
    return f"models: {{m: {{license: mistral-apache}}}}\nscreening:\n  judge: {{{inside}}}\n"


def problems(write, text, environment=None):
    with pytest.raises(PolicyError) as caught:
        load(write(text), today=TODAY, environment=environment or {})
    return [f"{problem.path}: {str(problem).split(': ', 2)[2]}" for problem in caught.value.problems]


def cautions(write, text):
    return [caution for caution in load(write(text), today=TODAY, environment={}).cautions if "judge" in caution.path]


@pytest.mark.parametrize(("settings", "told"), [
    ((LLAMA_GUARD, "rules: [{categories: [HR, S9, D1]}]"),
        ("screening.judge.rules[0].categories: HR, D1, which llama_guard_3 cannot be asked about; allowed: S1, S2, S3, S4, "
         "S5, S6, S7, S8, S9, S10, S11, S12, S13, S14")),
    ((LLAMA_GUARD, "rules: [{categories: [S9], mode: blocking, sample: 0.5}]"),
        ("screening.judge.rules[0].sample: a sample together with mode: blocking: what is not in it would not be checked; "
         "allowed: mode: asynchronous, or no sample")),
    ((LLAMA_GUARD, "rules: [{categories: [S9], band: [0.9, 0.2]}]"),
        "screening.judge.rules[0].band: a list; allowed: all, or [LOW, HIGH] with 0 <= LOW < HIGH <= 1"),
    ((LLAMA_GUARD, "rules: [{categories: [S9], sample: 0}]"),
        "screening.judge.rules[0].sample: '0'; allowed: a number above 0"),
    ((LLAMA_GUARD, "rules: []"), "screening.judge.rules: a list; allowed: at least 1 in the list"),
    ((LLAMA_GUARD, RULE, ASK),
        "screening.judge.yes_no: a question of one's own for the family llama_guard_3; allowed: none, or family: yes_no"),
    (("model: m, family: yes_no", RULE),
        "screening.judge: a question that cannot be asked; allowed: the question of the family yes_no"),
    (("model: m, family: yes_no", RULE, "yes_no: {category: S9, question: Private?}"),
        "screening.judge.yes_no: a question that cannot be asked; allowed: a question with {text} in it, once"),
    (("model: m, family: yes_no", "rules: [{categories: [S7], outputs: true}]", ASK),
        "screening.judge.rules[0].outputs: no question about answers; allowed: yes_no.answer_question"),
    (("model: m, family: llama_guard", RULE),
        ("screening.judge.family: 'llama_guard'; allowed: llama_guard_3, llama_guard_4, granite_guardian_3, "
         "granite_guardian_3.3, shieldgemma, yes_no; did you mean 'llama_guard_4'?")),
    ((LLAMA_GUARD.replace("llama-3.1", "llama-31"), RULE),
        "screening.judge.license: unknown license 'llama-31'; allowed: the id of a pack; did you mean 'llama-3.1'?"),
    ((LLAMA_GUARD, RULE, "key_env: JUDGE_KEY"),
        "screening.judge.key_env: environment variable JUDGE_KEY is not set; allowed: a set variable"),
    ((LLAMA_GUARD, RULE, "key_env: JUDGE_KEY, key_file: judge.key"),
        "screening.judge.key_env: key_env together with key_file; allowed: one of them"),
    ((LLAMA_GUARD, RULE, "key_file: gone.key"),
        "screening.judge.key_file: cannot be read: No such file or directory; allowed: a file with a key in one line"),
    ((LLAMA_GUARD, RULE, "ca: ca.pem"),
        "screening.judge.ca: authorities for 'http://127.0.0.1:8001', which is not encrypted; allowed: an https:// judge"),
])  # fmt: skip
def test_what_cannot_be_asked_is_a_mistake(write, settings, told):
    assert problems(write, judge(*settings)) == [told]


@pytest.mark.parametrize("url", [
    "ftp://h", "http://", "http://user:pass@h", "http://h/v1?key=x", "http://h/v1#a", "http://h:0", "http://h:x", "h:80",
    "http://h/a b", "unix://",
])  # fmt: skip
def test_a_url_that_is_none(write, url):
    (told,) = problems(write, judge(LLAMA_GUARD, RULE, url=url))
    assert told.endswith("allowed: http://HOST[:PORT][/PATH], https://HOST[:PORT][/PATH] or unix:///path.sock")
    assert "pass" not in told


@pytest.mark.parametrize(
    "url", ["http://h", "https://h:443/v1", "https://h/openai/v1/", "unix:///run/judge.sock", "http://[::1]:80"]
)
def test_a_url_that_is_one(write, url):
    assert load(write(judge(LLAMA_GUARD, RULE, url=url)), today=TODAY, environment={}).config.screening.judge.url == url


@pytest.mark.parametrize("content", ["", "two words\n", "two\nlines\n", "sch\u00fcssel", "\x00"])
def test_a_file_without_a_key_is_told_without_its_content(write, content):
    write(content, "judge.key")
    (told,) = problems(write, judge(LLAMA_GUARD, RULE, "key_file: judge.key"))
    assert "a file that holds no key" in told
    assert not [word for word in content.split() if word in told.partition("judge.key_file")[2]]


def test_files_are_beside_the_configuration(write, tmp_path):
    write("sk-secret\n", "keys/judge.key")
    config = load(write(judge(LLAMA_GUARD, RULE, "key_file: keys/judge.key")), today=TODAY, environment={}).config
    assert config.screening.judge.key_file == str(tmp_path / "keys" / "judge.key")
    write("no PEM", "ca.pem")
    (told,) = problems(write, judge(LLAMA_GUARD, RULE, "ca: ca.pem", url="https://h"))
    assert "ca: a file without authorities; allowed: a PEM file of authorities" in told


@pytest.mark.parametrize(("named", "told"), [
    ("model: meta-llama/Llama-Guard-4-12B, family: llama_guard_4", []),
    ("model: google/shieldgemma-2b, family: shieldgemma", []),
    (LLAMA_GUARD, []),
    ("model: ibm-granite/granite-guardian-3.2-5b, family: granite_guardian_3", [
        "its license is undetermined: no pack lists it, so nothing owed for it is shown; license: ID settles it",
    ]),
    ("model: google/shieldgemma-2b, family: shieldgemma, license: mistral-apache", [
        "license is mistral-apache, but the packs list it under gemma",
    ]),
])  # fmt: skip
def test_its_own_license_is_found_stated_or_told_to_be_unknown(write, named, told):
    assert [caution.found for caution in cautions(write, judge(named, RULE))] == told


def test_an_unknown_license_of_the_judge_is_refused_by_a_strict_check(write):
    (caution,) = cautions(write, judge("model: ibm-granite/granite-guardian-3.2-5b, family: granite_guardian_3", RULE))
    assert caution.strict
    assert caution.note.startswith("judge ibm-granite/granite-guardian-3.2-5b: its license is undetermined")


def test_a_blocking_judge_of_answers_is_told_to_block_no_stream(write):
    (caution,) = cautions(write, judge(LLAMA_GUARD, "rules: [{categories: [S9], mode: blocking, outputs: true}]"))
    assert caution.path == "screening.judge.rules[0].outputs"
    assert "nothing is blocked" in caution.found


def test_what_is_owed_for_the_judge_is_among_the_obligations(write):
    snapshot = load(write(judge(LLAMA_GUARD, RULE)), today=TODAY, environment={}).snapshot
    owed = [item for item in obligation_facts(snapshot) if item["models"] == ["meta-llama/Llama-Guard-3-8B (judge)"]]
    assert {item["license"] for item in owed} == {"llama-3.1"}
    assert {item["kind"] for item in owed} >= {"display", "threshold"}
    without = load(write("models: {m: {license: mistral-apache}}\n"), today=TODAY).snapshot
    assert without.judge is None
    assert not [item for item in obligation_facts(without) if item["license"] == "llama-3.1"]


def loosened(write, before, after):
    """The lines that have to be confirmed to come from one policy to the other."""
    loaded = [load(write(text), today=TODAY, environment={}) for text in (before, after)]
    facts = [posture(each.config, each.snapshot, each.own_rules) for each in loaded]
    return [delta.line for delta in dangerous(*facts)]


def test_a_judge_that_holds_back_less_has_to_be_confirmed(write):
    blocking = judge(LLAMA_GUARD, "rules: [{categories: [S9, S1], mode: blocking}]")
    assert loosened(write, blocking, "models: {m: {license: mistral-apache}}\n") == [
        "screening.judge.prompts: S1, S9 -> none"
    ]
    fewer = judge(LLAMA_GUARD, "rules: [{categories: [S9], mode: blocking}, {categories: [S1]}]", "on_error: serve")
    assert loosened(write, blocking, fewer) == [
        "screening.judge.prompts: S1, S9 -> S9",
        "screening.judge.on_error: refuse -> serve",
    ]
    assert loosened(write, fewer, blocking) == []
    assert loosened(write, "models: {m: {license: mistral-apache}}\n", blocking) == []
