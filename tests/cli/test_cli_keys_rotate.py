"""``guard keys rotate-users`` adds a key for a month that has not begun, and shows fingerprints only."""

import json
import time

import pytest

from guard.cli.main import run
from guard.usage.keyring import read_keyring
from guard.usage.period import Calendar
from guard.usage.pseudonym import load_or_create_key

NOW = Calendar("Asia/Tokyo").parse("2026-12").start - 1800  # December in Kiritimati, November in Tokyo


@pytest.fixture
def ring(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    monkeypatch.setattr(time, "time", lambda: NOW)
    (tmp_path / "guard.yaml").write_text("state_dir: state\nusage: {zone: Asia/Tokyo}\n")
    path = tmp_path / "state" / "pseudonym.key"
    load_or_create_key(path)
    return path


def rotate(*arguments):
    return run(["keys", "rotate-users", *arguments])


def test_the_next_month_of_the_ledgers_zone_gets_a_key(ring, capsys):
    first = ring.read_bytes()
    assert rotate("--json") == 0
    keyring = read_keyring(ring)
    assert [key.month for key in keyring.keys] == ["", "2026-12"]
    assert keyring.keys[0].secret == first
    assert ring.stat().st_mode & 0o777 == 0o600
    printed = capsys.readouterr().out
    assert json.loads(printed) == {
        "file": "state/pseudonym.key",
        "keys": [{"from": key.month or None, "fingerprint": key.fingerprint} for key in keyring.keys],
        "added": "2026-12",
    }
    assert not any(key.secret.hex()[:12] in printed for key in keyring.keys)
    assert rotate("--from", "2027-06") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split() == ["from", "fingerprint"]
    assert "every replica needs the file, and a restart, before 2027-06 begins" in shown
    assert [key.month for key in read_keyring(ring).keys] == ["", "2026-12", "2027-06"]


def test_listing_changes_nothing(ring, capsys):
    before = ring.read_bytes()
    assert rotate("--list") == 0
    assert capsys.readouterr().out == f"from     fingerprint\n-        {read_keyring(ring).keys[0].fingerprint}\n"
    assert ring.read_bytes() == before


@pytest.mark.parametrize(("arguments", "code", "why"), [
    (("--from", "2026-11"), 64, "month 2026-11 has begun; allowed: a month that has not"),
    (("--from", "2026-12-01"), 64, "allowed: a month such as 2026-12"),
    (("--from", "2026-13"), 64, "is no month"),
    (("--file", "nothing.key"), 78, "pseudonym key nothing.key: No such file or directory"),
    (("--file", "guard.yaml"), 78, "pseudonym key guard.yaml"),
    (("--file", "state/pseudonym.key", "--from", "2026-12"), 64, "month 2026-12 has begun"),
])  # fmt: skip
def test_what_would_mix_two_keys_is_refused_and_nothing_is_written(ring, arguments, code, why, capsys):
    before = ring.read_bytes()
    assert rotate(*arguments) == code
    assert why in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert ring.read_bytes() == before
    assert sorted(path.name for path in ring.parent.iterdir()) == ["pseudonym.key"]


def test_a_month_gets_one_key(ring, capsys):
    assert rotate() == 0
    assert rotate() == 64
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "month 2026-12 has a key already; allowed: a month without one" in said


def test_a_key_file_that_cannot_be_written_is_an_output(ring, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = ring.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    assert rotate() == 73
    assert capsys.readouterr().err == "pseudonym key state/pseudonym.key: No space left on device\n"
    assert ring.read_bytes() == before


def test_rolling_windows_would_reach_over_the_change(ring, tmp_path, capsys):
    (tmp_path / "guard.yaml").write_text("state_dir: state\nusage: {windows: [day, rolling_30]}\n")
    assert rotate() == 78
    assert "rolling_30 windows reach over the change" in capsys.readouterr().err
    assert len(read_keyring(ring).keys) == 1


def test_without_a_configuration_the_file_has_to_be_named(ring, tmp_path, capsys):
    (tmp_path / "guard.yaml").unlink()
    assert rotate() == 64
    assert "--file" in capsys.readouterr().err
