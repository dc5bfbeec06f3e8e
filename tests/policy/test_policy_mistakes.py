"""Every kind of mistake in guard.yaml gives exactly one problem that says what to do."""

import pytest
from policy_mistakes import MISTAKES

from guard.policy.document import PolicyError
from guard.policy.load import load


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_told_with_line_path_and_what_is_allowed(kind, write, tmp_path):
    text, expected = MISTAKES[kind]
    path = write(text)
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert str(caught.value).replace(f"{path}", "{}").replace(f"{tmp_path}/", "") == expected


def test_all_mistakes_of_a_file_are_told_at_once(write):
    path = write("models:\n  a: {license: gema}\n  b: {}\nusage: {zone: Mars}\nadmin: 0.0.0.0:1\n")
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (2, "models.a.license"),
        (3, "models.b"),
        (4, "usage.zone"),
        (5, "admin"),
    ]


def test_a_value_from_the_command_line_is_told_as_such(write):
    path = write("models:\n  m: {license: gemma}\n")
    with pytest.raises(PolicyError) as caught:
        load(path, {"usage.zone": "Mars", "listen": "nowhere"})
    assert str(caught.value).splitlines() == [
        "command line: listen: 'nowhere'; allowed: HOST:PORT or unix:///path.sock",
        "command line: usage.zone: unknown time zone 'Mars'; allowed: an IANA name such as UTC or Europe/Berlin",
    ]
    with pytest.raises(PolicyError, match=r"^defaults: models: no model can be served"):
        load(None)


def told(path, **more):
    with pytest.raises(PolicyError) as caught:
        load(path, **more)
    return [(problem.line, problem.path, problem.found) for problem in caught.value.problems]


def test_misspelled_names_hide_nothing_and_are_not_blamed_twice(write):
    path = write("modles:\n  m: {license: qwen-2024}\nlicence: gemma\nusage:\n  limits: {qwen: 5, qwen-2024: 7}\n")
    assert told(path) == [
        (1, "modles", "unknown name"),
        (3, "licence", "unknown name"),
        (5, "usage.limits.qwen", "unknown license 'qwen'"),
    ]


def test_a_mistake_of_form_hides_no_unknown_license(write):
    path = write("license: llama3.1\nusage:\n  limits: {qwen: 5, llama-3.1: 5}\nsurface:\n  enabled: [tokenise]\n")
    assert told(path) == [
        (1, "license", "unknown license 'llama3.1'"),
        (3, "usage.limits.qwen", "unknown license 'qwen'"),
        (5, "surface.enabled[0]", "'tokenise'"),
    ]


def test_a_bad_upstream_hides_no_missing_token_and_a_bad_ledger_no_zone(write):
    path = write("license: gemma\nupstream: localhost:8000\nadmin: 0.0.0.0:9090\nusage: {ledger: x, zone: Mars}\n")
    assert [problem[:2] for problem in told(path)] == [
        (2, "upstream"), (3, "admin"), (4, "usage.ledger"), (4, "usage.zone"),
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [
    ("admin: 0.0.0.0:1\nadmin_token_file: [x, y]\nlicense: gemma\n", ["admin_token_file"]),
    ("admin: 127.0.0.1:8080\nlisten: 8080\nlicense: gemma\n", ["listen"]),
    ("models:\n  m: {license: 5}\n", ["models.m.license"]),
    ("models:\n  m: {licence: gemma}\ndefault_model: m\n", ["models.m.licence"]),
    ("models: {m: 5}\ndefault_model: m\n", ["models.m"]),
    ("license: gemma\nscreening: {actions: {S6: deny}, relax: [{category: S6, owner: o, expires: 2030-01-01, reason: r}]}\n", ["screening.actions.S6"]),
    ("license: llama-3.1\nscreening: {actions: {S9: flag}, relax: [{category: S9, owner: o, expires: 2026-02-31, reason: r}]}\n", ["screening.relax[0].expires"]),
    ("license: mine\npolicies: 5\nusage: {limits: {mine: 5}}\n", ["policies"]),
    ("license: gemma\nmode: shadow\nmode: enforce\nusage: {zone: Mars}\n", ["mode", "usage.zone"]),
    (f"license: gemma\nidentity: {{keys: [{{name: a, sha256: x}}, {{nam: b, key_env: B}}, {{name: c, sha256: {'c' * 64}}}, {{name: c, sha256: {'d' * 64}}}]}}\n",
     ["identity.keys[0].sha256", "identity.keys[1].nam", "identity.keys[3].name"]),
    ("license: gemma\nidentity:\n  jwt: {algorithms: [none], secret_env: S}\nusage: {zone: Mars}\n",
     ["identity.jwt.algorithms[0]", "usage.zone"]),
])  # fmt: skip
def test_what_was_dropped_is_told_once_and_nothing_follows_from_it(write, text, expected):
    assert [problem[1] for problem in told(write(text), environment={})] == expected


def test_a_name_is_no_loopback_address(write):
    assert [problem[1] for problem in told(write("license: gemma\nadmin: 127.example.org:1\n"))] == ["admin"]
