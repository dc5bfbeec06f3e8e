"""Figures in the documentation are those that were measured: pages, plots and results hold the same."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import page  # noqa: E402
from lab.goals import GOALS, rows  # noqa: E402
from lab.plot import bars, lines  # noqa: E402
from lab.results import read_all  # noqa: E402

RESULTS = read_all()


@pytest.mark.parametrize("path", page.PAGES, ids=lambda path: path.name)
def test_a_page_holds_what_was_measured(path):
    text = path.read_text(encoding="utf-8")
    assert page.filled(text, RESULTS) == text, "run: python benchmarks/page.py"


def test_plots_are_drawn_from_what_was_measured():
    drawn = page.images(RESULTS)
    assert drawn, "no results: run make bench"
    for name, svg in drawn.items():
        assert (page.IMAGES / name).read_text(encoding="utf-8") == svg, f"{name}: run python benchmarks/page.py"


def test_every_plot_that_a_page_shows_is_drawn():
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    shown = {line.rpartition("/")[2].rstrip(")\n") for line in text.splitlines() if line.startswith("![")}
    assert shown
    assert shown <= set(page.images(RESULTS))


def test_every_block_that_can_be_made_stands_somewhere():
    text = "".join(path.read_text(encoding="utf-8") for path in page.PAGES)
    assert {found[1] for found in page.BLOCK.finditer(text)} == set(page.BLOCKS)


@pytest.fixture
def measured():
    """Results of two made-up questions, just so large that a page can be made of them."""

    def spread(value):
        return {"median": value, "low": value / 2, "high": value * 2, "values": [value]}

    requests = {name: {"cpu_us": spread(cost), "per_second": spread(1e6 / cost), "resident_mib": spread(10)}
                for name, cost in (("nginx", 20), ("guard_all", 70))}  # fmt: skip
    chunks = {
        name: {"paced_us": spread(cost), "fast_us": spread(3)} for name, cost in (("nginx", 25), ("guard_all", 50))
    }
    return {
        "request_cost": {"figures": requests, "ratios": {"guard_all / nginx": spread(3.5)}, "absent": {}},
        "stream_cost": {
            "figures": chunks,
            "ratios": {"guard_all / nginx": spread(2.25)},
            "absent": {"portkey": "no npm"},
        },
    }


def test_a_block_is_made_of_results_and_a_changed_figure_is_seen(measured):
    text = page.filled("Before.\n<!-- figures: readme -->\nstale\n<!-- end of figures -->\nAfter.\n", measured)
    assert "| Guard, everything on | 70.0 | 3.50 | 50.0 | 2.25 |" in text
    assert "stale" not in text
    assert text.startswith("Before.\n")
    assert text.endswith("<!-- end of figures -->\nAfter.\n")
    assert page.filled(text, measured) == text
    changed = text.replace("3.50", "1.50")
    assert page.filled(changed, measured) != changed


def test_who_was_not_there_is_told(measured):
    assert "Not there: Portkey gateway (no npm)." in page.stream_cost(measured)


def test_a_block_of_another_name_is_a_mistake(measured):
    with pytest.raises(KeyError):
        page.filled("<!-- figures: nonsense -->\n<!-- end of figures -->\n", measured)


def test_what_was_not_measured_says_how_to_measure_it():
    for block in set(page.BLOCKS) - {"goals"}:
        assert page.BLOCKS[block]({}).startswith("Not measured yet: `python benchmarks/"), block
    assert {row[2] for row in rows({})} == {"not measured"}
    assert len({goal.what for goal in GOALS}) == len(GOALS)


def test_a_goal_is_met_at_its_bound_and_missed_beyond_it(measured):
    goal = next(
        goal for goal in GOALS if goal.path == ("ratios", "guard_all / nginx") and goal.result == "request_cost"
    )
    assert (goal.bound, goal.met(measured)) == (4.0, True)
    measured["request_cost"]["ratios"]["guard_all / nginx"]["median"] = 4.0
    assert goal.met(measured)
    measured["request_cost"]["ratios"]["guard_all / nginx"]["median"] = 4.01
    assert goal.met(measured) is False
    least = next(goal for goal in GOALS if goal.at_least)
    one = {least.result: {"ratios": {least.path[1]: {"median": least.bound - 1}}}}
    assert least.met(one) is False
    one[least.result]["ratios"][least.path[1]]["median"] = least.bound
    assert least.met(one)


def test_plots_hold_their_labels_and_nothing_that_is_no_xml(measured):
    svg = bars("a <title>", [("Guard & co", measured["request_cost"]["figures"]["nginx"]["cpu_us"], True)], str)
    assert "a &lt;title&gt;" in svg
    assert "Guard &amp; co" in svg
    drawn = lines("across", {"one": {1: 1.0, 64: 100.0}}, "KB")
    assert drawn.count("<path") > 3
    assert ">64<" in drawn


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_a_result_says_on_what_it_was_taken_and_names_no_machine(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["name"] == path.stem
    assert {"processor", "cores", "memory_gib", "kernel", "busy_before", "busy_after"} <= set(content["machine"])
    assert content["revision"]
    assert content["question"].endswith("?")
    text = path.read_text(encoding="utf-8")
    assert "/home/" not in text
    assert "/root" not in text
    assert "/tmp/" not in text
