"""The head is read in one pass; what is said of a header is what its list says."""

from hypothesis import given
from hypothesis import strategies as st

from guard.exchange.head import Head

NAMES = [b"host", b"authorization", b"x-api-key", b"x-guard-purpose"]
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=4)), max_size=6).map(tuple)


@given(HEADERS)
def test_the_last_value_counts_and_every_repetition_is_seen(headers):
    head = Head("POST", "/", headers)
    for name in NAMES:
        values = [value for each, value in headers if each == name]
        assert head.header(name) == (values[-1].decode("latin-1") if values else None)
        assert head.header_count(name) == len(values)
    assert head.repeats == (len({name for name, _ in headers}) < len(headers))


def test_two_heads_of_the_same_request_are_equal_whether_read_or_not():
    one, other = (Head("POST", "/", ((b"host", b"a"),), "192.0.2.1", "ref") for _ in range(2))
    assert one.header(b"host") == "a"
    assert one == other
