"""A clock that is set back is no tampering, and a clock that is not set back never seems to be."""

import json
from itertools import pairwise

import pytest
from evidence_clock import Clock

from guard.cli.main import run
from guard.evidence.chain import Journal
from guard.evidence.entry import read
from guard.evidence.journals import journals
from guard.evidence.kept import Kept
from guard.evidence.links import ORDER
from guard.evidence.signing import PUBLIC, Signer, Verifier
from guard.evidence.verify import verify


def times(directory):
    return [entry.time for chain in journals(directory) for path in chain.files for entry in read(path)]


def test_what_was_signed_before_the_key_is_listed_is_said_and_not_bad(tmp_path, capsys):
    """The first start is an hour ahead, and so is the key's beginning; then the clock is set right."""
    clock, sent = Clock(), []
    clock.now += 3600
    signer = Signer(tmp_path / "signing", clock)
    for _ in range(2):
        journal = Journal(tmp_path / "audit", instance="a", clock=clock, signer=signer, self_check=True, linger=0.0,
                          checkpoint_seconds=0.01, heads=sent.append)  # fmt: skip
        journal.start()
        clock.now -= 3600 if clock.now > 1_795_003_000 else 0
        journal.append("receipt", {"id": "r-q-0"})
        journal.flush()
        journal.close()
        assert journal.intact, journal.damage
    keys = Verifier.of_list(tmp_path / "signing" / PUBLIC)
    heads = [Kept(head.head, "heads.jsonl", at, head) for at, head in enumerate(sent, 1)]
    report = verify(tmp_path / "audit", keys=keys, heads=heads)
    assert report.ok, report.first_bad
    (chain,) = report.chains
    signed = [entry for entry in read(journal.path) if entry.kind in ("checkpoint", "seal")]
    early = [entry for entry in signed if entry.facts["sealed"] < 1_795_003_000]
    assert chain.early == len(early) > 2
    assert chain.first_early.startswith(f"{journal.path}:")
    assert run(["audit", "verify", str(tmp_path / "audit")]) == 0
    shown = capsys.readouterr().out
    assert (
        f"- a: when it was signed: {chain.early} signatures are from before their key is listed, the first at" in shown
    )
    known = tmp_path / "signing" / PUBLIC
    document = json.loads(known.read_text())
    document["keys"][0] |= {"from": "2026-11-18T00:00:00Z", "until": "2026-11-18T01:00:00Z"}
    known.write_text(json.dumps(document))
    bad = verify(tmp_path / "audit", keys=Verifier.of_list(known)).first_bad
    assert "which was retired then" in bad.what


def test_entries_of_the_journal_itself_are_no_later_than_those_that_wait_behind_them(tmp_path):
    clock = Clock()
    journal = Journal(tmp_path / "audit", instance="a", clock=clock, signer=Signer(tmp_path / "signing", clock),
                      linger=60, rotate_bytes=3000)  # fmt: skip
    for _ in range(3):
        journal.start()
        for number in range(30):
            journal.append("receipt", {"id": f"r-{number}-0", "digest": "f" * 64})
            if number % 7 == 0:
                clock.now += 0.04  # so long it waits
                journal._due = True
                journal.flush()
        journal.close()
    assert len(list((tmp_path / "audit").glob("*.jsonl"))) > 3
    stamps = times(tmp_path / "audit")
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("back", [ORDER / 2, ORDER * 2])
def test_a_clock_that_is_set_back_for_good_shows_once(tmp_path, back):
    clock = Clock()
    journal = Journal(tmp_path, instance="a", clock=clock, linger=60)
    journal.start()
    journal.append("decision", {})
    clock.now -= back
    for _ in range(3):
        journal.append("decision", {})
    journal.close()
    stamps = times(tmp_path)
    assert sum(after < before for before, after in pairwise(stamps)) == (back > ORDER)


def test_each_file_that_continues_another_says_what_is_in_force(tmp_path):
    clock = Clock()
    journal = Journal(tmp_path, instance="a", clock=clock, linger=60, rotate_bytes=700)
    journal.start()
    journal.standing = {"policy": "p1", "mode": "enforce", "decisions": "all", "started": 1.0, "number": "not ours"}
    for number in range(9):
        journal.append("decision", {"reference": f"q{number}", "digest": "f" * 64})
        journal.flush()
    journal.close()
    (chain,) = journals(tmp_path)
    begun = [next(read(path)).facts for path in chain.files[1:]]
    assert len(begun) > 2
    assert {(facts["policy"], facts["mode"], facts["decisions"], facts["started"]) for facts in begun} == {
        ("p1", "enforce", "all", 1.0)
    }
    assert [facts["number"] for facts in begun] == list(range(2, len(begun) + 2))
    assert verify(tmp_path).ok
