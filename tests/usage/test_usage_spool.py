"""The spool keeps every first sight until the ledger has it, whatever dies meanwhile."""

import errno
import logging
import os
import stat
from pathlib import Path

import pytest
from usage_world import DECEMBER, NOVEMBER, PRINT

from guard.usage.ledger import Scope
from guard.usage.segment import RECORD_BYTES, Segment
from guard.usage.spool import Spool, SpoolError, inspect

QWEN, KIMI = Scope("2026-11", "qwen"), Scope("2026-11", "kimi")
NOW = NOVEMBER
DECEMBERS_KEY = "d" * 16


def KEY(month):  # noqa: N802 - stands where a key was
    return PRINT if month < "2026-12" else DECEMBERS_KEY


def drain(spool: Spool, group: int = 100) -> dict[Scope, list[int]]:
    found: dict[Scope, list[int]] = {}
    while batch := spool.next_batch(group):
        for scope, users in batch.sightings.items():
            found.setdefault(scope, []).extend(users)
        spool.acknowledge(batch)
    return found


def kill(spool: Spool) -> None:
    """What kill -9 does to a spool: the locks go, the files stay."""
    for segment in spool._segments:
        segment.close()
    spool._segments.clear()


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.seg"))


class Disk:
    """os.write on a disk with so many bytes left."""

    def __init__(self, left: int = 10**9):
        self.left = left

    def __call__(self, fd: int, data: bytes) -> int:
        if self.left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = os.write(fd, data[: self.left])
        self.left -= count
        return count


def test_what_was_appended_is_read_back_in_order(tmp_path):
    spool = Spool(tmp_path, KEY)
    for user in range(-5, 5):
        spool.append([QWEN], user, NOW)
    spool.append([QWEN, KIMI], 77, NOW)
    assert spool.records == 12
    assert drain(spool, 3) == {QWEN: [*range(-5, 5), 77], KIMI: [77]}
    assert spool.records == 0


def test_a_record_is_one_write_of_sixteen_bytes_per_license(tmp_path):
    writes = []
    spool = Spool(tmp_path, KEY, write=lambda fd, data: writes.append(len(data)) or os.write(fd, data))
    spool.append([QWEN, KIMI], 1, NOW)
    writes.clear()
    spool.append([QWEN, KIMI], 2, NOW)
    spool.append([KIMI], 3, NOW)
    assert writes == [2 * RECORD_BYTES, RECORD_BYTES]


def test_only_the_owner_may_read_the_files(tmp_path):
    spool = Spool(tmp_path / "spool", KEY)
    spool.append([QWEN], 1, NOW)
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in segments(tmp_path / "spool")] == [0o600]


def test_a_killed_process_leaves_its_records_to_the_next(tmp_path):
    first = Spool(tmp_path, KEY)
    for user in range(10):
        first.append([QWEN], user, NOW)
    batch = first.next_batch(4)
    first.acknowledge(batch)
    kill(first)
    second = Spool(tmp_path, KEY)
    second.adopt(NOW)
    assert second.records == 10  # the ledger's word for four of them died with the process: it hears of them again
    assert drain(second) == {QWEN: list(range(10))}
    assert segments(tmp_path) == []


def test_a_living_siblings_segment_is_left_alone(tmp_path):
    first, second = Spool(tmp_path, KEY), Spool(tmp_path, KEY)
    first.append([QWEN], 1, NOW)
    second.adopt(NOW)
    assert second.records == 0
    first.append([QWEN], 2, NOW)
    assert drain(first) == {QWEN: [1, 2]}


def test_a_segment_is_deleted_only_when_the_ledger_has_all_of_it(tmp_path):
    spool = Spool(tmp_path, KEY, segment_bytes=4 * RECORD_BYTES)
    for user in range(4):
        spool.append([QWEN], user, NOW)
    spool.append([QWEN], 4, NOW)
    assert len(segments(tmp_path)) == 2
    spool.acknowledge(spool.next_batch(3))
    assert len(segments(tmp_path)) == 2
    spool.acknowledge(spool.next_batch(3))
    assert len(segments(tmp_path)) == 1
    assert drain(spool) == {QWEN: [4]}
    spool.close()
    assert segments(tmp_path) == []


def test_segments_rotate_by_age(tmp_path):
    spool = Spool(tmp_path, KEY, segment_seconds=60)
    spool.append([QWEN], 1, NOW)
    drain(spool)
    spool.rotate(NOW + 59)
    assert len(segments(tmp_path)) == 1
    spool.rotate(NOW + 60)
    assert segments(tmp_path) == []
    spool.append([QWEN], 2, NOW + 61)
    assert drain(spool) == {QWEN: [2]}


def test_a_new_month_costs_one_segment_not_one_per_license(tmp_path):
    spool = Spool(tmp_path, KEY)
    names = ["qwen", "kimi", "llama"]
    for name in names:
        spool.append([Scope("2026-11", name)], 1, NOW)
    before = len(segments(tmp_path))
    for _ in range(3):
        for name in names:
            spool.append([Scope("2026-12", name)], 1, NOW)
            spool.append([Scope("2026-11", name)], 2, NOW)
    assert len(segments(tmp_path)) == before + 1


def test_age_is_that_of_the_oldest_record_left(tmp_path):
    spool = Spool(tmp_path, KEY)
    assert spool.oldest_seconds(NOW) == 0
    spool.append([QWEN], 1, NOW)
    spool.append([QWEN], 2, NOW + 10)
    assert spool.oldest_seconds(NOW + 30) == 30
    batch = spool.next_batch(10)
    spool.append([QWEN], 3, NOW + 25)
    spool.acknowledge(batch)
    assert 5 <= spool.oldest_seconds(NOW + 30) <= 20  # user 3 waits since +25; never told younger than it is
    drain(spool)
    assert spool.oldest_seconds(NOW + 30) == 0
    spool.append([QWEN], 4, NOW + 40)
    assert spool.oldest_seconds(NOW + 41) == 1


@pytest.mark.parametrize("torn", range(1, RECORD_BYTES))
def test_a_torn_last_record_is_ignored(tmp_path, torn):
    spool = Spool(tmp_path, KEY)
    spool.append([QWEN], 1, NOW)
    spool.append([QWEN], 2, NOW)
    kill(spool)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-torn])
    heir = Spool(tmp_path, KEY)
    heir.adopt(NOW)
    assert drain(heir) == {QWEN: [1]}
    assert heir.damaged_records == 0


@pytest.mark.parametrize("offset", range(RECORD_BYTES))
def test_a_damaged_record_is_skipped_counted_logged_and_set_aside(tmp_path, offset, caplog):
    spool = Spool(tmp_path, KEY)
    for user in range(3):
        spool.append([QWEN], user, NOW)
    kill(spool)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[-2 * RECORD_BYTES + offset] ^= 0x10
    path.write_bytes(data)
    heir = Spool(tmp_path, KEY)
    heir.adopt(NOW)
    with caplog.at_level(logging.ERROR):
        assert drain(heir) == {QWEN: [0, 2]}
    assert heir.damaged_records == 1
    assert "1 damaged records skipped" in caplog.text
    assert segments(tmp_path) == []
    heir.close()
    later = Spool(tmp_path, KEY)
    later.adopt(NOW)
    assert later.damaged_records == 1, "the file set aside reminds of it until somebody takes it away"
    assert inspect(tmp_path, KEY).damaged == 1


def test_a_file_that_is_no_segment_is_set_aside(tmp_path, caplog):
    (tmp_path / "junk.seg").write_bytes(b"\0" * 100)
    spool = Spool(tmp_path, KEY)
    spool.adopt(NOW)
    assert spool.damaged_records == 6
    assert [path.name for path in tmp_path.iterdir()] == ["junk.6.damaged"]
    assert "no header" in caplog.text


def test_a_record_is_valid_in_its_own_segment_only(tmp_path):
    spool = Spool(tmp_path, KEY)
    spool.append([QWEN], 1, NOW)
    spool.append([KIMI], 2, NOW)  # another segment, since kimi is new
    kill(spool)
    one, two = segments(tmp_path)
    one.write_bytes(one.read_bytes() + two.read_bytes()[-RECORD_BYTES:])
    heir = Spool(tmp_path, KEY)
    heir.adopt(NOW)
    found = drain(heir)
    assert sorted(user for users in found.values() for user in users) == [1, 2]
    assert heir.damaged_records == 1


def test_another_keys_segment_is_kept_and_refused_after_the_rest_is_adopted(tmp_path):
    foreign, own = Spool(tmp_path, lambda month: "f" * 16), Spool(tmp_path, KEY)
    foreign.append([QWEN], 1, NOW)
    own.append([QWEN], 2, NOW)
    kill(foreign)
    kill(own)
    heir = Spool(tmp_path, KEY)
    with pytest.raises(SpoolError, match=f"pseudonym key {'f' * 16} and is not mixed with key {PRINT}"):
        heir.adopt(NOW)
    assert drain(heir) == {QWEN: [2]}
    assert len(segments(tmp_path)) == 1


def test_a_full_disk_raises_and_the_spool_goes_on_when_there_is_room(tmp_path):
    disk = Disk()
    spool = Spool(tmp_path, KEY, write=disk)
    spool.append([QWEN], 1, NOW)
    for left in range(RECORD_BYTES * 2):  # the second record of two does not fit, or is cut anywhere
        disk.left = left
        with pytest.raises(SpoolError, match=r"disk full|No space left"):
            spool.append([QWEN, QWEN], 666, NOW)
        disk.left = 10**9
        spool.append([QWEN], 100 + left, NOW)
    assert drain(spool) == {QWEN: [1, *range(100, 100 + RECORD_BYTES * 2)]}
    assert spool.damaged_records == 0


def test_a_full_disk_at_the_first_record_leaves_no_file(tmp_path):
    disk = Disk()
    spool = Spool(tmp_path, KEY, write=disk)
    disk.left = 20
    with pytest.raises(SpoolError, match=str(tmp_path)):
        spool.append([QWEN], 1, NOW)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SpoolError):
        spool.probe()


def test_the_kernels_own_full_device_raises_too(tmp_path):
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(SpoolError, match="No space left on device"):
            Spool(tmp_path, KEY, write=lambda _, data: os.write(full, data))
    finally:
        os.close(full)


def test_a_segment_that_cannot_be_mended_is_not_written_again(tmp_path, monkeypatch):
    disk = Disk()
    spool = Spool(tmp_path, KEY, write=disk)
    spool.append([QWEN], 1, NOW)

    def broken(fd, length):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "ftruncate", broken)
    disk.left = 5
    with pytest.raises(SpoolError):
        spool.append([QWEN], 2, NOW)
    disk.left = 10**9
    spool.append([QWEN], 3, NOW)
    assert drain(spool) == {QWEN: [1, 3]}
    assert len(segments(tmp_path)) == 1


def test_fsync_waits_for_the_medium_and_a_failed_sync_is_an_error(tmp_path, monkeypatch):
    spool = Spool(tmp_path, KEY, fsync=True)
    synced = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(fd), real(fd)))
    spool.append([QWEN], 1, NOW)
    assert len(synced) == 1

    def broken(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(SpoolError, match="Input/output error"):
        spool.append([QWEN], 2, NOW)
    monkeypatch.setattr(os, "fdatasync", real)
    spool.append([QWEN], 3, NOW)
    assert drain(spool) == {QWEN: [1, 3]}


def test_a_directory_that_cannot_be_written_is_an_error_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="allowed: a writable local directory"):
        Spool(tmp_path / "file" / "spool", KEY)


def test_a_closed_spool_takes_nothing(tmp_path):
    spool = Spool(tmp_path, KEY)
    spool.append([QWEN], 1, NOW)
    spool.close()
    with pytest.raises(SpoolError, match="closed"):
        spool.append([QWEN], 2, NOW)
    heir = Spool(tmp_path, KEY)
    heir.adopt(NOW)
    assert drain(heir) == {QWEN: [1]}


def test_an_unreadable_segment_does_not_keep_the_others_waiting(tmp_path, monkeypatch):
    spool = Spool(tmp_path, KEY, segment_bytes=RECORD_BYTES)
    spool.append([QWEN], 1, NOW)
    spool.append([QWEN], 2, NOW)
    bad, real = spool._segments[0], Segment.read

    def read(segment, limit):
        if segment is bad:
            raise OSError(errno.EIO, "Input/output error")
        return real(segment, limit)

    monkeypatch.setattr(Segment, "read", read)
    with pytest.raises(SpoolError, match="Input/output error"):
        spool.next_batch(10)
    batch = spool.next_batch(10)
    assert batch.sightings == {QWEN: [2]}
    spool.acknowledge(batch)
    monkeypatch.setattr(Segment, "read", real)
    assert drain(spool) == {QWEN: [1]}


def test_drafts_of_killed_processes_are_cleared_but_not_young_ones(tmp_path):
    draft = tmp_path / "1-a.draft"
    draft.write_bytes(b"")
    age = draft.stat().st_mtime
    spool = Spool(tmp_path, KEY)
    spool.adopt(age + 59)
    assert draft.exists()
    spool.adopt(age + 61)
    assert not draft.exists()


def test_a_look_from_outside_touches_nothing(tmp_path):
    spool = Spool(tmp_path, KEY)
    spool.append([QWEN], 1, NOW)
    spool.append([QWEN, KIMI], 2, NOW)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert inspect(tmp_path, KEY) == ({QWEN: {1, 2}, KIMI: {2}}, 0, {})
    assert inspect(tmp_path, lambda month: "f" * 16).sightings == {}
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert drain(spool) == {QWEN: [1, 2], KIMI: [2]}


def test_whatever_byte_a_segment_is_cut_at_every_whole_record_is_read_and_no_other(tmp_path):
    source = tmp_path / "source"
    spool = Spool(source, KEY)
    for user in range(1, 6):
        spool.append([QWEN], user, NOW)
    kill(spool)
    (path,) = segments(source)
    whole = path.read_bytes()
    header = len(whole) - 5 * RECORD_BYTES
    for length in range(len(whole) + 1):
        directory = tmp_path / str(length)
        directory.mkdir()
        (directory / path.name).write_bytes(whole[:length])
        heir = Spool(directory, KEY)
        heir.adopt(NOW)
        found = drain(heir).get(QWEN, [])
        assert found == list(range(1, 1 + max(0, length - header) // RECORD_BYTES))
        assert (heir.damaged_records > 0) == (length < header)  # without its header nobody knows what it held
        heir.close()


def test_a_month_with_another_key_is_adopted_by_whoever_has_both(tmp_path):
    spool = Spool(tmp_path, KEY)
    spool.append([QWEN], 1, NOW)
    spool.append([QWEN._replace(period="2026-12")], 2, DECEMBER)
    kill(spool)
    one_key = Spool(tmp_path, lambda month: PRINT)
    with pytest.raises(SpoolError, match=f"in 2026-12 under pseudonym key {DECEMBERS_KEY} and is not mixed"):
        one_key.adopt(NOW)
    assert drain(one_key) == {QWEN: [1]}
    both = Spool(tmp_path, KEY)
    both.adopt(NOW)
    assert drain(both) == {QWEN._replace(period="2026-12"): [2]}


def everything(spool: Spool, life: str) -> list[int]:
    """What would be written again to a ledger in that life."""
    before, spool.tag = spool.tag, life
    batches = [*spool.acknowledged(3), *spool.kept(3)]
    spool.tag = before
    return sorted(user for batch in batches for users in batch.sightings.values() for user in users)


def test_what_the_ledger_has_is_kept_for_a_ledger_that_may_forget(tmp_path):
    spool = Spool(tmp_path, KEY, keep=True, segment_bytes=4 * RECORD_BYTES)
    spool.tag = "first"
    for user in range(1, 11):
        spool.append([QWEN], user, NOW)
    assert everything(spool, "second") == []
    drain(spool)
    assert len(list(tmp_path.glob("*.first.kept"))) == 2
    assert everything(spool, "first") == [9, 10], "this life has the kept ones; of the open one nobody knows"
    assert everything(spool, "second") == list(range(1, 11))
    assert len(list(tmp_path.glob("*.second.kept"))) == 2
    assert everything(spool, "second") == [9, 10]
    assert spool.records == 0
    kill(spool)
    heir = Spool(tmp_path, KEY, keep=True)
    heir.adopt(NOW)  # the last segment of the killed process, which may have been acknowledged or not
    assert drain(heir) == {QWEN: [9, 10]}
    assert everything(heir, "third") == list(range(1, 11))


def test_kept_segments_are_discarded_when_their_last_record_is_old(tmp_path):
    spool = Spool(tmp_path, KEY, keep=True, segment_bytes=RECORD_BYTES)
    for user in (1, 2, 3):
        spool.append([QWEN], user, NOW)
    drain(spool)
    old, new = sorted(tmp_path.glob("*.kept"))[:2]
    os.utime(old, (NOW - 100, NOW - 100))
    os.utime(new, (NOW, NOW))
    spool.discard(NOW - 50)
    assert not old.exists()
    assert new.exists()
