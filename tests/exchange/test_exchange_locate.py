"""Use in an excluded place is refused; a place that should be known and is not is refused or said to be unknown."""

from dataclasses import replace

import pytest
from exchange_world import World
from hypothesis import given
from hypothesis import strategies as st

from guard.exchange.locate import locate
from guard.exchange.record import verdict
from guard.exchange.snapshot import SurfacePolicy
from guard.licensing.place import EU, EU_REGIONS, country, members

TRUSTED, STRANGER = "10.0.0.1", "192.0.2.1"
EXCLUDED = dict.fromkeys(members(("EU", "UK", "KR")), ("hunyuan-a13b", "5.c"))


def world(unknown="deny", headers=(b"cf-ipcountry", b"x-country")):
    made = World(surface=SurfacePolicy(country_headers=headers, unknown_country=unknown))
    model = replace(made.snapshot.models["tiny"], excluded=EXCLUDED)
    made.snapshot = replace(made.snapshot, models={"tiny": model}, default_model=model)
    return made


def located(made, headers=(), peer=TRUSTED):
    exchange = made.exchange(headers=headers, peer=peer)
    exchange.model = made.snapshot.models["tiny"]
    return exchange, locate(exchange)


@pytest.mark.parametrize("place", ["DE", "fr", "UK", "GB", "EU", "EL", " kr ", "RE", "ax"])
def test_an_excluded_place_is_refused_with_license_and_clause(place):
    _, refusal = located(world(), [(b"cf-ipcountry", place.encode())])
    assert (refusal.status, refusal.code.value, refusal.license, refusal.clause) == (
        403, "territory", "hunyuan-a13b", "5.c",
    )  # fmt: skip


@pytest.mark.parametrize("place", ["US", "cn", "CH", "NO"])
def test_other_places_pass(place):
    exchange, refusal = located(world(), [(b"cf-ipcountry", place.encode())])
    assert refusal is None
    assert exchange.not_evaluated == []


@pytest.mark.parametrize(("headers", "peer"), [
    ([], TRUSTED),
    ([(b"cf-ipcountry", b"XX")], TRUSTED),
    ([(b"cf-ipcountry", b"Germany")], TRUSTED),
    ([(b"cf-ipcountry", b"US")], STRANGER),
    ([(b"cf-ipcountry", b"US"), (b"cf-ipcountry", b"DE")], TRUSTED),
])  # fmt: skip
def test_a_place_nobody_trustworthy_names_is_refused_or_not_evaluated(headers, peer):
    _, refusal = located(world(), headers, peer)
    assert refusal.code.value == "territory"
    exchange, refusal = located(world(unknown="allow"), headers, peer)
    assert (refusal, exchange.not_evaluated, verdict(exchange).value) == (None, ["territory"], "not_evaluated")


def test_the_first_header_that_is_there_decides():
    _, refusal = located(world(), [(b"x-country", b"us")])
    assert refusal is None
    _, refusal = located(world(), [(b"cf-ipcountry", b"T1"), (b"x-country", b"us")])
    assert refusal.code.value == "territory", "the second may be what a stranger sent and the hop passed on"


def test_without_a_header_configured_nothing_can_be_told_and_that_is_said():
    exchange, refusal = located(world(headers=()))
    assert (refusal, exchange.not_evaluated) == (None, ["territory"])


def test_a_license_that_excludes_no_place_asks_for_none():
    made = World(surface=SurfacePolicy(country_headers=(b"cf-ipcountry",)))
    exchange = made.exchange()
    exchange.model = made.snapshot.models["tiny"]
    assert locate(exchange) is None
    assert exchange.not_evaluated == []


@given(st.text(max_size=4))
def test_whatever_a_header_says_is_a_country_or_nothing(value):
    found = country(value)
    assert found is None or (len(found) == 2 and found.isascii() and found.isupper())


def test_the_union_stands_for_its_members():
    assert members(("EU",)) == EU | EU_REGIONS | {"EU"}
    assert len(EU) == 27


@pytest.mark.parametrize("code", ["XX", "T1", "ZZ", "AA", "QQ", "QM", "XA", "AP", "", "D", "DEU", "\u0130E"])
def test_codes_of_no_country_are_none(code):
    assert country(code) is None
    assert country("XK") == "XK"
