"""Two texts have the same words exactly if a reader would say they are the same but for their looks."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.words import Text, read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \t\n*** ___ --- ", ""),
        ("Don't **stop**, _please_!", "don t stop please"),
        ("snake_case and C3PO", "snake case and c3po"),
        ("\uff26\uff55\uff4c\uff4c width \ufb01ne", "full width fine"),
        ("STRASSE Straße", "strasse strasse"),
        ("cafe\u0301 café", "café café"),
        ("東京は abc日本", "東 京 は abc 日 本"),
        ("か\u3099・ｶﾞ ー", "が ガ ー"),
        ("ไทย ๑", "ไ ท ย ๑"),
        ("한국어 \u1112\u1161\u11ab", "한국어 한"),
        ("हिन्दी", "हनद"),
        ("סֵפֶר ספר", "ספר ספר"),
        ("in\u00advis\u200bible \ufeffsigns", "invisible signs"),
        ("½ \u2026 x²y №5", "1 2 x2y no5"),
        ("a\x1cb\x85c\u2028d\ud800e\0f", "a b c d e f"),
    ],
)
def test_words(text, expected):
    assert read(text).words.decode() == expected


@given(st.text(max_size=80), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_a_text_written_into_json_says_the_same_however_often(text, often):
    plain = text.replace("\\", "/").replace("\x7f", " ")
    plain = "".join(each for each in plain if each >= " " or each in "\n\t")
    written = plain
    for _ in range(often):
        written = json.dumps(written)
    if not any("\ud800" <= each <= "\udfff" for each in plain):
        assert read(written).words == read(plain).words


def test_what_only_looks_like_an_escape_is_read_alike_on_both_sides():
    for text in ("\\nabla x", "C:\\new\\table", "\\usepackage{u}", "\\u12", "print('a\\n')"):
        assert read(json.dumps(text)).words == read(text).words


def test_words_are_counted():
    assert [read(text).count for text in ("", ".", "one", "one two", "東京")] == [0, 0, 1, 2, 2]
    assert Text(b"a b", b"").count == 2
    assert [read(text).numbers for text in ("", "one", "12", "3.14, a4b5", "٣")] == [0, 0, 1, 4, 0]


PYTHON = """import os

def size_of(path, *, follow=False):
    total = 0
    for name, _, files in os.walk(path, followlinks=follow):
        total += sum(os.stat(join(name, file)).st_size for file in files)
    return total
"""
C = """static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}
"""
PROSE = """A queue keeps what was put into it in order: the first in is the first out.
It is used (among other things) for scheduling; see chapter 3, page 12.

- **Bounded** queues refuse what does not fit, and say so.
- *Unbounded* ones grow until memory runs out, which is worse.

| kind | used for |
|------|----------|
| FIFO | ordinary work, where nobody minds to wait |
"""


@pytest.mark.parametrize("source", [PYTHON, C])
def test_code_is_seen_whether_it_is_fenced_or_not(source):
    alone = read(source).code
    assert len(alone.split()) > 40
    fences = ("```python\n{}\n```", "~~~\n{}~~~\n", "\n\n{}")
    for fenced in (fence.format(source) for fence in fences):
        assert read(fenced).code == read(fenced.replace("\n", "\r\n")).code == alone
    for fence in fences:
        assert alone in read(f"{PROSE}\n{fence.format(source)}\n{PROSE}").code


def test_prose_is_no_code():
    assert read(PROSE).code == b""


def test_code_keeps_case_and_signs_but_not_what_a_formatter_changes():
    assert read("""x = Foo('a', "b")[0];""").code == b"x = Foo ( a b ) [ 0 ]"
    assert read("""x=Foo(\n  "a",\n  'b',\n)[0]""").code == b"x = Foo ( a b ) [ 0 ]"
    assert read("x\u00a0\uff1d Foo\uff08a\uff09; größe_1 = \u2019b\u2019").code == "x = Foo ( a ) größe_1 = b".encode()


def test_a_line_is_judged_with_its_neighbors():
    lines = ["if (x) {", "break", "}", "a = b[i];"]
    assert b"break" in read("\n".join(lines)).code.split()
    assert read("break\n").code == b""
    far = "\n".join([*lines, *PROSE.splitlines(), "break"])
    assert read(far).code.split().count(b"break") == 1


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab é漢(){};=_\n"), max_size=80))
def test_line_breaks_around_a_text_change_nothing(text):
    assert read(f"\n\n{text}\r\n \n") == read(text)
