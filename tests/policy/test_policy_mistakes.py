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
        (5, "admin"),
        (4, "usage.zone"),
    ]


def test_a_value_from_the_command_line_is_told_as_such(write):
    path = write("models:\n  m: {license: gemma}\n")
    with pytest.raises(PolicyError) as caught:
        load(path, {"usage.zone": "Mars", "listen": "nowhere"})
    assert str(caught.value) == "command line:1: listen: 'nowhere'; allowed: HOST:PORT or unix:///path.sock"
    with pytest.raises(PolicyError, match=r"^command line:1: usage\.zone: unknown time zone 'Mars'"):
        load(path, {"usage.zone": "Mars"})
