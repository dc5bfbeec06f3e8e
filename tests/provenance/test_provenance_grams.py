"""The compiled form of reading, cutting and sealing and its twin in Python give the same, bit for bit."""

import importlib
import struct
import sys
import threading
from hashlib import blake2b
from unicodedata import category, decomposition, normalize

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.provenance import grams as chosen
from guard.provenance import grams_twin
from guard.provenance.receipt import Receipts

kernel = pytest.importorskip("guard.provenance._grams", reason="installed where there was no compiler")

KEY = bytes(range(32))
COMPILED, TWIN = kernel.Grams(KEY), grams_twin.Grams(KEY)
TWIN_COUNT = grams_twin.count
PIECES = [  # some look alike, which is their point
    *"ab(){};=_`~ \n\r\t'\"-#*.,:", "the ", "foo(x)", "self.", "return 0;\n", "```py\n", "é", "e\u0301", "ß", "İ", "ﬁ", "½", "…",
    "\u2019", "\u00a0", "漢", "字", "かな", "ｶﾞ", "ก", "ำ", "က", "ក", "한", "\u1100", "\u1161", "\u11a8", "हि", "هَ", "ﷺ", "\uff08", "\uff40",
    "\u1fef", "\u00ad", "\u200b", "\ufeff", "😀", "\U00020000", "\ud800", "\udfff", "\0", "\x85", "\u2028",
]  # fmt: skip
texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=120).map("".join),
)
FEW = st.sampled_from(["a", "b", "straße", "漢", "字", "ก", "ข", "x" * 24])
MANY = st.integers(0, 10**6).map("w{}".format)
words = st.one_of(st.lists(FEW, max_size=160), st.lists(MANY, max_size=160), st.lists(FEW | MANY, max_size=160)).map(
    lambda each: " ".join(each).encode()
)


@settings(max_examples=100, deadline=None)
@given(texts)
@example("漢" * 300 + "\ud800")
def test_they_read_the_same(text):
    assert chosen.read(text) == grams_twin.read(text)


def test_every_character_that_is_no_plain_letter_is_read_the_same():
    """By itself, and between characters that it might join; of the large blocks, their ends."""
    blocks = [(0, 0x3420), (0x4DB0, 0x4E10), (0x9FF0, 0xAC20), (0xD7A0, 0xE010), (0xF8F0, 0x11000), (0x1D400, 0x1D800)]
    blocks += [(0x1F100, 0x1F300), (0x1FFF0, 0x20010), (0x3FFF0, 0x40010), (0xE0000, 0xE0200)]
    every = [chr(point) for start, end in blocks for point in range(start, end)]
    for form in ("{}\n", "a{}\u0301 ", "\u1100\u1161{} ({})=\n"):
        text = "".join(map(form.format, every, every))
        assert chosen.read(text) == grams_twin.read(text)


def test_only_marks_and_jamo_join_what_is_before_them():
    """What `page` says of a character alone is true in every text, because no other is the second of a composition."""
    for point in range(sys.maxunicode + 1):
        parts = decomposition(chr(point)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            second = chr(int(parts[1], 16))
            assert category(second)[0] == "M" or 0x1100 <= ord(second) <= 0x11FF
    assert normalize("NFKC", "\u1100\u1161\u11a8") == "각"


@settings(max_examples=100, deadline=None)
@given(words, words, words, words)
def test_they_cut_the_same_grams(prompt, prompt_code, said, code):
    for echoed in (None, (prompt, prompt_code), (said, code), (said[: len(said) // 2].rsplit(b" ", 1)[0], b"")):
        compiled = COMPILED.take(said, code, echoed and COMPILED.echo(*echoed))
        assert compiled == TWIN.take(said, code, echoed and TWIN.echo(*echoed))


@settings(max_examples=60, deadline=None)
@given(texts, texts)
def test_what_is_read_is_cut_the_same(prompt, text):
    said, echoed = chosen.read(text * 3), chosen.read(prompt + text)
    assert COMPILED.take(*said, COMPILED.echo(*echoed)) == TWIN.take(*said, TWIN.echo(*echoed))


@settings(max_examples=80, deadline=None)
@given(words, st.integers(1, 80), st.integers(0, 40), st.booleans())
def test_they_cut_the_same_pieces(tokens, enough, more, code):
    at = 0
    for _ in range(4):
        ours = kernel.cut(tokens, at, enough, enough + more, code)
        assert ours == grams_twin.cut(tokens, at, enough, enough + more, code)
        at = ours[1]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40) | st.text("0a9 ", max_size=700).map(str.encode))
@example(b"1" * 255 + b"2 a3 " + b"1" * 600)
def test_they_count_the_same_words_and_numbers(octets):
    assert kernel.count(octets) == grams_twin.count(octets)


def blake(key: bytes, person: bytes, message: bytes) -> int:
    return int.from_bytes(blake2b(message, digest_size=8, key=key, person=person).digest(), "little")


@pytest.mark.parametrize("size", [1, 16, 63, 64])
def test_words_of_every_length_are_hashed_with_blake2b(size):
    key = bytes(range(size))
    one = kernel.Grams(key)
    for length in range(1, 301):
        word = bytes(97 + at % 26 for at in range(length))
        value = blake(key, b"guard word", word) & (1 << 60) - 1
        for _ in range(2):  # the second time it is remembered, if it is short
            (gram,) = struct.unpack("<Q", one.take(b" ".join([word] * 6), b"", None)[0])
            assert gram == value * 63 & (1 << 60) - 1


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.lists(st.integers(0, (1 << 64) - 1), max_size=40))
def test_seals_are_blake2b_of_36_bits(key, values):
    grams = struct.pack(f"<{len(values)}Q", *values)
    for seal in (kernel.seal, grams_twin.seal):
        sealed = struct.unpack(f"<{len(values)}Q", seal(key, grams))
        messages = (value.to_bytes(8, "little") for value in values)
        assert list(sealed) == [blake(key, b"guard month", message) & (1 << 36) - 1 for message in messages]


@pytest.mark.parametrize("form", [kernel, grams_twin])
def test_keys_have_1_to_64_bytes(form):
    for key in (b"", b"k" * 65):
        with pytest.raises(ValueError, match=f"a key of {len(key)} bytes; allowed: 1 to 64"):
            form.Grams(key)
    assert form.Grams(b"k" * 64)


def test_the_compiled_one_refuses_what_is_not_its_own():
    with pytest.raises(ValueError, match="no echo"):
        COMPILED.take(b"a", b"", b"x" * 24)
    with pytest.raises(TypeError):
        COMPILED.take(b"a", b"", frozenset({1}))
    with pytest.raises(ValueError, match="a multiple of 8"):
        kernel.seal(KEY, b"1234567")
    with pytest.raises(ValueError, match="a key of 65 bytes"):
        kernel.seal(b"k" * 65, b"")
    with pytest.raises(TypeError):
        kernel.read(b"text", grams_twin.page, False)
    full = b"\xff" * 128  # a table without an empty place ends the search all the same
    assert COMPILED.take(b"a b c d e f g", b"", full)[3] == (1, 0, 0)


PROSE = "The old bridge, the garden and the library: a list of trees, and a long letter about each of them. "
said = texts | words.map(bytes.decode) | st.sampled_from([PROSE * 3, PROSE, "x = f(1)\n" * 30, "\\u00e9 a"])


def one_by_one(prompt, text, month):
    """What a pair leaves behind, by the parts that are held equal above."""
    digests, asked, read = Receipts(KEY), chosen.read(prompt), chosen.read(text)
    told = digests.digest_prompt(asked[0])
    tag = (int.from_bytes(told[:2], "little") or 1) if asked[0] else 0
    words, code = read[0], read[1] if read[0] else b""
    if month is None:
        return told, digests.digest(words), TWIN_COUNT(words)[0], tag, b"", 0, 0, False
    grams, worth, tokens, _, echoed = TWIN.take(words, code, TWIN.echo(*asked))
    return told, digests.digest(words), TWIN_COUNT(words)[0], tag, grams_twin.seal(month, grams), worth, tokens, echoed


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(said, said) | st.none(), max_size=5), st.sampled_from([None, b"month", KEY]))
@example([(PROSE * 9, PROSE * 5)] * 3, KEY)
def test_pairs_looked_at_together_leave_what_they_leave_one_by_one(pairs, month):
    looked = COMPILED.look(pairs, month)
    assert len(looked) == len(pairs)
    for pair, found in zip(pairs, looked, strict=True):
        plain = pair is not None and "\\" not in "".join(pair)
        if plain and "".join(pair).isascii():
            assert found is not None
        if found is not None:
            assert plain
            assert found == one_by_one(*pair, month)


def test_once_its_characters_are_known_any_text_is_looked_at_together():
    pair = ("\u00e9t\u00e9 \u6f22\u5b57", "\u00fcber \u6f22\u5b57 caf\u00e9 " * 30)
    chosen.read("".join(pair))
    assert COMPILED.look([pair], KEY) == [one_by_one(*pair, KEY)]
    assert COMPILED.look([("a\u0301", "b"), ("b", "a\u0301"), ("b", "b")], None)[:2] == [None, None]
    assert TWIN.look([pair, None], KEY) == [None, None]


def test_what_is_no_pair_of_texts_is_refused():
    for wrong in ([("a",)], ["ab"], [("a", b"b")], [(None, "b")]):
        with pytest.raises(TypeError, match="pair of texts"):
            COMPILED.look(wrong, KEY)
    for key in (b"", b"k" * 65):
        with pytest.raises(ValueError, match="allowed: 1 to 64"):
            COMPILED.look([], key)
    assert COMPILED.look([], None) == []


def test_one_of_them_may_be_used_by_several_threads_at_once():
    said = [" ".join(f"w{at * step % 9973}" for at in range(2000)).encode() for step in (3, 5, 7, 11)]
    expected = [TWIN.take(each, b"", None) for each in said]
    shared, wrong = kernel.Grams(KEY), []

    def work(number: int) -> None:
        for _ in range(60):
            if shared.take(said[number], b"", None) != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_several_threads_may_read_pages_that_nobody_has_read():
    text = "".join(map(chr, range(0x30000, 0x31000)))
    found = []
    threads = [threading.Thread(target=lambda: found.append(chosen.read(text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [grams_twin.read(text)] * 4


def test_without_a_compiler_the_twin_serves(monkeypatch):
    assert isinstance(chosen.grams(KEY), kernel.Grams)
    try:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "guard.provenance._grams", None)
            patch.delattr("guard.provenance._grams")
            importlib.reload(chosen)
            assert isinstance(chosen.grams(KEY), grams_twin.Grams)
            assert chosen.read is grams_twin.read
            assert (chosen.cut, chosen.seal) == (grams_twin.cut, grams_twin.seal)
    finally:
        importlib.reload(chosen)
    assert isinstance(chosen.grams(KEY), kernel.Grams)


def test_the_memory_of_words_is_bounded_and_forgetting_changes_nothing():
    twin = grams_twin.Grams(KEY)
    first = twin.take(b"a b c d e f g h", b"", None)
    twin.echo(b" ".join(b"%d" % number for number in range(70_000)), b"")
    assert len(twin._hashes) <= 65_536
    assert twin.take(b"a b c d e f g h", b"", None) == first
