"""The command by which this process was started, to be started once more."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import guard


def same_command() -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment that run ``guard`` again with this process's arguments.

    The interpreter is the same, with the same options, and ``-P`` besides: the directory that a service runs in is one
    that it writes into, and nothing is imported from there. A checkout that is not installed is named instead.
    """
    home = str(Path(guard.__file__).resolve().parent.parent)
    # Workers keep their metrics to themselves: the supervisor adds them up.
    environment = {name: value for name, value in os.environ.items() if name.upper() != "PROMETHEUS_MULTIPROC_DIR"}
    if home not in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [home, environment.get("PYTHONPATH")]))
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing does
    return [sys.executable, *options, "-P", "-m", "guard", *sys.argv[1:]], environment
