"""Each month has a key of its own, made once, and shredded for good."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from guard.provenance.months import MonthKeyError, MonthKeys, segment_key_id


def test_a_key_is_made_where_it_is_asked_for_and_then_stays(tmp_path):
    keys = MonthKeys(tmp_path / "provenance.keys")
    assert keys.of("2026-11") is None
    assert keys.months() == []
    key = keys.of("2026-11", create=True)
    assert len(key) == 32
    assert keys.of("2026-11") == keys.of("2026-11", create=True) == MonthKeys(keys.directory).of("2026-11") == key
    assert keys.of("2026-12", create=True) != key
    assert keys.months() == ["2026-11", "2026-12"]


def test_nobody_else_can_read_it_and_no_draft_is_left(tmp_path):
    keys = MonthKeys(tmp_path / "provenance.keys")
    keys.of("2026-11", create=True)
    assert [path.name for path in keys.directory.iterdir()] == ["2026-11.key"]
    assert keys.directory.stat().st_mode & 0o077 == 0
    assert (keys.directory / "2026-11.key").stat().st_mode & 0o777 == 0o600


def test_all_who_create_it_at_once_get_the_same_key(tmp_path):
    barrier = Barrier(8)

    def create(_):
        barrier.wait()
        return MonthKeys(tmp_path / "keys").of("2026-11", create=True)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(create, range(8)))) == 1


def test_a_shredded_month_is_gone_and_stays_gone(tmp_path):
    keys = MonthKeys(tmp_path / "keys")
    key = keys.of("2026-10", create=True)
    keys.of("2026-11", create=True)
    kept = os.open(keys.directory / "2026-10.key", os.O_RDONLY)  # what an undelete would find
    keys.shred("2026-10")
    assert os.read(kept, 64) == bytes(32) != key
    os.close(kept)
    assert keys.of("2026-10") is None
    assert keys.of("2026-10", create=True) is None
    assert (keys.months(), keys.shredded()) == (["2026-11"], ["2026-10"])
    keys.shred("2026-10")
    keys.shred("2025-01")
    assert keys.shredded() == ["2025-01", "2026-10"]


def test_a_kill_while_shredding_leaves_the_month_without_a_key(tmp_path, monkeypatch):
    keys = MonthKeys(tmp_path / "keys")
    keys.of("2026-10", create=True)

    def killed(*_):
        raise OSError(5, "killed here")

    with monkeypatch.context() as patch:
        patch.setattr("guard.provenance.months.os.write", killed)
        with pytest.raises(MonthKeyError, match="killed here"):
            keys.shred("2026-10")
    assert keys.of("2026-10") is None
    keys.shred("2026-10")
    assert [path.name for path in keys.directory.iterdir()] == ["2026-10.shredded"]


@pytest.mark.parametrize("month", ["", "2026-13", "2026-1", "../2026-11", "2026-11\n", "26-11"])
def test_what_is_no_month_is_refused(tmp_path, month):
    for act in (MonthKeys(tmp_path).of, MonthKeys(tmp_path).shred):
        with pytest.raises(ValueError, match="allowed: a year and a month"):
            act(month)


def test_a_damaged_key_is_said_and_not_replaced(tmp_path):
    (tmp_path / "2026-11.key").write_bytes(b"short")
    with pytest.raises(MonthKeyError, match=r"2026-11\.key: 5 bytes; allowed: 32"):
        MonthKeys(tmp_path).of("2026-11", create=True)


def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "keys").write_text("a file")
    with pytest.raises(MonthKeyError, match="key of a month"):
        MonthKeys(tmp_path / "keys").of("2026-11", create=True)


def test_both_keys_are_named_by_a_segment():
    ids = {segment_key_id(master, month) for master in (b"m" * 32, b"n" * 32) for month in (b"1" * 32, b"2" * 32)}
    assert len(ids) == 4
    assert all(len(each) == 8 for each in ids)
