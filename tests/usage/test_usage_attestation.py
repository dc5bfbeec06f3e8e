"""What somebody stated and signed is what is read again, or nothing is."""

import json
from dataclasses import replace
from datetime import date

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.usage.attestation import (
    MOST_BYTES,
    Attestation,
    AttestationError,
    ForgedError,
    Signed,
    is_public_key,
    public_key_of,
    sign,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
SAID = Attestation(
    licensee="Example GmbH",
    license="llama-3.1",
    threshold="mau_700m",
    reference_month="2024-06",
    users=12_000_000,
    at_most=False,
    products="all products",
    affiliates="none",
    covers_all=True,
    active_user="an account that had an answer in the month",
    statement="analytics report 7",
    owner="legal@example.org",
    stated="2026-11-22",
)
FILE = sign(SAID, KEY).to_json()


def changed(**values):
    document = json.loads(FILE)
    document["attestation"].update(values)
    return json.dumps(document).encode()


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_what_was_signed_is_read_again_whatever_the_form_of_the_file():
    signed = Signed.from_json(FILE.encode())
    assert (signed.attestation, signed.public_key) == (SAID, KEY.public_key().public_bytes_raw())
    document = json.loads(FILE)
    document["public_key"] = pem(KEY)
    document["attestation"] = dict(reversed(document["attestation"].items()))
    assert Signed.from_json(json.dumps(document, indent=7).encode()) == signed


def test_equal_keys_sign_equal_statements_alike_in_canonical_json():
    said = replace(SAID, statement="für Ω", users=3)
    assert sign(said, KEY) == sign(said, KEY)
    assert (
        said.canonical()
        == (
            'guard-attestation/1\n{"active_user":"an account that had an answer in the month","affiliates":"none",'
            '"at_most":false,"covers_all":true,"expires":null,"license":"llama-3.1","licensee":"Example GmbH",'
            '"owner":"legal@example.org","products":"all products","reference_month":"2024-06","stated":"2026-11-22",'
            '"statement":"für Ω","threshold":"mau_700m","users":3}'
        ).encode()
    )


texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)
days = st.dates().map(date.isoformat)


@given(st.builds(
    Attestation, licensee=texts, covers_all=st.booleans(), active_user=texts, license=texts, threshold=texts, reference_month=st.just("2024-06"), users=st.integers(0, 2**53 - 1),
    at_most=st.booleans(), products=texts, affiliates=texts, statement=texts, owner=texts, stated=days, expires=st.none(),
))  # fmt: skip
@settings(max_examples=60)
def test_whatever_can_be_stated_survives_its_file(said):
    assert Signed.from_json(sign(said, KEY).to_json().encode()) == sign(said, KEY)


@given(st.integers(0, len(FILE.encode()) - 1), st.integers(0, 255))
@settings(max_examples=100)
def test_no_changed_byte_changes_what_is_stated(place, byte):
    content = bytearray(FILE.encode())
    content[place] = byte
    try:
        read = Signed.from_json(bytes(content))
    except AttestationError:
        return
    assert read.attestation == SAID


@pytest.mark.parametrize("change", [
    {"users": 11_999_999}, {"users": 0}, {"at_most": True}, {"license": "llama-3"}, {"threshold": "mau"},
    {"reference_month": "2024-05"}, {"products": "one product"}, {"affiliates": "all"}, {"statement": "s"},
    {"licensee": "Sample AG"}, {"covers_all": False}, {"active_user": "a person"}, {"owner": "ceo@example.org"},
    {"stated": "2026-11-21"}, {"expires": "2027-01-01"},
])  # fmt: skip
def test_a_statement_that_was_changed_is_found_out(change):
    with pytest.raises(ForgedError, match="the signature does not hold"):
        Signed.from_json(changed(**change))


def test_another_key_or_signature_is_found_out():
    document = json.loads(FILE)
    for name in ("public_key", "signature"):
        with pytest.raises(ForgedError):
            Signed.from_json(json.dumps(document | {name: json.loads(sign(SAID, OTHER).to_json())[name]}).encode())


def test_a_signature_over_the_bare_json_is_none():
    """What the key signed for another use cannot be passed off as an attestation."""
    bare = SAID.canonical().partition(b"\n")[2]
    forged = Signed(SAID, KEY.public_key().public_bytes_raw(), KEY.sign(bare))
    with pytest.raises(ForgedError):
        Signed.from_json(forged.to_json().encode())


@pytest.mark.parametrize(("content", "said"), [
    (b"", "not JSON"),
    (b"\xff", "not JSON"),
    (b"[" * 100_000, "larger than 64 KiB"),
    (b"[" * 60_000, "not JSON"),
    (b"[]", "not an object"),
    (b"{}", "the file: attestation is missing"),
    (b" " * (MOST_BYTES + 1), "larger than 64 KiB"),
    (FILE.replace("guard-attestation/1", "guard-attestation/2").encode(), "format: 'guard-attestation/2'; allowed: "),
    (FILE.replace('"users": 12000000', '"users": 12000000, "users": 1').encode(), "a name is there twice"),
    (FILE.replace('"users": 12000000,', "").encode(), "attestation: users is missing"),
    (FILE.replace('"format"', '"note": 1, "format"').encode(), "the file: unknown name 'note'"),
    (changed(note="x"), "attestation: unknown name 'note'"),
    (changed(users="12"), "users: '12'; allowed: a whole number from 0 to "),
    (changed(users=True), "users: True"),
    (changed(users=1.5), "users: 1.5"),
    (changed(users=-1), "users: -1"),
    (changed(at_most=1), "at_most: 1; allowed: true or false"),
    (changed(covers_all=None), "covers_all: None; allowed: true or false"),
    (changed(licensee=""), "licensee: ''; allowed: one line of text"),
    (changed(active_user="a\tb"), "active_user: "),
    (changed(owner=" "), "owner: ' '; allowed: one line of text"),
    (changed(statement="a\nb"), "statement: "),
    (changed(statement="\ud800"), "statement: "),
    (changed(reference_month="2024-13"), "reference_month: '2024-13'; allowed: YYYY-MM"),
    (changed(stated="2026-02-31"), "stated: '2026-02-31'; allowed: YYYY-MM-DD"),
    (changed(stated=None), "stated: None"),
    (changed(expires="soon"), "expires: 'soon'"),
    (changed(expires="2026-11-21"), "expires: '2026-11-21', before it was stated"),
    (json.dumps(json.loads(FILE) | {"public_key": "AAAA"}).encode(), "not an Ed25519 public key"),
    (json.dumps(json.loads(FILE) | {"public_key": 7}).encode(), "not an Ed25519 public key"),
    (json.dumps(json.loads(FILE) | {"signature": "AAAA"}).encode(), "signature: not 64 bytes in base64"),
    (json.dumps(json.loads(FILE) | {"attestation": []}).encode(), "attestation: not an object"),
])  # fmt: skip
def test_what_is_no_attestation_is_said_to_be_none(content, said):
    with pytest.raises(AttestationError) as caught:
        Signed.from_json(content)
    assert str(caught.value).startswith(said)


def test_a_public_key_is_base64_or_pem_and_of_the_one_kind():
    raw = KEY.public_key().public_bytes_raw()
    assert public_key_of(sign(SAID, KEY).key) == public_key_of(pem(KEY)) == raw
    assert is_public_key(f"{sign(SAID, KEY).key}\n")
    assert not is_public_key("attestors/legal.pem")
    assert not is_public_key(pem(KEY))
    for wrong in ("", "legal.pem", pem(generate_private_key(SECP256R1())), None, "\ud800"):
        with pytest.raises(
            AttestationError, match=r"^not an Ed25519 public key; allowed: its 32 bytes in base64, or PEM"
        ):
            public_key_of(wrong)


@pytest.mark.parametrize(("users", "at_most", "shows", "exceeds"), [
    (700, False, True, False), (701, False, False, True), (700, True, True, False), (701, True, False, False),
])  # fmt: skip
def test_a_number_shows_one_thing_or_the_other_and_a_bound_above_the_limit_neither(users, at_most, shows, exceeds):
    said = replace(SAID, users=users, at_most=at_most)
    assert (said.shows(700), said.exceeds(700)) == (shows, exceeds)


def test_users_of_a_part_show_nothing_and_too_many_of_a_part_are_too_many():
    part = replace(SAID, users=700, covers_all=False)
    assert [part.shows(700), part.exceeds(700), part.exceeds(699)] == [False, False, True]


def test_it_is_relied_on_up_to_its_last_day_if_it_has_one():
    assert not SAID.has_expired(date.max)
    limited = replace(SAID, expires="2026-12-31")
    assert [limited.has_expired(date(2026, 12, 31)), limited.has_expired(date(2027, 1, 1))] == [False, True]
    assert (SAID.figure, replace(SAID, at_most=True).figure) == ("12,000,000 users", "at most 12,000,000 users")
