"""A document is signed over canonical JSON: the same whoever wrote it, and another one for any other document."""

import json
import random
import struct
from base64 import b64decode, b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.evidence.envelope import EnvelopeError, Standing, canonical, sign, verify
from guard.evidence.signing import Signer, Verifier, key_id

NUMBERS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not 2**53 <= abs(number) < 1e21)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | NUMBERS
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
DOCUMENTS = st.dictionaries(st.text(), VALUES, max_size=5)


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return Signer(tmp_path_factory.mktemp("signing"))


@pytest.fixture(scope="module")
def trusted(signer):
    return Verifier.of_key(b64encode(signer.public).decode())


@pytest.mark.parametrize(("value", "written"), [  # RFC 8785, appendix B, and what lies between
    (0.0, "0"), (-0.0, "0"), (5e-324, "5e-324"), (-5e-324, "-5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
    (9007199254740991.0, "9007199254740991"), (-9007199254740991.0, "-9007199254740991"),
    (9.999999999999997e22, "9.999999999999997e+22"), (1e23, "1e+23"),
    (1.0000000000000001e23, "1.0000000000000001e+23"), (1e21, "1e+21"), (9.999999999999997e-7, "9.999999999999997e-7"),
    (0.000001, "0.000001"), (333333333.3333332, "333333333.3333332"), (1e-7, "1e-7"), (1.5e-5, "0.000015"),
    (1795000000.0, "1795000000"), (1795000000.25, "1795000000.25"), (-0.5, "-0.5"), (123456.789e3, "123456789"),
])  # fmt: skip
def test_numbers_are_written_as_ecmascript_writes_them(value, written):
    assert canonical({"n": value}) == f'{{"n":{written}}}'.encode()


def test_every_number_is_read_back_as_itself():
    chance = random.Random(8785)
    for _ in range(2000):
        (value,) = struct.unpack("<d", chance.randbytes(8))
        if value - value == 0 and not 2**53 <= abs(value) < 1e21:
            assert json.loads(canonical({"n": value}))["n"] == value


def test_names_are_in_the_order_of_utf_16_and_strings_as_they_are():
    document = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}  # RFC 8785, 3.2.3
    assert list(json.loads(canonical(document))) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    text = '\u20ac$\u000f\nA\'B"\\"/\u007f\u2028<'
    assert canonical({"s": text}).decode() == '{"s":"\u20ac$\\u000f\\nA\'B\\"\\\\\\"/\u007f\u2028<"}'


@settings(max_examples=80, deadline=None)
@given(DOCUMENTS)
def test_writing_and_reading_changes_nothing_and_order_does_not_matter(document):
    written = canonical(document)
    assert canonical(json.loads(written)) == written
    assert canonical(json.loads(json.dumps(document))) == written
    assert canonical(dict(reversed(document.items()))) == written


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), float("nan"), float("inf"), 2.0**53, 1e20, b"x", {1: 2}, {1, 2}, "\ud800", object()]
)
def test_what_readers_do_not_read_alike_is_refused(value):
    with pytest.raises(ValueError, match=r"."):
        canonical({"v": [value]})


def test_nesting_without_an_end_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="no JSON"):
        canonical({"v": endless})


def test_a_signed_document_is_valid_by_the_signers_key_and_by_no_other(signer, trusted, tmp_path):
    document = sign({"verdict": "deny", "records": 12, "share": 0.25}, signer)
    assert document["statement"] == {"verdict": "deny", "records": 12, "share": 0.25}
    assert document["signature"]["algorithm"] == "Ed25519"
    assert document["signature"]["key"] == signer.id == key_id(b64decode(document["signature"]["public"]))
    again = json.loads(json.dumps(document, indent=3, sort_keys=True))
    assert verify(again, trusted) is Standing.VALID
    other = Signer(tmp_path / "other")
    assert verify(document, Verifier.of_key(b64encode(other.public).decode())) is Standing.UNKNOWN
    assert verify(document, Verifier(())) is Standing.UNKNOWN
    assert verify(sign(document["statement"], other), trusted) is Standing.UNKNOWN


def test_a_changed_document_is_not_valid_whichever_part_was_changed(signer, trusted, tmp_path):
    document = sign({"verdict": "deny", "records": 12}, signer)
    other = Signer(tmp_path / "other")
    public = b64encode(other.public).decode()
    forged = sign(document["statement"], other)["signature"]
    for part, changes in (
        ("statement", {"verdict": "allow"}),
        ("statement", {"more": 1}),
        ("signature", {"value": b64encode(bytes(64)).decode()}),
        ("signature", {"value": forged["value"]}),
        ("signature", {"key": other.id}),
    ):
        assert verify({**document, part: {**document[part], **changes}}, trusted) is Standing.BROKEN, (part, changes)
    # Another key under the id of a known one: the known one decides.
    posing = {**forged, "key": signer.id, "public": public}
    assert verify({**document, "signature": posing}, trusted) is Standing.BROKEN


@pytest.mark.parametrize("change", [
    {"statement": 3}, {"statement": None}, {"signature": []}, {"signature": {"algorithm": "RSA"}},
    {"signature": {"algorithm": "Ed25519", "key": 3, "value": "", "public": ""}},
    {"signature": {"algorithm": "Ed25519", "key": "a", "value": "!", "public": ""}},
    {"signature": {"algorithm": "Ed25519", "key": "a", "value": "", "public": None}},
    {"statement": {"n": 2**60}},
])  # fmt: skip
def test_what_is_no_envelope_is_said_to_be_none(change, signer, trusted):
    with pytest.raises(EnvelopeError):
        verify({**sign({"n": 1}, signer), **change}, trusted)
    with pytest.raises(EnvelopeError):
        verify([], trusted)
