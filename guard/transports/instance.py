"""Which of the processes that share a state directory this one is: ``guard-0``, ``guard-1`` ...

vLLM with ``--api-server-count 2`` runs Guard in two processes. Each needs files of its own (audit chain, index
segments) under a name that is stable over restarts, so that a chain is continued instead of begun anew.
"""

import fcntl
import os
from pathlib import Path

MOST = 256
"""Processes on one state directory; more than that is a mistake in the deployment."""


class Instance:
    """The lowest free slot of ``state_dir`` from ``first`` on, held by a lock for as long as this object lives.

    A worker begins with its own number, so that it goes on with its own files however the others come and go.
    """

    def __init__(self, state_dir: Path, first: int = 0) -> None:
        directory = state_dir / "instances"
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(first, MOST):
            descriptor = os.open(directory / f"guard-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                continue
            self.number = number
            self.name = f"guard-{number}"
            self._descriptor = descriptor
            return
        raise RuntimeError(f"{directory}: all {MOST} instances are taken; allowed: {MOST} processes per state_dir")

    def release(self) -> None:
        """Give the slot back; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
