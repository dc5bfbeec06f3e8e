import faulthandler
import os
import random

import pytest
from fault_fleet import Fleet


@pytest.fixture
def seed():
    """Chosen anew for every run, and shown with a failure: GUARD_FAULT_SEED plays the same faults again."""
    number = int(os.environ.get("GUARD_FAULT_SEED") or random.randrange(2**32))
    print(f"GUARD_FAULT_SEED={number}")
    return number


@pytest.fixture
def fleet(tmp_path):
    # A run may last longer than any other test may; whatever ends it, the reaper ends its processes.
    faulthandler.dump_traceback_later(300, exit=True)
    with Fleet(tmp_path) as fleet:
        yield fleet
