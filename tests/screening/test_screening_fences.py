import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.fences import MOST_SPANS, prose


def outside(text):
    return [text[start:end] for start, end in prose(text)]


@pytest.mark.parametrize(("text", "expected"), [
    ("", []),
    ("plain words", ["plain words"]),
    ("run `kill -9` now", ["run ", " now"]),
    ("``a ` b`` c", [" c"]),
    ("an open ` tick", ["an open ` tick"]),
    ("` one\n\n two `", ["` one\n\n two `"]),
    ("see\n```sh\nkill -9 1\n```\nthanks", ["see\n", "\nthanks"]),
    ("see\n~~~\nkill `x` -9\n~~~~ \nthanks", ["see\n", "\nthanks"]),
    ("see\n````\n```\nkill\n```\n````\nthanks", ["see\n", "\nthanks"]),
    ("see\n```\n~~~\n```\nthanks", ["see\n", "\nthanks"]),
    ("see\n```py\nnever closed", ["see\n"]),
    ("```not `a` fence```\nwords", ["\nwords"]),
    ("    ```\nindented is no fence", ["    ```\nindented is no fence"]),
    ("a\n```\nx\n``` y\nz\n```\nb", ["a\n", "\nb"]),
])  # fmt: skip
def test_prose_is_what_is_outside_of_code(text, expected):
    assert outside(text) == expected


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["`", "``", "```", "~~~", "\n", " ", "word", "\n\n", "```\n"]), max_size=30).map("".join)
)
def test_spans_are_in_order_apart_and_inside(text):
    spans = prose(text)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert len(set(edges)) == len(edges)


def test_runs_of_backticks_are_closed_by_runs_of_the_same_length_only():
    text = " ".join("`" * length for length in range(1, 300))
    assert outside(text) == [text]
    assert outside(f"{text} x {'`' * 299} y") == [text[:-299], " y"]


@pytest.mark.parametrize("code", ["`b` ", "\n```\nb\n```\n"])
def test_a_text_of_more_spans_than_are_worth_it_is_all_prose(code):
    some, more = ("a " + code) * (MOST_SPANS - 1) + "a", ("a " + code) * (MOST_SPANS + 1)
    assert len(prose(some)) == MOST_SPANS
    assert outside(more) == [more]
