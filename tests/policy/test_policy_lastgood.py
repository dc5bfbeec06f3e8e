"""A restart with a bad file: the last good copy, where it is asked for, is sound and of the same files."""

import json
from pathlib import Path

import pytest

from guard.policy import lastgood
from guard.policy import load as loading
from guard.policy.document import PolicyError
from guard.policy.lastgood import CURRENT, DIRECTORY, MANIFEST
from guard.policy.record import NAME
from guard.policy.watch import ActivePolicy

PACK = (
    'id: acme\nname: Acme\ndate: "2026"\nstatus: confirmed\nfamily: acme\nversion: acme\nsources: [a]\n'
    "output_use: {rule: unrestricted, status: confirmed}\n"
)
RULE = "category: S9\nrules:\n  - {id: S9.own, anchors: [enriched cake recipe]}\n"
GOOD = (
    "models: {m: {license: acme}}\npolicies: [packs]\nscreening: {rules: [rules.yaml]}\nadmin_token_file: keys/token\n"
)


class Place:
    """A configuration with a pack and a rule of its own, and a state directory."""

    def __init__(self, write, tmp_path):
        self.write, self.state = write, tmp_path / "state"
        self.state.mkdir()
        write(PACK, "packs/acme.yaml")
        write(RULE, "rules.yaml")
        write("x" * 40, "keys/token")
        self.path = write(GOOD)

    def start(self, last_good=True):
        return ActivePolicy(self.path, {"state_dir": str(self.state)}, remember=True, last_good=last_good)

    @property
    def copies(self):
        return self.state / DIRECTORY / CURRENT


@pytest.fixture
def place(write, tmp_path):
    return Place(write, tmp_path)


def test_a_bad_policy_is_fatal_where_nobody_asked_for_the_copy(place):
    place.start().keep()
    place.write("mode: maybe\n")
    with pytest.raises(PolicyError, match="mode: 'maybe'"):
        place.start(last_good=False)


@pytest.mark.parametrize("name", ["guard.yaml", "packs/acme.yaml", "rules.yaml"])
def test_a_bad_file_at_the_start_is_answered_with_the_copy_and_mending_it_takes_effect(place, name):
    good = place.start()
    good.keep()
    text = (place.path.parent / name).read_text()
    place.write("nothing: [good", name)
    active = place.start()
    assert active.snapshot.hash == good.snapshot.hash
    assert active.snapshot.models["m"].licenses[0].name == "Acme"
    assert active.snapshot.rules.rules[-1].id == "S9.own"
    assert active.restored
    assert [result.ok for result in active.history] == [False]
    assert {Path(problem.file).name for problem in active.restored} == {Path(name).name}
    assert not active.changed(), "the same bad files are not tried every two seconds"
    place.write(text + "\n# mended\n", name)
    assert active.changed()
    assert active.reload().ok
    assert active.restored == ()
    assert active.loaded.files[0] == place.path
    active.keep()


def test_a_file_put_back_as_it_was_ends_the_emergency_too(place):
    place.start().keep()
    place.path.unlink()
    active = place.start()
    assert active.restored
    place.write(GOOD)
    assert active.reload().ok
    assert (active.restored, active.loaded.files[0]) == ((), place.path)


def test_a_dangerous_change_at_the_start_is_a_bad_policy(place):
    place.start().keep()
    place.write(GOOD + "mode: shadow\n")
    active = place.start()
    assert active.snapshot.mode.value == "enforce"
    assert ["mode: enforce -> shadow" in problem.found for problem in active.restored] == [True]
    place.write(GOOD + "mode: shadow\nconfirm: ['mode: enforce -> shadow']\n")
    assert active.reload().ok
    assert active.snapshot.mode.value == "shadow"


def test_keys_are_named_and_not_copied_and_nobody_else_reads_the_copy(place):
    active = place.start()
    active.keep()
    names = {str(path.relative_to(place.copies)) for path in place.copies.rglob("*")}
    assert names == {"0", "0/guard.yaml", "1", "1/acme.yaml", "2", "2/rules.yaml", MANIFEST}
    for path in (place.state / DIRECTORY, *place.copies.resolve().rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    place.write("mode: maybe\n")
    assert place.start().config.admin_token_file == active.config.admin_token_file


def tamper(path):
    path.write_text(path.read_text().replace("llama", "LLAMA") + " ")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda copy: tamper(copy / "0/guard.yaml"), "'0/guard.yaml' is not the file that was copied"),
        (lambda copy: (copy / "1/acme.yaml").unlink(), "'1/acme.yaml' is missing"),
        (lambda copy: (copy / "1/more.yaml").write_text(PACK), "'1/more.yaml' is missing, or is one too"),
        (lambda copy: tamper(copy / MANIFEST), "the manifest is not the one that was written"),
        (lambda copy: (copy / MANIFEST).unlink(), "no copy that can be read (FileNotFoundError)"),
        (lambda copy: (copy.parent / CURRENT).unlink(), "no copy that can be read (FileNotFoundError)"),
    ],
)
def test_a_copy_that_is_not_as_it_was_written_is_refused(place, damage, said):
    place.start().keep()
    damage(place.copies.resolve())
    place.write("mode: maybe\n")
    with pytest.raises(PolicyError) as refused:
        place.start()
    assert "mode: 'maybe'" in str(refused.value)
    assert said in str(refused.value)


def test_another_configurations_copy_is_no_copy(place, write):
    place.start().keep()
    other = write("mode: maybe\n", "other/guard.yaml")
    with pytest.raises(PolicyError, match=f"a copy of {place.path}"):
        ActivePolicy(other, {"state_dir": str(place.state)}, remember=True, last_good=True)


def test_every_good_load_replaces_the_copy_and_leaves_nothing_behind(place):
    active = place.start()
    for share in ("0.5", "0.6", "0.7"):
        place.write(GOOD + f"usage: {{approaching: {share}}}\n")
        assert active.reload().ok
        active.keep()
    assert share in (place.copies / "0/guard.yaml").read_text()
    assert sorted(path.name for path in (place.state / DIRECTORY).iterdir()) == sorted(
        [CURRENT, place.copies.resolve().name]
    )
    assert json.loads((place.copies / MANIFEST).read_text())["policy"] == active.snapshot.hash


def test_a_directory_of_any_name_is_copied(place):
    for name, content in (("packs/acme.yaml", PACK), ("keys/token", "x" * 40)):
        place.write(content, f"sub/{name}")
    place.path = place.write(
        GOOD.replace("[packs]", "[packs/x/..]").replace("[rules.yaml]", "[rules/x/..]"), "sub/guard.yaml"
    )
    place.write("", "sub/packs/x/note.txt")
    place.write("", "sub/rules/x/note.txt")
    place.write(RULE, "sub/rules/own.yaml")
    active = place.start()
    active.keep()
    place.write("mode: maybe\n", "sub/guard.yaml")
    restored = place.start()
    assert restored.restored
    assert restored.snapshot.hash == active.snapshot.hash


@pytest.mark.parametrize("text", ['policies: ["a\\0b"]', "x: " + "[" * 50_000, "license: llama-2\nlisten: !!int ''"])
def test_no_bad_file_is_so_bad_that_the_copy_is_of_no_use(place, text):
    place.start().keep()
    place.write(GOOD.replace("policies: [packs]\n", "") + text + "\n")
    assert place.start().restored


def test_a_mistake_of_guards_own_in_the_files_is_answered_with_the_copy(place, monkeypatch):
    place.start().keep()
    real = loading._load

    def fails(read, *rest):
        if "approaching" in str(read.document.data):
            raise ZeroDivisionError
        return real(read, *rest)

    monkeypatch.setattr(loading, "_load", fails)
    place.write(GOOD + "usage: {approaching: 0.5}\n")
    assert [problem.found for problem in place.start().restored] == ["cannot be loaded: ZeroDivisionError"]


def test_a_damaged_record_is_no_reason_to_refuse_the_copy(place):
    place.start().keep()
    (place.state / NAME).write_text("[]")
    place.write("mode: maybe\n")
    assert place.start().restored


def test_files_that_changed_since_the_load_are_not_copied(place):
    active = place.start()
    place.write(GOOD + "# later\n")
    assert not lastgood.keep(place.state, place.path, active.loaded)
    assert list((place.state / DIRECTORY).iterdir()) == []


def test_the_state_directory_has_to_be_known_without_the_file(place):
    with pytest.raises(PolicyError, match=r"command line: last_good: .*--state-dir or GUARD_STATE_DIR"):
        ActivePolicy(place.path, {}, remember=True, last_good=True)
