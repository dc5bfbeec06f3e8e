"""A choice's receipt has its id before the answer is finished; there is none where nobody keeps receipts."""

from dataclasses import replace

from exchange_world import World

from guard.exchange.record import Ending, ServedChoice, record
from guard.exchange.screen_output import OutputScreen


def test_the_id_that_is_told_is_the_id_that_is_kept():
    world = World()
    exchange = world.exchange()
    exchange.model = exchange.named
    exchange.answered = True
    screen = OutputScreen(exchange)
    told = [screen.receipt(choice) for choice in range(2)]
    record(exchange, Ending.SERVED, [ServedChoice(choice, ("text",), "stop", 1, 1) for choice in range(2)])
    kept = [f"r-{facts['reference']}-{facts['choice']}" for facts in world.provenance.named("finished")]
    assert told == kept == [f"r-{exchange.head.reference}-{choice}" for choice in range(2)]


def test_without_provenance_or_a_known_model_there_is_no_id():
    exchange = World().exchange()
    exchange.model = exchange.named
    assert OutputScreen(exchange).receipt(0) is not None
    exchange.services = replace(exchange.services, provenance=None)
    assert OutputScreen(exchange).receipt(0) is None
    exchange = World().exchange()
    exchange.model = None
    assert OutputScreen(exchange).receipt(0) is None
