"""Whose users a license counts, and how surely, when some of them were only told of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Totals
from guard.usage.scope import bounds

MEASURED = Totals(100, 0, 100, 100)


def declared(users, part=Part.PRODUCT, source="mobile app", unidentified=0):
    return Declaration("qwen-2024", "2026-11", source, part, users, unidentified, "legal@example.org", "2026-11-22")


def test_without_declarations_the_measured_bounds_stand():
    estimate = Totals(100, 7, 90, 110)
    assert bounds(estimate, (), "all", "included") == (90, 110, 0, ())


@pytest.mark.parametrize("products", ["all", "with_model"])
def test_products_are_added_up_and_may_share_their_users(products):
    found = bounds(MEASURED, [declared(250), declared(30, source="desk")], products, "included")
    assert (found.lower, found.upper, found.beyond) == (250, 380, 280)
    assert found.reasons == (
        "mobile app: 250 users, stated by legal@example.org on 2026-11-22: they may be among those counted here",
        "desk: 30 users, stated by legal@example.org on 2026-11-22: they may be among those counted here",
    )


def test_each_product_by_itself_is_not_added_to_another():
    found = bounds(MEASURED, [declared(250), declared(30)], "each", "included")
    assert (found.lower, found.upper, found.beyond) == (250, 250, 150)
    assert found.reasons[0].endswith("a product by itself, not added up")
    assert bounds(MEASURED, [declared(30)], "each", "included")[:3] == (100, 100, 0)


@pytest.mark.parametrize(("affiliates", "upper", "said"), [
    ("included", 150, "they may be among those counted here"),
    ("unmentioned", 150, "counted here; the license does not mention affiliates, and they are counted"),
    ("excluded", 100, "left out, as affiliates do not count"),
])  # fmt: skip
def test_users_of_affiliates_count_where_the_license_or_its_reading_says_so(affiliates, upper, said):
    found = bounds(MEASURED, [declared(50, Part.AFFILIATE, "shop", unidentified=3)], "all", affiliates)
    assert (found.lower, found.upper) == (100, upper)
    assert found.reasons[0].startswith("shop of an affiliate: 50 users, stated by")
    assert found.reasons[0].endswith(said)
    assert found.reasons[1:] == (() if affiliates == "excluded" else ("shop: 3 answered requests named no user",))


def test_a_merged_gateway_adds_nobody_and_says_what_it_could_not_name():
    found = bounds(MEASURED, [declared(0, Part.GATEWAY, "eu-west", unidentified=1200)], "all", "included")
    assert found == (100, 100, 0, ("eu-west: 1,200 answered requests named no user",))


numbers = st.integers(0, 10**9)
measured = st.tuples(numbers, numbers, numbers).map(sorted).map(lambda found: Totals(found[1], 0, found[0], found[2]))
stated = st.lists(st.builds(declared, numbers, st.sampled_from([Part.PRODUCT, Part.AFFILIATE])), max_size=6)
wordings = st.sampled_from(["all", "with_model", "each"]), st.sampled_from(["included", "unmentioned", "excluded"])


@given(measured, stated, *wordings)
@settings(max_examples=100)
def test_the_bounds_hold_whatever_the_overlap(totals, declarations, products, affiliates):
    found = bounds(totals, declarations, products, affiliates)
    assert totals.lower <= found.lower <= found.upper
    assert found.upper == totals.upper + found.beyond
    assert found.beyond >= 0
    assert bounds(totals, list(reversed(declarations)), products, affiliates)[:3] == found[:3]
    fewer = bounds(totals, declarations[1:], products, affiliates)
    assert fewer.lower <= found.lower
    assert fewer.upper <= found.upper
    counted = [each.users for each in declarations if affiliates != "excluded" or each.part is not Part.AFFILIATE]
    if products != "each":  # nobody in common, and everybody in the largest: both are possible
        assert found.upper == totals.upper + sum(counted)
        assert found.lower == max([totals.lower, *counted])
