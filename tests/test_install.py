"""An installation from the wheel into a bare environment: small, complete, and runnable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
MOST = 180_000_000
"""Bytes that an installation may add."""


def size(directory):
    """Bytes of every file below ``directory``; links are not followed."""
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(directory) for name in names)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A new environment with Guard from its wheel; how much the installation added."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    before = size(folder)
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", str(ROOT)], check=True, cwd=folder)
    return folder / "venv" / "bin", size(folder) - before


def run(bare, *command):
    directory, _ = bare
    return subprocess.run(
        [directory / command[0], *command[1:]], capture_output=True, text=True, cwd=directory, check=False
    )


def test_it_is_small(bare):
    _, added = bare
    print(f"an installation adds {added / 1e6:.0f} MB")  # shown by pytest -rP
    assert 10_000_000 < added < MOST


def test_it_runs_and_brings_its_policies(bare):
    assert run(bare, "guard", "--version").returncode == 0
    listed = run(bare, "guard", "policy", "list")
    assert listed.returncode == 0, listed.stderr
    assert "llama-3.1" in listed.stdout


def test_it_brings_the_types_and_the_license(bare):
    script = "import guard, pathlib; print(pathlib.Path(guard.__file__).parent)"
    package = Path(run(bare, "python", "-c", script).stdout.strip())
    assert (package / "py.typed").exists()
    assert list((package / "policies" / "licenses").glob("*.yaml"))
    monitoring = {path.name for path in (package / "deploy" / "prometheus").iterdir()}
    assert monitoring == {"guard-rules.yml", "guard-alerts.yml", "prometheus.yml", "alertmanager.yml"}
    assert list(package.parent.glob("guard-*.dist-info/licenses/LICENSE"))
