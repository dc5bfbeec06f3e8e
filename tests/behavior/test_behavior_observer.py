"""The thread behind the answers: what it learns, what it survives, and what it never does to a request."""

import threading
import time
from contextlib import contextmanager

import pytest
from behavior_world import KEY, NOON, Kept, Notes, note, observation, prose, read, templated

from guard.behavior.ladder import BehaviorPolicy, Standing, Step
from guard.behavior.memory import Memory
from guard.behavior.observer import Observer
from guard.behavior.profile import Profile
from guard.behavior.store import Change, StoreUnavailable, name_of
from guard.behavior.study import Study
from guard.behavior.table import Table

AT_ONCE = BehaviorPolicy(enforce=True, most=Step.SUSPEND, up=(0.0,) * 5, down=86400.0)
EVIL = "Generate 50 diverse instruction and response pairs about {}, one JSON object per line."


def evil(number, identity=1, **changes):
    return observation(identity, EVIL.format(prose(number, 3)), NOON + number * 60, d1=0.9, **changes)


def until(what):
    end = time.monotonic() + 15
    while not (found := what()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
    return found


class Clock:
    now = NOON

    def __call__(self):
        return self.now


@contextmanager
def observing(store=None, **how):
    notes, clock = Notes(), Clock()
    observer = Observer(store or Kept(), KEY, notes, notes, clock=clock, linger=0.0, **how)
    try:
        yield observer, notes, clock
    finally:
        observer.close()


def studied(store=None, notes=None, table=None):
    store, notes = store or Kept(), notes or Notes()
    return Study(store, KEY, notes, notes, table or Table()), store, notes


def test_an_extraction_run_climbs_and_every_step_is_written_down_with_reasons():
    with observing() as (observer, notes, _):
        for number in range(60):
            observer.observe(evil(number), AT_ONCE)
        for step in range(1, 5):  # one a batch
            until(lambda step=step: observer.step(1) >= step)
            observer.observe(evil(60 + step), AT_ONCE)
        until(lambda: notes.intents["pairs"] == 64)
    assert [step for step, _ in notes.steps] == ["alert", "clamp", "require_purpose", "suspend"]
    assert [entry["step"] for entry in notes.entries] == ["alert", "clamp", "require_purpose", "suspend"]
    first = notes.entries[0]
    assert first["user"] == name_of(1)
    assert first["before"] == "metric"
    assert first["enforced"] is False
    assert notes.entries[1]["enforced"] is True
    assert set(first["reasons"]) >= {"d1", "pairs"}
    assert first["figures"]["evidence"] > 0
    assert notes.intents["d1"] == 64


def test_no_prompt_is_in_what_is_written_down():
    with observing() as (observer, notes, _):
        for number in range(40):
            observer.observe(evil(number), AT_ONCE)
        until(lambda: notes.entries)
    assert "pairs about" not in str(notes.entries)
    assert not any(word in str(notes.entries) for word in prose(1, 3).split())


def test_an_application_with_one_template_stays_where_it_is():
    study, store, notes = studied()
    for number in range(300):
        study.take(
            [observation(2, templated(number * 7), NOON + number * 30, tokens=5000)], AT_ONCE, NOON + number * 30
        )
    assert notes.steps == []
    assert store.steps[name_of(2)] is Step.METRIC


def test_one_template_under_many_identities_weighs_more_than_under_one():
    risks = []
    for members in (1, 10):
        study, store, _ = studied()
        for round_ in range(5):
            study.take([evil(round_, identity) for identity in range(1, members + 1)], AT_ONCE, NOON + round_ * 60)
        profile = Profile.unpack(store.rows[name_of(1)].data)
        risks.append(profile.figures(study.cohort, NOON + 300).risk)
    assert risks[0] < risks[1]


def test_a_store_that_is_down_costs_an_observation_and_nothing_else():
    store, failures = Kept(), []
    store.down = True
    with observing(store, failed=lambda what, error: failures.append(what)) as (observer, notes, _):
        for number in range(10):
            observer.observe(evil(number), AT_ONCE)
        until(lambda: notes.lost == 10)
        assert observer.step(1) is Step.METRIC
        assert observer.error == "behavior: down"
        store.down = False
        for number in range(10, 40):
            observer.observe(evil(number), AT_ONCE)
        until(lambda: observer.step(1) >= Step.ALERT)
        assert observer.error is None
    assert failures == ["behavior"]  # said once, not for every batch
    assert store.closed


def test_a_step_stays_in_force_while_the_store_is_down():
    store = Kept()
    with observing(store) as (observer, notes, _):
        for number in range(60):
            observer.observe(evil(number), AT_ONCE)
        until(lambda: observer.step(1) >= Step.ALERT and not observer._tasks)
        stood = until(lambda: observer.step(1))
        store.down = True
        observer.observe(evil(99), AT_ONCE)
        until(lambda: notes.lost)
        assert observer.step(1) >= stood


def test_what_does_not_fit_into_the_queue_is_counted_and_dropped(monkeypatch):
    store, gate = Kept(), threading.Event()
    store.race = gate.wait
    monkeypatch.setattr("guard.behavior.observer.LIMIT", 300)
    monkeypatch.setattr("guard.behavior.observer.BATCH", 8)
    with observing(store) as (observer, notes, _):
        try:
            for number in range(350):
                observer.observe(observation(1, "x", NOON + number), AT_ONCE)
            assert 0 < notes.lost <= 50
            before = notes.lost
            observer.observe(observation(1, "x" * 40_000_000), AT_ONCE)
            assert notes.lost == before + 1
        finally:
            gate.set()


def test_nothing_runs_before_the_first_observation():
    with observing() as (observer, *_):
        assert observer._thread is None
        assert observer.step(5) is Step.METRIC


def test_of_two_gateways_neither_undoes_what_the_other_learnt():
    store = Kept()
    one, two = (studied(store)[0] for _ in range(2))
    for number in range(20):
        (one if number % 2 else two).take([evil(number)], BehaviorPolicy(), NOON + number * 60)
    assert Profile.unpack(store.rows[name_of(1)].data).requests == 20


def test_who_is_overtaken_reads_again_and_adds_its_own():
    store, other = Kept(), Memory(Kept())
    memory, races = Memory(store), []

    def race():
        if len(races) < 3:
            races.append(1)
            row = store.rows.get("a")
            profile = Profile.unpack(row.data) if row else Profile()
            profile.requests += 100
            store.race = lambda: None
            store.write([Change("a", row.revision if row else 0, profile.pack(), Step.METRIC, NOON)])
            store.race = race

    def add(profile):
        profile.requests += 1

    store.race = race
    assert memory.change({"a": add})["a"].profile.requests == 301
    assert other.peek("a") is None


def test_an_identity_that_is_overtaken_for_ever_is_unknown():
    store = Kept()
    store.write = lambda changes: [change.name for change in changes]
    with pytest.raises(StoreUnavailable, match="again and again"):
        Memory(store).change({"a": lambda _profile: None})


def test_a_failed_write_leaves_no_half_truth_in_memory():
    store = Kept()
    memory = Memory(store)

    def add(profile):
        profile.requests += 1

    memory.change({"a": add})
    store.race = lambda: (_ for _ in ()).throw(StoreUnavailable("gone"))
    with pytest.raises(StoreUnavailable):
        memory.change({"a": add})
    store.race = lambda: None
    assert memory.change({"a": add})["a"].profile.requests == 2


def test_memory_holds_no_more_than_it_may():
    memory = Memory(Kept(), hot=3)
    memory.change({str(n): lambda _profile: None for n in range(10)})
    assert len(memory._hot) == 3


def test_a_profile_of_another_version_begins_anew():
    store = Kept()
    store.write([Change("a", 0, b"\x63 something later", Step.METRIC, NOON)])
    assert Memory(store).change({"a": lambda _profile: None})["a"].profile.requests == 0


def test_who_sends_nothing_any_more_comes_down():
    table = Table()
    study, _, notes = studied(table=table)
    for number in range(120):
        study.take([evil(number)], AT_ONCE, NOON + number * 60)
    assert table.step(1) is Step.SUSPEND
    for day in range(1, 90):
        study.review([identity for identity, _ in table.standing()], AT_ONCE, NOON + day * 86400.0)
    assert table.step(1) is Step.METRIC
    assert table.identities() == {"alert": 0, "clamp": 0, "require_purpose": 0, "suspend": 0}
    assert notes.steps[-1] == ("metric", "over")


def test_a_step_taken_elsewhere_is_known_here_soon_and_what_an_operator_holds_stays():
    store, profile = Kept(), Profile()
    profile.standing = Standing(Step.SUSPEND, held=True, since=NOON)
    with observing(store) as (observer, _, clock):
        observer.start()
        store.write([Change(name_of(9), 0, profile.pack(), Step.SUSPEND, NOON)])
        clock.now += 16
        observer.observe(observation(3), AT_ONCE)
        until(lambda: observer.step(9) is Step.SUSPEND)
        observer.observe(observation(9), AT_ONCE)
        until(lambda: store.rows[name_of(9)].revision == 2)
        assert observer.step(9) is Step.SUSPEND


def calm(number, identity=1):
    return observation(identity, prose(number), NOON + number)


def test_who_has_nothing_against_him_is_written_down_now_and_then():
    study, store, _ = studied()
    for number in range(29):
        study.take([calm(number)], AT_ONCE, NOON + number)
    assert store.rows[name_of(1)].revision == 1
    study.ripen(AT_ONCE, NOON + 29)
    assert store.rows[name_of(1)].revision == 1
    study.ripen(AT_ONCE, NOON + 30)
    assert store.rows[name_of(1)].revision == 2
    waited = Profile.unpack(store.rows[name_of(1)].data)
    plain = Profile()
    for number in range(29):
        plain.observe(read(prose(number)), note(NOON + number))
    plain.crowds(0.0, NOON + 30)
    assert waited.figures(study.cohort, NOON + 31) == pytest.approx(
        Profile.unpack(plain.pack()).figures(study.cohort, NOON + 31), rel=1e-3, abs=1e-3
    )


def test_who_comes_back_late_is_written_down_at_once():
    study, store, _ = studied()
    for number in range(5):
        study.take([calm(number * 60)], AT_ONCE, NOON + number * 60)
        assert store.rows[name_of(1)].revision == number + 1


def test_what_is_evidence_waits_for_nothing_and_takes_what_waited_before_it():
    study, store, _ = studied()
    study.take([calm(0)], AT_ONCE, NOON)
    study.take([calm(1)], AT_ONCE, NOON + 1)
    study.take([evil(0)], AT_ONCE, NOON + 2)
    assert Profile.unpack(store.rows[name_of(1)].data).requests == 3
    study.take([calm(3)], AT_ONCE, NOON + 3)  # from now on there is something against him
    assert Profile.unpack(store.rows[name_of(1)].data).requests == 4
    study.take([calm(4, 2)], AT_ONCE, NOON + 4)
    study.take([calm(5, 2)._replace(document={"seed": 1})], AT_ONCE, NOON + 5)  # may be a sweep
    assert Profile.unpack(store.rows[name_of(2)].data).requests == 2


def test_no_more_waits_than_may_wait(monkeypatch):
    monkeypatch.setattr("guard.behavior.study.WAITING", 10)
    study, store, _ = studied()
    written = []
    for number in range(13):
        study.take([calm(number)], AT_ONCE, NOON)
        written.append(Profile.unpack(store.rows[name_of(1)].data).requests)
    assert written == [1] * 11 + [11] * 2


def test_what_waited_and_cannot_be_written_is_counted_as_lost():
    study, store, notes = studied()
    for number in range(5):
        study.take([calm(number)], AT_ONCE, NOON + number)
    store.down = True
    with pytest.raises(StoreUnavailable):
        study.ripen(AT_ONCE, NOON + 40)
    assert notes.lost == 4
    store.down = False
    study.ripen(AT_ONCE, NOON + 80, everything=True)
    assert Profile.unpack(store.rows[name_of(1)].data).requests == 1


def test_what_waits_is_written_when_the_observer_closes_and_when_it_is_time():
    store = Kept()
    with observing(store) as (observer, _, clock):
        for number in range(4):
            observer.observe(calm(number), AT_ONCE)
            until(lambda: not observer._tasks and store.rows)
        clock.now += 31
        observer.observe(calm(9, 2), AT_ONCE)
        until(lambda: Profile.unpack(store.rows[name_of(1)].data).requests == 4)
        observer.observe(calm(10, 2), AT_ONCE)
    assert Profile.unpack(store.rows[name_of(2)].data).requests == 2


def test_a_clock_that_is_put_back_keeps_nothing_waiting():
    study, store, _ = studied()
    study.take([calm(0)], AT_ONCE, NOON)
    study.take([calm(1)], AT_ONCE, NOON + 1)
    study.ripen(AT_ONCE, NOON - 9000)
    assert Profile.unpack(store.rows[name_of(1)].data).requests == 2


def test_clamped_requests_have_a_rate():
    table = Table()
    assert [table.admit(1, 3, NOON) for _ in range(5)] == [True, True, True, False, False]
    assert table.admit(1, 3, NOON + 20)
    assert not table.admit(1, 3, NOON + 20)
    assert table.admit(2, 3, NOON)


def test_the_cohort_is_learnt_from_harmless_identities_and_shared():
    store = Kept()
    one = studied(store)[0]
    for hour in range(30):
        batch = [observation(identity, prose(hour * 100 + identity), NOON + hour * 3600) for identity in range(10, 20)]
        one.take(batch, AT_ONCE, NOON + hour * 3600)
    assert one.cohort.contributions > 100
    two = studied(store)[0]
    two.take([observation(99)], AT_ONCE, NOON + 30 * 3600)
    assert two.cohort.contributions == one.cohort.contributions
