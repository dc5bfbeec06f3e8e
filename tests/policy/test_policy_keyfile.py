"""The file of API keys in a policy: watched and part of its digest, known to tenants, and no way around a restriction."""

import secrets
from datetime import UTC, date, datetime

import pytest

from guard.exchange.credential import hash_key, key_id, new_key
from guard.policy.deltas import dangerous
from guard.policy.keyfile import KeyFile, read_keys, stored
from guard.policy.load import load
from guard.policy.posture import posture
from guard.policy.watch import ActivePolicy

CONFIG = "models:\n  m: {license: gemma}\nidentity: {keys_file: keys.yaml, terms: 'off'}\n"
TENANT = CONFIG + "tenants:\n  desk: {match: {keys: [desk]}, purpose: serve}\n"


def entry(name, **more):
    """A new key and its entry in the file."""
    key, salt = new_key(secrets.token_bytes), secrets.token_bytes(16)
    said = {"id": key_id(key), "name": name, "created": "2026-11-01", **more}
    said |= {"salt": f'"{salt.hex()}"', "hash": f'"{hash_key(key, salt).hex()}"'}
    return key, "  - {" + ", ".join(f"{field}: {value}" for field, value in said.items()) + "}\n"


def file(*entries):
    return "keys:\n" + "".join(entries)


def test_a_key_of_the_file_entitles_to_what_is_said_there(write):
    key, text = entry("desk", purpose="serve", user="ann", expires="2026-12-31")
    write(file(text), "keys.yaml")
    loaded = load(write(CONFIG), today=date(2026, 11, 22))
    known, entitlement = loaded.snapshot.identity.stored[key_id(key)]
    assert (entitlement.name, entitlement.purpose, entitlement.user) == ("desk", "serve", "ann")
    assert known.matches(key)
    last = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    assert (known.refused(last), known.refused(last + 1)) == (False, True)


def test_a_key_without_an_end_has_none_even_if_its_last_day_is_the_last_of_all(write):
    _, first = entry("desk")
    _, second = entry("lab", expires="9999-12-31")
    read = read_keys(write(file(first, second), "keys.yaml"))
    assert [known.expires for known, _ in stored(KeyFile(read.document, read.value.keys)).values()] == [None, None]


def test_a_running_policy_takes_a_new_key_and_a_revocation_and_keeps_the_old_file_on_a_mistake(write):
    (key, text), (_, more) = entry("desk"), entry("lab")
    path = write(file(text), "keys.yaml")
    active = ActivePolicy(write(CONFIG))
    before = active.snapshot.hash
    path.write_text(file(text, more))
    assert active.changed()
    assert active.reload().ok
    assert len(active.snapshot.identity.stored) == 2
    assert active.snapshot.hash != before
    path.write_text(file(text.replace("id: ", "revoked: 2026-11-02, id: "), more))
    assert active.changed()
    assert active.reload().ok
    assert active.snapshot.identity.stored[key_id(key)][0].revoked
    path.write_text("keys: [\n")
    assert active.changed()
    assert not active.reload().ok
    assert len(active.snapshot.identity.stored) == 2


def test_a_tenant_may_be_known_by_a_key_of_the_file_and_stays_so_when_it_is_revoked(write):
    _, text = entry("desk", purpose="serve")
    path = write(file(text), "keys.yaml")
    config = write(TENANT)
    assert load(config).snapshot.tenants.of("desk", None, None).name == "desk"
    path.write_text(file(text.replace("id: ", "revoked: 2026-11-02, id: ")))
    assert load(config).snapshot.tenants.of("desk", None, None).name == "desk"


def facts(write, *entries):
    write(file(*entries), "keys.yaml")
    loaded = load(write(CONFIG))
    return posture(loaded.config, loaded.snapshot, loaded.own_rules)


def test_a_revocation_is_no_dangerous_change_and_a_wider_purpose_is_one(write):
    _, text = entry("desk", purpose="serve")
    before = facts(write, text)
    revoked = text.replace("id: ", "revoked: 2026-11-02, id: ")
    assert list(dangerous(before, facts(write, revoked))) == []
    wider = revoked, entry("desk", purpose="train:llama-2")[1]
    assert [delta.line for delta in dangerous(before, facts(write, *wider))] == [
        "identity.keys.desk.purpose: serve -> train:llama-2"
    ]
    assert [delta.line for delta in dangerous(before, facts(write))] == ["identity.keys.desk.purpose: serve -> unknown"]


def test_cautions_are_about_keys_in_force_and_stand_in_their_file(write):
    text = entry("desk", purpose="train:llama-3.1")[1]
    path = write(file(text), "keys.yaml")
    config = write("models:\n  m: {license: llama-2}\nidentity: {keys_file: keys.yaml}\n")
    told = [caution for caution in load(config).cautions if caution.subject == "identity.keys desk"]
    assert [(caution.file, caution.line, caution.path) for caution in told] == [(str(path), 2, "keys[0].purpose")]
    path.write_text(file(text.replace("id: ", "revoked: 2026-11-02, id: ")))
    assert [caution for caution in load(config).cautions if caution.subject == "identity.keys desk"] == []


@pytest.mark.parametrize(("entries", "more", "problems"), [
    (1, "registered_only: true", 0),
    (0, "registered_only: true", 1),
])  # fmt: skip
def test_a_service_of_registered_keys_may_have_them_all_in_the_file(write, entries, more, problems, capsys):
    write(file(*(entry("desk")[1] for _ in range(entries))), "keys.yaml")
    from guard.cli.main import run

    config = write(CONFIG.replace("terms:", f"{more}, terms:"))
    assert run(["policy", "check", str(config)]) == problems
    assert ("no key is registered" in capsys.readouterr().err) == bool(problems)


def test_check_looks_at_a_keys_file_by_itself(write, capsys):
    from guard.cli.main import run

    path = write(file(entry("desk")[1]), "keys.yaml")
    assert run(["policy", "check", str(path)]) == 0
    assert "API keys" in capsys.readouterr().out
    path.write_text(file(entry("desk")[1], entry("lab", colour="red")[1]))
    assert run(["policy", "check", str(path)]) == 1
    assert f"{path}:3: keys[1].colour: unknown name" in capsys.readouterr().err
