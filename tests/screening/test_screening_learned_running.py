"""The score of a growing text: no split of it changes what is found, and nothing of the word that blocks is settled."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learned_world import BIAS, HARMLESS, ZAP, Counting, rough, weights, zapping

from guard.screening.findings import Action
from guard.screening.learned.learned import Learned
from guard.screening.learned.reading import BLOCK, LEAST, UNSAFE
from guard.screening.learned.running import _finished
from guard.screening.learned.scorer import scorer
from guard.screening.learned.twin import HEADS, LONGEST, WORD
from guard.screening.segments import Source
from guard.screening.train.features import indices, words

CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
ROUGH = rough()
MODEL = Learned(ROUGH)
PARTS = [
    "kill",
    "Kill",
    "the",
    "process",
    " ",
    " ",
    "  ",
    "\n",
    ".",
    "1",
    "20",
    "300",
    "a1b2",
    "?",
    "漢字",
    "か",
    "é",
    "e\u0301",
]
PARTS += [
    "\u200b",
    "ﬁne",
    "Ⅷ",
    "_",
    "-",
    "*",
    "x" * 40,
    "4" * 30,
    "\U0001f600",
    "\uff26\uff35LL",
    "don't",
    "\ud800",
    "İ",
    "ß",
    "\u3000",
]
texts = st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=6)), max_size=150).map("".join)


def run(model, pieces, *, blocks):
    running = model.open(Source.OUTPUT, blocks=blocks)
    for piece in pieces:
        running.feed(piece)
    running.finish()
    return running.findings, running.blocked, running.scored, running.seen


def split(text, sizes):
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    return [*pieces, text[at:]]


@pytest.mark.parametrize("blocks", [True, False])
@settings(max_examples=100, deadline=None)
@given(text=texts, sizes=st.lists(st.integers(0, 60), max_size=120))
def test_any_chunking_gives_the_same(blocks, text, sizes):
    at_once = run(MODEL, [text], blocks=blocks)
    assert run(MODEL, split(text, sizes), blocks=blocks) == at_once
    assert run(MODEL, text, blocks=blocks) == at_once


def sentences(count, length, seed):
    """Made up texts of harmless words, single spaces between them, so folding leaves them as they are."""
    chance = random.Random(seed)
    return [" ".join(chance.choices(HARMLESS, k=length)) for _ in range(count)]


def first_block(text):
    """How many words of ``text`` come before the one at which its window reaches the block threshold, by definition.

    A window is the block of words that ends there, begun or not, and the block before it.
    """
    table = memoryview(ROUGH.table).cast("b")
    found = words(text)
    sums = [0]
    for count in range(1, len(found) + 1):
        near = found[max(0, count - 3) : count]
        rows = list(indices(near))[sum(1 for _ in indices(near[:-1])) :]
        sums.append(sums[-1] + sum(table[row * HEADS + UNSAFE] for row in rows))
    for count in range(1, len(found) + 1):
        begin = max(0, ((count - 1) // BLOCK - 1) * BLOCK)
        logit = BIAS + ROUGH.scales[UNSAFE] / max(count - begin, LEAST) ** 0.5 * (sums[count] - sums[begin])
        if logit >= ROUGH.unsafe.block:
            return count - 1
    return None


def test_it_blocks_at_the_first_window_that_is_too_risky_and_settles_nothing_of_its_last_word():
    blocked = 0
    for text in sentences(60, 110, seed=5):
        before = first_block(text)
        running = MODEL.open(Source.OUTPUT, blocks=True)
        settled = 0
        for at in range(0, len(text), 3):
            running.feed(text[at : at + 3])
            assert settled <= running.scored <= running.seen
            settled = running.scored
        running.finish()
        if before is None:
            assert (running.blocked, running.scored) == (None, len(text))
            continue
        blocked += 1
        assert running.blocked is not None
        assert running.blocked.most is Action.BLOCK
        assert running.scored == len(" ".join(text.split()[:before]))
        assert running.blocked.end == len(" ".join(text.split()[: before + 1]))
    assert 10 < blocked < 50, "both must be seen"


def test_a_word_is_settled_only_when_it_has_ended():
    running = zapping().open(Source.OUTPUT, blocks=True)
    running.feed("the za")
    assert running.scored == len("the")
    running.feed("p")
    assert (running.scored, running.blocked) == (len("the"), None)
    running.feed(".")
    assert running.blocked is not None
    assert (running.blocked.rule, running.blocked.category, running.blocked.end) == ("learned.S9", "S9", 7)
    running.feed(" and more")
    running.finish()
    assert running.scored == len("the")
    assert running.seen == len("the zap. and more")


def test_the_last_word_is_read_when_the_text_ends():
    running = zapping().open(Source.OUTPUT, blocks=True)
    running.feed("the zap")
    assert running.blocked is None
    running.finish()
    assert running.blocked is not None
    assert running.scored == len("the")


def test_a_text_that_waits_for_nobody_is_found_out_all_the_same():
    findings, blocked, scored, seen = run(zapping(), ["the zap. ", "and so on"], blocks=False)
    assert [finding.category for finding in findings] == ["S9"]
    assert (blocked, scored) == (None, seen)


def test_making_training_data_is_found_and_never_blocks():
    findings, blocked, scored, seen = run(zapping(), ["the zoo the zoo ", "the zoo"], blocks=True)
    assert [(finding.category, finding.most) for finding in findings] == [("D1", Action.BLOCK)]
    assert (blocked, scored) == (None, seen)


@pytest.mark.parametrize("text", ["", " \n\t", "...!!!---", "\u200b\u200b", "_" * 100])
def test_a_text_without_words_is_harmless(text):
    assert run(zapping(), [text], blocks=True) == ([], None, len(text), len(text))


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("count", [400, 800])
def test_every_word_is_read_once(blocks, size, count):
    model = weights(ZAP)
    counting = Counting(scorer(model.table))
    text = " ".join(random.Random(2).choices([*HARMLESS, "x" * 300, "123456", "12ab"], k=count))
    running = Learned(model, counting).open(Source.OUTPUT, blocks=blocks)
    for at in range(0, len(text), size):
        running.feed(text[at : at + size])
    running.finish()
    assert counting.words == len(words(text))
    assert counting.characters <= len(text)


def test_of_a_word_without_end_only_the_beginning_is_kept():
    model = weights(ZAP)
    counting = Counting(scorer(model.table))
    running = Learned(model, counting).open(Source.OUTPUT, blocks=True)
    for _ in range(5000):
        running.feed("abcdefghij")
    running.finish()
    assert (counting.words, counting.characters, running.scored) == (1, LONGEST, 50_000)


@settings(max_examples=100, deadline=None)
@given(st.one_of(texts, st.text("abzAZ019 _.?", max_size=30)))
def test_the_word_that_may_go_on_begins_where_the_last_one_does(said):
    runs = [match.span() for match in WORD.finditer(said) if match[0] != "?"]
    begin = runs[-1][0] if runs and runs[-1][1] == len(said) and not CJK.match(said[-1]) else len(said)
    assert _finished(said) == begin


def test_what_is_gathered_is_read_when_somebody_asks_and_the_text_goes_on():
    running = zapping().open(Source.OUTPUT, blocks=False)
    said = "the zap zap by a lazy dog and read "
    running.feed(said)
    assert [finding.category for finding in running.findings] == ["S9"]
    running.feed("the zoo zoo")
    running.finish()
    assert [finding.category for finding in running.findings] == ["S9", "D1"]
    assert running.findings == run(zapping(), [f"{said}the zoo zoo"], blocks=False)[0]


@settings(max_examples=30, deadline=None)
@given(texts, st.lists(st.integers(0, 200), max_size=8))
def test_to_ask_what_was_found_changes_nothing(text, sizes):
    text = text * 40
    asked = MODEL.open(Source.OUTPUT, blocks=False)
    for piece in split(text, [size * 20 for size in sizes]):
        asked.feed(piece)
        assert asked.findings is not None
    asked.finish()
    assert (asked.findings, asked.scored) == (run(MODEL, [text], blocks=False)[0], len(text))
