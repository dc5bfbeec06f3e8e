"""Signs of base64 and of spaced-out letters: no disguised text goes without one, and program code seldom has one."""

import base64
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.signs import Sign, signs

SAID = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=9, max_size=20)
NAMES = [
    "getElementById",
    "expectedNumberOfRows",
    "assertRaisesRegex",
    "environments",
    "differentialEquation",
    "CloudFrontSigner",
    "src/components/administration/QueryCompiler.tsx",
    "BeautifulSoup4Parser",
    "average_degree_of_nodes",
    "HttpServletRequest",
    "addEventListener",
    "BACKGROUND_COLOR_RED",
    "useEffectOnceMounted",
    "XMLHttpRequestUpload",
    "IllegalArgumentException",
]
LINES = (
    "for i, j in zip(a, b): self.equal(x[i] * y - z)",
    "return signer(i + j * k, {1, 2, 3, 4}, [0, 0, 0, 0])",
    "if ((a && b) || n < 10) { x += 1; }",
)


@settings(max_examples=100)
@given(
    SAID, st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]), st.sampled_from(["", "say ", "é", "(", "\n"])
)
def test_text_of_any_language_in_base64_has_its_sign(said, encode, before):
    assert Sign.BASE64 in signs(before + encode(said.encode()).decode())


@settings(max_examples=50)
@given(st.text(string.ascii_letters + " ", min_size=5, max_size=20))
def test_latin_text_in_utf_16_has_the_sign_of_base64(said):
    assert Sign.BASE64 in signs(base64.b64encode(said.encode("utf-16-le")).decode())


@settings(max_examples=100)
@given(
    st.text(string.ascii_letters, min_size=4, max_size=8),
    st.sampled_from([" ", "  ", "\t", *string.punctuation, " - ", ", ", " . "]),
    st.sampled_from([("", ""), ("Say ", " now"), ("(", ")"), ("é ", " é")]),
)
def test_letters_that_stand_alone_have_their_sign(word, between, around):
    assert Sign.SPACED in signs(between.join(word).join(around))


def test_few_names_of_program_code_have_the_sign_of_base64():
    assert sum(Sign.BASE64 in signs(name) for name in NAMES) <= len(NAMES) / 5


@pytest.mark.parametrize("line", LINES)
def test_variables_of_one_letter_have_no_sign(line):
    assert Sign.SPACED not in signs(line)
