"""What is known of a ledger that may forget outlives the process that knew it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Scope
from guard.usage.memory import MONTHS, Memory

QWEN = Scope("2026-11", "qwen")
APP = Declaration("qwen", "2026-11", "app", Part.PRODUCT, 900, 3, "legal@example.org", "2026-11-20")


def test_a_later_process_knows_what_an_earlier_one_noted(tmp_path):
    memory = Memory(tmp_path)
    assert (memory.incarnation, memory.highest, list(memory.declarations)) == (None, {}, [])
    assert [memory.learn(QWEN, users) for users in (5, 9, 2)] == [5, 9, 9]
    memory.learn_declared([APP])
    memory.meet("one")
    later = Memory(tmp_path)
    assert (later.incarnation, later.highest, list(later.declarations)) == ("one", {QWEN: 9}, [APP])
    assert list(tmp_path.iterdir()) == [tmp_path / "ledger.json"]


def test_a_number_that_was_stated_anew_takes_the_place_of_the_old(tmp_path):
    memory = Memory(tmp_path)
    memory.learn(QWEN, 1)
    memory.learn_declared([APP])
    withdrawn = Declaration(**{**_fields(APP), "users": 0})
    memory.learn_declared([withdrawn])
    memory.note()
    assert list(Memory(tmp_path).declarations) == [withdrawn]


def _fields(declaration):
    return {name: getattr(declaration, name) for name in declaration.__slots__}


def test_nothing_is_written_where_nothing_changed(tmp_path):
    memory = Memory(tmp_path)
    memory.learn(QWEN, 5)
    memory.note()
    (tmp_path / "ledger.json").unlink()
    memory.learn(QWEN, 4)
    memory.note()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff", b'{"incarnation": "a", "highest": [[1]], "declarations": []}']
)
def test_a_note_that_cannot_be_read_is_none(tmp_path, content):
    (tmp_path / "ledger.json").write_bytes(content)
    assert Memory(tmp_path).highest == {}
    assert Memory(tmp_path).incarnation in {None, "a"}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 28), st.integers(1, 9)), max_size=80))
def test_it_stays_small(tmp_path_factory, seen):
    directory = tmp_path_factory.mktemp("spool")
    memory = Memory(directory)
    for month, day, users in seen:
        name = f"{2026 + month // 12}-{month % 12 + 1:02d}"
        memory.learn(Scope(name, "qwen"), users)
        memory.learn(Scope(f"{name}-{day:02d}", "qwen"), users)
        memory.learn(Scope(f"{name}-{day:02d}/30d", "qwen"), users)
    memory.note()
    if seen:
        noted = json.loads((directory / "ledger.json").read_text())["highest"]
        assert len(noted) <= MONTHS + 2
        newest = max(f"{2026 + month // 12}-{month % 12 + 1:02d}" for month, _, _ in seen)
        assert newest in {period for period, _, _ in noted}
