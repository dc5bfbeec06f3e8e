"""A journal survives kill -9 in the middle of its work."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest
from evidence_clock import Clock

from guard.evidence.chain import Journal
from guard.evidence.entry import read
from guard.evidence.verify import verify

WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from guard.evidence.chain import Journal

    journal = Journal(Path(sys.argv[1]), instance="a", linger=0.001)
    journal.start()
    number = 0
    while True:
        for _ in range(50):
            journal.append("decision", {"number": number, "digest": "f" * 64})
            number += 1
        journal.flush()
        print(number, flush=True)
    """
)


@pytest.mark.slow
def test_what_was_flushed_survives_kill_9_and_the_chain_goes_on(tmp_path):
    flushed = []
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        last = ""
        deadline = time.monotonic() + 20
        while (not last or int(last) < 1000) and time.monotonic() < deadline:
            last = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        flushed.append(int(last))

    journal = Journal(tmp_path, instance="a", clock=Clock())
    journal.start()
    journal.close()
    report = verify(tmp_path)
    assert report.ok, report.first_bad
    assert report.unclean_stops == 4
    runs: list[list[int]] = []
    for entry in read(journal.path):
        if entry.kind == "open":
            runs.append([])
        if entry.kind == "decision":
            runs[-1].append(entry.facts["number"])
    for numbers, least in zip(runs, flushed, strict=False):
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= least
