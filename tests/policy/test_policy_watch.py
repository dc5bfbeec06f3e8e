"""Invariant 7: a policy is replaced whole or not at all, and every way files are replaced is noticed."""

import os
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_mistakes import CONFIGURATIONS

from guard.policy import load as loading
from guard.policy.document import PolicyError
from guard.policy.load import digest_of, load
from guard.policy.watch import HISTORY, ActivePolicy

GOOD = "models:\n  m: {license: llama-3.1}\n"
SHADOW = "mode: shadow\nconfirm: ['mode: enforce -> shadow']\n"


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        self.now += 1
        return self.now


@pytest.fixture
def active(write):
    return ActivePolicy(write(GOOD), clock=Clock())


def test_a_process_does_not_start_with_a_bad_policy(write):
    with pytest.raises(PolicyError):
        ActivePolicy(write("mode: maybe\n"))


def test_a_good_edit_takes_effect_and_is_seen_once(active, write):
    before = active.snapshot
    assert not active.changed()
    write(GOOD + SHADOW)
    assert active.changed()
    result = active.reload()
    assert (result.ok, result.changed, result.problems) == (True, True, ())
    assert result.hash == active.snapshot.hash != before.hash
    assert active.snapshot.mode.value == "shadow"
    assert not active.changed()
    again = active.reload()
    assert (again.ok, again.changed) == (True, False)


def test_a_bad_edit_changes_nothing_says_why_and_is_not_tried_again(active, write):
    before = active.snapshot
    write("models:\n  m: {license: llama-31}\n")
    assert active.changed()
    result = active.reload()
    assert (result.ok, result.changed, result.hash) == (False, False, before.hash)
    assert [problem.nearest for problem in result.problems] == ["llama-3.1"]
    assert active.snapshot is before
    assert not active.changed(), "the same bad file is not loaded every two seconds"
    write(GOOD)
    assert active.changed()
    assert active.reload().ok
    assert active.snapshot.hash == before.hash


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.sampled_from(CONFIGURATIONS), st.text(min_size=1), st.binary(min_size=1)))
def test_no_bad_edit_ever_moves_the_snapshot(active, content):
    path, before = active._path, active.snapshot
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    try:
        load(path)
        good = True
    except PolicyError:
        good = False
    result = active.reload()
    assert good or not result.ok
    assert not any("cannot be loaded" in problem.found for problem in result.problems), "each is told as what it is"
    assert result.ok or active.snapshot is before
    path.write_text(GOOD)
    active.reload()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('policies: ["a\\0b"]', "2: policies[0]: cannot be read: not the name of a file; allowed: the path of a file"),
        ('tests: [good.yaml, "a\\0b"]', "2: tests[1]: cannot be read: not the name of a file"),
        (f"screening: {{rules: [{'x' * 300}]}}", "2: screening.rules[0]: cannot be read: File name too long"),
        ("identity: {jwt: {algorithms: [RS256], key_file: '%s'}}" % ("x" * 300), "2: identity.jwt.key_file: cannot be"),
        ("state_dir: '%s'" % ("x" * 300), "2: state_dir: cannot be read: File name too long"),
        ("upstream: 'ftp://u:SECRET@h'", "2: upstream: 'ftp://...@h'; allowed: http"),
        ("upstream: 'u:SECRET@h'", "2: upstream: '...@h'; allowed: http"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_problem_at_its_line(active, write, text, told):
    write("models: {m: {license: llama-3.1}}\n" + text + "\n")
    result = active.reload()
    assert [str(problem).removeprefix(f"{active._path}:")[: len(told)] for problem in result.problems][:1] == [told]
    assert "SECRET" not in str(result.problems)
    assert not active.changed()


def test_the_last_day_of_the_calendar_never_passes(active, write):
    write(GOOD + "shadows: [{category: S6, owner: o, expires: 9999-12-31, reason: r}]\n")
    assert active.reload().problems == ()
    assert active.loaded.expires is None


@pytest.mark.parametrize("place", ["_load", "self-test"])
def test_a_mistake_of_guards_own_is_a_bad_policy_and_not_tried_again(active, write, monkeypatch, place):
    before = active.snapshot
    write(GOOD + SHADOW)
    if place == "_load":
        monkeypatch.setattr(loading, "_load", fails)
    else:
        monkeypatch.setattr(active._self_test, "problems", fails)
    result = active.reload()
    assert [str(problem) for problem in result.problems] == [
        f"{active._path}: document: cannot be loaded: ZeroDivisionError"
    ]
    assert (result.ok, active.snapshot is before, active.changed()) == (False, True, False)
    monkeypatch.undo()
    with monkeypatch.context() as patched:
        patched.setattr(loading, "_load", fails)
        with pytest.raises(PolicyError, match="cannot be loaded: ZeroDivisionError"):
            ActivePolicy(active._path)


def fails(*_, **__):
    raise ZeroDivisionError


def test_what_never_ends_is_neither_waited_for_nor_tried_twice(active, write, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(3_000_000_000)
    for name, why in (
        ("fifo", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("huge", "larger than 4 MiB"),
    ):
        write(f"models: {{m: {{license: llama-3.1, license_file: {name}}}}}\n")
        assert active.changed()
        (problem,) = active.reload().problems
        assert problem.found == f"'{tmp_path / name}' cannot be read: {why}"
        assert not active.changed()
    for setting in ("screening: {rules: [fifo]}", "identity: {jwt: {algorithms: [RS256], key_file: fifo}}"):
        write(GOOD + setting + "\n")
        (problem,) = active.reload().problems
        assert "cannot be read: not a regular file" in problem.found


def test_a_file_that_vanishes_leaves_the_last_good_policy(active):
    before = active.snapshot
    active._path.unlink()
    assert active.changed()
    assert not active.reload().ok
    assert active.snapshot is before


def test_an_editors_rename_over_the_file_is_seen(active, write):
    other = write(GOOD + SHADOW, "guard.yaml.tmp")
    other.replace(active._path)
    assert active.changed()
    assert active.reload().ok


def test_a_configmap_swap_is_seen_every_time(tmp_path):
    for number, mode in enumerate(("enforce", "shadow", "enforce", "shadow")):
        directory = tmp_path / f"..{number}"
        directory.mkdir()
        (directory / "guard.yaml").write_text(GOOD + SHADOW.replace("shadow", mode, 1))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "guard.yaml").symlink_to("..data/guard.yaml")
    active = ActivePolicy(tmp_path / "guard.yaml")
    for number, mode in ((1, "shadow"), (2, "enforce"), (3, "shadow")):
        (tmp_path / "..data_tmp").symlink_to(f"..{number}")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        assert active.changed()
        assert active.reload().changed
        assert active.snapshot.mode.value == mode


def test_packs_and_rules_of_ones_own_are_watched_too(write, tmp_path):
    pack = (
        'id: acme\nname: Acme\ndate: "2026"\nstatus: confirmed\nfamily: acme\nversion: acme\nsources: [a]\n'
        "output_use: {rule: unrestricted, status: confirmed}\n"
    )
    write(pack, "packs/acme.yaml")
    rule = "category: S1\nrules:\n  - {id: S1.x, anchors: [one two three four]}\n"
    write(rule, "rules/x.yaml")
    path = write("policies: [packs]\nmodels:\n  m: {license: acme}\nscreening: {rules: [rules]}\n")
    active = ActivePolicy(path)
    assert {"acme.yaml", "x.yaml", "guard.yaml", "gemma.yaml"} <= {file.name for file in active.loaded.files}
    write(pack.replace("name: Acme", "name: Acme 2"), "packs/acme.yaml")
    assert active.changed()
    active.reload()
    assert active.snapshot.models["m"].licenses[0].name == "Acme 2"
    write(rule.replace("S1.x", "S1.z"), "rules/new.yaml")
    assert active.changed()
    assert active.reload().changed
    write("id: broken\n", "packs/broken.yaml")
    assert not active.reload().ok
    assert active.snapshot.models["m"].licenses[0].name == "Acme 2"


def test_a_bad_policy_that_names_new_files_is_mended_in_any_of_them(active, write):
    write("id: broken\n", "packs/broken.yaml")
    write(GOOD + "policies: [packs]\n")
    assert not active.reload().ok
    assert not active.changed()
    (active._path.parent / "packs" / "broken.yaml").unlink()
    assert active.changed()
    assert active.reload().ok


def test_rules_are_compiled_once_while_their_files_stay(active, write, monkeypatch):
    rules = active.snapshot.rules
    monkeypatch.setattr(loading, "load_rules", lambda *_, **__: pytest.fail("compiled again"))
    write(GOOD + SHADOW)
    assert active.reload().changed
    assert active.snapshot.rules is rules


def test_half_an_update_is_read_again(write, monkeypatch):
    path = write(GOOD)
    reads = []
    original = loading._load

    def swapped_meanwhile(*arguments):
        loaded = original(*arguments)
        reads.append(loaded.config.mode)
        if len(reads) == 1:
            path.write_text(GOOD + SHADOW)
        return loaded

    monkeypatch.setattr(loading, "_load", swapped_meanwhile)
    assert load(path).config.mode == "shadow"
    assert reads == ["enforce", "shadow"]


def test_files_that_never_keep_still_are_a_problem(write, monkeypatch):
    path = write(GOOD)
    original, count = loading._load, iter(range(100))

    def always_swapped(*arguments):
        loaded = original(*arguments)
        path.write_text(GOOD + f"# {next(count)}\n")
        return loaded

    monkeypatch.setattr(loading, "_load", always_swapped)
    with pytest.raises(PolicyError, match="the files change while they are read"):
        load(path)


def test_something_relaxed_expires_without_an_edit(write):
    path = write(
        "models:\n  m: {license: llama-3.1}\nscreening:\n  actions: {S9: flag}\n"
        "  relax:\n    - {category: S9, owner: o, expires: 2026-06-30, reason: r}\n"
    )
    clock = Clock()
    clock.now = 1_782_777_600.0  # 2026-06-30
    active = ActivePolicy(path, clock=clock)
    assert active.loaded.expires == date(2026, 7, 1)
    assert "S9" not in active.snapshot.models["m"].blocking
    assert not active.changed()
    clock.now += 86_400
    assert active.changed()
    assert active.reload().changed
    assert "S9" in active.snapshot.models["m"].blocking
    assert not active.changed()


def test_settings_that_wait_for_a_restart_are_named(active, write):
    write(GOOD + "listen: 127.0.0.1:1\nusage: {zone: Europe/Berlin}\n" + SHADOW)
    result = active.reload()
    assert result.restart == ("listen", "usage.zone")
    assert active.config.listen == "127.0.0.1:8080"
    assert active.loaded.config.listen == "127.0.0.1:1"


def test_the_last_reloads_are_remembered_with_their_times(active):
    for _ in range(HISTORY + 5):
        active.reload()
    assert len(active.history) == HISTORY
    assert [result.at for result in active.history] == sorted(result.at for result in active.history)


def test_the_hash_is_of_contents_not_of_places(write, tmp_path):
    one, other = write(GOOD, "a/guard.yaml"), write(GOOD, "b/guard.yaml")
    assert load(one).snapshot.hash == load(other).snapshot.hash
    assert load(one, {"mode": "shadow"}).snapshot.hash != load(one).snapshot.hash
    assert digest_of([tmp_path / "none"]) == digest_of([tmp_path / "elsewhere" / "none"])
