"""What fingerprints promise: a shared run of 13 words is found, nothing can be read from them, prompts do not count."""

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from provenance_world import KEY, prose

from guard.provenance.fingerprint import RUN, SIZE, Echo, Fingerprinter, unpack
from guard.provenance.words import words

FEW = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=60)
MANY = st.lists(st.integers(0, 10**6).map(lambda number: str(number).encode()), max_size=60)
WORDS = st.one_of(FEW, MANY)


def values(text, key=KEY) -> set[int]:
    every = text if isinstance(text, list) else words(text)
    return set(unpack(Fingerprinter(key).fingerprint(every).values))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=4), min_size=RUN, max_size=RUN), WORDS, WORDS, WORDS, WORDS)
def test_any_shared_run_of_13_words_is_found(run, before, after, other_before, other_after):
    assert values(before + run + after) & values(other_before + run + other_after)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=5, max_size=5, unique=True))
def test_a_run_of_5_words_alone_is_never_found(numbers):
    run = [str(number).encode() for number in numbers]
    ours = [b"x%d" % number for number in range(20)]
    theirs = [b"y%d" % number for number in range(20)]
    assert not values(ours + run + ours) & values(theirs + run + theirs)


def naive(every: list[bytes]) -> set[tuple[bytes, ...]]:
    """The runs plain winnowing keeps, by the sums the fingerprinter orders them by."""
    _, sums = Fingerprinter(KEY)._runs(every)
    runs = [tuple(every[at : at + 6]) for at in range(len(every) - 5)]
    windows = [range(start, min(start + 8, len(runs))) for start in range(max(1, len(runs) - 7))] if runs else []
    return {runs[min(window, key=lambda at: sums[at])] for window in windows}


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_the_doubling_keeps_what_plain_winnowing_keeps(every):
    assert len(values(every)) == len(naive(every))


@settings(max_examples=60, deadline=None)
@given(FEW.filter(lambda every: len(every) >= 6), st.data())
@example([b"x", b"y", b"y", b"x", b"y", b"x"], None)
def test_other_runs_of_the_same_words_have_other_fingerprints(every, data):
    run = every[:6]
    other = list(reversed(run)) if data is None else data.draw(st.permutations(run))
    assume(other != run)
    assert values(run) != values(other)


def test_density_is_about_two_in_nine():
    found = Fingerprinter(KEY).fingerprint(words(prose(1, 3000)))
    assert 0.19 < len(found.values) / SIZE / 3000 < 0.25


def test_another_key_gives_other_fingerprints():
    assert not values(prose(1)) & values(prose(1), key=b"another key of 16+ bytes")


def test_reformatting_changes_nothing():
    text = prose(1)
    fancy = "# Answer\n\n* " + text.upper().replace(" ", "**\n> _").replace("a", "\uff41")
    assert values("answer " + text) == values(fancy)


def test_runs_of_the_prompt_are_left_out():
    fingerprinter = Fingerprinter(KEY)
    quoted, own = prose(1, 60), prose(2, 80)
    echo = fingerprinter.echo(words(f"Continue: {quoted}"))
    answer = fingerprinter.fingerprint(words(f"{quoted} {own}"), echo)
    assert not set(unpack(answer.values)) & values(quoted)
    assert set(unpack(answer.values)) & values(own)
    assert not answer.echoed
    assert answer.attributable


def test_short_and_echoing_answers_are_not_attributable():
    fingerprinter = Fingerprinter(KEY)
    assert not fingerprinter.fingerprint(words(prose(1, 39))).attributable
    assert fingerprinter.fingerprint(words(prose(1, 40))).attributable
    echo = fingerprinter.echo(words(prose(1, 60)))
    mostly = fingerprinter.fingerprint(words(prose(1, 60) + " " + prose(2, 50)), echo)
    assert mostly.echoed
    assert not mostly.attributable
    barely = fingerprinter.fingerprint(words(prose(1, 60) + " " + prose(2, 65)), echo)
    assert not barely.echoed


def test_a_corrected_text_counts_as_the_askers():
    chance = prose(1, 100).split()
    corrected = [f"corrected{at}" if at % 8 == 0 else word for at, word in enumerate(chance)]
    fingerprinter = Fingerprinter(KEY)
    assert fingerprinter.fingerprint(words(" ".join(corrected)), fingerprinter.echo(words(" ".join(chance)))).echoed


def test_texts_shorter_than_a_run_have_no_fingerprint():
    for count in range(6):
        assert values([b"w%d" % number for number in range(count)]) == set()
    assert len(values([b"w%d" % number for number in range(6)])) == 1


def test_the_word_memory_is_bounded_and_forgetting_changes_nothing():
    fingerprinter = Fingerprinter(KEY)
    first = fingerprinter.fingerprint(words(prose(1)))
    fingerprinter.echo([b"%d" % number for number in range(70_000)])
    assert len(fingerprinter._hashes) <= 65536
    assert fingerprinter.fingerprint(words(prose(1))) == first


def test_no_echo_is_an_empty_one():
    assert Fingerprinter(KEY).echo([]) == Echo(frozenset(), frozenset())
