"""What befalls files: locked, damaged, read-only, full, replaced, deleted. Each has a clear state and loses nothing."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from usage_world import NOVEMBER, PRINT, counter_on, rows_of, sqlite_ledger

from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import LedgerError, LedgerUnavailable, Scope, Totals
from guard.usage.stores import sqlite_file

QWEN, KIMI = Scope("2026-11", "qwen"), Scope("2026-11", "kimi")
NOBODY = 65534
DECLARED = Declaration("qwen", "2026-11", "app", Part.PRODUCT, 1, 0, "legal@example.org", "2026-11-22")


@pytest.fixture
def ledger(tmp_path):
    ledger = sqlite_ledger(tmp_path)
    yield ledger
    ledger.close()


def put(ledger, scope, users, unidentified=0):
    return ledger.write({scope: users}, {scope: unidentified}, owner="gateway-1", day="2026-11-22")[scope]


# Locked


def test_a_write_that_waited_in_vain_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "WRITE_PATIENCE", 0.05)
    ledger = sqlite_ledger(tmp_path)
    put(ledger, QWEN, [1])
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match=r"ledger\.db: database is locked"):
            put(ledger, QWEN, [2], 3)
        with pytest.raises(LedgerUnavailable, match="locked"):
            ledger.claim(QWEN, "gateway-1", need=1, extra=0, allowed=9, now=0.0)
        assert ledger.totals("2026-11") == {"qwen": Totals(1, 0, 1, 1)}
        sqlite_ledger(tmp_path).close()  # opening needs no lock
        other.execute("ROLLBACK")
    assert put(ledger, QWEN, [2], 3) == (1, Totals(2, 3, 2, 2))
    ledger.close()


def test_a_file_that_another_process_keeps_to_itself_is_no_ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "WRITE_PATIENCE", 0.05)
    sqlite_ledger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for read_only in (False, True):
            with pytest.raises(LedgerError, match=r"ledger\.db: database is locked"):
                sqlite_ledger(tmp_path, read_only=read_only)


@pytest.mark.slow
def test_a_write_waits_for_another_process(tmp_path, ledger):
    code = (
        "import sqlite3, sys, time\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "time.sleep(0.5)\n"
        "db.execute(\"INSERT INTO meta VALUES ('other', 'was first')\")\n"
        "db.execute('COMMIT')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "ledger.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        assert put(ledger, QWEN, [1]).new == 1
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
            assert connection.execute("SELECT value FROM meta WHERE name = 'other'").fetchone() == ("was first",)
    assert other.returncode == 0


# Damaged


def test_a_damaged_header_is_no_ledger(tmp_path, ledger):
    put(ledger, QWEN, [1])
    ledger.close()
    with (tmp_path / "ledger.db").open("r+b") as file:
        file.write(b"\0" * 100)
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=r"ledger\.db: file is not a database"):
            sqlite_ledger(tmp_path, read_only=read_only)
    assert (tmp_path / "ledger.db").read_bytes().startswith(b"\0" * 100)


@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\x0d"])
def test_damaged_pages_make_it_unavailable_and_not_wrong(tmp_path, ledger, filling):
    users = [(number * 0x9E3779B97F4A7C15) % 2**63 for number in range(20_000)]
    put(ledger, KIMI, [1, 2])
    put(ledger, QWEN, users)
    ledger.close()
    size = (tmp_path / "ledger.db").stat().st_size
    with (tmp_path / "ledger.db").open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(filling * 4096 * 20)
    ledger = sqlite_ledger(tmp_path)
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db: database disk image is malformed"):
        list(ledger.pseudonyms(QWEN))
    with pytest.raises(LedgerUnavailable, match="malformed"):
        put(ledger, QWEN, [user + 1 for user in users])
    assert ledger.totals("2026-11") == {"qwen": Totals(20_000, 0, 20_000, 20_000), "kimi": Totals(2, 0, 2, 2)}
    assert put(ledger, KIMI, [2, 3]).new == 1
    ledger.close()


# Read-only


@contextmanager
def as_an_ordinary_user():
    """Root may write what is read-only, so the effective user is another one meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def room():
    """A directory that an ordinary user gets to: what pytest gives is root's alone when root runs it."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


def counted(directory):
    ledger = sqlite_ledger(directory)
    put(ledger, QWEN, [1, 2])
    ledger.close()
    (directory / "ledger.db").chmod(0o644)


def test_a_read_only_file_can_be_read(room):
    counted(room)
    room.chmod(0o777)
    (room / "ledger.db").chmod(0o444)
    with as_an_ordinary_user():
        with pytest.raises(
            LedgerError, match=r"Permission denied.*; allowed: a ledger of Guard on a writable local disk"
        ):
            sqlite_ledger(room)
        reader = sqlite_ledger(room, read_only=True)
        assert reader.users(QWEN) == 2
        reader.close()


def test_a_read_only_directory_is_no_place_for_a_ledger(room):
    counted(room)
    (room / "ledger.db").chmod(0o666)
    room.chmod(0o555)
    with as_an_ordinary_user():
        for read_only in (False, True):  # even readers need a file beside it, for the lock on the write-ahead log
            with pytest.raises(
                LedgerError, match=r"ledger\.db: .*; allowed: a ledger of Guard on a writable local disk"
            ):
                sqlite_ledger(room, read_only=read_only)
        with pytest.raises(LedgerError, match="Permission denied"):
            sqlite_ledger(room / "sub")
    assert [file.name for file in room.iterdir()] == ["ledger.db"]
    assert len(rows_of(room)) == 2


# Full


def test_a_full_disk_loses_nothing(tmp_path, ledger):
    put(ledger, QWEN, range(1000), 1)
    pages = ledger._file._writer.execute("PRAGMA page_count").fetchone()[0]
    ledger._file._writer.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db: database or disk is full"):
        ledger.write({QWEN: range(5000), KIMI: range(10)}, {QWEN: 9}, owner="gateway-1", day="2026-11-22")
    assert ledger.totals("2026-11") == {"qwen": Totals(1000, 1, 1000, 1000)}
    assert put(ledger, KIMI, [1], 4) == (1, Totals(1, 4, 1, 1))  # a little still fits
    ledger._file._writer.execute("PRAGMA max_page_count = 100000")
    assert put(ledger, QWEN, range(5000), 9) == (4000, Totals(5000, 9, 5000, 5000))
    assert [day.new for day in ledger.growth("qwen", "2026-11")] == [5000]


def test_a_ledger_on_a_full_disk_is_not_up_until_it_takes_something_again(tmp_path, ledger):
    counter = counter_on(ledger, tmp_path / "spool", seen_capacity=10_000)
    counter.sight(("qwen",), 0, NOVEMBER)
    counter._round(refresh=True, adopt=False)
    assert counter.ledger_up
    pages = ledger._file._writer.execute("PRAGMA page_count").fetchone()[0]
    ledger._file._writer.execute(f"PRAGMA max_page_count = {pages}")
    for user in range(1, 3000):
        counter.sight(("qwen",), user, NOVEMBER)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="full"):
            counter._round(refresh=True, adopt=False)
        assert not counter.ledger_up
        assert counter.counts(NOVEMBER)["qwen"].users == 3000
    ledger._file._writer.execute("PRAGMA max_page_count = 100000")
    counter._round(refresh=True, adopt=False)
    assert counter.ledger_up
    assert ledger.totals("2026-11")["qwen"].users == 3000
    counter._spool.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 512 KiB and a function that makes it larger."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount") or "mount"
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=512k", "none", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"root may not mount here: {made.stderr.decode().strip()}")
    yield disk, lambda: subprocess.run([mount, "-o", "remount,size=16m", disk], check=True)
    subprocess.run([shutil.which("umount") or "umount", disk], check=True)


@pytest.mark.slow
def test_a_file_system_that_fills_up_loses_nothing(small_disk):
    disk, enlarge = small_disk
    ledger = sqlite_ledger(disk)
    acknowledged = set()
    batches = [range(start, start + 500) for start in range(0, 100_000, 500)]

    def write():
        for batch in batches:
            put(ledger, QWEN, batch)
            acknowledged.update(batch)

    with pytest.raises(LedgerUnavailable, match=r"ledger\.db: (database or disk is full|disk I/O error)"):
        write()
    assert 500 <= len(acknowledged) < 50_000
    assert ledger.totals("2026-11")["qwen"].users == len(acknowledged)
    assert {user for part in ledger.pseudonyms(QWEN) for user in part} == acknowledged
    enlarge()
    assert put(ledger, QWEN, range(100_000)).totals.users == 100_000
    ledger.close()
    with closing(sqlite3.connect(disk / "ledger.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(rows_of(disk)) == 100_000


@pytest.mark.slow
def test_no_room_for_a_ledger(small_disk):
    disk, _ = small_disk
    with pytest.raises(OSError, match="No space"):
        (disk / "other").write_bytes(b"x" * 2**20)
    with pytest.raises(LedgerError, match=r"ledger\.db: .*(full|disk I/O|unable to open)"):
        sqlite_ledger(disk)


# Gone


CALLS = {
    "bind": lambda ledger: ledger.bind("UTC"),
    "zone": lambda ledger: ledger.zone(),
    "claim_key": lambda ledger: ledger.claim_key("2026-11", PRINT),
    "key_of": lambda ledger: ledger.key_of("2026-11"),
    "write": lambda ledger: put(ledger, QWEN, [2]),
    "totals": lambda ledger: ledger.totals("2026-11"),
    "users": lambda ledger: ledger.users(QWEN),
    "contains": lambda ledger: ledger.contains(QWEN, 1),
    "claim": lambda ledger: ledger.claim(QWEN, "gateway-1", need=1, extra=0, allowed=9, now=0.0),
    "merge": lambda ledger: ledger.merge(KIMI, [QWEN]),
    "forget": lambda ledger: ledger.forget(QWEN),
    "growth": lambda ledger: ledger.growth("qwen", "2026-11"),
    "declare": lambda ledger: ledger.declare(DECLARED),
    "declarations": lambda ledger: ledger.declarations("2026-11"),
    "pseudonyms": lambda ledger: list(ledger.pseudonyms(QWEN)),
    "periods": lambda ledger: ledger.periods(),
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_goes_into_the_void_when_the_file_is_gone(tmp_path, ledger, name):
    put(ledger, QWEN, [1])
    (tmp_path / "ledger.db").rename(tmp_path / "backup.db")
    with pytest.raises(LedgerUnavailable, match=r"No such file or directory: '.*ledger\.db'"):
        CALLS[name](ledger)
    (tmp_path / "ledger.db").write_bytes(b"")
    with pytest.raises(LedgerUnavailable, match="was replaced"):
        CALLS[name](ledger)
    (tmp_path / "ledger.db").unlink()
    (tmp_path / "backup.db").rename(tmp_path / "ledger.db")
    assert ledger.users(QWEN) == 1
    CALLS[name](ledger)


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_ledger_is_unavailable(ledger, name):
    ledger.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        CALLS[name](ledger)
