"""What is owed, and a pack as a page: nothing that the pack says is missing from either."""

import json

import pytest

from guard.cli.main import run
from guard.cli.policy.page import page, triggered
from guard.policy.packs import shipped_packs

PACKS = shipped_packs()


def shown(capsys, *arguments):
    code = run(["policy", "show", *arguments])
    return code, capsys.readouterr()


@pytest.mark.parametrize("license", PACKS)
def test_a_page_holds_every_fact_of_its_pack_with_its_clause(license):
    text, pack = "\n".join(page(PACKS[license], PACKS)), PACKS[license]
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert text.startswith(f"# {pack.name}\n")
    for item in pack.aup:
        assert any(f"| {item.clause} |".replace("[", "\\[") in row for row in tables), item.id
    for threshold in pack.thresholds:
        assert any(
            row.startswith("| ") and (f"{threshold.value:,}" if threshold.value else "?") in row for row in tables
        )
    widths = {}
    for row in tables:  # a stray | would shift what stands in a column
        heading = widths.setdefault(text[: text.index(row)].rpartition("\n\n")[0], row)
        assert row.count(" | ") == heading.count(" | ") or "---" in row or "---" in heading


def test_the_same_question_is_answered_by_each_window_in_its_way():
    answers = {
        id_: triggered(next(part for part in PACKS[id_].thresholds if part.counts_users))
        for id_ in ("llama-3.1", "qwen-2024", "kimi-k2")
    }
    assert answers == {
        "llama-3.1": "neither triggers nor cures it: it was tested once, for 2024-06",
        "qwen-2024": "triggers it",
        "kimi-k2": "starts the duty; nothing is refused",
    }


def test_what_is_owed_says_where_a_line_may_stand(capsys):
    code, captured = shown(capsys, "llama-3.1", "--obligations")
    words = " ".join(captured.out.split())
    assert code == 0
    assert "Display" in captured.out
    assert "any one of: website, user interface, blog post, about page, documentation" in words
    assert "[llama-3.1 1.b.i(B)]" in words


def test_what_is_owed_for_a_configuration_is_told_by_model(capsys, tmp_path):
    path = tmp_path / "guard.yaml"
    path.write_text(
        "models:\n  chat: {license: kimi-k2}\n  free: {license: llama-3.1}\nnotices: {carriers: [header]}\n"
    )
    code, captured = shown(capsys, "--obligations", "--config", str(path))
    assert code == 0
    chat, _, _ = captured.out.partition("\nfree\n")
    assert chat.startswith("chat\n  Display\n")
    assert "Guard sends it in the header of every answer" in " ".join(chat.split())
    code, captured = shown(capsys, "--obligations", "--config", str(path), "--json")
    owed = json.loads(captured.out)["obligations"]
    assert {name for item in owed for name in item["models"]} == {"chat", "free"}
    assert [item["carried"] for item in owed if item["act"] == "display"] == [["header"], ["header"]]


def test_a_configuration_that_cannot_be_used_is_said_so(capsys, tmp_path):
    path = tmp_path / "guard.yaml"
    path.write_text("models:\n  m: {license: kimi}\n")
    code, captured = shown(capsys, "--obligations", "--config", str(path))
    assert (code, captured.out) == (78, "")
    assert "guard.yaml:2: models.m.license: unknown license 'kimi'" in captured.err


def test_without_a_license_or_a_configuration_the_command_says_what_it_needs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    code, captured = shown(capsys)
    assert code == 64
    assert "a license id, or --obligations" in " ".join(captured.err.split())
    code, captured = shown(capsys, "--obligations")
    assert code == 64
    assert "no guard.yaml here" in " ".join(captured.err.split())


def test_markdown_is_the_page(capsys):
    code, captured = shown(capsys, "gemma", "--markdown")
    assert code == 0
    assert captured.out == "\n".join(page(PACKS["gemma"], PACKS)) + "\n"
