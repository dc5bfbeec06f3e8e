"""A run of leaves is linked in one call, and gives what linking them one by one gives."""

import importlib
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.evidence import links, merkle
from guard.evidence.entry import GENESIS, Canonical, link
from guard.evidence.envelope import canonical
from guard.evidence.links import ORDER, Links, Run, run_twin
from guard.evidence.seal import leaf_of

FACTS = st.dictionaries(st.text(max_size=12), st.text(max_size=90) | st.integers(0, 2**53 - 1) | st.none(), max_size=5)
TIMES = st.floats(0, 4e9)
HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=70)


def leaves_of(facts):
    return [Canonical(f"r-{number}", canonical(each | {"id": f"r-{number}"})) for number, each in enumerate(facts)]


@settings(max_examples=80, deadline=None)
@given(st.lists(FACTS, max_size=6), TIMES, st.integers(0, 2**40))
@example([{"x": "y" * length} for length in range(130)], 1_795_000_000.25, 0)  # every way in which a block can end
def test_a_run_is_what_its_entries_are_one_by_one(facts, moment, seq):
    run, single = Links(), Links()
    for each in (run, single):
        each.restart(seq, GENESIS, 0.0)
    leaves = leaves_of(facts)
    lines, found = run.lines(moment, "receipt", Run(leaves))
    assert lines == b"".join(single.line(moment, "receipt", leaf) for leaf in leaves)
    assert (run.seq, run.hash, run.time) == (single.seq, single.hash, moment if facts else run.time)
    assert found == [leaf_of("receipt", leaf) for leaf in leaves]


@settings(max_examples=80, deadline=None)
@given(FACTS, TIMES)
def test_facts_that_are_encoded_already_give_the_leaf_that_plain_ones_give(facts, moment):
    (leaf,) = leaves_of([facts])
    assert leaf_of("receipt", leaf) == leaf_of("receipt", facts | {"id": "r-0"})
    in_order = dict(sorted((facts | {"id": "r-0"}).items(), key=lambda item: item[0].encode("utf-16-be")))
    assert link(GENESIS, 7, moment, "receipt", leaf) == link(GENESIS, 7, moment, "receipt", in_order)


@settings(max_examples=60, deadline=None)
@given(st.lists(FACTS, max_size=4), TIMES, HASHES)
def test_the_compiled_form_and_its_twin_give_the_same(facts, moment, hashes):
    octets = [leaf.octets for leaf in leaves_of(facts)]
    given_ = (b"ab" * 32, 41, repr(moment + 0.5).encode(), b"declaration", octets)
    assert links.run(*given_) == run_twin(*given_)
    assert merkle.root(hashes) == merkle.root_twin(hashes)


def test_an_entry_made_a_moment_before_the_one_it_follows_has_the_time_of_that_one():
    written = Links()
    written.restart(1, GENESIS, 100.0)
    written.line(100.0 - ORDER / 2, "a", {})
    assert written.time == 100.0
    written.lines(100.0 - ORDER * 2, "receipt", Run(leaves_of([{}])))
    assert written.time == 100.0 - ORDER * 2


def test_the_compiled_one_refuses_what_is_not_its_own():
    kernel = pytest.importorskip("guard.evidence._links", reason="no compiler, or a processor that is not able to")
    with pytest.raises(ValueError, match="64 digits"):
        kernel.run(b"short", 1, b"1.0", b"receipt", [])
    with pytest.raises(TypeError, match="bytes"):
        kernel.run(GENESIS, 1, b"1.0", b"receipt", ["text"])
    with pytest.raises(ValueError, match="32 bytes"):
        kernel.root([b"short"])
    with pytest.raises(TypeError):
        kernel.root(b"x" * 32)


def test_where_it_cannot_be_imported_its_twin_serves(monkeypatch):
    try:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "guard.evidence._links", None)
            for module in (links, merkle):
                importlib.reload(module)
            assert links.run.__name__ == "run_twin"
            assert merkle.root([b"x" * 32]) == b"x" * 32
    finally:
        for module in (merkle, links):
            importlib.reload(module)
