"""A policy room without the shipped screening rules, which have tests of their own and take longest to compile."""

import pytest

from guard.policy import inspection
from guard.policy import load as loading


@pytest.fixture(autouse=True)
def no_shipped_rules(tmp_path_factory, monkeypatch):
    directory = tmp_path_factory.mktemp("aup")
    monkeypatch.setattr(loading, "shipped_rules", lambda: directory)
    monkeypatch.setattr(inspection, "shipped_rules", lambda: directory)


@pytest.fixture
def write(tmp_path):
    """Writes a file below the test's directory, guard.yaml if not told otherwise, and returns its path."""

    def write(text, name="guard.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write
