"""Two texts have the same words exactly if a reader would say they are the same but for their looks."""

import re
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.provenance.words import words, words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n*** ___ --- ", []),
        ("Don't **stop**, _please_!", ["don", "t", "stop", "please"]),
        ("snake_case and C3PO", ["snake", "case", "and", "c3po"]),
        ("\uff26\uff55\uff4c\uff4c width \ufb01ne", ["full", "width", "fine"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("東京は abc日本", ["東", "京", "は", "abc", "日", "本"]),
        ("a\x1cb\x85c\u2028d\ud800e", ["a", "b", "c", "d", "e"]),
    ],
)
def test_words(text, expected):
    assert [word.decode() for word in words(text)] == expected


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_takes_a_faster_way_to_the_same_words(text):
    slow = re.findall(r"[^\W_]+", normalize("NFKC", text).casefold())
    assert [word.decode() for word in words(text)] == slow


@given(st.lists(st.text(max_size=20), max_size=4))
def test_several_texts_are_one_after_the_other(texts):
    assert words_of(texts) == [word for text in texts for word in words(text)]
    assert words_of(iter(texts)) == words_of(" ".join(texts)) or any(c >= "\u0300" for text in texts for c in text)
