"""Case files: what is a mistake in one, how a case passes, and what is said of one that fails."""

from datetime import UTC, datetime

import pytest

from guard.policy.document import PolicyError
from guard.policy.load import load_config, watched_paths
from guard.policy.packs import shipped_packs
from guard.policy.rehearsal.cases import Bench, RunRules, case_files, read_cases

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
QWEN = "license: qwen-2024\ncases:\n"


def run(path, environment=None):
    cases = read_cases(path, shipped_packs())
    bench = Bench(environment or {}, NOW)
    bench.prepare(cases)
    return list(bench.run(cases))


def problems(call):
    with pytest.raises(PolicyError) as found:
        call()
    return [str(problem) for problem in found.value.problems]


MISTAKES = {
    "neither license nor config": (
        "cases:\n  - {name: a, expect: {verdict: allow}}\n",
        "{}:1: document: a mapping; allowed: exactly one of license, config",
    ),
    "an unknown license": (
        "license: qwen-204\ncases:\n  - {name: a, expect: {verdict: allow}}\n",
        "{}:1: license: unknown license 'qwen-204'; allowed: the id of a pack; did you mean 'qwen-2024'?",
    ),
    "an unknown license in a stack": (
        "license:\n  - qwen-2024\n  - gema\ncases:\n  - {name: a, expect: {verdict: allow}}\n",
        "{}:3: license[1]: unknown license 'gema'; allowed: the id of a pack; did you mean 'gemma'?",
    ),
    "a configuration that is not there": (
        "config: nowhere.yaml\ncases:\n  - {name: a, expect: {verdict: allow}}\n",
        "{}:1: config: 'nowhere.yaml' is no file; allowed: a guard.yaml, relative to this file",
    ),
    "no cases": ("license: qwen-2024\ncases: []\n", "{}:2: cases: no case; allowed: at least one"),
    "nothing expected": (QWEN + "  - name: a\n", "{}:3: cases[0].expect: missing; allowed: a value is required here"),
    "an unknown name": (
        QWEN + "  - {name: a, expct: {verdict: allow}, expect: {verdict: allow}}\n",
        (
            "{}:3: cases[0].expct: unknown name; allowed: answer, at, expect, identity, known, name, request, settings, "
            "users; did you mean 'expect'?"
        ),
    ),
    "a user beside the case's name": (
        QWEN + "  - {name: a, user: bob, expect: {verdict: allow}}\n",
        (
            "{}:3: cases[0].user: unknown name; allowed: answer, at, expect, identity, known, name, request, settings, "
            "users; did you mean 'identity.user'?"
        ),
    ),
    "a text of the identity": (
        QWEN + "  - {name: a, identity: {text: Hi}, expect: {verdict: allow}}\n",
        (
            "{}:3: cases[0].identity.text: unknown name; allowed: claims, country, purpose, source, tenant, user; did you "
            "mean 'request.text'?"
        ),
    ),
    "a model of a case": (
        QWEN + "  - {name: a, model: m, expect: {verdict: allow}}\n",
        "{}:3: cases[0].model: unknown name; allowed: model at the top of the file, beside cases",
    ),
    "a model of a request": (
        QWEN + "  - {name: a, request: {model: m}, expect: {verdict: allow}}\n",
        "{}:3: cases[0].request.model: unknown name; allowed: model at the top of the file, beside cases",
    ),
    "a time of a request": (
        QWEN + "  - {name: a, request: {at: 2026-06-01}, expect: {verdict: allow}}\n",
        "{}:3: cases[0].request.at: unknown name; allowed: at of the case itself, beside request",
    ),
    "an unknown verdict": (
        QWEN + "  - {name: a, expect: {verdict: alow}}\n",
        "{}:3: cases[0].expect.verdict: 'alow'; allowed: allow, deny, flag, not_evaluated; did you mean 'allow'?",
    ),
    "a clause that YAML takes for a number": (
        QWEN + "  - {name: a, expect: {verdict: deny, clause: 4}}\n",
        "{}:3: cases[0].expect.clause: '4'; allowed: the clause as text, in quotes: \"1.b.v\"",
    ),
    "a purpose that is none": (
        QWEN + "  - {name: a, identity: {purpose: train}, expect: {verdict: deny}}\n",
        (
            "{}:3: cases[0].identity.purpose: 'train'; allowed: serve, evaluate, train:TARGET, synthetic-data:TARGET or "
            "unknown"
        ),
    ),
    "a time that is none": (
        QWEN + "  - {name: a, at: yesterday, expect: {verdict: allow}}\n",
        "{}:3: cases[0].at: 'yesterday'; allowed: a time such as 2026-06-01T12:00:00Z, or a date",
    ),
    "text and body": (
        QWEN + "  - {name: a, request: {text: a, body: {prompt: b}}, expect: {verdict: allow}}\n",
        "{}:3: cases[0].request: a mapping; allowed: text or body: text is short for a body with one message",
    ),
    "claims of no token": (
        QWEN + "  - {name: a, identity: {claims: {team: a}}, expect: {verdict: allow}}\n",
        "{}:3: cases[0].identity: a mapping; allowed: claims with source jwt: nothing else carries any",
    ),
    "a name that is there twice": (
        QWEN + "  - {name: a, expect: {verdict: allow}}\n  - {name: a, expect: {verdict: deny}}\n",
        "{}:4: cases[1].name: 'a' is the name of the case in line 3 too; allowed: a name of its own",
    ),
    "an unknown threshold": (
        QWEN + "  - {name: a, expect: {verdict: allow, threshold: {id: mau_10m, state: ok}}}\n",
        (
            "{}:3: cases[0].expect.threshold.id: no threshold on active users is called 'mau_10m'; allowed: "
            "mau_100m, operator; did you mean 'mau_100m'?"
        ),
    ),
    "a setting with a typing mistake": (
        QWEN + "  - name: a\n    settings:\n      usage:\n        at_limt: observe\n    expect: {verdict: allow}\n",
        "{}:6: cases[0].settings.usage.at_limt: unknown name; allowed:",
    ),
    "a setting without a part of it": (
        QWEN
        + "  - name: a\n    settings:\n      screening: {actions: {S9: flag}, relax: [{category: S9, expires: 2030-01-01, reason: r}]}\n"
        + "    expect: {verdict: allow}\n",
        "{}:5: cases[0].settings.screening.relax[0].owner: missing; allowed:",
    ),
    "a license twice in a stack": (
        "license: [gemma, gemma]\ncases:\n  - {name: a, expect: {verdict: allow}}\n",
        "{}:1: license:",
    ),
    "a setting that is one of the license's": (
        "license: llama-3.2\ncases:\n  - name: a\n    settings: {default_model: x}\n    expect: {verdict: allow}\n",
        "{}:4: cases[0].settings.default_model:",
    ),
    "a setting that contradicts the license": (
        QWEN + "  - name: a\n    settings: {usage: {limits: {gemma: 5}}}\n    expect: {verdict: allow}\n",
        "{}:4: cases[0].settings.usage.limits.gemma:",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_line(name, write):
    text, expected = MISTAKES[name]
    path = write(text, "cases.yaml")
    found = problems(lambda: run(path))
    assert len(found) == 1
    assert found[0].startswith(expected.format(path)) if expected.endswith(":") else found[0] == expected.format(path)


def test_all_mistakes_of_a_file_are_told_at_once(write):
    path = write(
        QWEN
        + "  - {name: a, settings: {mode: off}, expect: {verdict: allow}}\n"
        + "  - {name: b, settings: {usage: {zone: Mars}}, expect: {verdict: allow}}\n",
        "cases.yaml",
    )
    assert [problem.split(": ")[0] for problem in problems(lambda: run(path))] == [f"{path}:3", f"{path}:4"]


def test_settings_beside_a_configuration_are_refused(write):
    write("models: {m: {license: qwen-2024}}\n")
    path = write(
        "config: guard.yaml\ncases:\n  - {name: a, settings: {mode: shadow}, expect: {verdict: flag}}\n", "c.yaml"
    )
    assert problems(lambda: run(path)) == [
        f"{path}:3: cases[0].settings: settings beside config; allowed: settings with license"
    ]


def test_the_cases_of_a_configuration_are_relative_to_it_and_watched(write):
    path = write("models: {m: {license: qwen-2024}}\ntests: [own, more.yaml]\n")
    config = load_config(path)
    assert config.tests == (str(path.parent / "own"), str(path.parent / "more.yaml"))
    assert {path, path.parent / "own", path.parent / "more.yaml"} <= set(watched_paths(path, config))


def test_a_directory_stands_for_its_files_and_an_empty_one_is_a_mistake(tmp_path, write):
    first, second = write(QWEN, "cases/a.yaml"), write(QWEN, "cases/b.yml")
    assert case_files([first.parent, second]) == [first, second]
    (tmp_path / "none").mkdir()
    assert problems(lambda: case_files([tmp_path / "none"])) == [
        f"{tmp_path / 'none'}: document: no YAML files; allowed: a directory of case files"
    ]


CASES = """
license: qwen-2024
cases:
  - name: below
    settings: &refusing {usage: {at_limit: refuse_newcomers}}
    users: 99999999
    expect: {verdict: allow, threshold: {id: mau_100m, state: approaching}}
  - name: at the limit
    settings: *refusing
    users: 100000000
    expect: {verdict: deny, code: usage_threshold, license: qwen-2024, clause: "4"}
  - name: at the limit, known
    settings: *refusing
    users: 99999999
    known: true
    expect: {verdict: allow}
  - name: only observed
    users: 100000001
    expect: {verdict: allow, threshold: {id: mau_100m, state: over}}
"""


def test_cases_that_hold_pass(write):
    results = run(write(CASES, "cases.yaml"))
    assert [(result.case.name, result.failures) for result in results] == [
        ("below", ()),
        ("at the limit", ()),
        ("at the limit, known", ()),
        ("only observed", ()),
    ]


@pytest.mark.parametrize(
    ("expect", "failures"),
    [
        ("{verdict: allow}", ["verdict: expected allow, found deny"]),
        ('{verdict: deny, clause: "5"}', ["clause: expected 5, found 4"]),
        ("{verdict: deny, license: gemma}", ["license: expected gemma, found qwen-2024"]),
        ("{verdict: deny, code: aup}", ["code: expected aup, found usage_threshold"]),
        ("{verdict: deny, category: S9}", ["category: expected S9, found none"]),
        ("{verdict: deny, obligations: [Built with]}", ["obligations: expected one with 'Built with', found none"]),
        ("{verdict: deny, threshold: {id: mau_100m, state: over}}", ["threshold mau_100m: expected over, found approaching"]),
        (
            "{verdict: deny, threshold: {id: operator, state: ok}}",
            ["threshold operator: expected ok, found no such threshold among ['mau_100m']"],
        ),
        ('{verdict: flag, code: aup, clause: "4"}', ["verdict: expected flag, found deny", "code: expected aup, found usage_threshold"]),
    ],
)  # fmt: skip
def test_a_failure_says_what_was_expected_and_found_and_which_step_decided(expect, failures, write):
    text = (
        QWEN
        + f"  - name: newcomer\n    settings: {{usage: {{at_limit: refuse_all}}}}\n    users: 100000000\n    expect: {expect}\n"
    )
    path = write(text, "cases.yaml")
    (result,) = run(path)
    assert list(result.failures) == failures
    decided = "decided by reserve: usage_threshold, qwen-2024, 4"
    assert str(result) == f"{path}:3: newcomer: {'; '.join(failures)}; {decided}"


def test_an_expected_citation_where_nothing_was_said_fails(write):
    (result,) = run(write(QWEN + '  - {name: a, expect: {verdict: allow, clause: "4"}}\n', "cases.yaml"))
    assert result.failures == ("clause 4: nothing was refused or found",)
    assert str(result).endswith("; nothing refused it up to count")


def test_a_shadowed_refusal_is_a_flag_whose_citation_is_compared(write):
    text = QWEN + (
        "  - name: shadow\n    settings: {mode: shadow, usage: {at_limit: refuse_all}}\n    users: 100000000\n"
        '    expect: {verdict: flag, code: usage_threshold, clause: "4"}\n'
    )
    (result,) = run(write(text, "cases.yaml"))
    assert result.passed


def test_a_stack_is_tried_whole(write):
    text = (
        "license: [deepseek-mit, llama-2]\ncases:\n  - name: a\n    identity: {purpose: 'train:gemma-2-9b'}\n"
        '    expect: {verdict: deny, license: llama-2, clause: "1.b.v"}\n'
    )
    (result,) = run(write(text, "cases.yaml"))
    assert result.passed


def test_a_configuration_is_tried_with_its_own_settings_and_keys(write):
    write(
        "mode: shadow\nmodels:\n  m: {license: llama-2}\n  n: {license: mistral-apache}\n"
        "identity: {keys: [{name: lab, key_env: LAB_KEY, purpose: 'train:gemma-2-9b'}]}\n",
        "deploy/guard.yaml",
    )
    text = (
        "config: ../deploy/guard.yaml\nmodel: m\ncases:\n  - name: lab\n    identity: {tenant: lab}\n"
        "    expect: {verdict: flag, code: output_use}\n  - name: others\n    expect: {verdict: allow}\n"
    )
    assert [result.failures for result in run(write(text, "tests/lab.yaml"), {"LAB_KEY": "k"})] == [(), ()]


def test_a_country_is_seen_and_a_proxy_believed_where_a_case_of_a_license_names_them(write):
    text = (
        "license: hunyuan-a13b\ncases:\n  - name: Germany\n    identity: {country: DE}\n"
        "    expect: {verdict: deny, code: territory}\n"
        "  - name: America\n    identity: {country: US, source: trusted_header, user: carol}\n    expect: {verdict: allow}\n"
    )
    germany, america = run(write(text, "cases.yaml"))
    assert (germany.failures, america.failures) == ((), ())
    assert america.rehearsal.exchange.identity.source == "trusted_header"


def test_rules_are_compiled_once_until_a_day_on_which_an_exception_has_expired(write, monkeypatch):
    rule = (
        "category: S9\nrules:\n  - id: S9.a\n    anchors: [nerve agent recipe]\n    exceptions:\n"
        "      - {phrase: nerve agent recipe book, owner: a, expires: 2026-06-10}\n"
    )
    path = write(rule, "rules.yaml")
    rules = RunRules()
    early, same, late = (rules.compiled([path], datetime(2026, 6, day, tzinfo=UTC).date())[0] for day in (1, 10, 11))
    assert early is same
    assert (len(early.rules[0].exceptions), len(late.rules[0].exceptions)) == (1, 0)


def test_a_case_is_decided_as_of_its_own_time(write):
    write("category: S9\nrules:\n  - {id: S9.a, anchors: [nerve agent recipe]}\n", "rules.yaml")
    write(
        "models: {m: {license: llama-2}}\nscreening:\n  rules: [rules.yaml]\n  actions: {S9: flag}\n"
        "  relax: [{category: S9, owner: a, expires: 2026-06-10, reason: b}]\n"
    )
    text = "config: guard.yaml\ncases:\n" + "".join(
        f"  - {{name: day {day}, at: 2026-06-{day}, request: {{text: a nerve agent recipe}}, expect: {{verdict: {verdict}}}}}\n"
        for day, verdict in ((10, "flag"), (11, "deny"))
    )
    assert [result.failures for result in run(write(text, "cases.yaml"))] == [(), ()]
