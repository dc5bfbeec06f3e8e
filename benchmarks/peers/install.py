"""Installs what Guard is compared with, each in a version of its own, outside the tree.

    python benchmarks/peers/install.py [NAME ...]       (all of them where none is named)

Kept in ${GUARD_CACHE:-${XDG_CACHE_HOME:-~/.cache}/guard}/bench-peers/NAME, and made anew when the version here changes.
Debian's packages (nginx, haproxy, wrk) come in the version of the machine's release, which the results name. Packages
come from wherever pip, npm and apt are configured to look. Without a C compiler or npm, Debian's are installed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
_USERS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = Path(os.environ.get("GUARD_CACHE") or _USERS / "guard")
PIP = {"vllm-router": "vllm-router==0.1.17", "litellm-proxy": "litellm[proxy]==1.106.2"}
CONSTRAINTS = {"litellm-proxy": HERE / "litellm.txt"}
"""Everything that comes with it, in the versions that were measured."""
NPM = {"portkey": "@portkey-ai/gateway@1.15.2"}
APT = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk"}
"""By the program: Debian's package."""
NAMES = (*APT, *PIP, *NPM)


class Absent(Exception):
    """A peer cannot be installed here; the message is the last line of why."""


def run(*command, **options):
    """Run ``command`` in silence. Raises Absent with the last line that it said."""
    try:
        done = subprocess.run(
            [str(each) for each in command],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            **options,
        )
    except OSError as error:
        raise Absent(str(error)) from None
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip() and "is ignored" not in line]
        raise Absent(f"{command[0]}: {said[-1] if said else f'ended with {done.returncode}'}")
    return done.stdout + done.stderr


def program(name):
    """Return the path of a program of the machine, or None; Debian keeps servers where PATH may not look."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def packages(*names):
    """Install Debian's packages ``names``, as root or by sudo; what is a server is not started. Raises Absent."""
    root = [] if os.getuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get"):
        raise Absent(f"needs {', '.join(names)}, and there is no apt-get")
    run(*root, "apt-get", "update", "-q")
    quiet = ("env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive")
    run(*root, *quiet, "apt-get", "install", "-q", "-y", "--no-install-recommends", *names)


def compiler():
    """See to it that there is a C compiler. Raises Absent."""
    if not (shutil.which(os.environ.get("CC", "cc"))):
        packages("gcc", "libc6-dev")


def folder(name):
    """Return where a peer of pip or npm is kept."""
    return CACHE / "bench-peers" / name


def installed(name):
    """Install the peer ``name`` if it is not there; return the program, or the folder of its own. Raises Absent."""
    if name in APT:
        if not program(name):
            packages(APT[name])
        return Path(program(name))
    wanted, home = PIP.get(name) or NPM[name], folder(name)
    mark = home / ".installed"
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        print(f"installing {wanted} into {home}", file=sys.stderr, flush=True)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        if name in PIP:
            venv.create(home, with_pip=True)
            bound = ("--constraint", CONSTRAINTS[name]) if name in CONSTRAINTS else ()
            run(home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *bound, wanted)
        else:
            if not shutil.which("npm"):
                packages("npm")
            run("npm", "install", "--no-fund", "--no-audit", "--prefix", home, wanted)
        mark.write_text(wanted, encoding="utf-8")
    return home / "bin" if name in PIP else home


def version(name):
    """Return the version of an installed peer."""
    if name in APT:
        flag = "-V" if name == "nginx" else "-v"
        with tempfile.TemporaryDirectory() as scratch:
            done = subprocess.run([program(name), flag], capture_output=True, text=True, check=False, cwd=scratch)
        return re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr).group()
    return re.search(r"[\d.]+$", PIP.get(name) or NPM[name]).group()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    wrong = 0
    for name in parser.parse_args().names or NAMES:
        try:
            print(f"{name} {version(name)}: {installed(name)}" if name not in APT else f"{name}: {installed(name)}")
        except Absent as error:
            print(f"{name} is not there: {error}", file=sys.stderr)
            wrong = 1
    sys.exit(wrong)


if __name__ == "__main__":
    main()
