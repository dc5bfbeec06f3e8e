"""A profile never grows, survives being stored, holds no text, and tells templates and sweeps from conversation."""

import random

import pytest
from behavior_world import KEY, NOON, note, prose, read, templated
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.behavior.cohort import Cohort
from guard.behavior.intent import Reason
from guard.behavior.ladder import Standing, Step
from guard.behavior.profile import MOST, SIZE, VERSION, Profile, version
from guard.behavior.reading import Reader, Reading, alike
from guard.behavior.risk import CAP, Figures, crowd
from guard.behavior.study_twin import BUCKETS, LENGTH, SKETCH
from guard.behavior.subjects import NOWHERE, Presence, coverage, discrepancy
from guard.behavior.window import Window

texts = st.text(max_size=200) | st.integers(0, 50).map(prose)
notes = st.builds(
    note,
    st.floats(0, 4e9),
    st.floats(0, 1),
    reasons=st.sets(st.integers(0, 14)).map(tuple),
    seed=st.integers(0, 0xFFFF),
    tokens=st.integers(0, 10**6),
    logprobs=st.booleans(),
    reasoning=st.booleans(),
)


def made(requests):
    profile = Profile()
    for text, noted in requests:
        profile.observe(read(text), noted)
    return profile


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(texts, notes), max_size=8), st.sampled_from(Step), st.booleans(), st.floats(0, 4e9))
def test_a_profile_has_one_size_and_comes_back_as_it_was(requests, step, held, since):
    profile = made(requests)
    profile.standing = Standing(step, held, since)
    data = profile.pack()
    assert len(data) == SIZE <= MOST
    again = Profile.unpack(data)
    assert again.pack() == data
    assert again.standing == profile.standing
    assert again.figures(Cohort(), 4e9) == pytest.approx(profile.figures(Cohort(), 4e9), rel=2e-2, abs=2e-3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(texts, notes), max_size=8))
def test_every_figure_stays_in_its_bounds(requests):
    figures = made(requests).figures(Cohort(), 4e9)
    shares = set(Figures._fields) - {"requests", "evidence", "tokens_day", "requests_hour"}
    assert all(0.0 <= getattr(figures, name) <= 1.0 + 1e-9 for name in shares)
    assert 0.0 <= figures.evidence <= CAP
    assert 0.0 <= figures.risk < 1.0


def _later(data):
    return data[0] != VERSION


@given(st.binary(max_size=100) | st.binary(min_size=1, max_size=9).map(lambda data: data.ljust(SIZE)).filter(_later))
def test_what_is_no_profile_is_refused(data):
    with pytest.raises(ValueError, match="allowed: version 1"):
        Profile.unpack(data)
    assert version(data) == (data[0] if data else 0)


def test_no_word_of_a_prompt_is_in_a_profile():
    data = made([(f"the secret {prose(n)} falconry", note(NOON + n)) for n in range(40)]).pack()
    assert b"falcon" not in data
    assert b"secret" not in data


def test_hashes_depend_on_the_key():
    text = prose(1)
    assert read(text) == read(text, Reader(KEY))
    other = read(text, Reader(b"o" * 32))
    assert not read(text).sketch & other.sketch
    with pytest.raises(ValueError, match="allowed: 16 to 64"):
        Reader(b"short")


@given(st.text(max_size=400))
@settings(max_examples=50, deadline=None)
def test_a_reading_is_bounded(text):
    reading = read(text)
    assert len(reading.sketch) <= SKETCH
    assert all(0 <= bucket < 256 for bucket in reading.subjects)


def test_prompts_of_one_template_are_alike_and_others_are_not():
    one, two = read(templated(1)), read(templated(50))
    assert alike(one.sketch, two.sketch)
    assert not alike(one.sketch, read("How do I prune an old apple tree in late winter without harm?").sketch)
    assert read('Sort "red, blue" by 17').sketch == read('Sort "a whole other list" by 4').sketch


def test_conversation_an_application_and_a_sweep_have_other_figures():
    chance = random.Random(1)
    people = made([(prose(n, 12), note(NOON + n * chance.uniform(60, 9000))) for n in range(80)])
    app = made([(templated(n * 7), note(NOON + n * 60)) for n in range(80)])
    same = made([(templated(1), note(NOON + n * 60)) for n in range(80)])
    cohort, now = Cohort(), NOON + 80 * 60
    assert people.figures(cohort, now).template < 0.2 < 0.9 < app.figures(cohort, now).template
    assert app.figures(cohort, now).distinct > 0.8 > 0.1 > same.figures(cohort, now).distinct
    assert app.figures(cohort, now).regular > people.figures(cohort, now).regular


def test_the_same_prompt_under_ever_other_seeds_is_a_sweep():
    profile, reading = Profile(), read(prose(3))
    found = [profile.observe(reading, note(NOON + n, seed=n + 1)) for n in range(6)]
    assert found == [None, None, None, *[Reason.SEED_SWEEP] * 3]
    again = Profile()
    assert [again.observe(reading, note(NOON + n, seed=9)) for n in range(6)] == [None] * 6


def test_a_template_without_evidence_never_comes_to_an_alert():
    worst = Figures(10**6, 0.0, 1e7, 1e4, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert worst.risk < 0.5
    assert worst._replace(evidence=8.0).risk > 0.75


@given(st.floats(0, CAP), st.floats(0, CAP), st.floats(0, 1), st.floats(0, 1))
def test_more_evidence_and_a_larger_crowd_never_lower_the_risk(one, two, few, many):
    low, high = sorted((one, two))
    small, large = sorted((few, many))
    assert Figures(evidence=low, crowd=small).risk <= Figures(evidence=high, crowd=large).risk


def test_evidence_fades_in_silence_and_shrinks_with_harmless_requests():
    profile = made([(prose(n), note(NOON + n, 0.9)) for n in range(20)])
    before = profile.figures(Cohort(), NOON + 20).evidence
    assert before == pytest.approx(20 * 0.85, rel=1e-3)
    assert profile.figures(Cohort(), NOON + 20 + 7 * 86400).evidence == pytest.approx(before / 2, rel=1e-3)
    for n in range(400):
        profile.observe(read(prose(n)), note(NOON + 30 + n))
    assert profile.evidence == 0.0


def test_a_crowd_begins_with_three():
    assert [crowd(n) for n in (0, 1, 2)] == [0.0, 0.0, 0.0]
    assert 0 < crowd(3) < crowd(5) < crowd(8) == crowd(60) == 1.0


def test_two_samples_of_one_source_are_close_and_of_two_are_not():
    chance = random.Random(5)

    def presence(low, high, count):
        found = Presence()
        for number in range(1, count + 1):
            found.add({chance.randrange(low, high) for _ in range(20)}, number, count)
        return found.shares()

    one, same, other = presence(0, 200, 60), presence(0, 200, 60), presence(100, 256, 60)
    assert discrepancy(one, 60, same, 60) < 0.05 < 0.2 < discrepancy(one, 60, other, 60)
    assert coverage(presence(0, 4, 60)) < coverage(presence(0, 256, 60))
    assert coverage(NOWHERE) == 0.0


sketches = st.frozensets(st.integers(0, 40), max_size=SKETCH)


@settings(max_examples=50, deadline=None)
@given(st.lists(sketches, max_size=LENGTH + 8), st.integers(0, LENGTH))
def test_a_window_knows_who_is_alike_as_if_it_compared_each(added, stored):
    window, plain = Window(), []
    for place, sketch in enumerate(added):
        share, _ = window.add(Reading(sketch, frozenset(), place), 0)
        assert share == (sum(alike(sketch, each) for each in plain) / len(plain) if plain else 0.0)
        plain = [*plain, sketch][-LENGTH:]
        if place == stored:
            window = Window(bytes(window.records))
    assert len(window) == len(plain)


def test_presence_is_the_mean_that_it_is_said_to_be():
    chance, found, plain = random.Random(2), Presence(), [0.0] * BUCKETS
    for number in range(1, 3000):
        subjects, step = {chance.randrange(BUCKETS) for _ in range(20)}, max(1 / 64, 1 / number)
        found.add(subjects, number, 64)
        plain = [share * (1 - step) + step * (bucket in subjects) for bucket, share in enumerate(plain)]
    assert found.shares() == pytest.approx(plain)


@given(st.floats(0, CAP), st.floats(0, 1), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_no_context_brings_the_risk_above_its_bound(evidence, crowded, shares):
    profile = Profile()
    profile.evidence, profile.crowd = evidence, crowded
    template, detail, volume, regular = shares
    worst = profile.figures(Cohort(), 0.0)._replace(
        template=template, coverage=1.0, reasoning=detail, volume=volume, regular=regular, shift=1.0
    )
    assert worst.risk <= profile.bound(0.0)


def test_the_cohort_comes_back_and_knows_what_is_much():
    cohort = Cohort()
    assert cohort.above(1e9) == 0.0
    for n in range(100):
        cohort.take([0.5] * 256, 1000 + n)
    assert cohort.above(1000) < 1.0 < 5.0 < cohort.above(1e6)
    assert Cohort.unpack(cohort.pack()).pack() == cohort.pack()
    with pytest.raises(ValueError, match="allowed"):
        Cohort.unpack(b"")
