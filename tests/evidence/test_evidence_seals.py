"""Receipts are signed batch by batch: what is changed in the journal afterwards is found even if its hashes are redone."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from base64 import b64encode

import pytest
from evidence_clock import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.evidence import merkle, portable
from guard.evidence.chain import Journal
from guard.evidence.entry import GENESIS, link, parse, read
from guard.evidence.envelope import EnvelopeError, Standing
from guard.evidence.portable import NoReceiptError, find
from guard.evidence.seal import MOST, Seal, Sealer, SealError, Unsealed, leaf_bytes, leaf_of
from guard.evidence.signing import PRIVATE, PUBLIC, Signer, Verifier, holds, rotate
from guard.evidence.verify import NoJournalError, verify


def receipt(number, **changes):
    facts = {"id": f"r-q{number}-0", "answered": 1_795_000_000.25 + number, "licenses": [["llama-2", "1.b.v"]]}
    return facts | {"model": "tiny", "prompt_tokens": None} | changes


class Audit:
    """A state directory with one journal and its keys."""

    def __init__(self, directory):
        self.directory, self.keys = directory / "audit", directory / "signing"
        self.signer = Signer(self.keys, Clock())
        self.path = self.directory / "a.jsonl"

    def open(self, **options):
        options.setdefault("signer", self.signer)
        journal = Journal(self.directory, instance="a", clock=Clock(), linger=0.0, **options)
        journal.start()
        return journal

    def run(self, *numbers, **options):
        journal = self.open(**options)
        for number in numbers:
            journal.append("receipt", receipt(number))
        journal.close()

    @property
    def trusted(self):
        return Verifier.of_list(self.keys / PUBLIC)

    def verify(self, **options):
        return verify(self.directory, **{"keys": self.trusted} | options)

    def entries(self, kind):
        return [entry for entry in read(self.path) if entry.kind == kind]

    def rewrite(self, change):
        """Put ``change(entries)`` in the file with all hashes redone, and without the checkpoints that show it."""
        lines, prev = [], GENESIS
        for moment, kind, facts in change(list(read(self.path))):
            if kind == "checkpoint" and facts["head"] != prev.decode():
                continue
            line, prev = link(prev, len(lines) + 1, moment, kind, facts)
            lines.append(line)
        self.path.write_bytes(b"".join(lines))


def plain(entries):
    return [(entry.time, entry.kind, entry.facts) for entry in entries]


@pytest.fixture
def audit(tmp_path):
    return Audit(tmp_path)


def test_receipts_and_declarations_are_sealed_and_nothing_else_is(audit):
    journal = audit.open()
    journal.append("receipt", receipt(0))
    journal.append("decision", {"id": "x", "verdict": "deny"})
    journal.append("declaration", {"id": "d-q1", "purpose": "train:other"})
    journal.close()
    seals = [Seal.of(entry.facts) for entry in audit.entries("seal")]
    assert sum(seal.count for seal in seals) == 2
    assert (seals[0].first, seals[-1].last) == ("r-q0-0", "d-q1")
    for seal in seals:
        assert seal.key == audit.signer.id
        assert holds(audit.signer.public, seal.signed, seal.signature)
        assert not seal.late
    report = audit.verify()
    assert (report.ok, report.seals, report.sealed, report.unsealed) == (True, len(seals), 2, 0)
    assert report.signatures
    assert list(read(audit.path))[-1].kind == "close"


def test_a_running_journal_seals_by_itself(audit):
    journal = audit.open()
    journal.append("receipt", receipt(0))
    deadline = time.monotonic() + 10
    while not audit.entries("seal") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [entry.facts["last"] for entry in audit.entries("seal")] == ["r-q0-0"]
    journal.close()
    assert len(audit.entries("seal")) == 1, "nothing is sealed twice"


def test_a_journal_without_a_sealer_has_no_seals_and_says_which_are_missing(audit):
    audit.run(1, 2, signer=None)
    report = audit.verify()
    assert (report.ok, report.seals, report.sealed, report.unsealed) == (True, 0, 0, 2)
    assert report.first_unsealed == f"{audit.path}:2"


def test_a_large_batch_is_sealed_in_parts(tmp_path):
    sealer = Sealer(Signer(tmp_path), Clock())
    for number in range(MOST + 2):
        sealer.take("receipt", receipt(number))
    seals = [Seal.of(facts) for facts in sealer.seals("0" * 64)]
    assert [(seal.count, seal.first, seal.last) for seal in seals] == [
        (MOST, "r-q0-0", f"r-q{MOST - 1}-0"),
        (2, f"r-q{MOST}-0", f"r-q{MOST + 1}-0"),
    ]
    assert sealer.seals("0" * 64) == []


def test_facts_that_cannot_be_a_leaf_are_left_out_by_writer_and_reader_alike(audit):
    journal = audit.open()
    for facts in (receipt(0), receipt(1, prompt_tokens=2**60), {"model": "no id"}, receipt(2)):
        journal.append("receipt", facts)
    journal.close()
    report = audit.verify()
    assert (report.ok, report.sealed, report.unsealed) == (True, 2, 0)
    assert leaf_of("receipt", receipt(0)).hash == merkle.leaf_hash(leaf_bytes("receipt", receipt(0)))


# What somebody without the key cannot do, even if every hash is redone.


def test_a_changed_receipt_is_found_at_its_seal(audit):
    audit.run(1, 2, 3)
    audit.rewrite(lambda entries: [
        (entry.time, entry.kind, entry.facts | ({"model": "other"} if entry.facts.get("id") == "r-q2-0" else {}))
        for entry in entries
    ])  # fmt: skip
    bad = audit.verify().first_bad
    assert audit.verify(keys=None).first_bad == bad, "the root alone tells it"
    assert parse(audit.path.read_bytes().splitlines()[bad.line - 1]).kind == "seal"
    assert "was changed or replaced" in bad.what or "not there: the chain was recomputed" in bad.what


@pytest.mark.parametrize("kind", ["open", "decision", "receipt"])
def test_an_entry_changed_or_removed_before_a_seal_is_found(audit, kind):
    journal = audit.open()
    journal.append("decision", {"verdict": "deny"})
    journal.append("receipt", receipt(0))
    journal.close()
    whole = audit.path.read_bytes()
    for change in (
        lambda entries: plain(entry for entry in entries if entry.kind != kind),
        lambda entries: [(entry.time + (entry.kind == kind), entry.kind, entry.facts) for entry in entries],
    ):
        audit.rewrite(change)
        bad = audit.verify().first_bad
        assert bad.what.startswith("the seal "), bad
        audit.path.write_bytes(whole)
    assert audit.verify().ok


def test_a_seal_of_ones_own_is_found(audit, tmp_path):
    audit.run(1)
    thief = Signer(tmp_path / "elsewhere")

    def forge(entries):
        for entry in entries:
            facts = entry.facts
            if entry.kind == "seal":
                seal = Seal.of(facts)
                facts = facts | {"signature": b64encode(thief.sign(seal.signed).value).decode()}
            yield entry.time, entry.kind, facts

    audit.rewrite(forge)
    assert "has a signature that is not the key's" in audit.verify().first_bad.what
    assert audit.verify(keys=None).ok, "without keys nobody can tell"
    assert not audit.verify(keys=None).signatures
    audit.rewrite(lambda entries: [
        (entry.time, entry.kind, entry.facts | ({"key": thief.id} if entry.kind == "seal" else {})) for entry in entries
    ])  # fmt: skip
    assert f"is signed by the key '{thief.id}', which is not one of those given" in audit.verify().first_bad.what


def test_a_removed_seal_leaves_its_receipts_without_one(audit):
    audit.run(1)
    audit.run(2)
    audit.rewrite(lambda entries: plain(
        entry for entry in entries if not (entry.kind == "seal" and entry.facts["last"] == "r-q1-0")
    ))  # fmt: skip
    assert "not there: the chain was recomputed" in audit.verify().first_bad.what


@pytest.mark.parametrize("facts", [
    {"count": 0}, {"count": True}, {"count": "1"}, {"root": "f"}, {"root": "00"}, {"head": "zz"}, {"signature": "!"},
    {"late": 0}, {"sealed": "now"}, {"key": None}, {"first": 3}, {"count": 3}, {"first": "r-other-0"},
    {"last": "r-other-0"}, {"head": "0" * 62 + "01"}, {"root": "0" * 64},
])  # fmt: skip
def test_a_seal_that_says_anything_else_is_bad_even_without_keys(audit, facts):
    audit.run(1)
    audit.rewrite(lambda entries: [
        (entry.time, entry.kind, entry.facts | (facts if entry.kind == "seal" else {})) for entry in entries
    ])  # fmt: skip
    assert audit.verify(keys=None).first_bad.what.startswith("the seal ")


# Keys that are replaced, and gateways that are killed.


def test_seals_before_and_after_a_rotation_are_valid(audit):
    journal = audit.open()
    journal.append("receipt", receipt(1))
    journal.flush()
    deadline = time.monotonic() + 10
    while not audit.entries("seal") and time.monotonic() < deadline:
        time.sleep(0.01)
    new = rotate(audit.keys, 1_795_000_000.0)
    journal.append("receipt", receipt(2))
    journal.close()
    first, second = (Seal.of(entry.facts) for entry in audit.entries("seal"))
    assert (first.key != new.id, second.key) == (True, new.id)
    assert audit.verify().ok


def test_a_seal_by_a_key_that_was_retired_long_before_is_found(audit):
    old = (audit.keys / PRIVATE).read_bytes()
    rotate(audit.keys, 1_794_000_000.0)
    audit.keys.joinpath("old").mkdir()
    (audit.keys / "old" / PRIVATE).write_bytes(old)
    audit.run(1, signer=Signer(audit.keys / "old"))
    assert "which was retired then" in audit.verify().first_bad.what


def test_what_a_killed_run_left_is_sealed_late_by_the_next(audit):
    audit.run(1, 2)
    audit.run(3, 4, signer=None)  # as if it had been killed before it could seal
    audit.run(5)
    seals = [Seal.of(entry.facts) for entry in audit.entries("seal")]
    late = [seal for seal in seals if seal.late]
    assert [(seal.first, seal.last, seal.count) for seal in late] == [("r-q3-0", "r-q4-0", 2)]
    report = audit.verify()
    assert (report.ok, report.sealed, report.unsealed) == (True, 5, 0)


def test_what_was_left_too_far_back_is_named(audit, monkeypatch):
    audit.run(1, signer=None)
    monkeypatch.setattr("guard.evidence.tail.WINDOW", 300)
    audit.run(2)
    report = audit.verify()
    assert (report.ok, report.sealed, report.unsealed) == (True, 1, 1)
    assert report.first_unsealed == f"{audit.path}:2"


KILLED = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from guard.evidence.chain import Journal

    from guard.evidence.signing import Signer

    state = Path(sys.argv[1])
    journal = Journal(state / "audit", instance="a", linger=0.001, signer=Signer(state / "signing"))
    journal.start()
    number = 0
    while True:
        for _ in range(20):
            journal.append("receipt", {"id": f"r-{sys.argv[2]}x{number}-0", "number": number})
            number += 1
        journal.flush()
        print(number, flush=True)
        time.sleep(0.002)
    """
)


@pytest.mark.slow
def test_kill_9_leaves_no_receipt_unsealed_for_longer_than_until_the_next_start(audit, tmp_path):
    for attempt in range(3):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(attempt)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        last, deadline = "", time.monotonic() + 20
        while (not last or int(last) < 400) and time.monotonic() < deadline:
            last = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
    audit.run(1)
    report = audit.verify()
    assert report.ok, report.first_bad
    assert report.unclean_stops == 3
    assert report.unsealed == 0
    assert report.sealed == len(audit.entries("receipt"))


# One receipt, shown elsewhere.


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.data())
def test_every_receipt_of_a_batch_can_be_shown_with_its_proof(tmp_path_factory, count, data):
    audit = Audit(tmp_path_factory.mktemp("state"))
    audit.run(*range(count))
    number = data.draw(st.integers(0, count - 1))
    shown = json.loads(json.dumps(find(audit.directory, f"r-q{number}-0", audit.trusted), indent=1))
    assert shown["facts"] == receipt(number)
    assert portable.verify(shown, audit.trusted) is Standing.VALID
    assert len(shown["proof"]) <= (count - 1).bit_length()


def test_a_shown_receipt_depends_on_every_part_of_it(audit, tmp_path):
    journal = audit.open()
    with journal._lock:  # one batch
        for number in range(5):
            journal.append("receipt", receipt(number))
    journal.close()
    shown = find(audit.directory, "r-q3-0", audit.trusted)
    assert (shown["format"], shown["kind"], shown["late"]) == ("guard-receipt/1", "receipt", False)
    for name, value in {
        "facts": receipt(3, model="other"), "kind": "declaration", "leaf": "00" * 32, "index": shown["index"] + 1,
        "count": shown["count"] + 1, "root": "00" * 32, "head": "00" * 32, "sealed": 1.5, "late": True,
        "proof": [*shown["proof"], "00" * 32], "signature": b64encode(bytes(64)).decode(),
    }.items():  # fmt: skip
        assert portable.verify({**shown, name: value}, audit.trusted) is Standing.BROKEN, name
    nobody = Verifier(())
    assert portable.verify(shown, nobody) is Standing.UNKNOWN
    stranger = Signer(tmp_path / "stranger")
    assert portable.verify(shown, Verifier.of_key(b64encode(stranger.public).decode())) is Standing.UNKNOWN
    assert portable.verify({**shown, "public": b64encode(stranger.public).decode()}, nobody) is Standing.BROKEN
    for name in shown:
        with pytest.raises(EnvelopeError):
            portable.verify({key: value for key, value in shown.items() if key != name}, audit.trusted)
    for name, value in {"proof": ["zz"], "root": "zz", "kind": "decision", "facts": {"id": 1}}.items():
        with pytest.raises(EnvelopeError):
            portable.verify({**shown, name: value}, audit.trusted)


def test_a_receipt_signed_after_its_key_was_retired_is_not_valid(audit):
    audit.run(1)
    shown = find(audit.directory, "r-q1-0", audit.trusted)
    (key,) = audit.trusted.keys
    retired = Verifier((key._replace(ends=1_794_000_000.0),))
    assert portable.verify(shown, retired) is Standing.UNTIMELY


def test_receipts_that_are_not_there_or_not_sealed_are_told_apart(audit, tmp_path):
    audit.run(1)
    audit.run(2, signer=None)
    assert find(audit.directory, "r-q1-0", audit.trusted)["facts"]["id"] == "r-q1-0"
    with pytest.raises(NoReceiptError, match="not sealed"):
        find(audit.directory, "r-q2-0", audit.trusted)
    with pytest.raises(NoReceiptError, match="no journal in"):
        find(audit.directory, "r-q3-0", audit.trusted)
    with pytest.raises(NoJournalError):
        find(tmp_path / "nowhere", "r-q3-0", audit.trusted)


def test_receipts_from_before_there_were_seals_do_not_hide_later_ones(audit):
    audit.run(1, 2, signer=None)
    audit.run(3, signer=None)
    audit.run(4)
    for number in range(1, 5):
        assert portable.verify(find(audit.directory, f"r-q{number}-0", audit.trusted), audit.trusted) is Standing.VALID


def test_a_receipt_whose_seal_is_not_over_it_is_not_shown(audit):
    audit.run(1)
    audit.rewrite(lambda entries: [
        (entry.time, entry.kind, entry.facts | ({"model": "other"} if entry.kind == "receipt" else {}))
        for entry in entries
    ])  # fmt: skip
    with pytest.raises(SealError):
        find(audit.directory, "r-q1-0", audit.trusted)


def test_leaves_are_not_kept_in_mind_without_end(monkeypatch):
    monkeypatch.setattr("guard.evidence.seal.LOOK_BACK", 3)
    unsealed = Unsealed()
    for number in range(5):
        unsealed.add("receipt", receipt(number), number + 1)
    assert (len(unsealed), unsealed.missed, unsealed.first) == (3, 2, 1)
