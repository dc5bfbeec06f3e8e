"""The chart of a month: readable in a terminal of any width, and in one that knows only ASCII."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.cli.chart import chart

NOVEMBER = [f"2026-11-{day:02d}" for day in range(1, 31)]
COUNTS = [50 * day for day in range(1, 23)]
BAND = [(1100 + 40 * ahead, 1100 + 60 * ahead) for ahead in range(1, 9)]


def body(text):
    """The rows above the axis, without the numbers on the left."""
    rows = []
    for line in text.splitlines():
        if "│" in line or "|" in line:
            rows.append(line.replace("|", "│").split("│", 1)[1])
        else:
            return rows
    raise AssertionError("no axis")


def test_a_month_that_grows_fills_its_columns_from_the_left_up():
    rows = body(chart(NOVEMBER, COUNTS, width=80))
    heights = [sum(column < len(row) and row[column] != " " for row in rows) for column in range(0, 44, 2)]
    assert heights == sorted(heights)
    assert heights[0] >= 1
    assert heights[-1] > len(rows) // 2
    assert all(len(row) <= 44 for row in rows), "days to come are empty"


def test_the_axis_says_how_many_and_which_day():
    lines = chart(NOVEMBER, COUNTS, width=80).splitlines()
    assert lines[0].startswith("1,500 │")
    assert any(line.startswith("  750 │") for line in lines)
    assert lines[12].startswith("    0 └")
    assert lines[13].split() == ["1", "8", "15", "22", "29"]
    assert lines[13].index("8") == lines[12].index("─") + 2 * 7, "a day's number stands below its column"


def test_a_limit_is_a_line_above_the_counts_with_its_name():
    text = chart(NOVEMBER, COUNTS, limits=[("qwen-2024 clause 4", 1300)], width=80)
    drawn = [line for line in text.splitlines() if "─ qwen-2024 clause 4 ───" in line]
    assert len(drawn) == 1
    assert "─ qwen-2024 clause 4: 1,300" in text.splitlines()


def test_a_limit_that_is_passed_is_drawn_where_nothing_hides_it():
    rows = body(chart(NOVEMBER, COUNTS, limits=[("own", 600)], width=80))
    ruled = next(row for row in rows if "─" in row)
    assert ruled[:6] == "─ own "
    assert "─" not in ruled[40:44]
    assert ruled.endswith("─")


def test_a_limit_far_above_is_named_and_does_not_flatten_the_counts():
    text = chart(NOVEMBER, COUNTS, limits=[("llama-3.1 clause 2", 700_000_000)], width=80)
    assert text.startswith("1,500 │")
    assert text.endswith("─ llama-3.1 clause 2: 700,000,000, above the chart")


def test_the_forecast_is_a_band_over_the_days_to_come():
    text = chart(NOVEMBER, COUNTS, band=BAND, width=80)
    columns = {column for row in body(text) for column, cell in enumerate(row) if cell == "░"}
    assert columns == set(range(44, 60))
    assert text.endswith("░ forecast")


def test_few_users_are_not_none():
    rows = body(chart(NOVEMBER, [0, 1, 1000], width=80))
    assert rows[-1][:4] == "  ▁▁"


def test_nobody_yet():
    assert not any(row.strip() for row in body(chart(NOVEMBER, [0] * 5, width=80)))
    assert chart([], [], width=80) == ""


@pytest.mark.parametrize("width", [40, 57, 80, 200])
def test_it_is_as_wide_as_it_may_be(width):
    text = chart(NOVEMBER, COUNTS, limits=[("a limit with a rather long name that goes on and on", 1300)],
                 band=BAND, width=width)  # fmt: skip
    assert max(map(len, text.splitlines())) <= width
    assert max(map(len, text.splitlines())) > width - 30, "columns are whole, so up to 29 stay empty"


def test_a_name_cannot_break_the_lines():
    text = chart(NOVEMBER, COUNTS, limits=[("two\nlines", 1300)], width=80)
    assert "─ two lines ─" in text


def test_a_name_cannot_steer_the_terminal():
    assert "\x1b" not in chart(NOVEMBER, COUNTS, limits=[("\x1b[2J", 1300)], width=80)


def test_ascii_is_ascii_whatever_a_limit_is_called():
    text = chart(NOVEMBER, COUNTS, limits=[("Größe 許可", 1300)], band=BAND, width=80, ascii_only=True)
    assert text.isascii()
    assert "= Gr??e ?? =" in text
    assert text.startswith("2,000 |")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_numbers_make_a_chart_that_fits(data):
    length = data.draw(st.integers(1, 400))
    days = (NOVEMBER * 14)[:length]
    grown = sorted(data.draw(st.lists(st.integers(0, 10**10), max_size=min(length, 60))))
    bounds = data.draw(st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**10)).map(sorted), max_size=40))
    limits = data.draw(st.lists(st.tuples(st.text(max_size=60), st.integers(0, 10**10)), max_size=3))
    width, ascii_only = data.draw(st.integers(10, 150)), data.draw(st.booleans())
    text = chart(days, grown, limits=limits, band=bounds, width=width, ascii_only=ascii_only)
    assert all(len(line) <= max(width, 40) for line in text.split("\n"))
    ours = set(text) - {char for name, _ in limits for char in name}
    assert text.isascii() or not ascii_only
    assert all(unicodedata.east_asian_width(char) not in "WF" for char in ours)
    assert len(body(text)) == 12
