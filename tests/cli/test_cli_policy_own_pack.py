"""The documentation on writing a pack, followed word for word in an empty directory."""

import re
import shlex
from pathlib import Path

import pytest

from guard.cli.main import run
from guard.licensing.license import Window
from guard.policy import inspection, pack
from guard.policy import load as loading

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-pack.md").read_text(encoding="utf-8")
PARTS = {
    "the pack": pack.Pack,
    "each of `files`": pack.FilePart,
    "each of `derived`": pack.DerivedPart,
    "`commercial`, `hosting`": pack.TermsPart,
    "each of `thresholds`": pack.ThresholdPart,
    "`output_use`": pack.OutputUsePart,
    "each of `duties`": pack.DutyPart,
    "`territory`": pack.TerritoryPart,
    "`aup`": pack.AupPart,
    "each of its `items`": pack.ItemPart,
    "each of `open_questions`": pack.QuestionPart,
    "`openness`": pack.OpennessPart,
}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The files of the page in a directory of their own, which is where we are."""
    (tmp_path / "aup").mkdir()
    for module in (loading, inspection):
        monkeypatch.setattr(module, "shipped_rules", lambda: tmp_path / "aup")
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for name, text in re.findall(r"^`([\w./-]+)`:\n\n```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE):
        path = here / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return here


def test_the_example_works_as_printed(written, capsys):
    assert {path.name for path in written.rglob("*.yaml")} == {"acme-1.0.yaml", "guard.yaml"}
    commands = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
    assert len(commands) == 6
    for command in commands:
        guard, *arguments = shlex.split(command)
        assert (guard, run(arguments)) == ("guard", 0), (command, capsys.readouterr())
    printed = capsys.readouterr().out
    assert "guard.yaml: configuration ok" in printed
    assert "cases/acme-1.0.yaml: 1 case passed, 0 failed" in printed
    assert "\nacme-1.0 " in printed
    assert "model acme/acme-7b, under acme-1.0" in printed


def test_without_a_configuration_the_files_are_named(written, capsys):
    (written / "guard.yaml").unlink()
    for command in re.findall(r"`(guard policy (?:check packs cases|test cases --packs packs))`", PAGE):
        assert run(shlex.split(command)[1:]) == 0, capsys.readouterr()
    assert run(["policy", "check", "cases", "packs"]) == 0
    assert run(["policy", "test", "cases"]) == 1
    assert "unknown license 'acme-1.0'" in capsys.readouterr().err


@pytest.mark.parametrize("part", PARTS)
def test_every_name_of_a_part_is_listed_and_what_is_required_is_said_to_be(part):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {part} |"))
    required, also = (set(re.findall(r"`(\w+)`", cell)) for cell in row.split("|")[2:4])
    fields = PARTS[part].model_fields
    must = {name for name, field in fields.items() if field.is_required() and part != "`commercial`, `hosting`"}
    if part == "each of `thresholds`":
        must.add("value")  # which the check of the pack asks for, not the schema
    assert required == must
    assert set(fields) <= required | also


def test_metrics_and_windows_are_listed():
    metrics = pack.ThresholdPart.model_fields["metric"].annotation.__args__
    assert [name for name in (*metrics, *Window) if f"`{name}`" not in PAGE] == []
