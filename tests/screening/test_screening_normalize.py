# ruff: noqa: RUF001 - characters that look alike are what is tested
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.screening.normalize import Offsets, fold, view

TEXTS = st.text(
    st.one_of(
        st.sampled_from("aA -*\n\t_\u200b\u00ad\u0301ﬁ№…Ｋ\u2028éПаΑ🇧𝒃"), st.characters(codec="utf-8"), st.characters()
    ),
    max_size=40,
)


def offsets(text):
    """The original offset of each folded character, one character at a time."""
    found, after_space = [], False
    for offset, character in enumerate(text):
        for part in fold(character):
            if part != " " or not after_space:
                found.append(offset)
            after_space = part == " "
    return found


def mapped(text):
    growing, folded = Offsets(), fold(text)
    if folded:
        growing.extend(text, len(folded), 0, 0, after_space=False)
    return [growing.original(index) for index in range(len(folded))]


@pytest.mark.parametrize("written", [
    "bomb", "BOMB", "b\u200bo\u200dm\u2060b", "bo\u00admb", "b\u202eomb", "ｂｏｍｂ", "𝗯𝗼𝗺𝗯", "𝒃𝒐𝒎𝒃", "bоmb", "bοmb", "bömb", "b*o*mb",
    "ʙᴏᴍʙ", "🅱🅾🅼🅱", "🇧🇴🇲🇧", "ⓑⓞⓜⓑ", "b\ufe0fomb", "b\x00omb", "bo\U000e0062mb",
])  # fmt: skip
def test_texts_that_read_alike_fold_alike(written):
    assert fold(written) == "bomb"


def test_capitals_that_read_like_others_than_their_small_letters_do():
    assert fold("ΗΥΜΝ") == "hymn"


def test_han_stays_as_it_is():
    """Folding and blanking skip it: nothing there has another form, and all of it is part of words."""
    every = "".join(map(chr, range(0x4E00, 0xA000)))
    assert fold(every) == every
    assert view(every).decode() == f" {every} "
    assert all(fold(character) == character for character in every)


@pytest.mark.parametrize(
    "written",
    [
        "nerve agent",
        "nerve-agent",
        "nerve \u00a0\n\tagent",
        "nerve\u2011agent",
        "nerve — agent",
        "**nerve** agent",
        "nerve\u2800agent",
    ],
)
def test_whitespace_and_dashes_are_one_space(written):
    assert fold(written) == "nerve agent"


def test_punctuation_and_words_stay():
    assert fold("Don’t “kill” a_process(9)!") == 'don\'t "kill" a_process(9)!'


@settings(max_examples=100)
@given(TEXTS)
@example("\u0345\u1e9e\ufb03 \u00a8\u00a8")
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


def test_every_character_folds_once_and_for_all():
    for first, last in (
        (0, 0x3400),
        (0xA640, 0xAC00),
        (0xD800, 0xE000),
        (0xF900, 0x10000),
        (0x1D400, 0x1D800),
        (0x1F100, 0x1F200),
        (0xE0000, 0xE0200),
    ):
        for point in range(first, last):
            folded = fold(chr(point))
            assert fold(folded) == folded, hex(point)
            assert "  " not in folded, hex(point)


@settings(max_examples=100)
@given(TEXTS, st.integers(0, 40))
def test_a_text_may_be_split_anywhere(text, cut):
    head = fold(text[:cut])
    assert head + fold(text[cut:], after_space=head.endswith(" ")) == fold(text)


@settings(max_examples=200)
@given(TEXTS)
def test_offsets_are_where_each_folded_character_came_from(text):
    places = mapped(text)
    assert places == offsets(text)
    assert places == sorted(places)
    assert all(0 <= place < len(text) for place in places)


@settings(max_examples=100)
@given(st.lists(TEXTS, max_size=6), st.booleans())
def test_a_growing_text_keeps_the_same_offsets_however_it_grows(parts, forget_first):
    whole = "".join(parts)
    growing, folded, seen, after_space = Offsets(), "", 0, False
    for part in parts:
        piece = fold(part, after_space=after_space)
        if piece:
            growing.extend(part, len(piece), len(folded), seen, after_space=after_space)
        folded, seen = folded + piece, seen + len(part)
        after_space = folded.endswith(" ")
    if forget_first:
        growing.forget(len(folded) // 2)
    else:
        assert [growing.original(index) for index in range(len(folded))] == offsets(whole)
        growing.forget(len(folded) // 2)
    assert [growing.original(index) for index in range(len(folded) // 2, len(folded))] == offsets(whole)[
        len(folded) // 2 :
    ]


@settings(max_examples=50)
@given(TEXTS)
def test_a_view_has_spaces_for_all_but_words(text):
    seen = view(fold(text)).decode()
    assert len(seen) == len(fold(text)) + 2
    assert not set(seen) & set(string.punctuation.replace("_", ""))
    assert seen[0] == seen[-1] == " "
