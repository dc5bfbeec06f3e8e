"""Compiles the stub and the load generator."""

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
_USERS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = Path(os.environ.get("GUARD_CACHE") or _USERS / "guard")
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")


@cache
def program(name):
    """Return the path of ``lab/NAME.c`` compiled. It is kept, and made anew when a source has changed.

    Raises RuntimeError with the compiler's own words, or where there is none.
    """
    sources = [HERE / f"{name}.c", *sorted(HERE.glob("*.h"))]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources) + repr(FLAGS).encode()).hexdigest()[:16]
    built = CACHE / "bench" / f"{name}-{digest}"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        fresh = built.with_suffix(f".{os.getpid()}")
        command = [os.environ.get("CC", "cc"), *FLAGS, "-o", str(fresh), str(sources[0])]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise RuntimeError("the benchmarks need a C compiler; on Debian: apt-get install gcc libc6-dev") from None
        if done.returncode:
            raise RuntimeError(done.stderr)
        fresh.replace(built)
    return built
