"""What the runtime hands over becomes receipts in the journal and records in the index."""

import pytest
from provenance_world import KEY, NOW, Clock, keys_of, prose, read_index

from guard.evidence.chain import Journal, JournalError
from guard.evidence.entry import read
from guard.evidence.verify import verify
from guard.provenance.counts import read_counts
from guard.provenance.layout import Layout, month_of
from guard.provenance.receipt import Receipts
from guard.provenance.recorder import Recorder
from guard.provenance.words import read as words_of


def answer(recorder, number=0, **changes):
    facts = {
        "reference": f"q{number}", "choice": 0, "time": NOW, "model": "tiny", "licenses": ("llama-2",),
        "policy": "f00d", "surface": "chat", "prompt": "What is it?", "output": prose(number), "tenant": "shop",
        "user": 7, "purpose": "serve", "finish_reason": "stop", "prompt_tokens": 4, "completion_tokens": 150,
    }  # fmt: skip
    return recorder.finished(**(facts | changes))


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


def test_an_answer_leaves_a_receipt_and_a_record_but_no_text(layout):
    journal = Journal(layout.audit, instance="a", clock=Clock())
    journal.start()
    recorder = Recorder(layout.provenance, KEY, keys_of(layout.provenance), "a", journal, clock=Clock())
    recorder.start()
    assert answer(recorder) == "r-q0-0"
    assert recorder.healthy
    assert recorder.error is None
    recorder.close()
    journal.close()
    assert verify(layout.audit).ok
    (entry,) = [entry for entry in read(journal.path) if entry.kind == "receipt"]
    assert entry.facts == {
        "id": "r-q0-0", "answered": NOW, "tenant": "shop", "identity": "0000000000000007", "model": "tiny",
        "licenses": [["llama-2", ""]], "policy": "f00d", "purpose": "serve", "surface": "chat",
        "prompt_digest": Receipts(KEY).digest_prompt(words_of("What is it?").words).hex(),
        "output_digest": Receipts(KEY).digest(words_of(prose(0)).words).hex(),
        "prompt_tokens": 4, "completion_tokens": 150, "finish_reason": "stop",
    }  # fmt: skip
    assert prose(0).split()[3] not in journal.path.read_text()
    assert [output.receipt for output, _ in read_index(layout.provenance)[0]] == ["r-q0-0"]


def test_an_overrun_index_still_leaves_a_receipt_without_digests(layout):
    journal = Journal(layout.audit, instance="a", clock=Clock())
    journal.start()
    recorder = Recorder(layout.provenance, KEY, keys_of(layout.provenance), "a", journal, clock=Clock())
    recorder.writer._limit = 0
    recorder.start()
    assert answer(recorder) == "r-q0-0"
    recorder.close()
    journal.close()
    (entry,) = [entry for entry in read(journal.path) if entry.kind == "receipt"]
    assert entry.facts["output_digest"] is None
    assert entry.facts["id"] == "r-q0-0"
    assert recorder.journaled == 1
    found, coverage = read_index(layout.provenance)
    assert found == []
    assert coverage.months["2026-11"].dropped == 1


def test_a_journal_that_refuses_does_not_stop_the_index(layout):
    class Refusing:
        def append(self, kind, facts):
            raise JournalError("no")

        def append_all(self, kind, each):
            return 0

    recorder = Recorder(layout.provenance, KEY, keys_of(layout.provenance), "a", Refusing(), clock=Clock())
    recorder.start()
    answer(recorder, 0)
    answer(recorder, 1)
    recorder.close()
    assert (recorder.journaled, recorder.refused) == (0, 2)
    assert len(read_index(layout.provenance)[0]) == 2


def test_choices_of_one_request_share_their_prompt(layout, monkeypatch):
    recorder = Recorder(layout.provenance, KEY, keys_of(layout.provenance), "a", None, clock=Clock())
    looked = []
    echo = recorder.writer._fingerprinter.echo
    monkeypatch.setattr(recorder.writer._fingerprinter, "echo", lambda prompt: looked.append(prompt) or echo(prompt))
    prompt = (prose(8), prose(9))
    recorder.start()
    for choice in range(3):
        answer(recorder, choice=choice, prompt=prompt, output=[prose(choice)])
    recorder.close()
    assert len(looked) <= 2  # once, or twice if the batch was cut between them
    assert recorder.writer._prompt is None


def test_exchanges_are_counted_beside_the_segment_from_the_first_byte_to_the_last_choice(layout):
    recorder = Recorder(layout.provenance, KEY, keys_of(layout.provenance), "a", None, clock=Clock())
    recorder.start()
    (segment,) = layout.provenance.rglob("*.segment")
    recorder.begun()
    recorder.begun()
    assert read_counts(segment)[:3] == (2, 0, 0)
    answer(recorder, 0)
    recorder.ended()
    assert read_counts(segment)[:3] == (2, 1, 1)
    recorder.ended()
    recorder.close()
    assert read_index(layout.provenance)[1].complete


def test_a_month_that_is_kept_no_longer_is_shredded_and_put_on_record(layout):
    old, kept = Clock(NOW - 90 * 86_400), Clock(NOW - 40 * 86_400)
    for clock in (old, kept):
        recorder = Recorder(layout.provenance, KEY, keys_of(layout.provenance), "a", None, clock=clock)
        recorder.start()
        answer(recorder)
        recorder.close()
    journal = Journal(layout.audit, instance="a", clock=Clock())
    journal.start()
    recorder = Recorder(layout.provenance, KEY, keys_of(layout.provenance), "a", journal, clock=Clock(), keep_months=1)
    recorder.start()
    recorder.close()
    journal.close()
    (entry,) = [entry for entry in read(journal.path) if entry.kind == "shredded"]
    assert entry.facts == {"month": "2026-08", "segments": 1}
    assert keys_of(layout.provenance).months() == ["2026-10", "2026-11"]


def test_the_layout_keeps_the_key_out_of_the_index(layout):
    assert layout.provenance not in layout.key.parents
    assert layout.provenance not in layout.keys.parents
    assert layout.keys == keys_of(layout.provenance).directory
    assert layout.audit not in layout.key.parents
    assert month_of(NOW) == "2026-11"
    assert month_of(0.0) == "1970-01"


def test_without_receipts_a_recorder_counts_and_journals_nothing(layout):
    journal = Journal(layout.audit, instance="a", clock=Clock())
    journal.start()
    recorder = Recorder(layout.provenance, KEY, keys_of(layout.provenance), "a", journal, recorded=False, clock=Clock())
    recorder.start()
    recorder.begun()
    recorder.unrecorded(3)
    recorder.ended()
    recorder.close()
    journal.close()
    assert not [entry for entry in read(journal.path) if entry.kind == "receipt"]
    month = read_index(layout.provenance)[1].months["2026-11"]
    assert (month.answered, month.unrecorded, month.dropped) == (3, 3, 0)
