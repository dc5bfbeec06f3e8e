"""What figures were taken on."""

import importlib.metadata
import os
import platform
import time
from pathlib import Path

PROXY_CORE, LOAD_CORE = 0, 1
"""The core of the system under test, and that of stub and load generator."""
PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec", "hyperscan")
"""Those whose versions weigh in Guard's figures."""


def processor():
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory():
    """Return the machine's memory in GiB."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def busy(seconds=0.5):
    """Return the share of the cores that others use just now, 0 to 1."""

    def read():
        fields = [int(each) for each in Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = read()
    time.sleep(seconds)
    later, later_idle = read()
    return round(1 - (later_idle - idle) / max(later - total, 1), 3)


def describe():
    """Return the machine as a result file holds it: nothing in it names this machine or its users."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": memory(),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "busy_before": busy(),
    }
