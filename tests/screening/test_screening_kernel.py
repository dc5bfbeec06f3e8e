"""What is compiled says what the rest of the room says, and never calls a disguise innocent."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.screening.decode import variants
from guard.screening.normalize import fold_any
from guard.screening.signs import COMMON, ROT13, searched, signs

compiled = pytest.importorskip("guard.screening._kernel", reason="installed where there was no compiler")

ATOMS = [
    *("a", "b", "E", "s", "c", "1", "3", "0", "4", "x", "A", "Z", "word", "Hello", "the", "To", "photographs"),
    *(" ", " ", "  ", "\t", "\n", "\r\n", "\x1c", "\x00", "\x7f", "*", "**", "-", "--", "_", "'"),
    *(".", ",", "+", "/", "|", "@", "!", "$", "%", "&", "#", ";", ":", "=", "~", "\\", "\\n", "\\u0041", "%41", "&lt;"),
    *("41", "6f", "0x", "20:", "u", "reverse", "Mirror", "backwards", "rot", "13", "rot-13", "cipher", "CAESAR"),
    *("aGVsbG8g", "d29ybGQh", "aGVsbG8gd29y", "68656c6c6f20", "h3ll0", "p@ss", "a b c d", "a.b.c.d"),
    *(word[::-1] for word in COMMON),
    *(word.translate(ROT13) for word in COMMON),
]
WIDE = [
    *("\u2019", "\u201c", "\u2013", "\u2014 ", "\u2026", "\u00e9", "\u00c9", "\u00df", "\u00e6", "\u00a0", "\u3000", "\u200b", "\u20ac"),
    *("\u0430", "\u0416\u0443", "\u65e5\u672c", "\u9fff", "\u30ab\u3099", "\ud55c\uae00", "\uff21", "\ufdfa", "\u00bd", "\u00a8"),
    *("\U0001f600", "\U0001f1e9", "\U0001d400", "\U000e0041", "\ud800", "\u0660\u0661", "\u2022", "e\u0301"),
]  # fmt: skip
TEXTS = st.one_of(
    st.lists(st.sampled_from(ATOMS), max_size=30).map("".join),
    st.lists(st.sampled_from(ATOMS), max_size=30).map(" ".join),
    st.lists(st.sampled_from(ATOMS + WIDE), max_size=30).map("".join),
    st.lists(st.sampled_from(ATOMS + WIDE), max_size=30).map(" ".join),
    st.text(st.characters(max_codepoint=127), max_size=120),
    st.text(max_size=120),
)
LEADS = st.integers(0, 80).map(
    lambda length: ("Some ordinary words, to begin with, that would fill a block. " * 2)[:length]
)


@settings(max_examples=300)
@given(LEADS, TEXTS, st.booleans())
def test_it_folds_as_everything_is_folded(lead, text, after_space):
    assert compiled.fold(lead + text, after_space) == fold_any(lead + text, after_space)


@pytest.mark.parametrize("plane", range(3))
def test_it_folds_every_character(plane):
    for first in range(plane << 16, (plane + 1) << 16, 1 << 10):
        text = "".join(map(chr, range(first, first + (1 << 10))))
        assert compiled.fold(text, False) == fold_any(text, False)
    for point in range(plane << 16, (plane + 1) << 16, 97):
        text = f"a {chr(point)} b{chr(point)}{chr(point)}c"
        assert compiled.fold(text, True) == fold_any(text, True)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 2046, 2047, 2048, 2049, 10_000])
def test_it_folds_texts_of_any_length(length):
    text = ("Two Members had walked-along the River.\n" * (length // 40 + 1))[:length]
    texts = (text, text + " ", "  " + text, text.replace("e", "*"))
    for given_text in (*texts, text.replace("e", "\u00e9"), text.replace("ow", "\u2026"), text.replace("v", "\u65e5")):
        assert compiled.fold(given_text, False) == fold_any(given_text, False)
        assert compiled.fold(given_text, True) == fold_any(given_text, True)


@settings(max_examples=300)
@given(LEADS, TEXTS)
def test_the_last_few_are_remembered_as_they_are(lead, text):
    texts = [lead, text, lead + text, text * 2, text + lead]
    for _ in range(2):
        for one in texts:
            known = compiled.innocent(one)
            assert compiled.folded(one) == compiled.folded(one) == fold_any(one, False)
            assert compiled.innocent(one) == known


def test_a_long_text_is_not_remembered():
    text = "A long text. " * 10_000
    assert compiled.folded(text) == fold_any(text, False)
    assert compiled.folded(text) is not compiled.folded(text)
    short = "A short text, made at runtime: " + str(len(text))
    assert compiled.folded(short) is compiled.folded(short)


@settings(max_examples=800)
@example("", "wastemode110")  # as long as base64, and shaped like it: nothing comes of it
@given(LEADS, TEXTS)
def test_what_is_innocent_hides_nothing(lead, text):
    text = lead + text
    if compiled.innocent(text):
        assert [*variants(text, searched(text))] == []
    else:
        assert sorted(signs(text)) == sorted(searched(text))


@pytest.mark.parametrize("atom", ATOMS)
def test_every_sign_is_seen_at_the_end_of_a_harmless_text(atom):
    for text in (f"it is a letter to you {atom}", f"{atom} it is a letter to you", atom * 4, f"z{atom}z {atom} {atom}"):
        for lead in ("", "\u00e9 ", "\u65e5", *("it is a quiet day. " * 4)[:70:3]):
            assert not (compiled.innocent(lead + text) and searched(lead + text))


@pytest.mark.parametrize("begin", range(0, 140, 3))
def test_a_sign_is_seen_wherever_it_stands(begin):
    harmless = "the rain fell on the hills and on the sea " * 8
    for sign in ("aGVsbG8gd29ybGQhIQ", "68656c6c6f20776f", "0x68656c6c6f2077", "41 6f 20 68 65", "h3llo w0rld", "b a d l y",
                 "reversed", "mirror", "cipher", "caesar", "backward", "rot13", "a.bcd.efg.hi.j", "%41", "&lt;", r"\n", r"\u0041"):  # fmt: skip
        text = f"{harmless[:begin]} {sign} {harmless[begin:]}"
        assert searched(text)
        assert not compiled.innocent(text)
        assert not compiled.innocent("\u2019" + text)


def test_ordinary_prose_is_innocent():
    prose = (
        "The committee met on Tuesday, 14 May 2024, to go through the plans (3 of them) for the garden. "
        "Two members had walked along the river at 10:30 and brought photographs, a well-known list of trees; "
        'they said: "We shall plant 120 oaks at $4.50 each!" An understanding of soil, e.g. loam, is needed.\n\n'
    )
    assert compiled.innocent(prose * 5)
    assert searched(prose * 5) == ()
    wide = prose.replace("'", "\u2019").replace(' "', " \u201c").replace("e", "\u00e9", 5) + "\u65e5\u672c\u8a9e\u3002"
    assert compiled.innocent(wide * 5)
    assert searched(wide * 5) == ()


@pytest.mark.parametrize("text", [b"text", None])
def test_it_reads_nothing_else(text):
    with pytest.raises(TypeError):
        compiled.fold(text, False)
    with pytest.raises(TypeError):
        compiled.folded(text)
    with pytest.raises(TypeError):
        compiled.innocent(text)
