"""A period is a calendar month in a stated zone; its edges are where the zone's clocks say midnight."""

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.usage.period import Calendar, CalendarError, Kind, days_of, kind_of, month_before, month_of

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "America/Santiago", "Asia/Beirut"]


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_a_month_begins_at_the_zones_midnight():
    period = Calendar("Europe/Berlin").period(at("2026-11-15T12:00", "Europe/Berlin"))
    assert period == ("2026-11", at("2026-10-31T23:00"), at("2026-11-30T23:00"))


def test_summer_time_shifts_the_edges():
    berlin = Calendar("Europe/Berlin")
    october, november = berlin.parse("2026-10"), berlin.parse("2026-11")
    assert october.start == at("2026-09-30T22:00")
    assert october.end == november.start == at("2026-10-31T23:00")
    assert october.end - october.start == 31 * 86400 + 3600


def test_the_first_instant_belongs_to_the_new_month_and_the_one_before_does_not():
    calendar = Calendar("UTC")
    edge = at("2026-12-01T00:00")
    assert calendar.period(edge).id == "2026-12"
    assert calendar.period(edge - 0.001).id == "2026-11"
    assert calendar.period(math.nextafter(edge, 0)).id == "2026-11"
    assert calendar.period(edge).id == "2026-12"


def test_december_is_followed_by_january():
    period = Calendar().parse("2026-12")
    assert (period.start, period.end) == (at("2026-12-01T00:00"), at("2027-01-01T00:00"))


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.floats(788918400, 2840140800))
def test_periods_cover_time_without_gap_or_overlap(zone, now):
    calendar = Calendar(zone)
    period = calendar.period(now)
    local = datetime.fromtimestamp(int(now), ZoneInfo(zone))
    assert period.id == f"{local:%Y-%m}"
    assert period.start <= now < period.end
    assert calendar.period(period.end).start == period.end
    assert calendar.period(period.start - 1).end == period.start
    assert calendar.parse(period.id) == period


@settings(deadline=None)
@given(st.lists(st.floats(0, 120 * 86400), max_size=30))
def test_the_remembered_period_never_answers_for_another(offsets):
    calendar, start = Calendar("Europe/Berlin"), at("2026-09-20T00:00")
    for offset in offsets:
        assert calendar.period(start + offset) == Calendar("Europe/Berlin").period(start + offset)


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "../etc/passwd", "Mars/Phobos", "/etc/localtime"])
def test_an_unknown_zone_says_what_is_allowed(zone):
    with pytest.raises(CalendarError, match="allowed: IANA names such as UTC or Europe/Berlin"):
        Calendar(zone)


def test_a_misspelt_zone_gets_the_nearest():
    with pytest.raises(CalendarError, match="did you mean 'Europe/Berlin'"):
        Calendar("Europe/Berln")


@pytest.mark.parametrize(
    "text",
    [
        "2026",
        "2026-13",
        "2026-00",
        "2026-1",
        "26-11",
        "9999-12",
        "2026-11-31",
        "2026-11-01/7d",
        "2026-11/30d",
        "",
        "٢٠٢٦-11",
    ],
)
def test_a_period_that_is_no_month_is_refused(text):
    with pytest.raises(CalendarError, match="allowed: YYYY-MM"):
        Calendar().parse(text)


def test_the_definition_names_the_zone():
    assert Calendar("Asia/Tokyo").definition().endswith("in zone Asia/Tokyo.")


def test_a_leap_day_is_in_february():
    leap = datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)
    assert Calendar().period(leap.timestamp()).id == "2028-02"
    assert Calendar().period((leap + timedelta(seconds=1)).timestamp()).id == "2028-03"


EVERY = tuple(Kind)


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.floats(1356998400, 2840140800))
def test_days_cover_time_without_gap_or_overlap(zone, now):
    calendar = Calendar(zone, EVERY)
    day = calendar.period(now)
    assert day.id == f"{datetime.fromtimestamp(int(now), ZoneInfo(zone)):%Y-%m-%d}" == calendar.day(now)
    assert day.start <= now < day.end
    assert calendar.period(day.end).start == day.end
    assert calendar.period(day.start - 1).end == day.start
    assert calendar.parse(day.id) == day
    assert 22 * 3600 < day.end - day.start < 26 * 3600


def test_the_day_the_clocks_change_is_a_day():
    berlin = Calendar("Europe/Berlin", (Kind.DAY,))
    short, long = berlin.parse("2026-03-29"), berlin.parse("2026-10-25")
    assert (short.end - short.start, long.end - long.start) == (23 * 3600, 25 * 3600)
    assert berlin.period(short.start + 22.5 * 3600).id == "2026-03-29"
    assert berlin.period(long.start + 24.5 * 3600).id == "2026-10-25"


def test_only_the_month_is_tracked_unless_more_is_asked_for():
    assert Calendar().periods(at("2026-11-22T12:00")) == {Kind.MONTH: "2026-11"}
    assert Calendar().period(at("2026-11-22T12:00")).id == "2026-11"
    assert Calendar(kinds=EVERY).periods(at("2026-11-22T12:00")) == {
        Kind.MONTH: "2026-11",
        Kind.DAY: "2026-11-22",
        Kind.ROLLING_28: "2026-11-22/28d",
        Kind.ROLLING_30: "2026-11-22/30d",
    }


def test_a_sighting_counts_in_every_period_it_lies_in():
    calendar = Calendar(kinds=(Kind.ROLLING_28,))
    assert calendar.windows("2026-11-22", "2026-11-22") == ("2026-11-22", "2026-11", "2026-11-22/28d")
    late = calendar.windows("2026-10-31", "2026-11-02")
    assert late == ("2026-10-31", "2026-10", "2026-10-31/28d", "2026-11-01/28d", "2026-11-02/28d")
    assert Calendar().windows("2026-11", "2026-11-22") == ("2026-11",)


@given(st.dates(date(1970, 1, 1)), st.integers(0, 60), st.sampled_from([Kind.ROLLING_28, Kind.ROLLING_30]))
def test_a_late_sighting_is_in_exactly_the_windows_that_hold_its_day(day, later, kind):
    try:
        today = day + timedelta(later)
        first = day - timedelta(40)
    except OverflowError:
        return
    calendar = Calendar(kinds=(kind,))
    found = [each for each in calendar.windows(day.isoformat(), today.isoformat()) if kind_of(each) is kind]
    ends = [first + timedelta(step) for step in range((today - first).days + 1)]
    windows = [f"{end.isoformat()}/{kind.days}d" for end in ends]
    assert found == [window for window in windows if day.isoformat() in days_of(window)]


def test_windows_have_as_many_days_as_they_say():
    assert days_of("2026-11-22") == ("2026-11-22",)
    assert (days_of("2026-03-01/28d")[0], len(days_of("2026-03-01/28d"))) == ("2026-02-02", 28)
    window = Calendar("Europe/Berlin").parse("2026-11-02/30d")
    assert (window.start, window.end) == (at("2026-10-04", "Europe/Berlin"), at("2026-11-03", "Europe/Berlin"))


def test_ids_tell_their_kind_and_month():
    kinds = [kind_of(text) for text in ("2026-11", "2026-11-22", "2026-11-22/28d", "2026-11-22/30d")]
    assert kinds == [Kind.MONTH, Kind.DAY, Kind.ROLLING_28, Kind.ROLLING_30]
    assert month_of("2026-11-22/30d") == "2026-11"
    assert (month_before("2026-01"), month_before("2026-12")) == ("2025-12", "2026-11")


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_has_its_definition(kind):
    text = Calendar("UTC").definition(kind)
    assert text.startswith("An active user is a distinct identity")
    assert ("calendar month" in text) == (kind is Kind.MONTH)
