"""``guard keys add, list, revoke``: a key is shown once, its hash is kept, and the file stays as somebody wrote it."""

import json
import re
import stat
import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
import yaml

from guard.cli.main import run
from guard.exchange.credential import StoredKey, key_id
from guard.policy.keyfile import read_keys

TODAY = datetime.now(UTC).date()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.yaml"


@pytest.fixture
def keys(path, capsys):
    """Runs ``guard keys`` on the file and returns exit code, standard output and standard error."""

    def keys(*arguments):
        code = run(["keys", arguments[0], "--file", str(path), *arguments[1:]])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return keys


def listed(keys):
    code, out, _ = keys("list", "--json")
    assert code == 0
    return json.loads(out)["keys"]


def test_a_key_is_printed_alone_and_kept_only_as_a_hash(keys, path):
    code, out, err = keys("add", "desk", "--purpose", "serve", "--user", "ann", "--expires", "2999-12-31")
    key, id_ = out.strip(), key_id(out.strip())
    assert (code, out.count("\n")) == (0, 1)
    assert err == f"This is the only time the key of desk is shown; {path} knows it as {id_}.\n"
    text = path.read_text()
    assert key not in text
    assert key.split("_", 2)[2] not in text
    (kept,) = read_keys(path).value.keys
    assert StoredKey(kept.salt, kept.hash).matches(key)
    assert listed(keys) == [
        {"id": id_, "name": "desk", "purpose": "serve", "user": "ann", "created": TODAY.isoformat(),
         "expires": "2999-12-31", "revoked": None, "state": "active"}
    ]  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_scripts_get_the_key_with_its_facts(keys, path):
    code, out, err = keys("add", "desk", "--json")
    found = json.loads(out)
    assert (code, err, found.pop("id")) == (0, "", key_id(found.pop("key")))
    assert found == {
        "name": "desk", "purpose": "unknown", "user": None, "created": TODAY.isoformat(), "expires": None,
        "file": str(path),
    }  # fmt: skip


def test_a_second_key_of_a_name_takes_over_what_the_first_says_its_terms_too(keys, path):
    keys("add", "desk", "--purpose", "serve", "--user", "ann")
    terms = "    terms:\n      - {license: gemma, accepted: 2026-05-01, by: legal@example.org, document: order 17}\n"
    path.write_text(path.read_text() + terms)
    assert keys("add", "desk")[0] == 0
    first, second = read_keys(path).value.keys
    assert (second.purpose, second.user, second.terms) == (first.purpose, first.user, first.terms)
    code, _, err = keys("add", "desk", "--purpose", "evaluate")
    assert (code, f"'evaluate', and 'serve' for {first.id}, another key of desk" in " ".join(err.split())) == (64, True)
    assert keys("add", "desk", "--user", "ann")[0] == 0


def test_a_revoked_key_stays_in_the_file_and_is_no_model_for_new_ones(keys):
    keys("add", "desk", "--purpose", "serve")
    (first,) = listed(keys)
    assert keys("revoke", first["id"]) == (0, f"{first['id']} of desk is revoked from {TODAY}.\n", "")
    assert keys("revoke", first["id"]) == (0, f"{first['id']} of desk was revoked on {TODAY}.\n", "")
    assert keys("add", "desk", "--purpose", "evaluate")[0] == 0
    assert [(key["state"], key["purpose"]) for key in listed(keys)] == [("revoked", "serve"), ("active", "evaluate")]


def test_an_id_that_is_not_there_is_told_with_the_nearest_and_a_key_is_never_shown(keys, path):
    key = keys("add", "desk")[1].strip()
    id_ = key_id(key)
    typo = id_[:-1] + ("a" if id_[-1] != "a" else "b")
    assert keys("revoke", typo) == (1, "", f"{path}: no key has the id '{typo}'; did you mean '{id_}'?\n")
    code, out, err = keys("revoke", key)
    assert (code, out, key in err, "a key was given, not its id" in err) == (1, "", False, True)


@pytest.mark.parametrize(("options", "told"), [
    (["--purpose", "train"], "--purpose: 'train'; allowed: serve, evaluate"),
    (["--expires", "soon"], "--expires: 'soon'; allowed: a date such as 2027-06-30"),
    (["--expires", "2020-01-01"], f"--expires: 2020-01-01 is over; allowed: {TODAY} or later"),
    (["--user", ""], "a name that is not empty"),
])  # fmt: skip
def test_bad_usage_makes_no_file(keys, path, options, told):
    code, out, err = keys("add", "desk", *options)
    assert (code, out, told in " ".join(err.split())) == (64, "", True)
    assert not path.exists()


HAND = """\
# Who may use the service.

keys:  # oldest first
- id: a2b3c4d5e6f7   # the desk's
  name: desk
  created: 2026-11-01

  salt: "00112233445566778899aabbccddeeff"
  hash: "{0}"
- {{id: b2b3c4d5e6f7, name: "lab, upstairs", created: 2026-11-02, salt: "00112233445566778899aabbccddeeff",
   hash: "{0}"}}
# The end.
""".format("ab" * 32)


def test_comments_order_and_spelling_of_the_file_survive(keys, path):
    path.write_text(HAND)
    assert keys("revoke", "a2b3c4d5e6f7")[0] == 0
    assert keys("revoke", "b2b3c4d5e6f7")[0] == 0
    assert keys("add", "ann")[0] == 0
    lines = path.read_text().splitlines()
    added = [line for line in lines if line not in HAND.splitlines()]
    assert [line for line in HAND.splitlines() if line not in lines] == [f'   hash: "{"ab" * 32}"}}']
    assert added[:2] == [f"  revoked: {TODAY}", f'   hash: "{"ab" * 32}", revoked: {TODAY}}}']
    assert added[2].startswith("- id: ")
    assert [key["state"] for key in listed(keys)] == ["revoked", "revoked", "active"]


@pytest.mark.parametrize(
    "text", ["", "keys:\n", "keys: []\n", "keys: null\n", "# nothing yet\n", "# nothing yet", "keys: [] # none"]
)
def test_a_file_without_keys_takes_one(keys, path, text):
    path.write_text(text)
    assert keys("add", "desk")[0] == 0
    assert [key["name"] for key in listed(keys)] == ["desk"]


@pytest.mark.parametrize("text", [
    'keys: [{id: a2b3c4d5e6f7, name: desk, created: 2026-11-01, salt: "00112233445566778899aabbccddeeff", hash: "%s"}]\n',
    'keys:\n- {id: a2b3c4d5e6f7, name: desk, created: 2026-11-01, salt: "00112233445566778899aabbccddeeff", hash: "%s"}\n...\n',
])  # fmt: skip
def test_what_cannot_be_edited_is_left_as_it_is(keys, path, text):
    path.write_text(text % ("ab" * 32))
    before = path.read_bytes()
    code, out, err = keys("add", "lab")
    assert (code, out) == (73, "")
    assert err.startswith(f"{path} was not changed: it is written in a way that cannot be edited")
    assert path.read_bytes() == before


def test_a_mistaken_file_is_bad_configuration_and_stays_as_it_is(keys, path):
    path.write_text("keys:\n  - {id: x}\n")
    for command in (["add", "desk"], ["list"], ["revoke", "x"]):
        code, _, err = keys(*command)
        assert code == 78
        assert f"{path}:2: keys[0].id: 'x'; allowed: " in err
    assert path.read_text() == "keys:\n  - {id: x}\n"


def test_a_file_that_is_not_there_is_bad_input(keys, path):
    for command in (["list"], ["list", "--json"], ["revoke", "a2b3c4d5e6f7"]):
        assert keys(*command) == (65, "", f"{path}: there is no such file; `guard keys add` makes it\n")
    assert not path.exists()


def test_a_mounted_secret_is_changed_where_it_is_kept(keys, path, tmp_path):
    (tmp_path / "real.yaml").write_text("keys: []\n")
    path.symlink_to(tmp_path / "real.yaml")
    code, _, err = keys("add", "desk")
    assert (code, "it is a symbolic link, as in a mounted Secret" in err) == (73, True)


def test_a_directory_that_is_not_there_is_told(keys, path, capsys):
    assert run(["keys", "add", "desk", "--file", str(path.parent / "none" / "keys.yaml")]) == 73
    assert "was not changed: No such file or directory" in capsys.readouterr().err


def test_the_configuration_names_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    assert run(["keys", "list"]) == 64
    assert "there is no guard.yaml here" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "guard.yaml").write_text("license: gemma\n")
    assert run(["keys", "list"]) == 64
    assert "names no identity.keys_file" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "guard.yaml").write_text("license: gemma\nidentity: {keys_file: own.yaml}\n")
    assert run(["keys", "add", "desk"]) == 0
    assert (tmp_path / "own.yaml").exists()
    assert run(["keys", "list"]) == 0
    assert re.search(
        r"^[a-z2-7]{12}  desk  unknown  -     \S+  -        active$", capsys.readouterr().out, re.MULTILINE
    )


def test_states_are_those_of_the_day(path):
    keys = [{"id": id_, "name": "desk", "created": date(2026, 1, 1), "salt": "00" * 16, "hash": "ab" * 32, **state}
            for id_, state in (("a" * 12, {"expires": date(2026, 5, 1)}), ("b" * 12, {"revoked": date(2026, 4, 1)}))]  # fmt: skip
    path.write_text(yaml.safe_dump({"keys": keys}))
    read = read_keys(path).value.keys
    assert [key.state(date(2026, 5, 1)) for key in read] == ["active", "revoked"]
    assert [key.state(date(2026, 5, 2)) for key in read] == ["expired", "revoked"]


@pytest.mark.slow
def test_commands_at_once_lose_no_key(path):
    command = [sys.executable, "-m", "guard", "keys", "add", "--file", str(path)]
    running = [
        subprocess.Popen([*command, f"app-{n}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for n in range(8)
    ]
    printed = [process.communicate(timeout=60)[0].decode().strip() for process in running]
    assert {process.returncode for process in running} == {0}
    kept = read_keys(path)
    assert kept.problems == ()
    assert {key.id for key in kept.value.keys} == {key_id(key) for key in printed}
    assert len(kept.value.keys) == 8
