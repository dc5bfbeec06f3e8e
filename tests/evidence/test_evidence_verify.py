"""Whatever is done to a journal by somebody who does not recompute it is found, at its line."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.evidence.entry import GENESIS, link
from guard.evidence.kept import Kept
from guard.evidence.verify import NoJournalError, verify

KINDS = st.sampled_from(["decision", "receipt", "reload"])
FACTS = st.dictionaries(
    st.text(max_size=8), st.one_of(st.integers(0, 10**6), st.text(max_size=12), st.booleans()), max_size=4
)
ENTRIES = st.lists(st.tuples(KINDS, FACTS), min_size=3, max_size=8)


def build(entries) -> list[bytes]:
    lines, prev = [], GENESIS
    for seq, (kind, facts) in enumerate(entries, 1):
        line, prev = link(prev, seq, seq * 0.5, kind, facts)
        lines.append(line)
    return lines


def check(data: bytes, **expected):
    with TemporaryDirectory() as directory:
        path = Path(directory) / "a.jsonl"
        path.write_bytes(data)
        return verify(path, **expected)


def head(line: bytes) -> str:
    return line[-67:-3].decode()


def kept(line: bytes) -> list[Kept]:
    return [Kept(head(line), "--head", 0)]


@settings(max_examples=100, deadline=None)
@given(ENTRIES, st.data())
def test_any_changed_byte_is_found_at_its_line(entries, data):
    lines = build(entries)
    whole = bytearray(b"".join(lines))
    assert check(bytes(whole)).ok
    at = data.draw(st.integers(0, len(whole) - 1))
    line = whole[:at].count(b"\n") + 1
    whole[at] ^= data.draw(st.integers(1, 255))
    report = check(bytes(whole))
    assert not report.ok
    assert report.first_bad.line == line
    assert report.entries == line - 1


@settings(max_examples=50, deadline=None)
@given(ENTRIES, st.data())
def test_any_removed_repeated_or_moved_entry_is_found(entries, data):
    lines = build(entries)
    at = data.draw(st.integers(0, len(lines) - 2))
    other = data.draw(st.integers(0, len(lines) - 1).filter(lambda index: index != at))
    removed = lines[:at] + lines[at + 1 :]
    repeated = [*lines[:other], lines[at], *lines[other:]]
    swapped = list(lines)
    swapped[at], swapped[other] = swapped[other], swapped[at]
    for damaged, line in ((removed, at + 1), (swapped, min(at, other) + 1)):
        assert check(b"".join(damaged)).first_bad.line == line
    assert not check(b"".join(repeated)).ok


@settings(max_examples=50, deadline=None)
@given(ENTRIES, st.data())
def test_a_cut_end_is_invisible_alone_and_found_with_a_head_or_a_length(entries, data):
    lines = build(entries)
    number = data.draw(st.integers(1, len(lines) - 1))
    cut = b"".join(lines[:number])
    blind = check(cut)
    assert blind.ok
    assert not blind.anchored
    assert not check(cut, heads=kept(lines[-1])).ok
    assert not check(cut, length=len(lines)).ok
    assert check(b"".join(lines), heads=kept(lines[number - 1]), length=len(lines)).ok


def test_a_recomputed_chain_is_found_only_with_a_head():
    honest = build([("decision", {"allowed": False}), ("decision", {}), ("stop", {})])
    forged = build([("decision", {"allowed": True}), ("decision", {}), ("stop", {})])
    assert check(b"".join(forged)).ok
    assert not check(b"".join(forged), heads=kept(honest[1])).ok


def test_an_inserted_forged_entry_is_found():
    lines = build([("decision", {}), ("decision", {}), ("stop", {})])
    forged = link(head(lines[0]).encode(), 2, 9.9, "decision", {"allowed": True})
    report = check(b"".join([lines[0], forged.line, *lines[1:]]))
    assert report.first_bad.line == 3


def test_a_chain_that_skips_a_number_is_found():
    first = link(GENESIS, 1, 0.0, "start", {})
    third = link(first.hash, 3, 0.0, "stop", {})
    assert "sequence number 3 where 2 is due" in check(first.line + third.line).first_bad.what


def test_a_directory_names_the_bad_file_and_reports_every_head(tmp_path):
    good, bad = build([("open", {}), ("stop", {})]), build([("start", {}), ("decision", {}), ("stop", {})])
    (tmp_path / "a.jsonl").write_bytes(b"".join(good))
    (tmp_path / "b.jsonl").write_bytes(b"".join(bad))
    report = verify(tmp_path)
    assert report.ok
    assert report.entries == 5
    assert report.heads == {"a": head(good[-1]), "b": head(bad[-1])}
    assert report.lengths == {"a": 2, "b": 3}
    (tmp_path / "b.jsonl").write_bytes(b"".join(bad[1:]))
    report = verify(tmp_path)
    assert (report.first_bad.file, report.first_bad.line) == (str(tmp_path / "b.jsonl"), 1)
    (tmp_path / "b.jsonl").unlink()
    assert verify(tmp_path).ok
    assert not verify(tmp_path, heads=kept(bad[-1])).ok


def test_runs_that_ended_without_a_close_are_counted():
    lines = build([("open", {}), ("start", {}), ("open", {}), ("stop", {}), ("close", {}), ("open", {})])
    report = check(b"".join(lines))
    assert report.ok
    assert report.unclean_stops == 1


def test_no_journal_is_not_a_good_journal(tmp_path):
    with pytest.raises(NoJournalError, match="no journal"):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "nothing.jsonl")
