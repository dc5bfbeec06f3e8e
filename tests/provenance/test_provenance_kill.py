"""kill -9 costs the last moments, never what was written, and it shows."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest
from provenance_world import KEY, prose, write_index

from guard.evidence.entry import read
from guard.evidence.verify import verify
from guard.licensing.verdict import OutputVerdict, Verdict
from guard.provenance.coverage import Index
from guard.provenance.gate import check
from guard.provenance.layout import Layout
from guard.provenance.record import record_of

ANSWERING = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from provenance_world import KEY, NOW, Clock, prose
    from guard.evidence.chain import Journal
    from guard.provenance.layout import Layout
    from guard.provenance.recorder import Recorder

    layout = Layout(Path(sys.argv[1]))
    journal = Journal(layout.audit, instance="a", clock=Clock())
    journal.start()
    recorder = Recorder(layout.provenance, KEY, "a", journal, clock=Clock())
    recorder.start()
    number = 0
    while True:
        recorder.finished(
            reference=f"q{number}", choice=0, time=NOW, model="tiny", licenses=("llama-2",), policy="f00d",
            surface="chat", prompt="What is it?", output=prose(number),
        )
        number += 1
        if number % 20 == 0:
            while recorder.journaled < number:  # what comes last
                time.sleep(0.001)
            journal.flush()
            print(number, flush=True)
    """
)


@pytest.mark.slow
def test_kill_9_loses_only_the_last_moment_and_leaves_a_gap(tmp_path, request):
    here = str(request.path.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", ANSWERING, str(tmp_path), here], stdout=subprocess.PIPE, text=True
    )
    try:
        settled, deadline = 0, time.monotonic() + 20
        while settled < 60 and time.monotonic() < deadline:
            settled = int(process.stdout.readline())
        live = Index(Layout(tmp_path).provenance, KEY)
        assert len(list(live.outputs())) >= settled
        assert live.coverage.complete
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()

    layout = Layout(tmp_path)
    index = Index(layout.provenance, KEY)
    indexed = [output.receipt for output, _ in index.outputs()]
    assert indexed[:settled] == [f"r-q{number}-0" for number in range(settled)]
    assert not index.coverage.complete
    (journal,) = layout.audit.glob("*.jsonl")
    receipts = [entry.facts["id"] for entry in read(journal) if entry.kind == "receipt"]
    assert receipts[:settled] == indexed[:settled]
    assert verify(journal).ok or "unfinished" in verify(journal).first_bad.what

    write_index(layout.provenance, [prose(500)])  # the next run ends cleanly; the gap stays
    ruling = OutputVerdict(Verdict.DENY, "llama-2", "1.b.v")
    other = [record_of({"text": prose(900)}, 0, 1)]
    assert check(other, layout.provenance, key=KEY, judge=lambda _: ruling).verdict is Verdict.UNDETERMINED
    copy = [record_of({"text": prose(settled - 1)}, 0, 1)]
    assert check(copy, layout.provenance, key=KEY, judge=lambda _: ruling).verdict is Verdict.DENY
