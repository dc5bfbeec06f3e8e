"""Profiles in an SQLite file."""

import stat

import pytest
from store_contract import NAME, NOW, OTHER, StoreContract, change

from guard.behavior.store import StoreUnavailable, identity_of, name_of
from guard.behavior.stores.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "behavior.db"


@pytest.fixture
def open_store(path):
    opened = []

    def begin(**how):
        opened.append(SqliteStore(path, **how))
        return opened[-1]

    yield begin
    for store in opened:
        store.close()


class TestSqlite(StoreContract):
    pass


def test_nothing_is_made_before_the_first_question_and_then_only_for_its_owner(open_store, path):
    store = open_store()
    assert not path.exists()
    store.read([NAME])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_not_seen_for_long_is_forgotten(open_store):
    store = open_store()
    store.write([change(NAME, 0, seen=NOW - 100), change(OTHER, 0, seen=NOW)])
    store.saw("2026-11-20", [(1, NAME)])
    store.forget(NOW - 50, "2026-11-21")
    assert set(store.read([NAME, OTHER])) == {OTHER}
    assert list(store.saw("2026-11-20", [(1, OTHER)])) == [1]


@pytest.mark.parametrize("content", [b"no database at all, though long enough to be read as one" * 20, None])
def test_a_file_that_is_not_ours_is_left_alone(open_store, path, content):
    import sqlite3

    path.parent.mkdir()
    if content is None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
        connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="behavior"):
        open_store().read([NAME])
    assert path.read_bytes() == before


def test_a_reader_makes_no_file(open_store, path):
    with pytest.raises(StoreUnavailable):
        open_store(read_only=True).standing()
    assert not path.exists()


@pytest.mark.parametrize("identity", [1, -1, 2**63 - 1, -(2**63), 0])
def test_an_identity_is_called_as_in_the_audit_chain(identity):
    assert identity_of(name_of(identity)) == identity
    assert len(name_of(identity)) == 16


@pytest.mark.parametrize("name", ["", "alice", "0" * 15, "zz" * 8, "cohort"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match=r"."):
        identity_of(name)
