"""Whose users a license counts, and how surely, when some of them were only told of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Totals
from guard.usage.scope import bounds
from guard.usage.thresholds import Limit

MEASURED = Totals(100, 0, 100, 100)


def declared(users, part=Part.PRODUCT, source="mobile app", unidentified=0):
    return Declaration("qwen-2024", "2026-11", source, part, users, unidentified, "legal@example.org", "2026-11-22")


def limit(products="with_model", affiliates="unmentioned", read=""):
    return Limit("qwen-2024", "mau", 100_000_000, exclusive=False, standing=True, clause="4", consequence="no_rights",
                 products=products, affiliates=affiliates, affiliates_read=read)  # fmt: skip


@pytest.mark.parametrize("counting", [limit(), limit("each"), limit(affiliates="excluded"), None])
def test_without_declarations_the_measured_bounds_stand(counting):
    assert bounds(Totals(100, 7, 90, 110), (), counting) == (90, 110, 0, (), ())


@pytest.mark.parametrize(("counting", "whose"), [
    (limit("all", "included"), "all products of the licensee and its affiliates"),
    (limit("all"), "all products of the licensee"),
    (limit("each", "included"), "products of the licensee's affiliates too"),
    (limit(read="included"), "products of the licensee's affiliates too"),
])  # fmt: skip
def test_what_one_gateway_cannot_see_has_no_upper_bound_until_a_number_is_stated_of_others(counting, whose):
    alone = bounds(MEASURED, (declared(0, Part.GATEWAY, "eu-west"), declared(0)), counting)
    assert (alone.lower, alone.omits) == (100, ("other products and services",))
    assert alone.reasons == (f"the license counts {whose}; nothing was stated of others",)
    assert bounds(MEASURED, [declared(30)], counting).omits == ()


@pytest.mark.parametrize("products", ["all", "with_model"])
def test_products_are_added_up_and_may_share_their_users(products):
    found = bounds(MEASURED, [declared(250), declared(30, source="desk")], limit(products))
    assert (found.lower, found.upper, found.beyond) == (250, 380, 280)
    assert found.reasons == (
        "mobile app: 250 users, stated by legal@example.org on 2026-11-22: they may be among those counted here",
        "desk: 30 users, stated by legal@example.org on 2026-11-22: they may be among those counted here",
    )


def test_each_product_by_itself_is_not_added_to_another():
    found = bounds(MEASURED, [declared(250), declared(30)], limit("each"))
    assert (found.lower, found.upper, found.beyond) == (250, 250, 150)
    assert found.reasons[0].endswith("a product by itself, not added up")
    assert bounds(MEASURED, [declared(30)], limit("each"))[:3] == (100, 100, 0)


@pytest.mark.parametrize(("counting", "upper", "said"), [
    (limit(affiliates="included"), 150, "they may be among those counted here"),
    (limit(), 150, "counted here; the license does not mention affiliates, and they are counted"),
    (limit(read="included"), 150, "the license does not mention affiliates, and usage.affiliates reads that as included"),
    (limit(affiliates="excluded"), 100, "left out, as the license does not count affiliates"),
    (limit(read="excluded"), 100, "left out, as read"),
])  # fmt: skip
def test_users_of_affiliates_count_where_the_license_or_its_reading_says_so(counting, upper, said):
    found = bounds(MEASURED, [declared(50, Part.AFFILIATE, "shop", unidentified=3)], counting)
    assert (found.lower, found.upper) == (100, upper)
    assert found.reasons[0].startswith("shop of an affiliate: 50 users, stated by")
    assert found.reasons[0].endswith(said)
    unnamed = "shop: 3 answered requests named no user" in found.reasons
    assert unnamed is (upper == 150)
    assert found.omits == (("unidentified requests",) if unnamed else ())


def test_the_operators_reading_is_not_taken_for_the_licenses_word():
    found = bounds(MEASURED, [declared(90_000_000, Part.AFFILIATE, "shop")], limit(read="excluded"))
    assert found.reasons[-1] == (
        "the license does not mention affiliates; usage.affiliates reads that as excluded: 90,000,000 left out; counted "
        "they would make at most 90,000,100"
    )


def test_a_merged_gateway_adds_nobody_and_says_what_it_could_not_name():
    found = bounds(MEASURED, [declared(0, Part.GATEWAY, "eu-west", unidentified=1200)], limit())
    reasons = ("eu-west: 1,200 answered requests named no user",)
    assert found == (100, 100, 0, reasons, ("unidentified requests",))
    one = bounds(MEASURED, [declared(0, Part.GATEWAY, "eu-west", unidentified=1)], limit())
    assert one.reasons == ("eu-west: 1 answered request named no user",)


numbers = st.integers(0, 10**9)
measured = st.tuples(numbers, numbers, numbers).map(sorted).map(lambda found: Totals(found[1], 0, found[0], found[2]))
stated = st.lists(st.builds(declared, numbers, st.sampled_from([Part.PRODUCT, Part.AFFILIATE])), max_size=6)
limits = st.builds(
    limit, st.sampled_from(["all", "with_model", "each"]), st.sampled_from(["included", "unmentioned", "excluded"])
)


@given(measured, stated, limits)
@settings(max_examples=100)
def test_the_bounds_hold_whatever_the_overlap(totals, declarations, counting):
    found = bounds(totals, declarations, counting)
    assert totals.lower <= found.lower <= found.upper
    assert found.upper == totals.upper + found.beyond
    assert found.beyond >= 0
    assert bounds(totals, list(reversed(declarations)), counting)[:3] == found[:3]
    fewer = bounds(totals, declarations[1:], counting)
    assert fewer.lower <= found.lower
    assert fewer.upper <= found.upper
    everybody = counting.affiliates != "excluded"
    counted = [each.users for each in declarations if everybody or each.part is not Part.AFFILIATE]
    if counting.products != "each":  # nobody in common, and everybody in the largest: both are possible
        assert found.upper == totals.upper + sum(counted)
        assert found.lower == max([totals.lower, *counted])
