"""A request that is identified in one month and answered in the next is counted where its pseudonym belongs."""

from dataclasses import replace

from exchange_world import World

from guard.exchange.count import count, reserve
from guard.exchange.identify import identify
from guard.usage.keyring import Key, Keyring
from guard.usage.period import Calendar
from guard.usage.pseudonym import Pseudonymizer

OLD, NEW = b"o" * 32, b"n" * 32
DECEMBER = Calendar().parse("2026-12").start


class Clock:
    now = DECEMBER - 1

    def __call__(self):
        return self.now


class Instants:
    """A counter that remembers who was reserved and counted, and when."""

    def __init__(self):
        self.seen = []

    def reserve(self, limits, key, at_limit, now):
        self.seen.append(("reserve", key, now))

    def sight(self, licenses, key, now):
        self.seen.append(("sight", key, now))
        return False


def world(pseudonyms):
    clock, counter = Clock(), Instants()
    guard = World()
    guard.services = replace(guard.services, pseudonyms=pseudonyms, now=clock, counter=counter)
    return guard, clock, counter


def asked(guard):
    exchange = guard.exchange(claimed={"user": "ann"})
    assert identify(exchange) is None
    exchange.model = guard.snapshot.default_model
    return exchange


def test_a_request_over_the_turn_of_the_month_is_counted_in_the_month_of_its_key():
    guard, clock, counter = world(Keyring((Key("", OLD), Key("2026-12", NEW))).pseudonyms(Calendar()))
    exchange = asked(guard)
    clock.now = DECEMBER + 60
    reserve(exchange)
    count(exchange)
    old, new = (Pseudonymizer(key).key("", "ann") for key in (OLD, NEW))
    assert {(what, key) for what, key, _ in counter.seen} == {("reserve", old), ("sight", old)}
    assert {Calendar().period(now).id for _, _, now in counter.seen} == {"2026-11"}
    counter.seen.clear()
    count(asked(guard))
    assert counter.seen == [("sight", new, clock.now)]
    counter.seen.clear()
    late = asked(guard)
    clock.now = DECEMBER - 60  # a clock that is set back
    count(late)
    assert counter.seen == [("sight", new, DECEMBER)]


def test_without_a_rotation_it_is_counted_when_it_is_answered():
    guard, clock, counter = world(Pseudonymizer(OLD))
    exchange = asked(guard)
    clock.now = DECEMBER + 60
    count(exchange)
    assert counter.seen == [("sight", exchange.identity.key, DECEMBER + 60)]


def test_a_shared_credential_changes_its_pseudonym_with_the_key_too():
    guard, clock, _ = world(Keyring((Key("", OLD), Key("2026-12", NEW))).pseudonyms(Calendar()))
    exchanges = []
    for now in (DECEMBER - 1, DECEMBER):
        clock.now = now
        exchange = guard.exchange(headers=((b"authorization", b"Bearer sk-1"),))
        identify(exchange)
        exchanges.append(exchange)
    before, after = (exchange.identity for exchange in exchanges)
    assert (before.source, before.term.until, after.term.since) == ("credential", DECEMBER, DECEMBER)
    assert before.key != after.key
