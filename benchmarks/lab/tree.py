"""CPU time and memory of a process and all that it started, by the kernel's own accounting.

CPU: the scheduler's nanosecond clock of a whole process, threads that have ended included: what
clock_getcpuclockid(3) gives a name to. Ticks of 10 ms, as in /proc/PID/stat, would be too coarse for a second's run.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

_SCHED = 2
"""CPUCLOCK_SCHED of the kernel's posix-timers.h: the clock of a process is ``~pid << 3 | 2``."""


def members(pid):
    """Return the ids of ``pid`` and of all its descendants."""
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                stat = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += parents.get(found[-1], [])
    return found


def cpu_ns(pids):
    """Return the CPU nanoseconds, user and system, that the processes ``pids`` have used since they began.

    Raises ProcessLookupError if one is gone: what it used cannot be told any more.
    """
    total = 0
    for pid in pids:
        try:
            total += time.clock_gettime_ns(~pid << 3 | _SCHED)
        except OSError:
            raise ProcessLookupError(f"process {pid} ended while it was measured") from None
    return total


def threads_ns(pid):
    """Return the CPU nanoseconds of every thread of ``pid`` by (id, name): which thread works behind the road."""
    found = {}
    for entry in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            name = (entry / "comm").read_text(encoding="utf-8").strip()
            found[int(entry.name), name] = int((entry / "schedstat").read_text(encoding="utf-8").split()[0])
    return found


def resident(pids):
    """Return the resident bytes of the processes ``pids``: pages that several share are counted once, by shares."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total
