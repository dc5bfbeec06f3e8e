"""What grams promise: a shared run of 13 words is found, nothing can be read from them, prompts do not count."""

import random
import struct

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from guard.provenance.fingerprint import MOST, NO_ECHO, NOTHING, RUN, Fingerprinter, seal
from guard.provenance.words import Text, read

KEY = b"a key of this test, 32 bytes.. k"
FINGERPRINTER = Fingerprinter(KEY)
LATIN = [f"w{number}" for number in range(400)]
HAN = [chr(0x4E00 + number) for number in range(400)]
THAI = [chr(0x0E01 + number) for number in range(30)]


def prose(seed: int, count: int = 120, of: list[str] | None = None) -> str:
    """Text of so many words, another for every seed."""
    chance = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    each = ("".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(count))
    return " ".join(chance.choice(of) for _ in range(count)) if of else " ".join(each)


def numbers(grams: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(grams) // 8}Q", grams)


def values(text: str | list[bytes], key: bytes = KEY) -> set[int]:
    said = read(text) if isinstance(text, str) else Text(b" ".join(text), b"")
    return set(numbers(Fingerprinter(key).fingerprint(said).grams))


def test_what_is_promised_is_13_words():
    assert RUN == 13


context = st.lists(st.sampled_from([*LATIN[:9], *HAN[:4], *THAI[:3]]), max_size=40)


@pytest.mark.parametrize(("of", "length"), [(LATIN, RUN), (HAN, 23), (THAI, 47)])
def test_any_shared_run_of_so_many_is_found(of, length):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from(of), min_size=length, max_size=length), context, context, context, context)
    def found(run, before, after, other_before, other_after):
        assert values(" ".join(before + run + after)) & values(" ".join(other_before + run + other_after))

    found()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([*LATIN[:3], *HAN]), min_size=23, max_size=23),
    context,
    context,
)
def test_letters_with_a_few_words_among_them_are_found_too(run, before, after):
    run[0], run[-1] = "東", "京"
    assume(all(any(each in HAN for each in run[at : at + 6]) for at in range(18)))
    assert values(" ".join(run)) & values(" ".join(before + run + after))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["x", "(", ")", "=", "y1", "["]), min_size=47, max_size=47), context, context)
def test_any_47_tokens_of_code_are_found(run, before, after):
    found = [FINGERPRINTER.fingerprint(Text(b"", " ".join(each).encode())) for each in (run, [*before, *run, *after])]
    assert set(numbers(found[0].grams)) & set(numbers(found[1].grams))
    assert found[0].lanes[:2] == (0, 0)


@pytest.mark.parametrize(("of", "run"), [(LATIN, 5), (HAN, 11), (THAI, 23)])
def test_a_shorter_run_is_never_found(of, run):
    shared = of[:run]
    ours, theirs = (prose(seed, 60, of[run : run + 3] if seed else of[run + 3 : run + 6]).split() for seed in (0, 1))
    assert values(" ".join(ours + shared + ours))
    assert not values(" ".join(ours + shared + ours)) & values(" ".join(theirs + shared + theirs))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), min_size=6, max_size=60), st.data())
@example([b"x", b"y", b"y", b"x", b"y", b"x"], None)
def test_other_runs_of_the_same_words_have_other_grams(every, data):
    run = every[:6]
    other = list(reversed(run)) if data is None else data.draw(st.permutations(run))
    assume(other != run)
    assert values(run) != values(other)


def test_density_is_about_two_in_nine_and_each_gram_is_kept_once():
    found = FINGERPRINTER.fingerprint(read(prose(1, 3000)))
    assert 0.19 < found.lanes[0] / 3000 < 0.25
    assert found.lanes[1:] == (0, 0)
    twice = FINGERPRINTER.fingerprint(read(f"{prose(1, 3000)} {prose(1, 3000)}"))
    assert len(set(numbers(twice.grams))) == sum(twice.lanes)
    assert sum(twice.lanes) - sum(found.lanes) < 12, "only runs over the seam are new"


def test_grams_stand_in_the_order_of_the_text():
    first, second = (prose(seed, 300) for seed in (1, 2))
    found = numbers(FINGERPRINTER.fingerprint(read(f"{first} {second}")).grams)
    marks = [gram in values(first) for gram in found if gram in values(first) | values(second)]
    assert marks == sorted(marks, reverse=True)
    assert True in marks
    assert False in marks


def test_lanes_follow_one_another():
    code = "\n".join(f"value_{at} = table[{at}] + other({at});" for at in range(20))
    text = f"{prose(1, 60)}\n{''.join(random.Random(1).choices(HAN, k=200))}\n{code}"
    found = FINGERPRINTER.fingerprint(read(text))
    assert min(found.lanes) > 3
    assert sum(found.lanes) == len(numbers(found.grams)) == len(set(numbers(found.grams)))
    alone = FINGERPRINTER.fingerprint(read(code))
    assert alone.lanes[2] == found.lanes[2]
    assert numbers(alone.grams)[-alone.lanes[2] :] == numbers(found.grams)[-found.lanes[2] :]
    assert found.code == 20 * 11


def test_another_key_gives_other_grams():
    assert not values(prose(1)) & values(prose(1), key=b"another key of 16+ bytes")


def test_seals_differ_by_the_key_of_the_month_and_keep_the_order():
    grams = FINGERPRINTER.fingerprint(read(prose(1, 300))).grams
    may, june = seal(b"may" * 8, grams), seal(b"june" * 8, grams)
    assert len(may) == len(june) == len(grams)
    assert not set(numbers(may)) & set(numbers(june))
    assert max(numbers(may)) < 1 << 36
    assert seal(b"may" * 8, grams[80:]) == may[80:]


def test_reformatting_changes_nothing():
    text = prose(1)
    fancy = "# Answer\n\n* " + text.upper().replace(" ", "**\n> _").replace("a", "\uff41")
    plain, dressed = (FINGERPRINTER.fingerprint(Text(read(each).words, b"")) for each in ("answer " + text, fancy))
    assert plain == dressed


def test_code_on_one_line_is_still_found_by_its_words():
    code = "\n".join(f"    value_{at} = table[{at}] + other({at})  # step {at}" for at in range(20))
    assert values(code) >= values("```\n" + code.replace("\n", " ") + "\n```")


def test_runs_of_the_prompt_are_left_out():
    quoted, own = prose(1, 20), prose(2, 80)
    echo = FINGERPRINTER.echo(read(f"Continue: {quoted}"))
    answer = FINGERPRINTER.fingerprint(read(f"{quoted} {own}"), echo)
    assert not set(numbers(answer.grams)) & values(quoted)
    assert set(numbers(answer.grams)) & values(own)
    assert not answer.echoed
    assert answer.attributable


@pytest.mark.parametrize("of", [None, HAN, THAI])
def test_short_and_echoing_answers_are_not_attributable(of):
    words = {None: 1.0, tuple(HAN): 0.6, tuple(THAI): 0.25}[of and tuple(of)]

    def said(seed: int, count: int) -> Text:
        return read(prose(seed, int(count / words) + (of is not None), of))

    assert not FINGERPRINTER.fingerprint(said(1, 39)).attributable
    assert FINGERPRINTER.fingerprint(said(1, 40)).attributable
    echo = FINGERPRINTER.echo(said(1, 60))

    def both(count: int) -> Text:
        """A text of which 60 words are the prompt's."""
        return Text(said(1, 60).words + b" " + said(2, count).words, b"")

    assert FINGERPRINTER.fingerprint(both(170), echo).echoed
    assert not FINGERPRINTER.fingerprint(both(170), echo).attributable
    assert not FINGERPRINTER.fingerprint(both(190), echo).echoed


def test_a_corrected_text_counts_as_the_askers():
    asked = prose(1, 100).split()
    corrected = [f"corrected{at}" if at % 8 == 0 else word for at, word in enumerate(asked)]
    echo = FINGERPRINTER.echo(read(" ".join(asked)))
    assert FINGERPRINTER.fingerprint(read(" ".join(corrected)), echo).echoed


def test_words_in_code_count_half():
    lines = [f"total_{at} += measure(items[{at}])" for at in range(16)]
    short, long = (FINGERPRINTER.fingerprint(read("\n".join(lines[:count]))) for count in (15, 16))
    assert short.words == 75
    assert not short.attributable
    assert long.attributable
    explained = FINGERPRINTER.fingerprint(read(prose(1, 41) + "\n" + "\n".join(lines)))
    assert explained.attributable


def test_texts_shorter_than_a_run_have_no_gram():
    for count in range(6):
        assert values([b"w%d" % number for number in range(count)]) == set()
    assert len(values([b"w%d" % number for number in range(6)])) == 1
    assert FINGERPRINTER.fingerprint(read("")) == NOTHING


def test_no_echo_is_an_empty_one():
    text = read(prose(1))
    empty = FINGERPRINTER.echo(read(""))
    assert FINGERPRINTER.fingerprint(text, empty) == FINGERPRINTER.fingerprint(text, NO_ECHO)


def test_a_text_of_512_words_is_one_piece():
    texts = [read(prose(seed, 512)) for seed in range(9)]
    whole = [text for text in texts if sum(FINGERPRINTER.fingerprint(text).lanes) <= MOST]
    assert whole
    for text in whole:
        assert list(FINGERPRINTER.pieces(text)) == [FINGERPRINTER.fingerprint(text)]
    assert list(FINGERPRINTER.pieces(read(""))) == [NOTHING]


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(0, 2500),
    st.sampled_from([(LATIN, RUN), (HAN, 23), (THAI, 47), ([*LATIN[:6], *HAN], 23)]),
    st.integers(0, 99),
)
def test_no_border_of_a_piece_cuts_a_run_that_is_found(seed, count, kind, at):
    of, length = kind
    each = prose(seed, count, of).split()
    code = prose(seed, count // 3, ["(", ")", "=", "x", "y", "z"]).encode()
    pieces = list(FINGERPRINTER.pieces(Text(" ".join(each).encode(), code)))
    assert max(sum(piece.lanes) for piece in pieces) <= MOST
    found = [set(numbers(piece.grams)) for piece in pieces]
    start = max(0, count - length) * at // 99
    run = each[start : start + length]
    if len(run) == length and run[0] in of[-400:] and run[-1] in of[-400:]:
        assert any(values(" ".join(run)) & piece for piece in found)
    tokens = code.split()[start // 3 :][:47]
    if len(tokens) == 47:
        assert any(
            set(numbers(FINGERPRINTER.fingerprint(Text(b"", b" ".join(tokens))).grams)) & piece for piece in found
        )


def test_a_text_of_more_grams_than_a_piece_may_have_is_split_further(monkeypatch):
    monkeypatch.setattr("guard.provenance.fingerprint.MOST", 50)
    text = read(prose(1, 1000))
    pieces = list(FINGERPRINTER.pieces(text))
    assert max(sum(piece.lanes) for piece in pieces) <= 50
    assert len(pieces) > 5
    assert set().union(*(numbers(piece.grams) for piece in pieces)) >= values(prose(1, 1000))
