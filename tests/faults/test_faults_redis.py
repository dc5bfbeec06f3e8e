"""Three gateways and their Redis, killed and paused at random: the ledger has who was answered, exactly."""

import time
from typing import NamedTuple

import pytest
from fault_director import Director, Witness, killed_gateway, killed_redis, paused_redis
from fault_verdict import Verdict, drain, summary


class Run(NamedTuple):
    users: int
    keeps: bool
    """What Redis was given is on its disk when it comes back; else everything is lost with every kill."""
    callers: int
    pause: float
    """Seconds that every caller rests after an answer: a fast machine is not to be done before anything broke."""
    pace: tuple[float, float]
    repeats: float = 0.25


LONG = Run(200_000, keeps=True, callers=32, pause=0.01, pace=(1.0, 5.0))
FORGETFUL = Run(4_000, keeps=False, callers=8, pause=0.03, pace=(0.3, 2.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "run",
    [
        pytest.param(LONG, id="200000-users", marks=pytest.mark.faults),
        pytest.param(FORGETFUL, id="4000-users-forgotten"),
    ],
)
def test_the_ledger_has_who_was_answered_and_nobody_else(fleet, seed, run):
    began = time.monotonic()
    redis = fleet.start_redis(keeps=run.keeps)
    fleet.add_gateways(3, redis.url)
    director = Director(fleet, seed, [killed_gateway, killed_redis, paused_redis], pace=run.pace)
    with Witness(fleet) as witness:
        notes = fleet.load(run.users, seed, callers=run.callers, repeats=run.repeats, pause=run.pause)
        director.run()
        drain(fleet, redis.url)
    verdict = Verdict(redis.url, fleet.key, notes)
    summary(seed, began, verdict, director, keeps=run.keeps, replays=int(witness.most["guard_mau_ledger_replays"]))
    (fleet.folder / "story").write_text("\n".join(director.story))
    verdict.check()
    assert len(verdict.tried) == run.users
    assert director.happened["gateways killed"], director.story
    assert director.happened["redis killed"], director.story
    assert not verdict.failed | verdict.refused, "a ledger that is away keeps nobody from being answered"
    assert witness.errors == []
    assert witness.seen["down"], "no gateway ever said that its ledger was away"
    assert not witness.seen["unready"], "a ledger that is away does not keep a gateway from serving"
    assert witness.most["guard_mau_ledger_replays"] > 0, "nobody wrote again what Redis may have lost"
    assert witness.most["guard_mau_spool_damaged_records"] == 0
