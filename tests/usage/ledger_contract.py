"""What every ledger promises, as tests: a store subclasses ``LedgerContract`` and says how to open a handle on it."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import (
    LEASE_SECONDS,
    Growth,
    LedgerError,
    LedgerMismatch,
    LedgerUnavailable,
    Scope,
    Totals,
)

OCTOBER, NOVEMBER, DECEMBER = "2026-10", "2026-11", "2026-12"
DAY, WINDOW = "2026-11-22", "2026-11-22/30d"
QWEN, KIMI = Scope(NOVEMBER, "qwen"), Scope(NOVEMBER, "kimi")
NOW = 1_795_000_000.0
EXTREMES = (-(2**63), -(2**63) + 1, -1, 0, 1, 2**53 + 1, 2**63 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["claim", "write", "write", "wait"]),
              st.integers(0, 12), st.integers(0, 40)),
    max_size=25,
)  # fmt: skip
USERS = st.lists(INT64 | st.integers(-3, 9), max_size=8)
SERIAL = count()
"""Hypothesis runs its examples on one store: each counts under licenses of its own."""

EXAMPLES = settings(
    max_examples=50,
    deadline=None,
    # one store serves all examples (see SERIAL), and several stores run the same test
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def declared(source="mobile app", users=1000, **changes) -> Declaration:
    fields = {"license": "qwen", "period": NOVEMBER, "source": source, "part": Part.PRODUCT, "users": users,
              "unidentified": 5, "owner": "legal@example.org", "stated": DAY}  # fmt: skip
    return Declaration(**{**fields, **changes})


class LedgerContract:
    """The tests. A subclass gives the fixture ``open_handle``: a function ``(*, read_only=False) -> Ledger`` that opens
    another handle on the one store of the test and closes what it opened afterwards."""

    exact = True
    """False for an estimate: it names nobody, and its numbers are near the truth and inside the bounds it states."""
    own_clock = False
    """True if the store has a clock of its own: then leases are not those of the ``now`` that a claim states."""
    forgetful = False
    """What the attribute of the ledger is to be."""

    @pytest.fixture
    def open_handle(self):
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, open_handle):
        return open_handle()

    # What the tests ask of a count

    def put(self, ledger, scope, users, unidentified=None, *, owner="gateway-1", day=None):
        asked = {} if unidentified is None else {scope: unidentified}
        return ledger.write({scope: users}, asked, owner=owner, day=day)[scope]

    def is_near(self, found, truth):
        return found == truth if self.exact else abs(found - truth) <= 2 + truth // 20

    def check(self, totals, users, unidentified=0):
        assert self.is_near(totals.users, users)
        assert totals.unidentified == unidentified
        assert totals.lower <= totals.users <= totals.upper
        if self.exact:
            assert totals == Totals(users, unidentified, users, users)

    def check_period(self, ledger, period, expected):
        """The totals of ``period`` are the expected (users, unidentified) by license; a license may have none."""
        found = {name: each for name, each in ledger.totals(period).items() if each.users or each.unidentified}
        assert found.keys() == {name for name, numbers in expected.items() if any(numbers)}
        for name, totals in found.items():
            self.check(totals, *expected[name])

    def people(self, ledger, scope):
        return sorted(user for some in ledger.pseudonyms(scope) for user in some)

    def growth(self, ledger, month=NOVEMBER, license="qwen"):
        return list(ledger.growth(license, month))

    # The store

    def test_it_says_what_it_is(self, ledger):
        assert ledger.exact is self.exact
        assert ledger.forgetful is self.forgetful
        assert ledger.survives_power_loss in {True, False}

    def test_it_begins_empty(self, ledger):
        assert not ledger.totals(NOVEMBER)
        assert not ledger.periods()
        assert ledger.users(QWEN) == 0
        assert ledger.zone() is None
        assert ledger.key_of(NOVEMBER) is None
        assert self.growth(ledger) == []
        assert list(ledger.declarations(NOVEMBER)) == []

    def test_its_periods_are_of_one_zone(self, ledger, open_handle):
        ledger.bind("Europe/Berlin")
        ledger.bind("Europe/Berlin")
        assert open_handle().zone() == ledger.zone() == "Europe/Berlin"
        with pytest.raises(LedgerMismatch, match=r"Europe/Berlin.*America/New_York"):
            ledger.bind("America/New_York")
        assert ledger.zone() == "Europe/Berlin"

    def test_a_month_is_of_one_key_and_the_next_may_be_of_another(self, ledger, open_handle):
        ledger.claim_key(NOVEMBER, "00112233aabbccdd")
        ledger.claim_key(NOVEMBER, "00112233aabbccdd")
        ledger.claim_key(DECEMBER, "ffeeddccbbaa9988")
        other = open_handle()
        with pytest.raises(LedgerMismatch, match=r"2026-11.*00112233aabbccdd.*ffeeddccbbaa9988"):
            other.claim_key(NOVEMBER, "ffeeddccbbaa9988")
        assert (other.key_of(NOVEMBER), other.key_of(DECEMBER)) == ("00112233aabbccdd", "ffeeddccbbaa9988")
        assert other.key_of(OCTOBER) is None

    def test_its_incarnation_changes_only_if_it_may_forget(self, ledger, open_handle):
        assert ledger.incarnation() == open_handle().incarnation()
        assert bool(ledger.incarnation()) is self.forgetful

    def test_two_handles_see_one_count(self, ledger, open_handle):
        other = open_handle()
        self.put(ledger, QWEN, [1, 2], 3)
        self.check(self.put(other, QWEN, [2, 4], 1, owner="gateway-2").totals, 3, 4)
        for each in (ledger, other):
            self.check_period(each, NOVEMBER, {"qwen": (3, 4)})
            assert self.is_near(each.users(QWEN), 3)

    def test_threads_read_what_one_writes(self, ledger):
        done = threading.Event()

        def read(_):
            found = []
            while not done.is_set():
                totals = ledger.totals(NOVEMBER).get("qwen")
                found.append((totals.users if totals else 0, totals.unidentified if totals else 0, ledger.users(QWEN)))
            return found

        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read, number) for number in range(3)]
            try:
                for user in range(30):
                    self.put(ledger, QWEN, [user], user + 1)
            finally:
                done.set()
            for numbers in (column for reader in readers for column in zip(*reader.result(), strict=True)):
                assert list(numbers) == sorted(numbers)
        self.check_period(ledger, NOVEMBER, {"qwen": (30, 30)})

    def test_what_was_written_outlives_the_handle(self, ledger, open_handle):
        other = open_handle()
        self.put(other, QWEN, [1], 2, day=DAY)
        other.close()
        self.check_period(ledger, NOVEMBER, {"qwen": (1, 2)})
        self.check_period(open_handle(), NOVEMBER, {"qwen": (1, 2)})

    def test_a_handle_for_reading_changes_nothing(self, ledger, open_handle):
        ledger.bind("UTC")
        ledger.claim_key(NOVEMBER, "00112233aabbccdd")
        self.put(ledger, QWEN, [1], 2, day=DAY)
        ledger.declare(declared())
        reader = open_handle(read_only=True)
        for change in (
            lambda: reader.write({QWEN: [2], KIMI: [1]}, {QWEN: 9}, owner="reader", day=DAY),
            lambda: reader.claim(QWEN, "reader", need=1, extra=4, allowed=9, now=NOW),
            lambda: reader.merge(Scope(WINDOW, "qwen"), [QWEN]),
            lambda: reader.forget(QWEN),
            lambda: reader.declare(declared(users=7)),
            lambda: reader.bind("Europe/Berlin"),
            lambda: reader.claim_key(DECEMBER, "00112233aabbccdd"),
        ):
            with pytest.raises((LedgerUnavailable, LedgerError)):
                change()
        for each in (reader, ledger):
            self.check_period(each, NOVEMBER, {"qwen": (1, 2)})
            assert list(each.periods()) == [NOVEMBER]
            assert each.key_of(DECEMBER) is None
            assert each.zone() == "UTC"
            assert list(each.declarations(NOVEMBER)) == [declared()]
            assert sum(day.new for day in self.growth(each)) == 1
        assert ledger.claim(QWEN, "gateway-1", need=9, extra=0, allowed=9, now=NOW).granted == 8

    # Writing

    def test_a_user_counts_once_per_period_and_license(self, ledger):
        scopes = [QWEN, KIMI, Scope(DECEMBER, "qwen"), Scope(DAY, "qwen"), Scope(WINDOW, "qwen")]
        written = ledger.write({scope: [1, 2, 1] for scope in scopes}, {KIMI: 4}, owner="gateway-1", day=DAY)
        assert written.keys() == set(scopes)
        for scope in scopes:
            self.check(written[scope].totals, 2, 4 if scope == KIMI else 0)
            assert written[scope].new == (2 if self.exact else written[scope].new)
        again = self.put(ledger, QWEN, {2, 3})
        assert again.new == (1 if self.exact else again.new)
        self.check(again.totals, 3)
        self.check_period(ledger, NOVEMBER, {"qwen": (3, 0), "kimi": (2, 4)})
        self.check_period(ledger, DECEMBER, {"qwen": (2, 0)})
        self.check_period(ledger, DAY, {"qwen": (2, 0)})
        self.check_period(ledger, WINDOW, {"qwen": (2, 0)})
        self.check_period(ledger, "2026-11-22/28d", {})

    def test_pseudonyms_are_any_64_bits(self, ledger):
        assert self.is_near(self.put(ledger, QWEN, EXTREMES).totals.users, len(EXTREMES))
        self.check(self.put(ledger, QWEN, EXTREMES[::-1]).totals, len(EXTREMES))
        if self.exact:
            assert self.people(ledger, QWEN) == list(EXTREMES)
            assert all(ledger.contains(QWEN, user) for user in EXTREMES)

    def test_thousands_at_once(self, ledger):
        users = [(number * 0x9E3779B97F4A7C15 + 2**63) % 2**64 - 2**63 for number in range(5000)]
        self.check(self.put(ledger, QWEN, users).totals, 5000)
        totals = ledger.totals(NOVEMBER)["qwen"]
        assert totals.lower <= 5000 <= totals.upper
        assert ledger.users(QWEN) == totals.upper
        if self.exact:
            assert self.people(ledger, QWEN) == sorted(users)

    def test_periods_are_listed_oldest_first(self, ledger):
        for period in (DECEMBER, WINDOW, OCTOBER, DAY, NOVEMBER):
            self.put(ledger, Scope(period, "qwen"), [1])
        self.put(ledger, Scope("2025-12", "qwen"), [], 1)
        assert list(ledger.periods()) == ["2025-12", OCTOBER, NOVEMBER, DAY, WINDOW, DECEMBER]

    @EXAMPLES
    @given(st.lists(st.dictionaries(st.sampled_from(["qwen", "kimi"]), USERS, max_size=2), max_size=6), st.data())
    def test_whatever_is_written_twice_late_or_in_part_the_count_is_the_set(self, ledger, batches, data):
        serial = next(SERIAL)
        scopes = {name: Scope(NOVEMBER, f"{name}-{serial}") for name in ("qwen", "kimi")}
        parts = [{name: users[: len(users) // 2] for name, users in batch.items()} for batch in batches]
        truth = {name: set() for name in scopes}
        for batch in (*data.draw(st.permutations(parts)), *data.draw(st.permutations([*batches, *batches]))):
            before = {name: len(users) for name, users in truth.items()}
            for name, users in batch.items():
                truth[name].update(users)
            written = ledger.write(
                {scopes[name]: users for name, users in batch.items()}, {}, owner="gateway-1", day=DAY
            )
            assert written.keys() == {scopes[name] for name in batch}
            for name in batch:
                self.check(written[scopes[name]].totals, len(truth[name]))
                if self.exact:
                    assert written[scopes[name]].new == len(truth[name]) - before[name]
        for name, scope in scopes.items():
            assert self.is_near(ledger.users(scope), len(truth[name]))
            if self.exact:
                assert self.people(ledger, scope) == sorted(truth[name])
                assert sum(day.new for day in ledger.growth(scope.license, NOVEMBER)) == len(truth[name])

    # Who nobody could be named for

    def test_unidentified_requests_are_absolute_for_each_owner(self, ledger):
        self.check(self.put(ledger, QWEN, [], 4).totals, 0, 4)
        self.check(self.put(ledger, QWEN, [], 4).totals, 0, 4)
        self.check(self.put(ledger, QWEN, [1], 10, owner="gateway-2").totals, 1, 14)
        self.check(self.put(ledger, QWEN, [], 6).totals, 1, 16)
        self.check(self.put(ledger, KIMI, [], 1).totals, 0, 1)
        self.check(self.put(ledger, QWEN, [2]).totals, 2, 16)
        self.check_period(ledger, NOVEMBER, {"qwen": (2, 16), "kimi": (0, 1)})

    @EXAMPLES
    @given(st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), st.integers(0, 5), st.booleans()), max_size=12))
    def test_their_total_is_the_sum_over_owners_however_often_it_is_written(self, ledger, steps):
        scope = Scope(NOVEMBER, f"qwen-{next(SERIAL)}")
        truth = Counter()
        for owner, more, again in steps:
            truth[owner] += more
            for _ in range(1 + again):
                written = ledger.write({}, {scope: truth[owner]}, owner=owner, day=DAY)
            self.check(written[scope].totals, 0, truth.total())
        assert ledger.users(scope) == 0

    # Who was there

    def test_it_knows_who_was_counted_where(self, ledger):
        self.put(ledger, QWEN, [5, -6])
        if not self.exact:
            with pytest.raises(LedgerError):
                ledger.contains(QWEN, 5)
            with pytest.raises(LedgerError):
                list(ledger.pseudonyms(QWEN))
            return
        assert ledger.contains(QWEN, 5)
        assert ledger.contains(QWEN, -6)
        assert not ledger.contains(QWEN, 6)
        assert not ledger.contains(KIMI, 5)
        assert not ledger.contains(Scope(DECEMBER, "qwen"), 5)
        assert self.people(ledger, QWEN) == [-6, 5]
        assert self.people(ledger, KIMI) == []

    def test_pseudonyms_come_in_parts(self, ledger):
        if not self.exact:
            pytest.skip("an estimate names nobody")
        self.put(ledger, QWEN, range(-15_000, 15_000))
        parts = list(ledger.pseudonyms(QWEN))
        assert len(parts) > 1
        assert all(parts)
        assert sorted(user for part in parts for user in part) == list(range(-15_000, 15_000))

    # Growth

    def test_growth_is_filed_on_the_day_of_the_first_sight(self, ledger):
        self.put(ledger, Scope(OCTOBER, "qwen"), [1, 2], day="2026-10-31")
        self.put(ledger, QWEN, [1, 3, 4], day="2026-11-02")
        self.put(ledger, QWEN, [1, 2, 3, 5], day="2026-11-05")
        self.put(ledger, QWEN, [1, 2, 3, 4, 5], day="2026-11-06")
        expected = [Growth("2026-11-02", 2, 1), Growth("2026-11-05", 1, 1)]
        if not self.exact:
            expected = [Growth(day, new + back, None) for day, new, back in expected]
        assert self.growth(ledger) == expected
        assert self.growth(ledger, license="kimi") == []
        assert [day.day for day in self.growth(ledger, OCTOBER)] == ["2026-10-31"]

    def test_returning_means_the_month_before_under_the_same_license(self, ledger):
        for scope in (Scope("2026-09", "qwen"), Scope(OCTOBER, "kimi"), Scope(DECEMBER, "qwen")):
            self.put(ledger, scope, [1], day="2026-09-01")
        self.put(ledger, Scope("2025-12", "kimi"), [1], day="2025-12-31")
        self.put(ledger, Scope("2026-01", "kimi"), [1, 2], day="2026-01-01")
        self.put(ledger, QWEN, [1], day="2026-11-02")
        assert [(day.day, day.new) for day in self.growth(ledger)] == [("2026-11-02", 1)]
        january = self.growth(ledger, "2026-01", "kimi")
        assert january == [Growth("2026-01-01", 1, 1) if self.exact else Growth("2026-01-01", 2, None)]

    def test_users_of_another_key_cannot_be_told_to_return(self, ledger):
        ledger.claim_key(OCTOBER, "00112233aabbccdd")
        ledger.claim_key(NOVEMBER, "ffeeddccbbaa9988")
        self.put(ledger, Scope(OCTOBER, "qwen"), [1, 2], day="2026-10-31")
        self.put(ledger, QWEN, [3, 4], day="2026-11-01")
        assert self.growth(ledger) == [Growth("2026-11-01", 2, None)]

    def test_repeated_writes_do_not_grow_it_twice(self, ledger):
        scopes = {QWEN: [1, 2], Scope("2026-11-02", "qwen"): [1, 2], Scope("2026-11-02/30d", "qwen"): [1, 2]}
        for day in ("2026-11-02", "2026-11-02", "2026-11-03"):
            ledger.write(scopes, {}, owner="gateway-1", day=day)
        assert [(day.day, day.new) for day in self.growth(ledger)] == [("2026-11-02", 2)]

    def test_without_a_day_nothing_is_filed(self, ledger):
        self.put(ledger, QWEN, [1, 2], day=None)
        assert self.growth(ledger) == []
        self.put(ledger, QWEN, [1, 2, 3], day="2026-11-03")
        assert [(day.day, day.new) for day in self.growth(ledger)] == [("2026-11-03", 1)]

    def test_days_come_in_order(self, ledger):
        for number in (9, 10, 1, 30):
            self.put(ledger, QWEN, [number], day=f"2026-11-{number:02d}")
        assert [day.day for day in self.growth(ledger)] == ["2026-11-01", "2026-11-09", "2026-11-10", "2026-11-30"]

    # Places under a limit

    def claim(self, ledger, owner="gateway-1", *, need, extra=0, allowed=100, now=NOW, scope=QWEN):
        found = ledger.claim(scope, owner, need=need, extra=extra, allowed=allowed, now=now)
        assert found.users == ledger.users(scope)
        return found.granted

    def test_what_is_needed_is_granted_while_there_is_room(self, ledger):
        assert self.claim(ledger, need=60) == 60
        assert self.claim(ledger, "gateway-2", need=60) == 40
        assert self.claim(ledger, "gateway-3", need=1) == 0
        assert self.claim(ledger, "gateway-3", need=7, scope=KIMI) == 7

    def test_a_claim_takes_the_place_of_the_owners_last(self, ledger):
        assert self.claim(ledger, need=60) == 60
        assert self.claim(ledger, need=100) == 100
        assert self.claim(ledger, need=30) == 30
        assert self.claim(ledger, "gateway-2", need=100) == 70
        assert self.claim(ledger, need=50) == 30

    def test_of_the_rest_an_owner_gets_a_quarter_at_most(self, ledger):
        assert self.claim(ledger, need=20, extra=10) == 30
        assert self.claim(ledger, "gateway-2", need=10, extra=1000) == 10 + 60 // 4
        assert self.claim(ledger, "gateway-3", need=0, extra=1000) == 45 // 4
        assert self.claim(ledger, "gateway-4", need=34, extra=3) == 34
        assert self.claim(ledger, "gateway-5", need=1, extra=3) == 0

    def test_users_take_room(self, ledger):
        self.put(ledger, QWEN, range(70))
        room = 100 - ledger.users(QWEN)
        assert self.is_near(room, 30)
        assert self.claim(ledger, need=1000) == room
        assert self.claim(ledger, need=10, allowed=75) == max(75 - ledger.users(QWEN), 0)
        assert self.claim(ledger, need=10, extra=10, allowed=60) == 0

    def test_what_the_owner_wrote_is_no_longer_a_place(self, ledger):
        assert self.claim(ledger, need=10, allowed=10) == 10
        self.put(ledger, QWEN, range(6))
        assert self.claim(ledger, "gateway-2", need=10, allowed=10) == 0
        assert self.claim(ledger, need=4, allowed=10) == 4
        assert self.claim(ledger, need=1, allowed=10) == 1
        assert self.claim(ledger, "gateway-2", need=10, allowed=10) == 3

    def test_places_are_given_back(self, ledger, open_handle):
        other = open_handle()
        assert self.claim(ledger, need=100) == 100
        assert self.claim(other, "gateway-2", need=1) == 0
        assert self.claim(ledger, need=0) == 0
        assert self.claim(other, "gateway-2", need=100) == 100

    def test_claiming_is_not_counting(self, ledger):
        assert self.claim(ledger, need=10) == 10
        assert ledger.users(QWEN) == 0
        assert not ledger.periods()
        self.check_period(ledger, NOVEMBER, {})

    def test_a_lease_ends(self, ledger):
        if self.own_clock:
            pytest.skip("the store's own clock decides")
        assert self.claim(ledger, need=100) == 100
        assert self.claim(ledger, "gateway-2", need=9, now=NOW + LEASE_SECONDS - 1) == 0
        assert self.claim(ledger, need=50, now=NOW + LEASE_SECONDS - 1) == 50
        assert self.claim(ledger, "gateway-2", need=100, now=NOW + LEASE_SECONDS + 1) == 50
        assert self.claim(ledger, "gateway-3", need=100, now=NOW + 2 * LEASE_SECONDS) == 50

    @EXAMPLES
    @given(st.integers(0, 30), st.integers(0, 20), STEPS)
    def test_users_and_places_stay_within_the_limit_whatever_the_order(self, ledger, allowed, there, steps):
        if not self.exact:
            pytest.skip("the places of an estimate are as exact as its count")
        scope = Scope(NOVEMBER, f"qwen-{next(SERIAL)}")
        self.put(ledger, scope, range(there))
        users, now = there, NOW
        held, used, until = Counter(), Counter(), Counter()
        for owner, step, need, extra in steps:
            if step == "claim":
                others = sum(held[other] for other in held if other != owner and until[other] > now)
                room = max(allowed - users - others, 0)
                granted = self.claim(ledger, owner, need=need, extra=extra, allowed=allowed, now=now, scope=scope)
                assert granted == min(need, room) + min(extra, max(room - need, 0) // 4)
                held[owner], used[owner], until[owner] = granted, 0, now + LEASE_SECONDS
            elif step == "write" and used[owner] < held[owner] and until[owner] > now:
                self.put(ledger, scope, [users], owner=owner)
                users, used[owner] = users + 1, used[owner] + 1
            elif step == "wait" and not self.own_clock:
                now += LEASE_SECONDS / 3
            places = sum(held[owner] - used[owner] for owner in held if until[owner] > now)
            assert users + places <= max(allowed, there)
        assert ledger.users(scope) == users

    def test_threads_with_handles_of_their_own_do_not_exceed_it(self, ledger, open_handle):
        handles = [open_handle() for _ in range(3)]

        def work(number):
            owner, added = f"gateway-{number}", 0
            while granted := self.claim_only(handles[number], owner, need=3, extra=number):
                self.put(handles[number], QWEN, [number * 1000 + added + each for each in range(granted)], owner=owner)
                added += granted
            return added

        with ThreadPoolExecutor(len(handles)) as pool:
            added = sum(pool.map(work, range(len(handles))))
        assert added <= 100
        if self.exact:
            assert ledger.users(QWEN) == added
            assert self.claim(ledger, "gateway-9", need=1000) == 100 - added

    def claim_only(self, ledger, owner, *, need, extra):
        return ledger.claim(QWEN, owner, need=need, extra=extra, allowed=100, now=NOW).granted

    # Merging

    def test_merging_is_a_union_of_users_and_a_sum_of_requests(self, ledger):
        days, window = [Scope(f"2026-11-{day}", "qwen") for day in (20, 21, 22)], Scope(WINDOW, "qwen")
        for number, day in enumerate(days):
            self.put(ledger, day, [number, number + 1, -7], 10 + number)
        self.put(ledger, window, [3, 50], 1)
        for _ in range(2):
            ledger.merge(window, [*days, Scope("2026-11-19", "qwen")])
            self.check_period(ledger, WINDOW, {"qwen": (6, 34)})
        self.check_period(ledger, "2026-11-21", {"qwen": (3, 11)})
        if self.exact:
            assert self.people(ledger, window) == [-7, 0, 1, 2, 3, 50]

    def test_only_the_first_merge_counts(self, ledger, open_handle):
        day, window = Scope(DAY, "qwen"), Scope(WINDOW, "qwen")
        self.put(ledger, day, [1], 10)
        ledger.merge(window, [day])
        self.put(ledger, day, [2], 25)
        open_handle().merge(window, [day])
        self.check_period(ledger, WINDOW, {"qwen": (1, 10)})

    def test_merging_is_no_growth(self, ledger):
        self.put(ledger, KIMI, [1, 2], day=DAY)
        ledger.merge(QWEN, [KIMI])
        self.check_period(ledger, NOVEMBER, {"qwen": (2, 0), "kimi": (2, 0)})
        assert self.growth(ledger) == []

    def test_a_merged_count_goes_on(self, ledger):
        day, window = Scope(DAY, "qwen"), Scope(WINDOW, "qwen")
        self.put(ledger, day, [1, 2], 10)
        ledger.merge(window, [day])
        self.check(self.put(ledger, window, [2, 3], 4).totals, 3, 14)

    # Forgetting

    def test_forgetting_keeps_the_totals(self, ledger, open_handle):
        self.put(ledger, QWEN, [1, 2, 3], 4, day=DAY)
        self.put(ledger, KIMI, [1])
        grown = self.growth(ledger)
        for _ in range(2):
            ledger.forget(QWEN)
            self.check_period(open_handle(), NOVEMBER, {"qwen": (3, 4), "kimi": (1, 0)})
        assert self.is_near(ledger.users(QWEN), 3)
        assert list(ledger.periods()) == [NOVEMBER]
        assert self.growth(ledger) == grown
        if self.exact:
            assert self.people(ledger, QWEN) == []
            assert not ledger.contains(QWEN, 1)
            assert ledger.contains(KIMI, 1)

    def test_who_is_late_for_what_was_forgotten_is_unidentified(self, ledger):
        self.put(ledger, QWEN, [1, 2, 3], 4)
        ledger.forget(QWEN)
        late = self.put(ledger, QWEN, [3, 9], 5, day=DAY)
        assert not late.new
        self.check(late.totals, 3, 7)
        self.check(self.put(ledger, QWEN, [], 6).totals, 3, 8)
        self.check_period(ledger, NOVEMBER, {"qwen": (3, 8)})
        assert self.growth(ledger) == []
        if self.exact:
            assert not ledger.contains(QWEN, 9)
            self.check(self.put(ledger, QWEN, [3, 9]).totals, 3, 8)  # repeated, as after a lost answer

    def test_forgetting_what_was_never_counted_counts_nothing(self, ledger):
        ledger.forget(QWEN)
        self.check_period(ledger, NOVEMBER, {})
        assert not ledger.periods()

    # Numbers from outside

    def test_a_declaration_takes_the_place_of_the_one_before(self, ledger, open_handle):
        ledger.declare(declared(users=1000))
        ledger.declare(declared(users=900, owner="finance@example.org", part=Part.AFFILIATE))
        assert list(open_handle().declarations(NOVEMBER)) == [
            declared(users=900, owner="finance@example.org", part=Part.AFFILIATE)
        ]
        assert not ledger.periods()

    def test_declarations_are_listed_by_license_and_source(self, ledger):
        expected = [declared("a / b: 'c'", license="kimi"), declared("Ähre"), declared("web")]
        expected.sort(key=lambda each: (each.license, each.source))
        for each in (*reversed(expected), declared(period=DECEMBER)):
            ledger.declare(each)
        assert list(ledger.declarations(NOVEMBER)) == expected
        assert list(ledger.declarations(DECEMBER)) == [declared(period=DECEMBER)]
        assert list(ledger.declarations(OCTOBER)) == []
