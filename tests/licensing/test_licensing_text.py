"""A license text is recognized however it is set, and only then."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from guard.licensing.license import License, LicenseFile, Status
from guard.licensing.text import digests, licenses_with_text, words_digest

TEXT = 'ACME MODEL LICENSE\n\n1. You may "use" the Model.\n   a) Not for others\u2019 weapons.\n'


def license_with(id_, **digest):
    file = LicenseFile("acme/model, LICENSE", Status.COPY, **digest)
    return License(id_, id_, "2026-01-01", Status.COPY, "acme", "acme", files=(file,))


def test_line_breaks_quotes_and_case_do_not_make_another_text():
    reset = "acme model license 1 you may \u201cuse\u201d the model a not for others' weapons"
    assert words_digest(reset) == words_digest(TEXT)


def test_another_word_makes_another_text():
    assert words_digest(TEXT.replace("Not for", "For")) != words_digest(TEXT)


def test_a_pack_is_found_by_the_bytes_or_by_the_words_of_its_file():
    found = digests(TEXT.encode())
    packs = [
        license_with("by-bytes", sha256=sha256(TEXT.encode()).hexdigest()),
        license_with("by-words", words_sha256=words_digest(TEXT)),
        license_with("other", words_sha256=words_digest("another text")),
    ]
    assert licenses_with_text(packs, found) == ["by-bytes", "by-words"]


@given(st.binary())
def test_any_file_has_digests_and_an_unstated_digest_matches_nothing(content):
    assert licenses_with_text([license_with("empty")], digests(content)) == []


@given(
    st.text(alphabet=st.characters(categories=["L", "N"], codec="utf-8"), min_size=1), st.sampled_from(" \n\t.,;\"'()")
)
def test_what_stands_between_words_says_nothing(word, mark):
    assert words_digest(f"{word}{mark}license") == words_digest(f"  {word} license\n")
