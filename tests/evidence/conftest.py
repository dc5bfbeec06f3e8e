"""A journal with a clock that ticks, and the rule that no entry carries a person's words."""

from pathlib import Path

import pytest
from evidence_clock import Clock
from evidence_plainness import assert_plain

from guard.evidence.chain import Journal
from guard.evidence.entry import read


@pytest.fixture
def journal(tmp_path: Path):
    journal = Journal(tmp_path / "audit", instance="gateway-0", clock=Clock(), linger=0.0)
    journal.start()
    yield journal
    journal.close()
    for entry in read(journal.path):
        assert_plain(entry.facts)
