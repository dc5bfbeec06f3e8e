"""``guard policy promote``: a candidate takes the active policy's place, whole or not at all."""

import os
import stat
import sys

import pytest

from guard.cli.main import run
from guard.policy import load as loading

ACTIVE = """
models: {tiny: {license: llama-2}}
usage: {at_limit: refuse_newcomers, limits: {llama-2: 1000}}
"""
STRICTER = ACTIVE.replace("1000", "500")
LOOSER = ACTIVE.replace("1000", "2000")
CONFIRMED = LOOSER + "confirm: ['usage.limits.llama-2: 1000 -> 2000']\n"
CASES = """
license: llama-2
cases:
  - name: nobody trains on it
    identity: {purpose: "train:gemma-2-9b"}
    expect: {verdict: deny}
"""
CHANGE = "Otherwise\n  usage.limits.llama-2: 1000 -> 500\n"


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """No shipped rules, and an active policy in the working directory."""
    (tmp_path / "aup").mkdir()
    monkeypatch.setattr(loading, "shipped_rules", lambda: tmp_path / "aup")
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.yaml").write_text(ACTIVE)
    (tmp_path / "candidate.yaml").write_text(STRICTER)
    return tmp_path


@pytest.fixture
def promote(capsys):
    """Runs the command and returns its exit code and what it printed."""

    def promote(*arguments):
        code = run(["policy", "promote", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return promote


@pytest.fixture
def unchanged(world):
    """What is there before is there afterward, and nothing else."""
    before = {path: path.read_bytes() for path in world.rglob("*") if path.is_file()}
    yield
    assert {path: path.read_bytes() for path in world.rglob("*") if path.is_file()} == before


class Terminal:
    """Somebody who answers."""

    def __init__(self, answer):
        self.answer = answer

    def isatty(self):
        return True

    def readline(self, *_):
        return self.answer + "\n"


def test_it_takes_the_place_and_the_one_before_stays_beside_it(promote, world):
    (world / "guard.yaml").chmod(0o640)
    assert promote("candidate.yaml", "--yes") == (
        0, CHANGE + "guard.yaml: promoted; the policy before is guard.yaml.before\n", "",
    )  # fmt: skip
    assert (world / "guard.yaml").read_text() == STRICTER
    assert (world / "guard.yaml.before").read_text() == ACTIVE
    for name in ("guard.yaml", "guard.yaml.before"):
        assert stat.S_IMODE((world / name).stat().st_mode) == 0o640
    assert sorted(path.name for path in world.iterdir() if path.is_file()) == [
        "candidate.yaml", "guard.yaml", "guard.yaml.before",
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(promote, world):
    os.chown(world / "guard.yaml", 12345, 54321)
    assert promote("candidate.yaml", "--yes")[0] == 0
    for name in ("guard.yaml", "guard.yaml.before"):
        assert ((world / name).stat().st_uid, (world / name).stat().st_gid) == (12345, 54321)


def test_without_a_name_it_is_the_candidate_of_the_active_policy(promote, world):
    (world / "guard.yaml").write_text(ACTIVE + "candidate: candidate.yaml\n")
    assert promote("--yes") == (0, CHANGE + "guard.yaml: promoted; the policy before is guard.yaml.before\n", "")
    assert (world / "guard.yaml").read_text() == STRICTER, "and it is a candidate no more"


def test_it_may_be_undone(promote, world):
    promote("candidate.yaml", "--yes")
    back = "usage.limits.llama-2: 500 -> 1000"
    (world / "back.yaml").write_text((world / "guard.yaml.before").read_text() + f"confirm: ['{back}']\n")
    assert promote("back.yaml", "--yes")[0] == 0
    assert (world / "guard.yaml.before").read_text() == STRICTER


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_somebody_is_asked(promote, world, monkeypatch, answer, code):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    found, out, _ = promote("candidate.yaml")
    assert found == code
    assert out.startswith(CHANGE + "Write candidate.yaml over guard.yaml? [y/N]: ")
    assert (world / "guard.yaml").read_text() == (STRICTER if code == 0 else ACTIVE)


def test_nobody_is_asked_where_nobody_is(promote, unchanged):
    assert promote("candidate.yaml") == (64, CHANGE, "nobody is there to be asked; allowed: --yes\n")


def test_what_is_looser_has_to_be_confirmed_in_the_file(promote, world, unchanged):
    assert promote("candidate.yaml")[0] == 64
    looser = "Looser (a reload wants each line under confirm:)\n  usage.limits.llama-2: 1000 -> 2000\n"
    (world / "candidate.yaml").write_text(LOOSER)
    found = promote("candidate.yaml", "--yes")
    (world / "candidate.yaml").write_text(STRICTER)
    assert found == (
        1,
        looser,
        (
            "candidate.yaml: confirm: these lines are missing there; a running gateway would refuse the policy:\n"
            '  - "usage.limits.llama-2: 1000 -> 2000"\n'
        ),
    )


def test_what_is_confirmed_is_promoted(promote, world):
    (world / "candidate.yaml").write_text(CONFIRMED)
    assert promote("candidate.yaml", "--yes")[0] == 0
    assert (world / "guard.yaml").read_text() == CONFIRMED


def test_what_the_self_test_of_a_gateway_refuses_is_not_promoted(promote, world):
    (world / "cases.yaml").write_text(CASES.replace("deny", "allow"))
    (world / "candidate.yaml").write_text(STRICTER + "tests: [cases.yaml]\n")
    code, _, err = promote("candidate.yaml", "--yes")
    assert code == 1
    assert "cases.yaml" in err
    assert (world / "guard.yaml").read_text() == ACTIVE


def test_a_candidate_that_cannot_be_used_is_not_promoted(promote, world):
    (world / "candidate.yaml").write_text(STRICTER + "mode: maybe\n")
    said = "candidate.yaml:4: mode: 'maybe'; allowed: enforce, shadow\n"
    assert promote("candidate.yaml", "--yes") == (1, "", said)
    (world / "candidate.yaml").write_text(STRICTER + "candidate: next.yaml\n")
    assert "a candidate with a candidate of its own" in promote("candidate.yaml", "--yes")[2]
    assert (world / "guard.yaml").read_text() == ACTIVE


def test_there_has_to_be_a_candidate_and_something_to_promote_over(promote, world):
    code, _, err = promote("--yes")
    assert (code, "guard.yaml names no candidate; name one" in err) == (64, True)
    (world / "guard.yaml").write_text("mode: maybe\n")
    assert promote("--yes") == (1, "", "guard.yaml:1: mode: 'maybe'; allowed: enforce, shadow\n")
    (world / "guard.yaml").unlink()
    code, _, err = promote("candidate.yaml", "--yes")
    assert (code, "there is no guard.yaml here to promote over" in err) == (64, True)


SYMLINK = "it is a symbolic link, as in a mounted ConfigMap: change the ConfigMap instead"


def test_a_symbolic_link_is_not_written_over(promote, world):
    data = world / "..data"
    data.mkdir()
    (world / "guard.yaml").rename(data / "guard.yaml")
    (world / "guard.yaml").symlink_to("..data/guard.yaml")
    assert promote("candidate.yaml", "--yes") == (73, CHANGE, f"guard.yaml was not changed: {SYMLINK}\n")
    (world / "link").symlink_to("..data")
    code, _, err = promote("candidate.yaml", "--yes", "--config", "link/guard.yaml")
    assert (code, err) == (73, f"link/guard.yaml was not changed: {SYMLINK}\n")
    assert (data / "guard.yaml").read_text() == ACTIVE
    assert [path.name for path in data.iterdir()] == ["guard.yaml"]


def test_a_path_that_goes_up_and_down_is_no_symbolic_link(promote, world):
    (world / "sub").mkdir()
    assert promote("candidate.yaml", "--yes", "--config", "sub/../guard.yaml")[0] == 0


def test_a_link_in_the_place_of_the_policy_before_is_replaced_and_not_followed(promote, world):
    (world / "elsewhere").write_text("mine")
    (world / "guard.yaml.before").symlink_to("elsewhere")
    assert promote("candidate.yaml", "--yes")[0] == 0
    assert (world / "elsewhere").read_text() == "mine"
    assert (world / "guard.yaml.before").read_text() == ACTIVE


@pytest.mark.parametrize("setting", ["identity: {pseudonym_key_file: key}", "policies: [packs]", "tests: [cases.yaml]"])
def test_relative_paths_that_mean_something_else_there_are_refused(promote, world, setting):
    other = world / "other"
    for directory in (world, other):
        (directory / "packs").mkdir(parents=True)
        (directory / "key").write_text("0" * 64)
        (directory / "cases.yaml").write_text(CASES)
    (other / "candidate.yaml").write_text(f"{STRICTER}{setting}\n")
    code, _, err = promote("other/candidate.yaml", "--yes")
    assert (code, err) == (
        73, "guard.yaml was not changed: relative paths in other/candidate.yaml mean something else there\n"
    )  # fmt: skip
    (other / "candidate.yaml").write_text(
        f"{STRICTER}{setting}\n".replace("[packs", f"[{world}/packs")
        .replace(": key", f": {world}/key")
        .replace("[cases", f"[{world}/cases")
    )
    assert promote("other/candidate.yaml", "--yes")[0] == 0


def test_a_candidate_that_changes_while_it_is_looked_at_is_not_promoted(promote, world, monkeypatch):
    module = sys.modules["guard.cli.policy.promote"]  # the package has the command under that name
    real = module._write

    def changed_before(*arguments):
        (world / "candidate.yaml").write_text(LOOSER)
        real(*arguments)

    monkeypatch.setattr(module, "_write", changed_before)
    code, _, err = promote("candidate.yaml", "--yes")
    assert (code, err) == (73, "guard.yaml was not changed: candidate.yaml changed meanwhile; look at it again\n")
    assert (world / "guard.yaml").read_text() == ACTIVE


def test_a_disk_that_refuses_leaves_everything_as_it_was(promote, world, monkeypatch, unchanged):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = promote("candidate.yaml", "--yes")
    assert (code, err) == (73, "guard.yaml was not changed: No space left on device\n")


def test_what_says_the_same_already_leaves_the_policy_before_alone(world, promote):
    promote("candidate.yaml", "--yes")
    code, out, _ = promote("candidate.yaml", "--yes")
    assert (code, out) == (0, "guard.yaml says the same already; nothing is written\n")
    assert (world / "guard.yaml.before").read_text() == ACTIVE
