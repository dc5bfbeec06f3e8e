"""What is done to files of a chain is found: where, and by what; what nothing finds is said to be unproven."""

import json
import shutil
from base64 import b64encode

import pytest
from evidence_clock import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.evidence import envelope, seal
from guard.evidence.chain import Journal
from guard.evidence.checkpoint import _SIGNED_AS, Checkpoint, CheckpointError, signed_bytes
from guard.evidence.entry import GENESIS, link, read
from guard.evidence.journals import journals, number_of
from guard.evidence.kept import Kept, KeptError
from guard.evidence.kept import read as read_heads
from guard.evidence.signing import PUBLIC, Signer, Verifier
from guard.evidence.verify import verify


class World:
    """A chain of several files with receipts, seals and checkpoints, its keys, and the heads that left the machine."""

    def __init__(self, directory):
        self.directory, self.signing = directory / "audit", directory / "signing"
        self.signer = Signer(self.signing, Clock())
        self.keys = Verifier.of_list(self.signing / PUBLIC)
        self.sent = []

    def run(self, count, *, rotate_bytes=2600, instance="guard-0"):
        journal = Journal(
            self.directory, instance=instance, clock=Clock(), linger=60, rotate_bytes=rotate_bytes, signer=self.signer,
            heads=self.sent.append,
        )  # fmt: skip
        journal.start()
        for number in range(count):
            journal.append("receipt", {"id": f"r-q{number}-0", "model": "tiny"})
            journal.append("decision", {"reference": f"q{number}", "verdict": "deny"})
            journal.flush()
            if journal._seal():
                journal.flush()
        journal.close()

    @property
    def files(self):
        return [path for chain in journals(self.directory) for path in chain.files]

    @property
    def heads(self):
        return [Kept(head.head, "heads.jsonl", at, head) for at, head in enumerate(self.sent, 1)]

    def verify(self, *more, **options):
        return verify(self.directory, *more, **{"keys": self.keys} | options)

    def bad(self, **options):
        return self.verify(**options).first_bad

    def forge(self, change, path=None):
        """Change entries and redo every hash behind, leaving out checkpoints and seals: what takes no key."""
        prev, seq = GENESIS, 0
        for file in self.files:
            lines = []
            for entry in list(read(file)):
                facts = change(entry)
                if facts is None or (entry.kind in ("checkpoint", "seal")):
                    continue
                if entry.kind == "continue":
                    facts = {**facts, "seq": seq, "hash": prev.decode()}
                seq += 1
                line, prev = link(prev, seq, entry.time, entry.kind, facts)
                lines.append(line)
            file.write_bytes(b"".join(lines))


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.run(6)
    return made


def test_the_chain_under_attack_is_sound_and_has_everything(world):
    report = world.verify(heads=world.heads)
    assert report.ok, report.first_bad
    assert (len(world.files) >= 3, report.seals >= 3, report.anchored) == (True, True, True)
    (chain,) = report.chains
    assert chain.checkpoints >= 4
    assert chain.matched == len(world.sent) == len({head.seq for head in world.sent})
    assert (chain.first, chain.trusted, chain.live) == (1, True, True)
    assert chain.unsigned == 1, "close"
    assert chain.checkpoint == world.sent[-1]


@pytest.mark.slow
def test_every_byte_of_every_file_counts(tmp_path):
    """Each byte is flipped, one after the other: the place that is reported is the line that it stands in."""
    world = World(tmp_path)
    world.run(3)
    kinds = {entry.kind for path in world.files for entry in read(path)}
    assert kinds == {"open", "receipt", "decision", "seal", "checkpoint", "rotate", "continue", "close"}
    for path in world.files:
        whole = path.read_bytes()
        begins = [0, *(at + 1 for at, byte in enumerate(whole) if byte == 10)]
        line = 0
        for at in range(len(whole)):
            line += begins[line + 1] == at
            flipped = bytearray(whole)
            flipped[at] ^= 1 << (at % 8)
            path.write_bytes(flipped)
            bad = world.bad(keys=None)
            assert bad is not None, (path, at)
            assert (bad.file, bad.line) == (str(path), line + 1), at
            assert bad.offset <= at < bad.offset + bad.length, at
        path.write_bytes(whole)
    assert world.verify().ok


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_other_value_of_any_byte_is_found_in_its_line(tmp_path_factory, data):
    world = World(tmp_path_factory.mktemp("state"))
    world.run(3)
    path = data.draw(st.sampled_from(world.files))
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    line = whole[:at].count(b"\n") + 1
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    bad = world.bad()
    assert (bad.file, bad.line) == (str(path), line)
    assert bad.offset <= at < bad.offset + bad.length


# Files.


def test_a_file_missing_in_the_middle_is_named(world):
    missing = world.files[1]
    missing.unlink()
    bad = world.bad()
    assert (bad.file, bad.line) == (str(missing), 0)
    assert "is missing" in bad.what


def test_a_file_missing_before_the_live_one_is_named(world):
    missing = world.files[-2]
    missing.unlink()
    assert world.bad().file == str(missing)


def test_files_that_were_swapped_or_renamed_are_found(world):
    first, second = world.files[:2]
    kept = first.read_bytes(), second.read_bytes()
    first.write_bytes(kept[1])
    second.write_bytes(kept[0])
    assert world.bad().file == str(first)
    first.write_bytes(kept[0])
    second.write_bytes(kept[1])
    for path in reversed(world.files[:-1]):
        path.rename(path.with_name(f"guard-0.{number_of(path) + 1:06}.jsonl"))
    assert "renamed" in world.bad().what


def test_a_copy_under_another_instance_is_found(world):
    world.run(1, instance="guard-1", rotate_bytes=10**9)
    for other in ("guard-1.jsonl", "guard-2.jsonl"):
        shutil.copy(world.directory / "guard-1.jsonl", world.directory / "kept")
        shutil.copy(world.files[0], world.directory / other)
        bad = world.bad()
        assert (bad.file, bad.line) == (str(world.directory / other), 1), bad
        assert "of instance 'guard-0'" in bad.what
        (world.directory / other).unlink()
        shutil.copy(world.directory / "kept", world.directory / "guard-1.jsonl")


def test_two_files_of_one_number_are_found_unless_they_are_the_same(world, tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    shutil.copy(world.files[0], archive)
    assert world.verify(archive).ok
    copy = archive / world.files[0].name
    copy.write_bytes(copy.read_bytes()[:-1] + b" \n")
    bad = verify(world.directory, archive, keys=world.keys).first_bad
    assert "is file 1 of the chain, and so is" in bad.what or bad.file == str(copy)


@pytest.mark.parametrize("how", ["join", "split", "behind"])
def test_files_that_were_joined_or_split_are_found(world, how):
    first, second = world.files[:2]
    if how == "join":
        first.write_bytes(first.read_bytes() + second.read_bytes())
        second.unlink()
    elif how == "split":
        lines = second.read_bytes().splitlines(keepends=True)
        for path in reversed(world.files[2:-1]):
            path.rename(path.with_name(f"guard-0.{number_of(path) + 1:06}.jsonl"))
        second.write_bytes(b"".join(lines[:3]))
        second.with_name("guard-0.000003.jsonl").write_bytes(b"".join(lines[3:]))
    else:
        seq = len(first.read_bytes().splitlines())
        last = first.read_bytes().splitlines()[-1][-66:-2]
        first.write_bytes(first.read_bytes() + link(last, seq + 1, 1.0, "decision", {}).line)
    assert not world.verify().ok


def test_entries_cut_off_the_end_of_a_closed_file_are_found_there(world):
    path = world.files[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    bad = world.bad()
    assert (bad.file, bad.line) == (str(path), len(lines) - 2)


# Archives.


def test_a_chain_whose_oldest_files_were_archived_is_verified_from_there_on(world, tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    count = sum(len(path.read_bytes().splitlines()) for path in world.files[:2])
    for path in world.files[:2]:
        path.rename(archive / path.name)
    report = world.verify(heads=world.heads)
    assert report.ok, report.first_bad
    assert (report.chains[0].first, report.chains[0].trusted) == (count + 1, True)
    assert report.not_compared > 0
    assert report.not_compared + report.chains[0].matched == len(world.sent)
    whole = world.verify(archive, heads=world.heads)
    assert (whole.ok, whole.chains[0].first, whole.not_compared) == (True, 1, 0)
    alone = verify(archive, keys=world.keys)
    assert (alone.ok, alone.chains[0].live) == (True, False)


def test_the_beginning_of_what_was_not_archived_needs_somebody_to_speak_for_it(world):
    for path in world.files[:2]:
        path.unlink()
    assert "neither a checked checkpoint nor a head speaks for that" in world.bad(keys=None).what
    assert world.verify().ok
    assert world.verify(keys=None, heads=world.heads).ok


def test_a_forged_beginning_is_found_by_the_first_checkpoint(world):
    world.files[0].unlink()
    lines = [list(read(path)) for path in world.files]
    first = lines[0][0]
    forged, prev = [], b"a" * 64
    for entry in lines[0]:
        facts = entry.facts | ({"hash": prev.decode()} if entry is first else {})
        line, prev = link(prev, entry.seq, entry.time, entry.kind, facts)
        forged.append(line)
    world.files[0].write_bytes(b"".join(forged))
    assert "the checkpoint is not of the entry before it" in world.bad().what


def test_a_beginning_that_follows_no_hash_is_bad(world):
    world.files[0].unlink()
    first, *_ = read(world.files[0])
    line = link(b"z" * 64, first.seq, first.time, "continue", first.facts | {"hash": "z" * 64}).line
    world.files[0].write_bytes(line)
    assert (world.bad().file, world.bad().line) == (str(world.files[0]), 1)


def test_a_seal_over_more_leaves_than_can_be_said_is_bad(world):
    live = world.files[-1]
    whole = [entry for path in world.files for entry in read(path)]
    sealed = next(entry for entry in whole if entry.kind == "seal")
    facts = sealed.facts | {"count": 2**60}
    for path in world.files:
        path.unlink()
    live.write_bytes(link(GENESIS, 1, sealed.time, "seal", facts).line)
    assert world.bad().what == "the seal has not the facts of a seal"


def test_a_file_whose_first_entries_were_cut_is_no_archived_beginning(world):
    live = world.files[-1]
    for path in world.files[:-1]:
        path.unlink()
    live.write_bytes(b"".join(live.read_bytes().splitlines(keepends=True)[1:]))
    assert (world.bad().file, world.bad().line) == (str(live), 1)


# Whoever redoes the hashes.


def test_a_recomputed_chain_is_found_by_heads_even_without_a_checkpoint_in_it(world):
    world.forge(lambda entry: entry.facts | ({"verdict": "allow"} if entry.facts.get("reference") == "q2" else {}))
    assert world.verify().ok, "nothing in it shows it"
    assert world.verify().chains[0].checkpoint is None
    bad = world.bad(heads=world.heads)
    assert "has another hash than in heads.jsonl:" in bad.what or "cut off" in bad.what


def test_a_checkpoint_by_somebody_else_is_found(world, tmp_path):
    thief = Signer(tmp_path / "elsewhere", Clock())
    live = world.files[-1]
    lines, prev, seq = [], None, None
    for entry in read(live):
        prev, seq = prev or entry.prev.encode(), seq or entry.seq
        facts = entry.facts
        if entry.kind == "checkpoint":
            made = Checkpoint.of_facts(facts)._replace(head=prev.decode())
            signed = thief.sign(signed_bytes(made.instance, made.seq, made.head, made.time))
            facts = made._replace(signature=signed.value).facts()
        line, prev = link(prev, seq, entry.time, entry.kind, facts)
        lines.append(line)
        seq += 1
    live.write_bytes(b"".join(lines))
    assert "has a signature that is not the key's" in world.bad().what
    assert world.verify(keys=None).ok, "without keys nobody can tell"
    stranger = Verifier.of_key(b64encode(thief.public).decode())
    assert "which is not one of those given" in world.bad(keys=stranger).what


def test_a_checkpoint_moved_from_another_chain_is_found(world):
    world.run(1, instance="guard-1", rotate_bytes=10**9)
    path = world.directory / "guard-1.jsonl"
    lines, prev = [], GENESIS
    for entry in read(path):
        facts = entry.facts | ({"instance": "guard-0"} if entry.kind == "checkpoint" else {})
        line, prev = link(prev, entry.seq, entry.time, entry.kind, facts)
        lines.append(line)
    path.write_bytes(b"".join(lines))
    assert "is of instance 'guard-0'" in world.bad().what


# Heads that were kept elsewhere.


def test_entries_cut_off_the_end_are_found_by_heads_and_by_nothing_else(world):
    world.run(3, rotate_bytes=10**9)
    live = world.files[-1]
    lines = live.read_bytes().splitlines(keepends=True)
    live.write_bytes(b"".join(lines[:2]))
    assert world.verify().ok
    bad = world.bad(heads=world.heads)
    assert "entries were cut off" in bad.what
    live.unlink()
    assert world.verify().ok
    assert not world.verify().chains[0].live
    assert "entries were cut off" in world.bad(heads=world.heads).what


def test_a_whole_chain_that_is_gone_is_found_by_heads(world):
    world.run(1, instance="guard-1", rotate_bytes=10**9)
    for path in world.files:
        if path.name.startswith("guard-0"):
            path.unlink()
    assert world.verify().ok
    assert "there is no journal of guard-0" in world.bad(heads=world.heads).what


def test_a_chain_replaced_by_another_of_the_same_key_is_found_by_heads(tmp_path):
    world = World(tmp_path)
    world.run(6)
    heads = world.heads
    shutil.rmtree(world.directory)
    world.run(7, rotate_bytes=10**9)
    assert world.verify().ok
    assert "has another hash than in heads.jsonl:" in world.bad(heads=heads).what


def test_heads_of_a_chain_that_was_set_aside_are_looked_for_there(world):
    live = world.files[-1]
    whole = live.read_bytes()
    live.write_bytes(whole.replace(b'"kind":"close"', b'"kind":"clos3"'))
    world.run(1)
    heads = world.heads
    report = world.verify(heads=heads)
    assert report.first_bad.file.endswith("guard-0.damaged-1.jsonl")
    assert sum(chain.matched for chain in report.chains) == len(heads)


def test_a_head_that_somebody_changed_is_found(world):
    kept = world.heads[1]
    assert kept.checkpoint is not None
    forged = kept._replace(checkpoint=kept.checkpoint._replace(time=kept.checkpoint.time + 1))
    bad = world.bad(heads=[forged])
    assert (bad.file, bad.line) == ("heads.jsonl", 2)
    assert "the head has a signature that is not the key's" in bad.what


def test_a_file_of_heads_has_them_as_they_were_sent_behind_a_logs_prefix_or_as_hashes(world, tmp_path):
    path = tmp_path / "heads.jsonl"
    lines = [json.dumps(head.line()) for head in world.sent]
    path.write_text(f"{lines[0]}\n\nNov 22 01:00:00 host guard: {lines[1]}\n{world.sent[2].head.upper()}\n")
    kept = read_heads(path)
    assert [each.line for each in kept] == [1, 3, 4]
    assert [each.checkpoint for each in kept] == [world.sent[0], world.sent[1], None]
    assert world.verify(heads=kept).ok
    assert world.verify(heads=kept).chains[0].matched == 3


@pytest.mark.parametrize("text", [
    "", "\n", "x\n", "{}\n", "[1]\n", "{\n", '{"instance":1}\n', "f" * 63 + "\n", '{"a":' * 5000 + "\n", "\xff\n",
])  # fmt: skip
def test_a_file_of_heads_that_is_none_says_where(tmp_path, text):
    path = tmp_path / "heads.jsonl"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(KeptError, match="allowed"):
        read_heads(path)


@pytest.mark.parametrize("change", [
    {"seq": 0}, {"seq": "1"}, {"seq": True}, {"head": "F" * 64}, {"head": "f" * 63}, {"signature": "!"}, {"key": None},
    {"time": "now"}, {"instance": None}, {"seq": 2**63}, {"time": 1e300}, {"time": float("nan")}, {"instance": "../x"},
    {"instance": "\ud800"},
])  # fmt: skip
def test_a_checkpoint_has_all_its_facts_and_no_odd_ones(world, change):
    line = world.sent[0].line()
    assert Checkpoint.of_line(line) == world.sent[0]
    assert Checkpoint.of_facts(world.sent[0].facts()) == world.sent[0]
    with pytest.raises(CheckpointError):
        Checkpoint.of_line(line | change)


def test_a_signature_for_one_thing_is_none_for_another(world):
    """Checkpoints, seals and statements are signed under names of their own."""
    made = world.sent[0]
    prefixes = {_SIGNED_AS, seal._SIGNED_AS, envelope._SIGNED_AS}
    assert len(prefixes) == 3
    for change in ({"instance": "guard-1"}, {"seq": made.seq + 1}, {"head": "0" * 64}, {"time": made.time + 1}):
        with pytest.raises(CheckpointError):
            made._replace(**change).check(world.keys)
    made.check(world.keys)


def test_a_reader_of_lines_is_told_how_far_it_is(world, monkeypatch):
    monkeypatch.setattr("guard.evidence.verify.TOLD", 1000)
    told = []
    world.verify(progress=told.append)
    assert sum(told) == sum(path.stat().st_size for path in world.files)
    assert len(told) > 3
