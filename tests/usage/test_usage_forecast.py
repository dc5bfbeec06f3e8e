"""When will a count pass its limit? A forecast says so with its uncertainty, or says what it lacks."""

import json
import random
import statistics
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_growth_world import SCENARIOS, count_of, service

from guard.usage.ledger import Growth
from guard.usage.outlook.forecast import Verdict, forecast, forecast_windows
from guard.usage.period import Kind


def seeded(seed=7):
    return random.Random(seed)


def grown(start, today, *, new=40.0, monthly=0.0, retention=0.6, launched=True, tells=True):
    """A smooth service: ``new`` users a day when it began, growing ``monthly``; of a month's users a part comes back."""
    day, last = date.fromisoformat(start), date.fromisoformat(today)
    history, stock, users, month = {}, 0 if launched else 2000, 0, start[:7]
    since = day
    while day <= last:
        name = day.isoformat()
        if name[:7] != month:
            month, stock, users = name[:7], users, 0
        came = [1 - 1 / (1 + passed / 4) for passed in (day.day - 1, day.day, 31)]
        back = round(stock * retention * (came[1] - came[0]) / came[2]) if day != since or not launched else 0
        fresh = round(new * (1 + monthly) ** ((day - since).days / 30))
        if fresh + back:
            row = Growth(name, fresh, back) if tells else Growth(name, fresh + back, None)
            history.setdefault(month, []).append(row)
        users += fresh + back
        day += timedelta(1)
    return history


def counted(history, month):
    return sum(row.new + (row.returning or 0) for row in history.get(month, ()))


def before(history, today):
    """What the ledger had held on an earlier day."""
    rows = {month: [row for row in growth if row.day <= today] for month, growth in history.items()}
    return {month: growth for month, growth in rows.items() if growth}


def test_growth_that_compounds_crosses_when_it_does():
    year = grown("2026-01-01", "2026-12-31", monthly=0.1)
    limit = counted(year, "2026-08")
    said = forecast(before(year, "2026-06-15"), "2026-06-15", 1.0, limit, rng=seeded())
    assert said.verdict is Verdict.EXPECTED
    assert said.earliest <= "2026-09-30"
    assert (said.latest or "never") >= "2026-08-31"
    assert "2026-08-15" <= said.crossing <= "2026-10-10"
    assert said.growth_per_month == pytest.approx(0.1, abs=0.03)
    assert said.retention == pytest.approx(0.6, abs=0.06)
    assert "% of a month's users come back in the next" in said.reasons[1]


def test_the_months_end_is_foretold_and_a_line_through_the_gauge_misses_it_in_both_directions():
    year = grown("2026-01-01", "2026-06-30", new=20, retention=0.9)
    truth = counted(year, "2026-06")

    def line(day):
        """predict_linear(guard_license_mau[5d]), asked for the end of the month."""
        counts = count_of(row for growth in before(year, day).values() for row in growth)
        levels, level, at = [], 0, date.fromisoformat("2026-05-01")
        while at.isoformat() <= day:
            level = (0 if at.day == 1 else level) + counts[at.isoformat()]
            levels.append(level)
            at += timedelta(1)
        slope, intercept = statistics.linear_regression(range(5), levels[-5:])
        return intercept + slope * (4 + (date(2026, 6, 30) - date.fromisoformat(day)).days)

    early = forecast(before(year, "2026-06-04"), "2026-06-04", 1.0, 10**9, rng=seeded())
    assert early.final_low <= truth <= early.final_high
    assert early.final == pytest.approx(truth, rel=0.05)
    assert line("2026-06-06") > 1.5 * truth, "the first days' steep slope does not last"
    assert line("2026-06-01") < 0.5 * truth, "and on the first the count fell to nothing"


def test_a_service_that_stands_still_does_not_cross_within_a_year():
    said = forecast(grown("2026-01-01", "2026-09-20"), "2026-09-20", 0.5, 100_000, rng=seeded())
    assert said.verdict is Verdict.NOT_EXPECTED
    assert (said.crossing, said.earliest, said.latest) == (None, None, None)
    assert 0 < said.chance_period <= said.chance_horizon < 0.05
    assert said.horizon == "2027-09-20"


def test_a_limit_that_is_near_is_crossed_in_this_month():
    history = grown("2026-01-01", "2026-09-20")
    count = counted(history, "2026-09")
    said = forecast(history, "2026-09-20", 1.0, count + 100, rng=seeded())
    assert said.verdict is Verdict.EXPECTED
    assert "2026-09-22" <= said.earliest <= said.crossing <= said.latest <= "2026-09-25"
    assert 0.9 < said.chance_period < 1
    assert [expected.day for expected in said.band] == [f"2026-09-{day}" for day in range(20, 31)]
    assert said.band[-1][1:] == (said.final_low, said.final, said.final_high)


def test_already_crossed_says_since_when_even_without_data_for_a_forecast():
    history = {"2026-11": [Growth("2026-11-01", 50, 0), Growth("2026-11-03", 51, 0)]}
    said = forecast(history, "2026-11-03", 0.5, 100, rng=seeded())
    assert (said.verdict, said.since, said.count) == (Verdict.CROSSED, "2026-11-03", 101)
    assert said.chance_period == said.chance_horizon == 1.0
    assert said.crossing is None
    assert forecast(history, "2026-11-03", 0.5, 101, rng=seeded()).since is None


def test_earlier_months_over_the_limit_are_named():
    history = grown("2026-06-01", "2026-11-10")
    limit = counted(history, "2026-10") - 1
    assert forecast(history, "2026-11-10", 0.5, limit, rng=seeded()).earlier[-1] == "2026-10"


def test_declared_users_leave_less_room():
    history = grown("2026-01-01", "2026-09-20")
    alone = forecast(history, "2026-09-20", 0.5, 2500, rng=seeded())
    more = forecast(history, "2026-09-20", 0.5, 7500, beyond=5000, rng=seeded())
    assert (more.crossing, more.chance_horizon) == (alone.crossing, alone.chance_horizon)
    assert (more.count, more.final) == (alone.count + 5000, alone.final + 5000)
    assert "the 5,000 users beyond those seen to grow (declared, merged) stay as many" in more.assumptions
    over = forecast({}, "2026-09-20", 0.5, 4999, beyond=5000, rng=seeded())
    assert (over.verdict, over.since) == (Verdict.CROSSED, None)
    assert over.chance_period == over.chance_horizon == 1.0


def test_with_users_beyond_nobody_knows_since_when_a_limit_is_passed():
    """Merged and declared users came on no known day, so they are on none, the first of the month included."""
    history = {"2026-11": [Growth("2026-11-20", 7, 0)]}
    said = forecast(history, "2026-11-22", 0.5, 10, beyond=6, rng=seeded())
    assert (said.verdict, said.count, said.since) == (Verdict.CROSSED, 13, None)
    assert forecast(history, "2026-11-22", 0.5, 13, beyond=6, rng=seeded()).verdict is not Verdict.CROSSED
    window = forecast_windows({"2026-11-22": 7}, "2026-11-22", 0.5, 10, kind=Kind.DAY, beyond=6, rng=seeded())
    assert (window.verdict, window.since) == (Verdict.CROSSED, None)


def test_earlier_periods_are_not_over_by_numbers_that_are_of_this_one():
    history = {"2026-10": [Growth("2026-10-20", 8, 0)], "2026-11": [Growth("2026-11-20", 7, 0)]}
    assert forecast(history, "2026-11-22", 0.5, 10, beyond=6, rng=seeded()).earlier == ()
    assert forecast(history, "2026-11-22", 0.5, 7, beyond=6, rng=seeded()).earlier == ("2026-10",)
    days = {"2026-11-21": 8, "2026-11-22": 7}
    assert forecast_windows(days, "2026-11-22", 0.5, 10, kind=Kind.DAY, beyond=6, rng=seeded()).earlier == ()


def nothing(said):
    return said.verdict is Verdict.TOO_LITTLE_DATA and said.band == () and {
        said.crossing, said.earliest, said.latest, said.chance_period, said.chance_horizon, said.horizon, said.final,
        said.final_low, said.final_high,
    } == {None}  # fmt: skip


def test_zero_users():
    said = forecast({}, "2026-11-22", 0.5, 1000, rng=seeded())
    assert nothing(said)
    assert said.count == 0
    assert said.missing == ("7 complete days with traffic (now 0)",)
    assert said.possible_from == "2026-11-29"


def test_one_day_of_data():
    said = forecast({"2026-11": [Growth("2026-11-22", 900, 0)]}, "2026-11-22", 0.9, 1000, rng=seeded())
    assert nothing(said)
    assert said.count == 900
    assert said.possible_from == "2026-11-29"


def test_the_day_it_says_is_the_day_it_can():
    """A ledger that began late in a month must see a week of the next one."""
    for start in ("2026-11-10", "2026-11-22", "2026-11-26"):
        year = grown(start, "2026-12-31")
        first = forecast(before(year, start), start, 0.5, 10**6, rng=seeded())
        eve = (date.fromisoformat(first.possible_from) - timedelta(1)).isoformat()
        assert nothing(forecast(before(year, eve), eve, 0.5, 10**6, rng=seeded())), start
        day = first.possible_from
        assert forecast(before(year, day), day, 0.5, 10**6, rng=seeded()).final is not None, start


def test_a_first_month_is_foretold_to_its_end_and_no_further():
    year = grown("2026-11-01", "2026-12-31", launched=False)
    said = forecast(before(year, "2026-11-15"), "2026-11-15", 1.0, 10**6, rng=seeded())
    assert said.verdict is Verdict.TOO_LITTLE_DATA
    assert said.final_low <= counted(year, "2026-11") <= said.final_high
    assert said.horizon == "2026-11-30"
    assert said.possible_from == "2026-12-08"
    assert "how many users come back" in said.missing[0]
    later = forecast(before(year, "2026-12-08"), "2026-12-08", 1.0, 10**6, rng=seeded())
    assert later.missing == ()
    assert later.horizon == "2027-12-08"


def test_a_first_month_that_crosses_has_its_date():
    year = grown("2026-11-01", "2026-11-30", new=100)
    said = forecast(before(year, "2026-11-15"), "2026-11-15", 1.0, 2000, rng=seeded())
    assert said.verdict is Verdict.EXPECTED
    assert "2026-11-18" <= said.crossing <= "2026-11-24"


def test_days_without_traffic_are_no_quiet_days():
    whole = grown("2026-05-01", "2026-09-20")
    gap = {f"2026-08-{day:02d}" for day in range(11, 17)}
    holed = {month: [row for row in growth if row.day not in gap] for month, growth in whole.items()}
    said = forecast(holed, "2026-09-20", 1.0, 3000, rng=seeded())
    assert any(reason.startswith("6 days without any first sighting") for reason in said.reasons)
    same = forecast(whole, "2026-09-20", 1.0, 3000, rng=seeded())
    assert said.final == pytest.approx(same.final, rel=0.05)
    assert said.growth_per_month == pytest.approx(same.growth_per_month, abs=0.05)


def test_a_month_without_anybody_is_no_end():
    history = grown("2026-05-01", "2026-09-20")
    del history["2026-07"]
    history["2026-08"] = [Growth(row.day, row.new + row.returning, 0) for row in history["2026-08"]]
    said = forecast(history, "2026-09-20", 1.0, 10**6, rng=seeded())
    whole = forecast(grown("2026-05-01", "2026-09-20"), "2026-09-20", 1.0, 10**6, rng=seeded())
    assert said.retention == pytest.approx(whole.retention, abs=0.05)
    assert said.final == pytest.approx(whole.final, rel=0.05)


def test_silence_since_last_month_is_an_outage_and_the_first_days_need_none_of_this_month():
    history = grown("2026-05-01", "2026-08-31")
    said = forecast(history, "2026-09-05", 0.0, 10**6, rng=seeded())
    assert said.count == 0
    assert said.final > 0.5 * counted(history, "2026-08")


def test_weekends_are_short():
    """On a Friday evening most of what is left of the week is still to come on Monday."""
    history = {}
    for ahead in range(75):
        day = date(2026, 6, 1) + timedelta(ahead)
        new = 5 if day.weekday() >= 5 else 100
        history.setdefault(day.isoformat()[:7], []).append(Growth(day.isoformat(), new, 0 if day.month == 6 else 10))
    said = forecast(history, "2026-08-14", 1.0, 10**6, rng=seeded())
    steps = [after.middle - earlier.middle for earlier, after in zip(said.band, said.band[1:], strict=False)]
    assert said.today == "2026-08-14"  # a Friday
    assert max(steps[:2]) < 0.35 * min(steps[2:7])


def test_the_last_moment_of_a_month_and_the_first_of_the_next():
    year = grown("2026-01-01", "2026-10-01")
    last = forecast(before(year, "2026-09-30"), "2026-09-30", 1.0, 10**6, rng=seeded())
    assert last.final == last.final_low == last.final_high == last.count == counted(year, "2026-09")
    first = forecast(before(year, "2026-09-30"), "2026-10-01", 0.0, 10**6, rng=seeded())
    assert (first.period, first.count) == ("2026-10", 0)
    assert first.final == pytest.approx(last.final, rel=0.15)
    assert len(first.band) == 31


@pytest.mark.parametrize(("today", "days"), [("2026-02-10", 19), ("2028-02-10", 20), ("2026-12-31", 1)])
def test_every_month_has_its_own_length(today, days):
    start = (date.fromisoformat(today) - timedelta(100)).isoformat()
    said = forecast(grown(start, today), today, 0.5, 10**6, rng=seeded())
    assert len(said.band) == days


def test_a_ledger_that_cannot_tell_returning_users_says_so_and_is_foretold_all_the_same():
    told, untold = (grown("2026-01-01", "2026-07-31", monthly=0.05, tells=tells) for tells in (True, False))
    day = "2026-07-15"
    said = forecast(before(untold, day), day, 1.0, 10**6, rng=seeded())
    assert said.final_low <= counted(told, "2026-07") <= said.final_high
    assert any("cannot tell returning users" in reason for reason in said.reasons)


def test_an_enormous_service_and_a_tiny_one():
    for new in (1, 4_000_000):
        year = grown("2026-01-01", "2026-06-30", new=new)
        said = forecast(before(year, "2026-06-10"), "2026-06-10", 1.0, 10**10, rng=seeded())
        assert said.final_low <= counted(year, "2026-06") <= said.final_high


def test_nothing_is_certain_that_has_not_happened():
    history = grown("2026-01-01", "2026-09-20")
    count = counted(history, "2026-09")
    near = forecast(history, "2026-09-20", 0.0, count, rng=seeded())
    far = forecast(history, "2026-09-20", 0.0, 10**12, rng=seeded())
    assert 0.99 < near.chance_period < 1
    assert 0 < far.chance_horizon < 0.01


def test_the_same_seed_says_the_same_and_it_is_json():
    history = grown("2026-01-01", "2026-09-20", monthly=0.05)
    one, other = (forecast(history, "2026-09-20", 0.3, 3000, rng=seeded(3)) for _ in range(2))
    assert one == other
    document = json.loads(json.dumps(one.to_dict()))
    assert document["verdict"] == one.verdict
    assert document["kind"] == "month"
    assert document["band"][0] == {"day": "2026-09-20", **one.band[0]._asdict()}


@pytest.mark.parametrize(("history", "elapsed", "beyond", "message"), [
    ({}, 1.5, 0, "1.5 of the day"),
    ({}, 0.5, -1, "-1 users beyond"),
    ({"2026-11": [Growth("2026-11-23", 1, 0)]}, 0.5, 0, "2026-11-23 in 2026-11"),
    ({"2026-11": [Growth("2026-10-23", 1, 0)]}, 0.5, 0, "2026-10-23 in 2026-11"),
])  # fmt: skip
def test_what_cannot_be_is_refused(history, elapsed, beyond, message):
    with pytest.raises(ValueError, match=message):
        forecast(history, "2026-11-22", elapsed, 100, beyond=beyond, rng=seeded())


months = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=0, max_size=50)


@settings(max_examples=15, deadline=None)
@given(months, st.integers(0, 30), st.integers(0, 3000), st.integers(0, 2000), st.floats(0, 1))
def test_more_room_never_means_earlier(growth, offset, allowed, more, elapsed):
    start = date(2026, 1, 1) + timedelta(offset)
    history = {}
    for ahead, (new, back) in enumerate(growth):
        day = (start + timedelta(ahead)).isoformat()
        history.setdefault(day[:7], []).append(Growth(day, new, back if day[:7] > start.isoformat()[:7] else 0))
    today = (start + timedelta(max(len(growth) - 1, 0))).isoformat()
    tight, roomy = (forecast(history, today, elapsed, limit, rng=seeded(1)) for limit in (allowed, allowed + more))
    for said in (tight, roomy):
        dates = [said.earliest or "never", said.crossing or "never", said.latest or "never"]
        assert dates == sorted(dates)
        assert dates[0] >= today
        assert said.since is None or said.count > said.allowed
        if said.final is not None:
            assert said.count <= said.final_low <= said.final <= said.final_high
            assert 0 < said.chance_period <= said.chance_horizon <= 1
            assert [expected.middle for expected in said.band] == sorted(expected.middle for expected in said.band)
        else:
            assert said.missing
            assert said.possible_from > today
    if roomy.since:
        assert tight.since <= roomy.since
    elif tight.final is not None and not tight.since:
        assert (tight.crossing or "never") <= (roomy.crossing or "never")
        assert tight.chance_period >= roomy.chance_period
        assert tight.chance_horizon >= roomy.chance_horizon


def daily(start, days, base, monthly, weekend=1.0):
    first = date.fromisoformat(start)
    return {
        (first + timedelta(ahead)).isoformat(): round(
            base * (1 + monthly) ** (ahead / 30) * (weekend if (first + timedelta(ahead)).weekday() >= 5 else 1)
        )
        for ahead in range(days)
    }


def test_days_cross_on_a_working_day():
    year = daily("2026-01-01", 365, 1000, 0.08, weekend=0.5)
    truth = min(day for day, total in year.items() if total > 2000)
    past = {day: total for day, total in year.items() if day <= "2026-07-15"}
    said = forecast_windows(past, "2026-07-15", 1.0, 2000, kind=Kind.DAY, rng=seeded())
    assert said.verdict is Verdict.EXPECTED
    assert said.earliest <= truth <= said.latest
    assert date.fromisoformat(said.crossing).weekday() < 5
    assert (said.period, said.final, len(said.band)) == ("2026-07-15", past["2026-07-15"], 1)


def test_rolling_windows_cross_when_they_do():
    year = daily("2026-01-01", 365, 30_000, 0.06)
    truth = min(day for day, total in year.items() if total > 60_000)
    past = {day: total for day, total in year.items() if day <= "2026-08-15"}
    said = forecast_windows(past, "2026-08-15", 0.5, 60_000, kind=Kind.ROLLING_30, rng=seeded())
    assert said.period == "2026-08-15/30d"
    assert said.earliest <= truth <= (said.latest or "never")
    assert said.final >= past["2026-08-15"]


def test_a_rolling_window_must_have_been_full_for_a_week():
    """While the first window fills, its total grows because time passes."""
    filling = {day: 100 * (ahead + 1) for ahead, day in enumerate(daily("2026-01-01", 36, 1, 0))}
    today = max(filling)
    said = forecast_windows(filling, today, 0.5, 10**6, kind=Kind.ROLLING_30, rng=seeded())
    assert nothing(said)
    assert said.missing[0].startswith("7 totals of complete periods (now 6)")
    ready = {**filling, said.possible_from: 3700}
    assert forecast_windows(ready, said.possible_from, 0.5, 10**6, kind=Kind.ROLLING_30, rng=seeded()).final is not None


def test_windows_that_were_never_counted():
    said = forecast_windows({}, "2026-01-01", 0.5, 10, kind=Kind.ROLLING_28, rng=seeded())
    assert nothing(said)
    assert said.possible_from == "2026-02-04"
    over = forecast_windows({"2026-01-01": 11}, "2026-01-01", 0.5, 10, kind=Kind.DAY, rng=seeded())
    assert (over.verdict, over.since) == (Verdict.CROSSED, "2026-01-01")
    with pytest.raises(ValueError, match="kind month"):
        forecast_windows({}, "2026-01-01", 0.5, 10, kind=Kind.MONTH, rng=seeded())


def covered(cases, scenarios, days):
    """How many forecasts of made-up services' months held the truth, and of their crossings within a year."""
    finals, chances = [], []
    for scenario in scenarios:
        for number in range(cases):
            chance = random.Random(f"{scenario}/{number}")
            world = service(scenario, chance, days=chance.randint(*days), scale=6)
            allowed = max(
                int(max(world.running[day] for day in world.running if day <= world.today) * 1.3), world.so_far
            )
            said = forecast(world.history, world.today, world.elapsed, allowed, rng=seeded(number))
            if said.final is not None:
                finals.append(said.final_low <= world.final() <= said.final_high)
            if said.chance_horizon is not None and not said.missing:
                chances.append((said.chance_horizon, world.crossing(allowed) is not None))
    return finals, chances


def test_intervals_hold_the_truth_of_services_made_by_another_model():
    finals, _ = covered(2, ("flat", "exponential"), (45, 70))
    assert sum(finals) >= 3  # of 4: that nothing is grossly off; the measurement is below


@pytest.mark.slow
def test_intervals_are_calibrated():
    finals, chances = covered(16, SCENARIOS, (10, 330))
    assert len(finals) > 100
    assert 0.7 <= sum(finals) / len(finals) <= 0.93
    likely = [came for chance, came in chances if chance >= 0.6]
    unlikely = [came for chance, came in chances if chance <= 0.4]
    assert sum(likely) / len(likely) > 0.6
    assert sum(unlikely) / len(unlikely) < 0.4
