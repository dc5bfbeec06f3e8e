"""The pseudonym key changes from one month to the next, and no pseudonym is ever filed under another key's month."""

from datetime import datetime
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.usage.keyring import Key, Keyring, check_rolling, load_keyring, read_keyring, write_keyring
from guard.usage.period import Calendar, Kind, month_of
from guard.usage.pseudonym import Pseudonymizer, PseudonymKeyError, load_or_create_key

OLD, NEW, NEWER = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
RING = Keyring((Key("", OLD), Key("2026-12", NEW), Key("2027-03", NEWER)))


def instant(zone, *when):
    return datetime(*when, tzinfo=ZoneInfo(zone)).timestamp()


def test_a_file_with_one_key_raw_or_in_hex_is_a_keyring_and_costs_nothing(tmp_path):
    path = tmp_path / "pseudonym.key"
    for content in (OLD, OLD.hex().encode(), OLD.hex().upper().encode() + b"\r\n"):
        path.write_bytes(content)
        assert read_keyring(path) == Keyring((Key("", OLD),))
    pseudonyms = read_keyring(path).pseudonyms(Calendar())
    assert isinstance(pseudonyms, Pseudonymizer)
    assert pseudonyms.at(0.0) is pseudonyms.at(1e10) is pseudonyms
    assert pseudonyms.at(0.0).term == (-inf, inf)
    assert pseudonyms.key("", "ann") == Pseudonymizer(OLD).key("", "ann")


def test_a_new_keyring_is_the_key_that_others_make(tmp_path):
    path = tmp_path / "state" / "pseudonym.key"
    made = load_keyring(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.keys[0].secret == load_or_create_key(path)
    assert load_keyring(path) == made


def test_every_month_has_the_key_that_was_in_force(tmp_path):
    path = tmp_path / "ring"
    path.write_text(f"{OLD.hex()}\n\n2026-12 {NEW.hex()}\n  2027-03\t{NEWER.hex()}\n")
    ring = read_keyring(path)
    assert ring == RING
    prints = [Pseudonymizer(key).fingerprint for key in (OLD, NEW, NEWER)]
    months = {"1999-01": 0, "2026-11": 0, "2026-12": 1, "2027-01": 1, "2027-02": 1, "2027-03": 2, "2030-01": 2}
    rotation = ring.pseudonyms(Calendar())
    for month, place in months.items():
        assert ring.fingerprint_of(month) == rotation.fingerprint_of(month) == prints[place]


def test_the_key_changes_at_the_zones_midnight():
    rotation = RING.pseudonyms(Calendar("Europe/Berlin"))
    midnight = instant("Europe/Berlin", 2026, 12, 1)
    assert rotation.at(midnight - 0.001).fingerprint == Pseudonymizer(OLD).fingerprint
    assert rotation.at(midnight).fingerprint == Pseudonymizer(NEW).fingerprint
    assert rotation.at(midnight - 1).fingerprint == Pseudonymizer(OLD).fingerprint, "a clock that is set back"
    assert rotation.at(instant("Europe/Berlin", 2027, 3, 1)).fingerprint == Pseudonymizer(NEWER).fingerprint
    assert rotation.at(midnight).term == (midnight, instant("Europe/Berlin", 2027, 3, 1))


@settings(max_examples=100)
@given(
    identified=st.floats(1_790_000_000, 1_815_000_000),
    later=st.floats(-5_000_000, 5_000_000),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/St_Johns"]),
    kinds=st.sampled_from([(), (Kind.DAY,)]),
)
def test_a_pseudonym_is_filed_in_a_month_of_its_own_key_whenever_it_is_counted(identified, later, zone, kinds):
    calendar = Calendar(zone, kinds)
    one = RING.pseudonyms(calendar).at(identified)
    filed = one.term.nearest(identified + later)
    assert RING.fingerprint_of(month_of(calendar.period(filed).id)) == one.fingerprint
    if RING.fingerprint_of(month_of(calendar.period(identified + later).id)) == one.fingerprint:
        assert filed == identified + later, "nothing is moved that need not be"


def test_a_key_is_added_for_a_month_that_has_not_begun():
    calendar = Calendar("Asia/Tokyo")
    month = calendar.parse("2027-01")
    ring = Keyring((Key("", OLD),)).with_key(month, month.start - 1, NEW)
    assert ring == Keyring((Key("", OLD), Key("2027-01", NEW)))
    between = ring.with_key(calendar.parse("2026-12"), 0.0, NEWER)
    assert [key.month for key in between.keys] == ["", "2026-12", "2027-01"]
    with pytest.raises(PseudonymKeyError, match=r"^month 2027-01 has begun; allowed: a month that has not$"):
        Keyring((Key("", OLD),)).with_key(month, month.start, NEW)
    with pytest.raises(PseudonymKeyError, match=r"^month 2027-01 has a key already; allowed: a month without one$"):
        ring.with_key(month, 0.0, NEWER)


def test_what_is_written_is_read_again_and_a_link_stays_one(tmp_path):
    target, link = tmp_path / "ring", tmp_path / "link"
    target.write_bytes(OLD)
    target.chmod(0o644)
    link.symlink_to(target)
    write_keyring(link, RING)
    assert link.is_symlink()
    assert read_keyring(target) == RING
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "ring"]
    with pytest.raises(PseudonymKeyError, match="No such file"):
        write_keyring(tmp_path / "none" / "ring", RING)


@pytest.mark.parametrize(("content", "why"), [
    (b"", "0 bytes; allowed: 32 random bytes, raw or as 64 hex digits, and lines of a month and a key"),
    (b"short", "5 bytes; allowed"),
    (bytes(33), "33 bytes; allowed"),
    (f"2026-12 {NEW.hex()}".encode(), ":1: 2026-12; allowed: the first key without a month, the others with theirs"),
    (f"{OLD.hex()}\n{NEW.hex()}".encode(), ":2: no month; allowed"),
    (f"{OLD.hex()}\n2026-12 {NEW.hex()}\n2026-12 {NEWER.hex()}".encode(), ":3: 2026-12; allowed: .* ascending"),
    (f"{OLD.hex()}\n2027-01 {NEW.hex()}\n2026-12 {NEWER.hex()}".encode(), ":3: 2026-12; allowed: .* ascending"),
    (f"{OLD.hex()}\n2026-13 {NEW.hex()}".encode(), ":2: month 2026-13; allowed: one such as 2026-12"),
    (f"{OLD.hex()}\n2026-12 {NEW.hex()[:-1]}".encode(), ":2: not a key; allowed: 64 hex digits, in every line"),
    (b"x" * 70_000, "bytes; allowed"),
])  # fmt: skip
def test_what_is_no_keyring_is_told_by_its_line_and_never_shown(content, why, tmp_path):
    path = tmp_path / "ring"
    path.write_bytes(content)
    with pytest.raises(PseudonymKeyError, match=why) as caught:
        read_keyring(path)
    assert not any(key.hex()[:8] in str(caught.value) for key in (OLD, NEW, NEWER))


def test_windows_that_reach_over_a_change_of_keys_are_refused():
    check_rolling(RING, (Kind.MONTH, Kind.DAY))
    check_rolling(Keyring((Key("", OLD),)), tuple(Kind))
    with pytest.raises(PseudonymKeyError, match="changes in 2027-03, and rolling_28 windows reach over the change"):
        check_rolling(RING, tuple(Kind))
