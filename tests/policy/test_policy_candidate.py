"""The candidate policy: loaded and followed beside the active one, and refused where it makes no sense."""

import pytest

from guard.policy.candidate import CandidatePolicy, load_candidate
from guard.policy.document import PolicyError

SOUND = "models: {tiny: {license: llama-2}}\n"


def test_it_is_followed_as_its_files_change(write):
    path = str(write(SOUND, "candidate.yaml"))
    policy = CandidatePolicy()
    assert policy.follow(None) is False
    assert policy.follow(path) is True
    first = policy.loaded.snapshot.hash
    assert policy.follow(path) is False
    write(SOUND + "mode: shadow\n", "candidate.yaml")
    assert policy.follow(path) is True
    assert policy.loaded.snapshot.hash != first
    assert policy.follow(None) is True
    assert (policy.path, policy.loaded, policy.problems) == (None, None, ())


def test_one_with_a_problem_is_no_candidate_until_it_is_mended(write, tmp_path):
    path = str(write(SOUND + "screening: {rules: [rules.yaml]}\n", "candidate.yaml"))
    policy = CandidatePolicy()
    assert policy.follow(path) is True
    assert policy.loaded is None
    assert [problem.found for problem in policy.problems]
    assert policy.follow(path) is False, "the same mistake is not tried again"
    write("category: HR\nrules:\n  - {id: HR.x, anchors: [you pathetic loser]}\n", "rules.yaml")
    assert policy.follow(path) is True, "what it names is watched"
    assert policy.loaded is not None
    assert policy.problems == ()


def test_one_that_is_not_there_is_a_problem_like_any_other(tmp_path):
    policy = CandidatePolicy()
    assert policy.follow(str(tmp_path / "candidate.yaml")) is True
    assert policy.loaded is None
    assert [problem.found for problem in policy.problems] == ["cannot be read: No such file or directory"]


@pytest.mark.parametrize("text", ['policies: ["a\\0b"]', "x: " + "[" * 50_000])
def test_nothing_in_one_reaches_further_than_itself(write, text):
    path, policy = str(write(SOUND + text + "\n", "candidate.yaml")), CandidatePolicy()
    assert policy.follow(path) is True
    assert (policy.loaded, len(policy.problems)) == (None, 1)
    assert policy.follow(path) is False


def test_a_mistake_of_guards_own_is_a_problem_and_not_tried_again(write, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError

    path, policy = str(write(SOUND, "candidate.yaml")), CandidatePolicy()
    monkeypatch.setattr("guard.policy.candidate.load_candidate", fails)
    assert policy.follow(path) is True
    assert [str(problem) for problem in policy.problems] == [f"{path}: document: cannot be loaded: ZeroDivisionError"]
    assert policy.follow(path) is False


def test_a_candidate_has_no_candidate(write):
    path = write(SOUND + "candidate: next.yaml\n", "candidate.yaml")
    with pytest.raises(PolicyError) as refused:
        load_candidate(path)
    assert str(refused.value) == (
        f"{path}:2: candidate: a candidate with a candidate of its own; allowed: none: only the active policy names one"
    )
    policy = CandidatePolicy()
    policy.follow(str(path))
    assert policy.loaded is None
    assert policy.problems == refused.value.problems


def test_the_command_line_holds_for_it_too_but_for_itself(write):
    path = str(write(SOUND, "candidate.yaml"))
    policy = CandidatePolicy({"mode": "shadow", "candidate": path})
    policy.follow(path)
    assert policy.loaded.config.mode == "shadow"


def test_what_expires_in_it_is_enforced_on_the_day_after(write):
    relaxed = "shadows: [{category: S9, owner: legal@example.org, reason: x, expires: 2026-06-01}]\n"
    path, now = str(write(SOUND + relaxed, "candidate.yaml")), [1780315200.0]  # 2026-06-01 12:00 UTC
    policy = CandidatePolicy(clock=lambda: now[0])
    policy.follow(path)
    assert policy.loaded is not None, policy.problems
    before = policy.loaded.snapshot.hash
    assert policy.follow(path) is False
    now[0] += 86400
    assert policy.follow(path) is True
    assert policy.loaded.snapshot.hash != before


def test_while_it_is_read_the_one_before_is_compared_with(write, monkeypatch):
    path = str(write(SOUND, "candidate.yaml"))
    policy = CandidatePolicy()
    policy.follow(path)
    before, seen = policy.loaded, []
    real = load_candidate
    monkeypatch.setattr(
        "guard.policy.candidate.load_candidate", lambda *args, **more: seen.append(policy.loaded) or real(*args, **more)
    )
    write(SOUND + "mode: shadow\n", "candidate.yaml")
    policy.follow(path)
    assert seen == [before]
    assert policy.loaded is not before


def test_one_that_cannot_be_read_is_a_problem(write):
    path = write(SOUND, "candidate.yaml")
    path.unlink()
    path.mkdir()
    policy = CandidatePolicy()
    policy.follow(str(path))
    assert policy.loaded is None
