"""The SQLite ledger: what every ledger promises, in one file that is its own, of its schema, and several processes'."""

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_contract import INT64, LedgerContract
from usage_world import rows_of, sqlite_ledger, totals_of

from guard.usage.address import LedgerAbsent, open_ledger, parse_url, sqlite_url
from guard.usage.ledger import Growth, LedgerError, LedgerMismatch, LedgerUnavailable, Scope, Totals
from guard.usage.stores import sqlite as store
from guard.usage.stores.sqlite import SqliteLedger

QWEN, KIMI, DECEMBER = Scope("2026-11", "qwen"), Scope("2026-11", "kimi"), Scope("2026-12", "qwen")
WINDOW = Scope("2026-11-22/30d", "qwen")


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def open_handle(self, tmp_path):
        opened = []

        def handle(*, read_only=False):
            opened.append(sqlite_ledger(tmp_path, read_only=read_only))
            return opened[-1]

        yield handle
        for ledger in opened:
            ledger.close()


@pytest.fixture
def ledger(tmp_path):
    ledger = sqlite_ledger(tmp_path)
    yield ledger
    ledger.close()


def put(ledger, scope, users, unidentified=0, *, owner="gateway-1", day=None):
    return ledger.write({scope: users}, {scope: unidentified}, owner=owner, day=day)[scope]


def totals(users, unidentified=0):
    return Totals(users, unidentified, users, users)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from([QWEN, KIMI, DECEMBER]), st.lists(INT64 | st.integers(0, 9), max_size=8)))
)
def test_totals_are_the_number_of_rows_however_often_it_is_written(tmp_path_factory, batches):
    directory = tmp_path_factory.mktemp("ledger")
    ledger = sqlite_ledger(directory)
    truth = {}
    for batch in (*batches, *batches):
        ledger.write(batch, {}, owner="gateway-1", day="2026-11-22")
        for scope, users in batch.items():
            truth.setdefault(scope, set()).update(users)
    ledger.close()
    assert totals_of(directory) == {tuple(scope): len(users) for scope, users in truth.items()}
    assert sorted(rows_of(directory)) == sorted((*scope, user) for scope, users in truth.items() for user in users)


def test_another_schema_is_refused(tmp_path, ledger):
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        other.execute("UPDATE meta SET value = '9' WHERE name = 'schema'")
    other.close()
    for read_only in (False, True):
        with pytest.raises(LedgerMismatch, match=r"schema 9; allowed: schema 2$"):
            sqlite_ledger(tmp_path, read_only=read_only)


def test_the_file_is_its_owners_and_its_directory_is_made(tmp_path):
    ledger = open_ledger(sqlite_url(tmp_path / "a b" / "c%d" / "ledger.db"))
    put(ledger, QWEN, [1])
    path = tmp_path / "a b" / "c%d" / "ledger.db"
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) == 3
    ledger.close()


def test_a_reader_makes_no_file(tmp_path):
    with pytest.raises(LedgerAbsent, match="there is no ledger at "):
        sqlite_ledger(tmp_path, read_only=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "ledger.db").touch()
    with pytest.raises(LedgerMismatch, match="schema missing; allowed: schema 2; a gateway of this version"):
        sqlite_ledger(tmp_path, read_only=True)
    assert (tmp_path / "ledger.db").read_bytes() == b""


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("mysql://10.0.0.1/0", "scheme 'mysql' is unknown"),
        ("ledger.db", "no scheme"),
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
    with pytest.raises(LedgerError, match=rf"{found}.*allowed: .*sqlite:///"):
        open_ledger(url)


def test_four_slashes_are_the_same_absolute_path(tmp_path):
    open_ledger(f"sqlite:///{tmp_path}/ledger.db").close()
    assert f"sqlite:///{tmp_path}".startswith("sqlite:////")
    assert parse_url(f"sqlite:///{tmp_path}/ledger.db").path == parse_url(sqlite_url(tmp_path / "ledger.db")).path
    assert (tmp_path / "ledger.db").is_file()
    assert parse_url(sqlite_url(Path("/ledger.db"))).path == "/ledger.db"


def test_a_password_in_a_url_is_not_repeated():
    with pytest.raises(LedgerError) as caught:
        open_ledger("mysql://guard:hunter2@10.0.0.1/0")
    assert "hunter2" not in str(caught.value)


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "text.db").write_text("not a database, but long enough to look at " * 30)
    with pytest.raises(LedgerError, match="file is not a database"):
        open_ledger(sqlite_url(tmp_path / "text.db"))
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE songs (name)")
    other.close()
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(LedgerError, match="another application"):
        open_ledger(sqlite_url(tmp_path / "other.db"))
    assert (tmp_path / "other.db").read_bytes() == before


def test_full_synchronous_is_what_it_says(tmp_path):
    full = sqlite_ledger(tmp_path, full=True)
    assert full.survives_power_loss
    assert full._file._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    full.close()


def test_a_failed_write_changes_nothing(ledger):
    put(ledger, QWEN, [1], day="2026-11-22")
    with pytest.raises(LedgerUnavailable):
        ledger.write({QWEN: [2], KIMI: [object()]}, {QWEN: 1}, owner="gateway-1", day="2026-11-22")
    assert ledger.totals("2026-11") == {"qwen": totals(1)}
    assert ledger.growth("qwen", "2026-11") == [Growth("2026-11-22", 1, 0)]
    assert put(ledger, KIMI, [1]) == (1, totals(1))


def test_reads_go_on_while_another_process_writes(tmp_path, ledger):
    put(ledger, QWEN, [1])
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
        new = sum(
            put(ledger, QWEN, range(n, n + 20), n, owner=f"gateway-{number}", day="2026-11-22").new
            for n in range(number * 5, 100, 7)
        )
        growth = ledger.growth("qwen", "2026-11")
        ledger.close()
        return new, growth

    with ThreadPoolExecutor(4) as pool:
        news, growths = zip(*pool.map(work, range(4)), strict=True)
    rows = rows_of(tmp_path)
    assert sum(news) == len(rows) == len(set(rows)) == totals_of(tmp_path)["2026-11", "qwen"]
    assert max(growth[0].new for growth in growths) == len(rows)


def test_one_list_in_several_scopes_is_each_ones_own(ledger):
    users = [3, 1, 2]
    written = ledger.write({QWEN: users, WINDOW: list(users), KIMI: [1, 4], DECEMBER: []}, {}, owner="a", day=None)
    assert [each.new for each in written.values()] == [3, 3, 2, 0]
    assert ledger.write({KIMI: users}, {}, owner="a", day=None)[KIMI].new == 2


def test_only_months_grow(ledger):
    ledger.write({QWEN: [1], Scope("2026-11-22", "qwen"): [1], WINDOW: [1]}, {}, owner="a", day="2026-11-22")
    with ledger._file.reading() as connection:
        assert connection.execute("SELECT count(*) FROM growth").fetchone() == (1,)


def test_who_returns_after_their_month_was_forgotten_is_new(ledger):
    october = Scope("2026-10", "qwen")
    put(ledger, october, [1, 2])
    put(ledger, QWEN, [1, 5], day="2026-11-01")
    ledger.forget(october)
    put(ledger, QWEN, [2], day="2026-11-01")
    put(ledger, QWEN, [6], day="2026-11-02")
    assert ledger.growth("qwen", "2026-11") == [Growth("2026-11-01", 3, None), Growth("2026-11-02", 1, None)]


# Work in many transactions


@pytest.fixture
def in_parts(tmp_path, monkeypatch):
    """A ledger that handles three users a transaction, and what it does between two of them."""
    monkeypatch.setattr(store, "PART", 3)
    between = []

    def sleep(seconds):
        between[0](seconds)

    ledger = SqliteLedger(str(tmp_path / "ledger.db"), sleep=sleep)
    yield ledger, between
    ledger.close()


def interrupt(seconds):
    raise KeyboardInterrupt


def test_others_write_while_it_merges(tmp_path, in_parts):
    ledger, between = in_parts
    other, pauses = sqlite_ledger(tmp_path), []

    def write(seconds):
        pauses.append(seconds)
        put(other, WINDOW, [100 + len(pauses)], len(pauses), owner="gateway-2")

    between.append(write)
    put(ledger, QWEN, range(10), 7)
    ledger.merge(WINDOW, [QWEN])
    assert len(pauses) == 3
    assert all(pauses)
    assert ledger.totals(WINDOW.period) == {"qwen": totals(13, 3 + 7)}
    other.close()


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_a_part_may_end_at_the_last_number(in_parts, number):
    ledger, between = in_parts
    between.append(lambda seconds: None)
    for users in ([number, 5, 6], [number, 5, 6, 7], [5, 6, 7]):
        put(ledger, QWEN, users)
    put(ledger, KIMI, [number, 8, 9])
    for source in (QWEN, KIMI):
        ledger.merge(WINDOW, [source])
    assert ledger.users(WINDOW) == 6
    ledger.forget(WINDOW)
    assert ledger.users(WINDOW) == 6
    assert rows_in(ledger, WINDOW) == 0


def test_an_interrupted_merge_is_finished_by_the_next(in_parts):
    ledger, between = in_parts
    between.append(interrupt)
    put(ledger, QWEN, range(10), 7)
    with pytest.raises(KeyboardInterrupt):
        ledger.merge(WINDOW, [QWEN])
    assert ledger.totals(WINDOW.period) == {"qwen": totals(3)}
    between[0] = lambda seconds: None
    for _ in range(2):
        ledger.merge(WINDOW, [QWEN])
        assert ledger.totals(WINDOW.period) == {"qwen": totals(10, 7)}


def test_an_interrupted_forgetting_is_finished_by_the_next(in_parts):
    ledger, between = in_parts
    between.append(interrupt)
    put(ledger, QWEN, range(10), 7)
    with pytest.raises(KeyboardInterrupt):
        ledger.forget(QWEN)
    assert rows_in(ledger, QWEN) == 7
    assert not ledger.contains(QWEN, 9)
    assert list(ledger.pseudonyms(QWEN)) == []
    between[0] = lambda seconds: None
    ledger.forget(QWEN)
    assert rows_in(ledger, QWEN) == 0
    assert ledger.totals("2026-11") == {"qwen": totals(10, 7)}


def test_who_was_late_is_dropped_when_it_is_forgotten_again(ledger):
    put(ledger, QWEN, [1, 2])
    ledger.forget(QWEN)
    put(ledger, QWEN, [3])
    assert rows_in(ledger, QWEN) == 1
    ledger.forget(QWEN)
    assert rows_in(ledger, QWEN) == 0
    assert ledger.totals("2026-11") == {"qwen": totals(2, 1)}


def test_what_was_forgotten_is_not_left_in_the_file(tmp_path, ledger):
    users = [0x0102030405060708 + (number << 40) for number in range(2000)]
    put(ledger, QWEN, users)
    ledger.close()
    traces = [user.to_bytes(8, "big") for user in users]
    assert all(trace in (tmp_path / "ledger.db").read_bytes() for trace in traces)
    ledger = sqlite_ledger(tmp_path)
    ledger.forget(QWEN)
    ledger.close()
    rest = (tmp_path / "ledger.db").read_bytes()
    assert not any(trace in rest for trace in traces)


def rows_in(ledger, scope):
    with ledger._file.reading() as connection:
        query = "SELECT count(*) FROM scopes JOIN sightings ON scope = id WHERE period = ? AND license = ?"
        return connection.execute(query, scope).fetchone()[0]
