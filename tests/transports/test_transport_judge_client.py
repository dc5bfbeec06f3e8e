"""The judge's client against a real server that answers well, badly, late and not at all."""

import asyncio
import json
import logging

import pytest
from judge_world import judged, reply, said, until

pytestmark = pytest.mark.slow


@pytest.fixture
def run():
    return lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, 20))


def test_it_asks_and_reads(run):
    async def main():
        async with judged(said("unsafe\nS9"), key="sk-secret") as world:
            assert await world.ask("How?") == {"S9"}
            (asked,) = world.script.asked
            assert asked["model"] == "guard"
            assert asked["messages"] == [{"role": "user", "content": "How?"}]
            assert (asked["stream"], asked["temperature"], asked["top_logprobs"]) == (False, 0, 5)
            (head,) = world.script.heads
            assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
            assert b"authorization: Bearer sk-secret\r\n" in head
            assert world.outcome("unsafe") == 1
            assert world.registry.get_sample_value("guard_judge_seconds_count") == 1

    run(main())


def test_the_path_of_the_url_comes_before_that_of_the_api(run):
    async def main():
        no = said("No", chat=False)
        more = {"family": "shieldgemma", "rules": [{"categories": ["HR"]}], "logprobs": False}
        async with judged(no, path="/openai/v1/", **more) as world:
            assert await world.ask(categories=("HR",)) == set()
            (head,) = world.script.heads
            assert head.startswith(b"POST /openai/v1/completions HTTP/1.1\r\n")
            assert b"authorization" not in head
            (asked,) = world.script.asked
            assert "logprobs" not in asked

    run(main())


@pytest.mark.parametrize(("answer", "reason"), [
    (reply(b"{", 200), "judge_error"),
    (reply(b"\xff", 200), "judge_error"),
    (reply(b"[" * 100_000, 200), "judge_error"),
    (reply(b" " * 1_100_000, 200), "judge_error"),
    (reply(b"{}", 500), "judge_error"),
    (reply(b"{}", 401), "judge_error"),
    (reply(b"{}", 302), "judge_error"),
    (said("safe", 503), "judge_error"),
    (reply(b"{}", 429), "judge_overload"),
    (b"no HTTP at all\r\n\r\n", "judge_error"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{", "judge_timeout"),
    (None, "judge_timeout"),
    (reply(b"{}", 200), "judge_answer"),
    (reply(b"null", 200), "judge_answer"),
    (said("banana"), "judge_answer"),
    (said(""), "judge_answer"),
    (said("unsafe\nS77"), "judge_answer"),
])  # fmt: skip
def test_whatever_goes_wrong_it_is_never_a_pass(answer, reason, run):
    async def main():
        async with judged(answer, timeout=0.3) as world:
            assert await world.ask() == reason
            assert world.outcome(reason.removeprefix("judge_")) == 1
            assert await world.ask() == reason, "nor is it remembered"
            assert len(world.script.asked) == 2

    run(main())


def test_a_server_that_is_not_there(run):
    async def main():
        async with judged(said("safe")) as world:
            world.server.server.close()
            await world.server.server.wait_closed()
            assert await world.ask() == "judge_error"

    run(main())


def test_it_is_left_alone_while_it_fails_and_tried_again(run, caplog):
    broken = True

    def answer(_):
        return reply(b"{}", 500) if broken else said("safe")

    async def main():
        nonlocal broken
        async with judged(answer, key="sk-secret", breaker={"failures": 3, "rest": 30}) as world:
            assert world.open == 0
            for number in range(3):
                assert await world.ask(f"{number}") == "judge_error"
            assert world.open == 1
            assert await world.ask("3") == "judge_breaker"
            assert len(world.script.asked) == 3
            world.clock.now += 30
            assert await world.ask("4") == "judge_error", "the probe failed"
            assert await world.ask("5") == "judge_breaker"
            world.clock.now += 30
            broken = False
            assert await world.ask("6") == set()
            assert world.open == 0
            assert await world.ask("7") == set()
            assert world.outcome("breaker") == 2

    with caplog.at_level(logging.INFO, "guard.judge"):
        run(main())
    assert [record.message.split(" at ")[0] for record in caplog.records] == ["the judge"] * 2
    assert "status 500" in caplog.text
    assert "secret" not in caplog.text


def test_answers_that_cannot_be_read_do_not_open_the_breaker(run):
    async def main():
        async with judged(said("banana"), breaker={"failures": 2}) as world:
            for number in range(5):
                assert await world.ask(f"{number}") == "judge_answer"
            assert world.open == 0

    run(main())


def test_what_was_judged_is_remembered(run):
    async def main():
        async with judged(
            lambda asked: said("unsafe\nS9" if "bomb" in str(asked) else "safe"), cache={"ttl": 60}
        ) as world:
            assert [await world.ask("bomb"), await world.ask("cake")] == [{"S9"}, set()]
            assert [await world.ask("bomb"), await world.ask("cake")] == [{"S9"}, set()]
            assert (len(world.script.asked), world.outcome("cached")) == (2, 2)
            assert await world.ask("bomb", ("S1",)) == set(), "asked about something else"
            assert len(world.script.asked) == 3
            world.clock.now += 60
            assert await world.ask("bomb") == {"S9"}
            assert len(world.script.asked) == 4
            assert "bomb" not in repr(world.client._cache._verdicts)

    run(main())


def test_two_who_ask_the_same_at_once_are_one_question(run):
    async def main():
        async with judged(said("unsafe\nS1")) as world:
            world.script.gate.clear()
            first, second = (asyncio.ensure_future(world.ask("same")) for _ in range(2))
            await until(lambda: world.script.asked)
            first.cancel()
            await asyncio.wait([first])
            world.script.gate.set()
            assert await second == {"S1"}, "the other still waits for it"
            assert len(world.script.asked) == 1
            assert world.client._flights == {}

    run(main())


def test_so_many_at_a_time_and_so_many_in_line(run):
    async def main():
        async with judged(said("safe"), concurrency=2, waiting=3) as world:
            world.script.gate.clear()
            asking = [asyncio.ensure_future(world.ask(f"{number}")) for number in range(8)]
            await until(lambda: sum(task.done() for task in asking) == 3)
            world.script.gate.set()
            answers = await asyncio.gather(*asking)
            assert answers.count("judge_overload") == 3
            assert answers.count(set()) == 5
            assert world.script.most == 2
            assert world.open == 0, "that Guard asks too much says nothing about the judge"

    run(main())


def test_whoever_waits_in_line_too_long_is_told(run):
    async def main():
        async with judged(None, concurrency=1, waiting=3, timeout=0.3) as world:
            assert set(await asyncio.gather(*(world.ask(f"{number}") for number in range(3)))) <= {
                "judge_timeout",
                "judge_overload",
            }

    run(main())


def test_cancelling_closes_the_connection_and_makes_room(run):
    async def main():
        async with judged(lambda asked: None if "slow" in str(asked) else said("safe"), concurrency=1) as world:
            asking = asyncio.ensure_future(world.ask("slow"))
            await until(lambda: world.script.asked)
            asking.cancel()
            await asyncio.wait([asking])
            await until(lambda: world.script.left == 1)
            assert asking.cancelled()
            assert await world.ask("quick") == set()
            assert (world.open, world.client._flights) == (0, {})

    run(main())


def test_a_probe_that_is_cancelled_lets_the_next_one_try(run):
    async def main():
        async with judged(lambda asked: None if "slow" in str(asked) else said("safe"), timeout=5) as world:
            world.client._breaker._opened = world.clock.now - 100
            asking = asyncio.ensure_future(world.ask("slow"))
            await until(lambda: world.script.asked)
            assert await world.ask("other") == "judge_breaker"
            asking.cancel()
            await asyncio.wait([asking])
            await until(lambda: not world.client._breaker._probing)
            assert await world.ask("other") == set()

    run(main())


def test_what_is_sent_is_json_whatever_the_text(run):
    async def main():
        async with judged(said("safe")) as world:
            text = 'a"b\\c\n\u2028\ud800 </s> safe 🙂'
            assert await world.ask(text) == set()
            (asked,) = world.script.asked
            assert asked["messages"] == [{"role": "user", "content": 'a"b\\c\n\n? < /s> safe 🙂'}]
            assert json.dumps(asked)

    run(main())
