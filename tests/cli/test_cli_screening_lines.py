"""Lines come in as they come, each once, whatever the pieces they come in."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.cli.screening.lines import ROLES, BadLine, batches, read
from guard.screening.segments import Source


class Pieces:
    """A stream that gives one piece a read."""

    def __init__(self, pieces):
        self.left = list(pieces)
        self.reads = 0

    def read1(self, _size):
        self.reads += 1
        return self.left.pop(0) if self.left else b""


def lines(pieces):
    return [line for batch in batches(Pieces(pieces)) for line in batch]


@given(
    st.binary(max_size=60).map(lambda octets: octets.replace(b"\r", b"\n")), st.lists(st.integers(0, 60), max_size=8)
)
def test_any_pieces_give_the_same_lines(octets, cuts):
    edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    pieces = [octets[low:high] for low, high in pairwise(edges) if high > low]
    assert lines(pieces) == octets.removesuffix(b"\n").split(b"\n") if octets else lines(pieces) == []


def test_a_whole_line_is_there_before_the_next_read():
    stream = Pieces([b'{"text": "a"}\n{"te', b'xt": "b"}', b"\n"])
    waiting = batches(stream)
    assert (next(waiting), stream.reads) == ([b'{"text": "a"}'], 1)
    assert next(waiting) == [b'{"text": "b"}']


def test_a_line_in_many_pieces_costs_what_its_length_does():
    line = b"x" * 1000
    assert lines([line] * 1000 + [b"\nend"]) == [line * 1000, b"end"]


def test_a_line_is_a_text_and_a_role():
    assert (read(b'{"text": "a"}').role, read(b'{"text": "a"}').source) == ("prompt", Source.USER)
    assert [read(b'{"role": "%s", "text": ""}' % role.encode()).source for role in ROLES] == list(ROLES.values())
    assert read(b' {"text": "a", "label": [{"x": NaN}]} \r').text == "a"


def test_half_a_surrogate_is_a_character():
    assert read(b'{"text": "\\ud800 \\ud83d\\ude00"}').text == "\ud800 \U0001f600"


@pytest.mark.parametrize(("raw", "said"), [
    (b"{", "not JSON"), (b"\xff", "not UTF-8"), (b'{"text": "\xff"}', "not UTF-8"), (b"[]", 'no "text"'), (b'{"text": 1}', 'no "text"'),
    (b'{"role": "user"}', 'no "text"'), (b'{"text": "x", "role": "judge"}', 'role "judge"; allowed: prompt, user, system, assistant, response'),
    (b'{"text": "x", "role": ["user"]}', 'role ["user"]'), (b'{"text": "x", "role": null}', "role null"), (b"[" * 100_000, "not JSON"),
    (b'{"text": "x"} {"text": "y"}', "not JSON"),
])  # fmt: skip
def test_anything_else_is_named(raw, said):
    with pytest.raises(BadLine, match="allowed: ") as caught:
        read(raw)
    assert said in str(caught.value)
