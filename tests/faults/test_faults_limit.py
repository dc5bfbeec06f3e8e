"""Newcomers are refused at a limit, by three gateways together, while they are killed: never one user too many."""

import json
import time
from contextlib import closing
from random import Random

import pytest
from fault_director import Background, Director, Witness, killed_gateway
from fault_fleet import LICENSE
from fault_load import ANSWERED
from fault_verdict import Verdict, drain, month_of_run, named, summary
from redis import Redis

from guard.usage.address import open_ledger
from guard.usage.ledger import Scope
from guard.usage.stores.redis_layout import GROUPS, Layout


class Inspector(Background):
    """Counts the users of the ledger all the time, and asks for known ones at any gateway, while the context lasts."""

    def __init__(self, fleet, url, users, seed):
        self.fleet, self.url, self.users = fleet, url, users
        self.luck = Random(seed)
        self.most = self.looks = self.served = 0
        self.turned_away = []
        self.errors = []
        super().__init__("inspector")

    def _run(self):
        numbers = {pseudonym: number for number, pseudonym in named(self.fleet.key, range(self.users)).items()}
        try:
            with closing(open_ledger(self.url, read_only=True)) as ledger:
                scope = Scope(month_of_run(), LICENSE)
                while not self._ended.wait(0.02):
                    self.most = max(self.most, ledger.users(scope))
                    self.looks += 1
                    if self.looks % 50 == 1:
                        known = [numbers[user] for page in ledger.pseudonyms(scope) for user in page]
                    if known:
                        self._ask(f"user-{self.luck.choice(known)}")
        except Exception as error:  # noqa: BLE001  (the test is to hear of it, whatever it is)
            self.errors.append(repr(error))

    def _ask(self, user):
        gateway = self.luck.choice(self.fleet.gateways)
        try:
            status = gateway.ask(user)
        except OSError:  # killed, or not back yet
            return
        if status == 200:
            self.served += 1
        else:
            self.turned_away.append(f"{user} at {gateway.name}: {status}")


@pytest.mark.slow
@pytest.mark.parametrize(("allowed", "users"), [(400, 2_000), pytest.param(2_000, 6_000, marks=pytest.mark.faults)])
def test_never_a_user_more_than_allowed_and_who_is_known_is_served(fleet, seed, allowed, users):
    began = time.monotonic()
    fleet.start_upstream(seconds=0.1)  # so that many newcomers are on their way at once
    redis = fleet.start_redis(keeps=True)
    fleet.add_gateways(3, redis.url, usage={"at_limit": "refuse_newcomers", "limits": {LICENSE: allowed}})
    director = Director(fleet, seed, [killed_gateway], pace=(0.5, 3.0))
    with Witness(fleet) as witness, Inspector(fleet, redis.url, users, seed) as inspector:
        notes = fleet.load(users, seed, callers=24)
        director.run()
        drain(fleet, redis.url)
        known = Random(seed).sample(sorted(notes.having(ANSWERED)), 8)
        told = {gateway.ask(f"user-{user}") for gateway in fleet.gateways for user in known}
    verdict = Verdict(redis.url, fleet.key, notes)
    for gateway in fleet.gateways:
        gateway.stop()
    with closing(Redis(port=redis.port, decode_responses=True)) as client:
        claims = client.hgetall(Layout("guard", GROUPS, "u").meta("claims", month_of_run(), LICENSE))
    # Gateways that end give their places back, so these are the places of killed ones, held until their leases end.
    held = sum(int(places.split()[0]) for owner, places in claims.items() if owner.startswith("o "))
    summary(seed, began, verdict, director, most=inspector.most, served=inspector.served, held_by_killed=held)
    verdict.check()
    assert witness.errors == inspector.errors == []
    assert director.happened["gateways killed"], director.story
    assert inspector.turned_away == []
    assert inspector.served
    assert told == {200}, "who is known is served by every gateway, at the limit too"
    assert verdict.refused
    assert not verdict.failed
    assert inspector.most <= allowed
    assert len(verdict.counted) <= allowed <= len(verdict.counted) + held, json.dumps(claims)
