"""Bodies: one reading of the bytes, the strict one, and bytes out that every parser reads alike."""

import contextlib
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.wire.body import decode, encode
from guard.wire.dialect import Malformed

JSON = "application/json"


def read(raw, depth=64):
    return decode(raw, JSON, max_depth=depth)


def refusal(raw, content_type=JSON, depth=64):
    with pytest.raises(Malformed) as caught:
        decode(raw, content_type, max_depth=depth)
    assert caught.value.status == 400
    assert len(caught.value.found) <= 60
    return caught.value


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=UTF-8",
        'application/json ;charset="utf-8"; x=y',
    ],
)
def test_json_in_utf_8_is_read(content_type):
    assert decode(b'{"a": [1, 2.5, null, "\\u00e9"]}', content_type, max_depth=4) == {"a": [1, 2.5, None, "é"]}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/json5",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
    ],
)
def test_any_other_content_type_is_refused(content_type):
    assert refusal(b"{}", content_type).path == "content-type"


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ('{"a":1}'.encode("utf-16"), "a byte order mark"),
        ('{"a":1}'.encode("utf-16-le"), "no JSON at byte 1"),
        ('{"a":1}'.encode("utf-32-be"), "no JSON at byte 0"),
        (b'\xef\xbb\xbf{"a":1}', "a byte order mark"),
        (b'{"a":"\xff"}', "bytes that are not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "bytes that are not UTF-8"),
        (b'{"a":"\xc0\xaf"}', "bytes that are not UTF-8"),
        (b'{"a":"\\ud800 and more"}', "no JSON at byte 12"),
        (b'{"a":NaN}', "no JSON at byte 5"),
        (b'{"a":Infinity}', "no JSON at byte 5"),
        (b'{"a":1} {"a":2}', "no JSON at byte 8"),
        (b'{"a":1}\x00', "no JSON at byte 7"),
        (b'{"a":"x\ny"}', "no JSON at byte 7"),
        (b'{"a":"x\x00y"}', "no JSON at byte 7"),
        (b"{'a':1}", "no JSON at byte 1"),
        (b'{"a":1,}', "no JSON at byte 7"),
        (b'{"a":01}', "no JSON at byte 6"),
        (b'{"a":1e400}', "a number out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "a number out of range"),
        (b"", "no complete JSON"),
        (b'{"a":', "no complete JSON"),
        (b"[]", "an array"),
        (b'"x"', "a string"),
        (b"7", "a number"),
        (b"true", "a boolean"),
        (b"null", "null"),
    ],
)
def test_what_is_not_one_json_object_in_utf_8_is_refused(raw, found):
    caught = refusal(raw)
    assert (caught.path, caught.found.split(" at byte")[0]) == ("body", found.split(" at byte")[0])


def test_depth_counts_containers_and_not_brackets_in_strings():
    assert read(b'{"a":[[1]]}', 3) == {"a": [[1]]}
    assert refusal(b'{"a":[[1]]}', depth=2).allowed == "2 levels"
    assert read(b'{"a":"[[[[{{{{"}', 1) == {"a": "[[[[{{{{"}
    assert read(b'{"a":[[],[],[],[],[],[]]}', 3)
    assert refusal(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}").found == "deeper nesting"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"n":1,"n":3}', "n"),
        (b'{"n":1,"\\u006e":3}', "n"),
        (b'{"a":[{"b":{"c":1,"d":2,"c":1}}]}', "a[0].b.c"),
        (b'{"a":"\\u003a","n":1,"n":2}', "n"),  # the escaped colon would balance the lost one
        (b'{"a":"\\u003A\\u003a","n":{"x":1},"n":2}', "n"),
        (b'{"a:":1,"a:":2}', "a:"),
        (b'{"":1,"":2}', ""),
    ],
)
def test_a_key_that_is_there_twice_is_named_with_its_path(raw, path):
    caught = refusal(raw)
    assert (caught.path, caught.found) == (path, "the key is there twice")


@pytest.mark.parametrize("raw", [b'{"a":"x:y","b":"\\u003a"}', b'{"a":"\\\\u003a:"}', b'{"\\u003a":1,":x":2}'])
def test_colons_in_strings_are_no_duplicates(raw):
    assert read(raw) == json.loads(raw)


def test_a_long_key_is_not_echoed():
    assert len(refusal(b'{"%s":1,"%s":2}' % (b"k" * 500, b"k" * 500)).path) == 40


PIECES = st.sampled_from(["a", "b", ":", '"', "\\", "u003a", "\\u003a", "{", "é", "\U0001f600", "\n", ""])
STRINGS = st.lists(PIECES, max_size=3).map("".join)
ESCAPE = st.sampled_from(["plain", "ascii", "escaped", "ESCAPED"])
SPACE = st.sampled_from(["", " ", "\n\t"])


@st.composite
def written_strings(draw):
    text, how = draw(STRINGS), draw(ESCAPE)
    if how in {"plain", "ascii"}:
        return json.dumps(text, ensure_ascii=how == "ascii")
    units = text.encode("utf-16-be")
    codes = (f"{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
    return '"' + "".join("\\u" + (code.upper() if how == "ESCAPED" else code) for code in codes) + '"'


SCALARS = st.one_of(
    written_strings(),
    st.sampled_from(["null", "true", "false", "-0", "1e1", "1.5E-3", "9007199254740993", "18446744073709551616"]),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
)


def objects(values):
    member = st.tuples(written_strings(), SPACE, values).map(lambda parts: f"{parts[0]}{parts[1]}:{parts[1]}{parts[2]}")
    return st.lists(member, max_size=4).map(lambda items: "{" + ",".join(items) + "}")


def containers(values):
    return objects(values) | st.lists(values, max_size=3).map(lambda items: f"[{','.join(items)}]")


WRITTEN = objects(st.recursive(SCALARS, containers, max_leaves=5))


def has_duplicates(raw):
    found = False

    def pairs(members):
        nonlocal found
        found |= len({key for key, _ in members}) != len(members)
        return dict(members)

    return json.loads(raw, object_pairs_hook=pairs), found


def same(left, right):
    """Equal, and of equal types all the way down (1 is not 1.0 is not true)."""
    return left == right and repr(left) == repr(right)


@settings(max_examples=80)
@given(WRITTEN)
@example('{"a:":1,"\\u0061\\u003a":2}')
def test_duplicates_are_refused_exactly_when_there_are_any(text):
    raw = text.encode()
    expected, duplicated = has_duplicates(raw)
    if duplicated:
        assert refusal(raw).found == "the key is there twice"
    else:
        assert read(raw) == expected


@settings(max_examples=50)
@given(WRITTEN)
def test_what_was_checked_is_what_is_sent(text):
    """Invariant 4: decoding is stable under encoding, and json.loads, which vLLM uses, reads the same document."""
    try:
        document = read(text.encode())
    except Malformed:
        return
    sent = encode(document)
    assert same(read(sent), document)
    assert same(json.loads(sent), document)


@settings(max_examples=50)
@given(
    st.binary(max_size=40)
    | WRITTEN.map(lambda text: text.encode("utf-16"))
    | WRITTEN.map(lambda text: text.encode()[1:])
)
def test_any_bytes_are_a_document_or_malformed(raw):
    with contextlib.suppress(Malformed):
        assert type(read(raw)) is dict
