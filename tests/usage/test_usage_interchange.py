"""Users travel between ledgers in a file: whole or refused, nobody counted twice."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_world import PRINT, MemoryLedger

from guard.usage.declaration import Declaration, Part
from guard.usage.interchange import (
    CHUNK,
    MAGIC,
    InterchangeError,
    check,
    fit,
    merge,
    write_users,
)
from guard.usage.ledger import Scope
from guard.usage.period import Calendar, Kind

MONTH, DAY, TODAY = "2026-11", "2026-11-21", "2026-11-22"
USERS = st.sets(st.integers(-(2**63), 2**63 - 1), max_size=40)


def nothing(_done):
    pass


def ledger_of(sightings, *, key=PRINT, zone="UTC", unidentified=0, period=MONTH, owner="a"):
    """A ledger in memory with the users of each license."""
    ledger = MemoryLedger()
    ledger.bind(zone)
    ledger.claim_key(period[:7], key)
    for license, users in sightings.items():
        ledger.write({Scope(period, license): users}, {Scope(period, license): unidentified}, owner=owner, day=None)
    return ledger


def exported(ledger, *, period=MONTH, licenses=None, source="gateway-b"):
    file = BytesIO()
    names = sorted(ledger.totals(period)) if licenses is None else licenses
    write_users(file, ledger, period, names, source=source, made=f"{TODAY}T10:00:00+00:00", progress=nothing)
    return file


def imported(file, ledger, *, zone="UTC", kinds=(), today=TODAY):
    head, calendar = check(file, nothing), Calendar(zone, kinds)
    fit(head, ledger, calendar, today, ledger.key_of(head.period[:7]))
    return merge(file, head, ledger, calendar, today, nothing)


@settings(max_examples=60, deadline=None)
@given(ours=USERS, theirs=USERS, others=USERS)
def test_two_gateways_merge_to_the_union_however_often(ours, theirs, others):
    ledger = ledger_of({"qwen": ours})
    file = exported(ledger_of({"qwen": theirs, "kimi": others}))
    first = imported(file, ledger)
    assert ledger.rows[MONTH, "qwen"] == ours | theirs
    assert {each.license: (each.read, each.new, each.users) for each in first} == {
        "kimi": (len(others), len(others), len(others)),
        "qwen": (len(theirs), len(theirs - ours), len(ours | theirs)),
    }
    assert [each.new for each in imported(file, ledger)] == [0, 0]
    assert ledger.rows[MONTH, "qwen"] == ours | theirs


def test_many_users_pass_in_pieces_of_bounded_size():
    users = set(range(-CHUNK, 2 * CHUNK + 5))
    told, ledger = [], MemoryLedger()
    file = exported(ledger_of({"qwen": users}))
    head = check(file, told.append)
    assert sum(told) == len(users) == head.users
    assert max(told) == CHUNK
    imported(file, ledger)
    assert ledger.rows[MONTH, "qwen"] == users
    assert ledger.writes == 4


def test_the_head_says_what_is_in_the_file():
    head = check(exported(ledger_of({"qwen": {1, 2}}, zone="Europe/Berlin", unidentified=7)), nothing)
    assert (head.zone, head.period, head.key, head.source) == ("Europe/Berlin", MONTH, PRINT, "gateway-b")
    assert [(each.license, each.users, each.unidentified) for each in head.shares] == [("qwen", 2, {"gateway-b": 7})]


@pytest.fixture(scope="module")
def small():
    return exported(ledger_of({"qwen": {1, -2, 2**62}, "kimi": set()}, unidentified=3)).getvalue()


def test_a_file_cut_at_any_byte_is_refused(small):
    for length in range(len(small)):
        with pytest.raises(InterchangeError, match=rf"^byte {length}: the file ends|^byte 0: it begins"):
            check(BytesIO(small[:length]), nothing)


def test_a_file_with_any_byte_changed_is_refused(small):
    for place in range(len(small)):
        for flip in (1, 0x80):
            changed = bytearray(small)
            changed[place] ^= flip
            with pytest.raises(InterchangeError, match=r"^byte \d+: "):
                check(BytesIO(bytes(changed)), nothing)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200), whole=st.booleans())
def test_anything_else_is_refused_with_the_place(content, whole):
    with pytest.raises(InterchangeError, match=r"^byte \d+: "):
        check(BytesIO((MAGIC if whole else b"") + content), nothing)


def test_more_than_the_head_announces_is_refused(small):
    with pytest.raises(InterchangeError, match=rf"^byte {len(small)}: 1 more bytes than the head announces"):
        check(BytesIO(small + b"x"), nothing)


def test_a_file_of_another_version_is_refused(small):
    with pytest.raises(InterchangeError, match="format 2; allowed: 1"):
        check(BytesIO(small.replace(b'"format":1', b'"format":2')), nothing)


@pytest.mark.parametrize(
    ("found", "instead", "said"),
    [
        (b'"zone":"UTC"', b'"zone":"UTZ"', "zone 'UTZ' is unknown"),
        (b'"period":"2026-11"', b'"period":"2026-13"', "period '2026-13'"),
        (b'"users":3', b'"users":-', "does not read"),
        (b'"license":"kimi"', b'"license":"qwen"', "a license is there twice"),
        (PRINT.encode(), PRINT.upper().encode(), "16 hex digits"),
        (b'"source"', b'"sauce" ', "unexpected keyword argument 'sauce'"),
    ],
)
def test_a_head_that_says_nonsense_is_refused(small, found, instead, said):
    changed = small.replace(found, instead, 1)
    assert changed != small
    with pytest.raises(InterchangeError, match="^byte 16: .*" + said):
        check(BytesIO(changed), nothing)


def test_gateways_with_different_keys_are_refused_with_the_way_out():
    ledger = ledger_of({"qwen": {1}})
    with pytest.raises(InterchangeError, match=r"key ffff.*the ledger's under 0011.*--as-declared"):
        imported(exported(ledger_of({"qwen": {2}}, key="ffff222233334444")), ledger)
    assert ledger.rows == {(MONTH, "qwen"): {1}}


def test_months_of_different_zones_are_refused():
    ledger = ledger_of({"qwen": {1}})
    with pytest.raises(InterchangeError, match="counts in zone Europe/Berlin, the ledger in UTC"):
        imported(exported(ledger_of({"qwen": {2}}, zone="Europe/Berlin")), ledger)


def test_a_ledger_that_forgot_its_users_takes_and_gives_none():
    ledger, other = ledger_of({"qwen": {1, 2}}), ledger_of({"qwen": {3}})
    ledger.forget(Scope(MONTH, "qwen"))
    with pytest.raises(InterchangeError, match="forgotten who its 2 users of qwen are"):
        imported(exported(other), ledger)
    with pytest.raises(InterchangeError, match="forgotten who the 2 users of qwen are"):
        exported(ledger)


def test_an_estimate_gives_no_users_and_takes_them():
    ledger = ledger_of({"qwen": {1}})
    file = exported(ledger_of({"qwen": {2}}))
    ledger.exact = False
    with pytest.raises(InterchangeError, match="does not know who its users are"):
        exported(ledger)
    assert imported(file, ledger)[0].users == 2


def test_a_month_nobody_was_counted_in_is_not_exported():
    with pytest.raises(InterchangeError, match="2026-12: the ledger has counted nobody in it"):
        exported(ledger_of({"qwen": {1}}), period="2026-12", licenses=["qwen"])


def test_requests_without_a_user_become_a_declaration_of_their_gateway():
    ledger = ledger_of({"qwen": {1}}, unidentified=2)
    file = exported(ledger_of({"qwen": {2}}, unidentified=7))
    for _ in range(2):
        imported(file, ledger)
        assert ledger.declarations(MONTH) == [
            Declaration(
                "qwen", MONTH, "gateway-b", Part.GATEWAY, users=0, unidentified=7, owner="gateway-b", stated=TODAY
            )
        ]
    assert ledger.totals(MONTH)["qwen"].unidentified == 2


def test_what_one_gateway_merged_goes_on_to_the_next_under_its_own_name():
    middle = ledger_of({"qwen": {2}}, unidentified=5)
    imported(exported(ledger_of({"qwen": {3}}, unidentified=7), source="gateway-c"), middle)
    ledger = ledger_of({"qwen": {1}})
    imported(exported(middle), ledger)
    assert {each.source: each.unidentified for each in ledger.declarations(MONTH)} == {"gateway-b": 5, "gateway-c": 7}
    assert ledger.rows[MONTH, "qwen"] == {1, 2, 3}


def test_stated_numbers_stay_where_they_were_stated():
    other = ledger_of({"qwen": {2}})
    other.declare(Declaration("qwen", MONTH, "mobile app", Part.PRODUCT, 9, 0, "legal@example.org", TODAY))
    ledger = ledger_of({"qwen": {1}})
    imported(exported(other), ledger)
    assert [each.source for each in ledger.declarations(MONTH)] == ["gateway-b"]


def test_users_of_a_day_are_users_of_its_month_and_windows_too():
    ledger = ledger_of({})
    imported(exported(ledger_of({"qwen": {5}}, period=DAY), period=DAY), ledger, kinds=[Kind.DAY, Kind.ROLLING_30])
    assert {period: users for (period, _), users in ledger.rows.items()} == {
        DAY: {5}, MONTH: {5}, f"{DAY}/30d": {5}, f"{TODAY}/30d": {5},
    }  # fmt: skip


def test_growth_by_day_stays_what_this_gateway_saw():
    ledger = ledger_of({})
    ledger.write({Scope(MONTH, "qwen"): {1}}, {}, owner="a", day=DAY)
    imported(exported(ledger_of({"qwen": {1, 2}})), ledger)
    assert [tuple(each) for each in ledger.growth("qwen", MONTH)] == [(DAY, 1, 0)]


def test_a_new_ledger_takes_zone_and_key_of_the_first_file():
    ledger = MemoryLedger()
    imported(exported(ledger_of({"qwen": {1}}, zone="Asia/Tokyo")), ledger, zone="Asia/Tokyo")
    assert (ledger.zone(), ledger.key_of(MONTH)) == ("Asia/Tokyo", PRINT)


def test_a_file_that_shrinks_while_it_is_read_ends_the_merge(small):
    file = BytesIO(small)
    head = check(file, nothing)
    file.truncate(len(small) - 40)
    with pytest.raises(InterchangeError, match="became shorter"):
        merge(file, head, MemoryLedger(), Calendar(), TODAY, nothing)
