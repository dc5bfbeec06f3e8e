"""Another revision of this tree, ready to run: its files in a folder of their own, its extensions compiled."""

import io
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

from lab.results import ROOT


def checkout(revision, folder):
    """Put the files of ``revision`` into ``folder`` and compile its extensions. Returns ``folder``.

    Raises ValueError for what is no revision, RuntimeError where an extension does not compile: the twin that would
    serve in its place is no base to compare with.
    """
    done = subprocess.run(["git", "-C", str(ROOT), "archive", revision], capture_output=True, check=False)
    if done.returncode:
        raise ValueError(
            f"{revision!r} is no revision: {done.stderr.decode().strip()}; allowed: what git archive takes"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    include = sysconfig.get_path("include")
    for source in sorted(Path(folder, "guard").rglob("*.c")):
        target = source.with_suffix(suffix)
        built = subprocess.run(
            ["cc", "-O3", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            raise RuntimeError(f"{source.relative_to(folder)} of {revision} does not compile: {built.stderr[-500:]}")
    return Path(folder)


def python(tree, script, *arguments):
    """Return the command, and the environment, that run ``script`` of the lab with guard of ``tree``."""
    here = Path(__file__).parent
    return [sys.executable, str(here / script), *map(str, arguments)], f"{tree}:{here.parent}"
