"""The SQLite ledger: set insertions and their totals in one transaction, one key, one zone."""

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_world import PRINT, rows_of, sqlite_ledger, totals_of

from guard.usage.ledger import (
    LedgerError,
    LedgerMismatch,
    LedgerUnavailable,
    Scope,
    Totals,
    open_ledger,
    parse_url,
    sqlite_url,
)

QWEN, KIMI, DECEMBER = Scope("2026-11", "qwen"), Scope("2026-11", "kimi"), Scope("2026-12", "qwen")
INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture
def ledger(tmp_path):
    ledger = sqlite_ledger(tmp_path)
    yield ledger
    ledger.close()


def test_a_user_counts_once_per_scope(ledger):
    assert ledger.write({QWEN: [1, 2, 1], KIMI: [1]}, {}) == {QWEN: (2, 2, 0), KIMI: (1, 1, 0)}
    assert ledger.write({QWEN: [2, 3], DECEMBER: [1]}, {QWEN: 4}) == {QWEN: (1, 3, 4), DECEMBER: (1, 1, 0)}
    assert ledger.totals("2026-11") == {"qwen": Totals(3, 4), "kimi": Totals(1, 0)}
    assert ledger.users(QWEN) == 3
    assert ledger.users(Scope("2026-10", "qwen")) == 0
    assert ledger.periods() == ["2026-11", "2026-12"]


def test_it_knows_who_was_counted_where(ledger):
    ledger.write({QWEN: [-(2**63), 2**63 - 1]}, {})
    assert ledger.contains(QWEN, -(2**63))
    assert ledger.contains(QWEN, 2**63 - 1)
    assert not ledger.contains(QWEN, 5)
    assert not ledger.contains(KIMI, 2**63 - 1)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from([QWEN, KIMI, DECEMBER]), st.lists(INT64 | st.integers(0, 9), max_size=8)))
)
def test_totals_are_the_number_of_rows_however_often_it_is_written(tmp_path_factory, batches):
    directory = tmp_path_factory.mktemp("ledger")
    ledger = sqlite_ledger(directory)
    truth = {}
    for batch in (*batches, *batches):
        written = ledger.write(batch, {})
        for scope, users in batch.items():
            before = len(truth.setdefault(scope, set()))
            truth[scope].update(users)
            assert written[scope] == (len(truth[scope]) - before, len(truth[scope]), 0)
    ledger.close()
    assert totals_of(directory) == {tuple(scope): len(users) for scope, users in truth.items()}
    assert sorted(rows_of(directory)) == sorted((*scope, user) for scope, users in truth.items() for user in users)


def test_another_key_is_refused(tmp_path, ledger):
    with pytest.raises(LedgerMismatch, match=f"counted under key {PRINT} and refuses to mix that with key {'f' * 16}"):
        open_ledger(sqlite_url(tmp_path / "ledger.db"), "f" * 16)


def test_another_zone_is_refused(ledger):
    assert ledger.zone() is None
    ledger.bind("UTC")
    ledger.bind("UTC")
    assert ledger.zone() == "UTC"
    with pytest.raises(LedgerMismatch, match="refuses to mix that with zone Europe/Berlin"):
        ledger.bind("Europe/Berlin")


def test_another_schema_is_refused(tmp_path, ledger):
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        other.execute("UPDATE meta SET value = '9' WHERE name = 'schema'")
    other.close()
    for key in (PRINT, None):
        with pytest.raises(LedgerMismatch, match="schema 9"):
            open_ledger(sqlite_url(tmp_path / "ledger.db"), key)


def test_the_file_is_its_owners_and_its_directory_is_made(tmp_path):
    ledger = open_ledger(sqlite_url(tmp_path / "a b" / "c%d" / "ledger.db"), PRINT)
    ledger.write({QWEN: [1]}, {})
    path = tmp_path / "a b" / "c%d" / "ledger.db"
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) == 3
    ledger.close()


def test_a_reader_needs_no_key_and_writes_nothing(tmp_path, ledger):
    ledger.bind("UTC")
    ledger.write({QWEN: [1]}, {})
    reader = open_ledger(sqlite_url(tmp_path / "ledger.db"), None)
    assert (reader.users(QWEN), reader.zone(), reader.key_fingerprint) == (1, "UTC", PRINT)
    with pytest.raises(LedgerUnavailable, match="reading only"):
        reader.write({QWEN: [2]}, {})
    reader.close()


def test_a_reader_makes_no_file(tmp_path):
    with pytest.raises(LedgerError, match="unable to open database file"):
        open_ledger(sqlite_url(tmp_path / "ledger.db"), None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("redis://10.0.0.1/0", "scheme 'redis' is unknown"),
        ("ledger.db", "scheme 'missing' is unknown"),
        ("sqlite://var/lib/ledger.db", "no absolute path"),
        ("sqlite://", "no absolute path"),
        ("sqlite:///", "no absolute path"),
        ("sqlite:///rel.db", "it is the file /rel.db in the root directory"),
        ("sqlite://[", "not a URL"),
        ("sqlite:///tmp/%00", "no absolute path"),
        ("sqlite:///tmp/l.db#x", "no absolute path"),
        ("sqlite:///tmp/l.db?synchronous=off", "option 'synchronous=off' is unknown"),
    ],
)
def test_other_urls_say_what_is_allowed(url, found):
    with pytest.raises(LedgerError, match=rf"{found}.*allowed: an absolute path such as sqlite:///"):
        open_ledger(url, PRINT)


def test_four_slashes_are_the_same_absolute_path(tmp_path):
    open_ledger(f"sqlite:///{tmp_path}/ledger.db", PRINT).close()
    assert f"sqlite:///{tmp_path}".startswith("sqlite:////")
    assert parse_url(f"sqlite:///{tmp_path}/ledger.db").path == parse_url(sqlite_url(tmp_path / "ledger.db")).path
    assert (tmp_path / "ledger.db").is_file()
    assert parse_url(sqlite_url(Path("/ledger.db"))).path == "/ledger.db"


def test_a_password_in_a_url_is_not_repeated():
    with pytest.raises(LedgerError) as caught:
        open_ledger("redis://guard:hunter2@10.0.0.1/0", PRINT)
    assert "hunter2" not in str(caught.value)


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "text.db").write_text("not a database, but long enough to look at " * 30)
    with pytest.raises(LedgerError, match="file is not a database"):
        open_ledger(sqlite_url(tmp_path / "text.db"), PRINT)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE songs (name)")
    other.close()
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(LedgerError, match="another application"):
        open_ledger(sqlite_url(tmp_path / "other.db"), PRINT)
    assert (tmp_path / "other.db").read_bytes() == before


def test_full_synchronous_is_what_it_says(tmp_path):
    full = sqlite_ledger(tmp_path, full=True)
    assert full.survives_power_loss
    assert full._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    full.close()


def test_a_failed_write_changes_nothing(tmp_path, ledger):
    ledger.write({QWEN: [1]}, {})
    with pytest.raises(LedgerUnavailable):
        ledger.write({QWEN: [2], KIMI: [object()]}, {QWEN: 1})
    assert ledger.totals("2026-11") == {"qwen": Totals(1, 0)}
    assert ledger.write({KIMI: [1]}, {}) == {KIMI: (1, 1, 0)}


def test_a_ledger_file_that_was_replaced_is_not_written_into_the_void(tmp_path, ledger):
    ledger.write({QWEN: [1]}, {})
    (tmp_path / "ledger.db").rename(tmp_path / "backup.db")
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db"):
        ledger.write({QWEN: [2]}, {})
    (tmp_path / "ledger.db").write_bytes(b"")
    with pytest.raises(LedgerUnavailable, match="was replaced"):
        ledger.contains(QWEN, 1)


def test_reads_go_on_while_another_process_writes(tmp_path, ledger):
    ledger.write({QWEN: [1]}, {})
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO sightings VALUES (1, 99)")
    assert ledger.contains(QWEN, 1)
    assert not ledger.contains(QWEN, 99)
    other.execute("ROLLBACK")
    other.close()


def test_several_writers_on_one_file_share_the_count(tmp_path):
    barrier = threading.Barrier(4)

    def work(number):
        barrier.wait()
        ledger = sqlite_ledger(tmp_path)
        new = sum(ledger.write({QWEN: range(n, n + 20)}, {QWEN: 1})[QWEN].new for n in range(number * 5, 100, 7))
        ledger.close()
        return new

    with ThreadPoolExecutor(4) as pool:
        new = sum(pool.map(work, range(4)))
    rows = rows_of(tmp_path)
    assert new == len(rows) == len(set(rows)) == totals_of(tmp_path)["2026-11", "qwen"]
