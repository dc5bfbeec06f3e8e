"""What the source distribution and the wheels hold, with a compiler and without one, and that both run."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PARTS = (
    "guard",
    "policies",
    "deploy",
    "docs",
    "pyproject.toml",
    "hatch_build.py",
    "README.md",
    "LICENSE",
    ".gitignore",
)
LEARNED, PROVENANCE, EVIDENCE = "guard/screening/learned/", "guard/provenance/", "guard/evidence/"
SCREENING = "guard/screening/"
EXTENSIONS = (
    LEARNED + "_kernel",
    PROVENANCE + "_grams",
    PROVENANCE + "_scan",
    EVIDENCE + "_links",
    "guard/behavior/_study",
    SCREENING + "_kernel",
)
WHICH = """
from guard.provenance import grams
from guard.screening.learned import scorer, weights
print(scorer.__file__)
print(type(scorer.scorer(weights.shipped().table)).__module__)
print(type(grams.grams(b"key")).__module__)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the project as it is in the repository, but for stray compiled extensions."""
    copy = tmp_path_factory.mktemp("source") / "guard"
    copy.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", ".*_cache"))
        else:
            shutil.copy(ROOT / name, copy / name)
    for extension in EXTENSIONS:
        (copy / f"{extension}.stray.so").write_bytes(b"not of this build")
    return copy


def build(source, target, out, **environment):
    """Build it and return the file's path and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=source,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.iterdir()
    return made, done.stdout + done.stderr


def unpacked(wheel, folder):
    """Return the names in the wheel, and where what a Python uses comes from that has only it before its packages."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
        names = archive.namelist()
    done = subprocess.run(
        [sys.executable, "-c", WHICH],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    place, *used = done.stdout.split()
    assert Path(place).is_relative_to(folder)
    return names, used


def brought(names):
    """The files of the models among ``names``."""
    weights = {f"guard/screening/neural/weights/{path.name}" for path in ROOT.glob("guard/screening/neural/weights/*")}
    assert weights | {LEARNED + "weights.bin", LEARNED + "ATTRIBUTION.md"} <= set(names)
    assert [name for name in names if name.endswith((".c", ".h")) or "stray" in name] == []
    return sorted(name.partition(".")[0] for name in names if name.endswith((".so", ".pyd")))


def test_the_wheel_has_the_compiled_extensions(source, tmp_path):
    wheel, _ = build(source, "wheel", tmp_path / "dist")
    names, used = unpacked(wheel, tmp_path / "there")
    assert brought(names) == sorted(EXTENSIONS)
    assert used == ["guard.screening.learned._kernel", "guard.provenance._grams"]
    assert not wheel.name.endswith("-none-any.whl"), "it runs on machines of one kind"


def test_an_extension_that_fails_to_compile_takes_no_other_with_it(source, tmp_path):
    broken = tmp_path / "source"
    shutil.copytree(source, broken)
    (broken / PROVENANCE / "_grams.c").write_text("#error not today\n")
    wheel, said = build(broken, "wheel", tmp_path / "dist")
    names, used = unpacked(wheel, tmp_path / "there")
    assert brought(names) == sorted({*EXTENSIONS} - {PROVENANCE + "_grams"})
    assert used == ["guard.screening.learned._kernel", "guard.provenance.grams_twin"]
    assert "without its compiled guard.provenance._grams" in said


def test_without_a_compiler_there_is_a_wheel_for_any_machine(source, tmp_path):
    wheel, said = build(source, "wheel", tmp_path / "dist", CC="/bin/false")
    names, used = unpacked(wheel, tmp_path / "there")
    assert brought(names) == []
    assert used == ["guard.screening.learned.twin", "guard.provenance.grams_twin"]
    assert wheel.name.endswith("-none-any.whl")
    for extension in EXTENSIONS:
        assert f"without its compiled {extension.replace('/', '.')}" in said


def test_the_source_distribution_has_what_a_build_needs(source, tmp_path):
    archive, _ = build(source, "sdist", tmp_path / "dist")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"hatch_build.py", LEARNED + "weights.bin", "pyproject.toml"} <= names
    assert {f"{extension}.c" for extension in EXTENSIONS} <= names
    assert [name for name in names if name.endswith(".so")] == []
