"""Who a user is becomes a number that only the key's holder can make."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.usage.pseudonym import (
    Pseudonymizer,
    PseudonymKeyError,
    load_or_create_key,
    normalize_subject,
    strip_session,
)

KEY = bytes(range(32))
DEVICE = "ab" * 32
ACCOUNT = "0f8fad5b-d9cb-469f-a165-70867728950e"
SESSION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def test_a_user_keeps_the_number_and_another_issuer_or_key_gives_another():
    pseudonyms = Pseudonymizer(KEY)
    ann = pseudonyms.key("https://idp.example", "ann")
    assert ann == Pseudonymizer(KEY).key("https://idp.example", "ann")
    assert (
        len(
            {
                ann,
                pseudonyms.key("https://other.example", "ann"),
                Pseudonymizer(KEY[::-1]).key("https://idp.example", "ann"),
            }
        )
        == 3
    )


def test_the_number_is_fixed_for_all_versions_because_ledgers_outlive_them():
    assert Pseudonymizer(KEY).key("issuer", "subject") == -4631497625427331990
    assert Pseudonymizer(KEY).fingerprint == "28bf34321b893ce2"


def test_a_namespace_cannot_reach_into_the_subject():
    with pytest.raises(ValueError, match=r"U\+001F"):
        Pseudonymizer(KEY).key("issuer\x1fan", "n")


@settings(deadline=None)
@given(st.text(), st.text())
def test_numbers_fit_a_signed_64_bit_integer_and_are_never_the_empty_slot(namespace, subject):
    number = Pseudonymizer(KEY).key(namespace.replace("\x1f", ""), subject)
    assert -(2**63) <= number < 2**63
    assert number != 0


def test_the_fingerprint_tells_keys_apart_and_is_not_the_key():
    prints = {Pseudonymizer(bytes([n]) * 32).fingerprint for n in range(50)}
    assert len(prints) == 50
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in prints)


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_key_of_a_wrong_length_is_refused(size):
    with pytest.raises(ValueError, match="allowed: 16 to 64"):
        Pseudonymizer(bytes(size))


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "\n", "anonymous", "Anonymous", "null", "NULL", "none", "undefined", "default_user_id", " None "),
        *("-", "(null)", "[object Object]", "string", "anonymousUser", "AnonymousUser", "system:anonymous"),
        "00000000-0000-0000-0000-000000000000",
        *("{{LIBRECHAT_USER_ID}}", "${USER}", "user-${USER}", "{{ user.id }}", "x" * 513),
        *("{user_id}", "tenant-{user.id}", "<user>", "<your-user-id>", "<nil>", "%USER%", "%REQ(X-USER)%", "%(user)s"),
        "$USER",
    ],
)
def test_placeholders_and_templates_are_nobody(text):
    assert normalize_subject(text) is None


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("  ann ", "ann"),
        ("Ann", "Ann"),
        ("Ann@Example.COM", "ann@example.com"),
        ("Jose\u0301", "Jos\u00e9"),
        ("@ann", "@ann"),
        ("nullable", "nullable"),
        ("x" * 512, "x" * 512),
        ("{7c9e6679}", "{7c9e6679}"),
        *((name, name) for name in ("user", "test", "guest", "admin", "unknown", "Strings", "--", "<Ann", "50%", "$5")),
        ("{a81bc81b-dead-4e5d-abff-90865d1e13b1}", "{a81bc81b-dead-4e5d-abff-90865d1e13b1}"),
        ("accounts.google.com:118133858486581853996", "accounts.google.com:118133858486581853996"),
        ("accounts.google.com:Ann@Example.com", "accounts.google.com:ann@example.com"),
        ("CN=Ann,O=Example", "CN=Ann,O=Example"),
    ],
)
def test_subjects_are_normalized(text, subject):
    assert normalize_subject(text) == subject


@settings(deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"[A-Z\u00df\u0130a-z]{1,8}@[A-Za-z.]{1,8}", fullmatch=True))
def test_normalizing_twice_changes_nothing(text):
    once = normalize_subject(text)
    if once is not None:
        assert normalize_subject(once) == once


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"user_{DEVICE}_account_{ACCOUNT}_session_{SESSION}", ACCOUNT),
        (f"user_{DEVICE}_account__session_{SESSION}", DEVICE),
        (json.dumps({"device_id": DEVICE, "account_uuid": ACCOUNT, "session_id": SESSION}), ACCOUNT),
        (json.dumps({"device_id": DEVICE, "account_uuid": "", "session_id": SESSION}), DEVICE),
        (json.dumps({"device_id": DEVICE, "account_uuid": None, "session_id": SESSION}), DEVICE),
        (json.dumps({"session_id": SESSION}), ""),
        ("ann", "ann"),
        ("{ann}", "{ann}"),
        ('{"name": "ann"}', '{"name": "ann"}'),
        ("{" * 4000, "{" * 4000),
        ('{"a":' * 800 + "1" + "}" * 800, '{"a":' * 800 + "1" + "}" * 800),
    ],
)
def test_sessions_are_stripped_so_that_one_user_is_one(text, kept):
    assert strip_session(text) == kept


def test_a_session_alone_is_nobody():
    assert normalize_subject(strip_session(json.dumps({"session_id": SESSION}))) is None


def test_a_key_is_made_once_however_many_start_together(tmp_path):
    path = tmp_path / "state" / "pseudonym.key"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: load_or_create_key(path), range(64)))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_truncated_key_file_is_an_error_not_a_new_key(tmp_path):
    path = tmp_path / "pseudonym.key"
    path.write_bytes(b"short")
    with pytest.raises(PseudonymKeyError, match=r"pseudonym\.key: 5 bytes; allowed: 32 random bytes"):
        load_or_create_key(path)
    assert path.read_bytes() == b"short"


def test_a_key_that_cannot_be_made_says_where(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PseudonymKeyError, match=r"file/pseudonym\.key"):
        load_or_create_key(tmp_path / "file" / "pseudonym.key")


@pytest.mark.parametrize("text", [KEY, KEY.hex().encode(), KEY.hex().upper().encode() + b"\n"])
def test_a_key_may_be_given_raw_or_in_hex(tmp_path, text):
    path = tmp_path / "pseudonym.key"
    path.write_bytes(text)
    assert load_or_create_key(path) == KEY
