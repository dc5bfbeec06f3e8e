"""The pages of the documentation: what they tell a reader to type or to write works."""

import re
import textwrap
from pathlib import Path

import pytest

from guard.cli.main import run

ROOT = Path(__file__).parent.parent
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
MESSAGES = sorted((ROOT / "guard").rglob("*.py"))
INDENTED = re.compile(r"(?:^ {4}.*\n|^\n(?= {4}))+", re.MULTILINE)


@pytest.mark.parametrize("path", [*PAGES, *MESSAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_is_told_to_install_another_project_of_that_name(path):
    # Guard is on no package index; the sentence that warns of the name has no extra.
    assert re.findall(r"pip install ['\"]?guard\[", path.read_text(encoding="utf-8")) == []


def samples():
    """The rules shown in docs/rules.md, as files: a rule by itself gets the category of its id."""
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    for block in INDENTED.findall(page):
        text = textwrap.dedent(block).strip("\n") + "\n"
        if text.startswith("- id: "):
            text = f"category: {text[6:].partition('.')[0]}\nrules:\n{textwrap.indent(text, '  ')}"
        if text.startswith("category: "):
            yield text


def test_the_page_of_rules_shows_some():
    assert len(list(samples())) == 2


@pytest.mark.parametrize("text", list(samples()))
def test_the_rules_that_the_documentation_shows_load(text, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    assert run(["policy", "check", str(path)]) == 0


def test_every_path_of_the_admin_port_is_listed_once():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `((?:GET|POST) /[^`]*)` \|", page, re.MULTILINE)
    assert "GET /api/v1/history" in listed
    names = [re.sub(r"<?reference>?", "*", each, flags=re.IGNORECASE) for each in listed]
    assert sorted(set(names)) == sorted(names)
