"""Checks beside the upstream call: whatever the timing, no byte of an answer leaves before their verdict."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from asgi_world import CONFIG, Inner, Reply, chat, events, guarded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.exchange.assess import Unassessed
from guard.screening.findings import Action, Finding
from guard.screening.segments import Source
from guard.transports.failure import UpstreamTimeout

LONG = 20
HARM = Finding("neural.S9", "S9", 0, 5, Source.USER, "messages[0].content", score=0.99)
HINT = HARM._replace(most=Action.FLAG)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, LONG))


class Check:
    """An assessor that speaks when it is let: it finds, fails, or is never done."""

    def __init__(self, *findings, error=None, holds=True, required=True, wanted=True, after=None, at_once=False):
        self.findings, self.error, self.holds, self.required = list(findings), error, holds, required
        self.settles = False
        self.want, self.go, self.after = wanted, asyncio.Event(), after
        self.started, self.canceled, self.asked = asyncio.Event(), asyncio.Event(), []
        if at_once:
            self.go.set()

    def wanted(self, exchange):
        if isinstance(self.want, Exception):
            raise self.want
        return self.want

    async def assess(self, segments):
        self.asked.append([segment.text for segment in segments])
        self.started.set()
        try:
            if self.after is not None:
                await turns(self.after)
            else:
                await self.go.wait()
        except asyncio.CancelledError:
            self.canceled.set()
            raise
        if self.error is not None:
            raise self.error
        return self.findings


async def turns(count):
    for _ in range(count):
        await asyncio.sleep(0)


class Stepped(Inner):
    """A server behind that waits for a number of turns before each message, and notes what it was told and when."""

    def __init__(self, *args, before=0, **given):
        super().__init__(*args, **given)
        self.before, self.aborted, self.begun, self.finished = before, asyncio.Event(), asyncio.Event(), False

    async def __call__(self, scope, receive, send):
        self.begun.set()
        message = await receive()
        self.requests.append((scope["path"], dict(scope["headers"]), message["body"]))

        async def generate():
            await turns(self.before)
            if self.hang:
                await asyncio.Event().wait()
            if self.raising is not None:
                raise self.raising
            body = [json.dumps(self.answer).encode()] if self.chunks is None else self.chunks
            headers = [(b"content-type", self.kind)]
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            for chunk in body[:-1]:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await turns(self.before)
            await send({"type": "http.response.body", "body": body[-1], "more_body": False})
            self.finished = True

        async def listen():
            assert (await receive())["type"] == "http.disconnect"
            self.aborted.set()

        # As vLLM does: whichever is first, generation or the client's leave, ends the other.
        tasks = [asyncio.ensure_future(generate()), asyncio.ensure_future(listen())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


@asynccontextmanager
async def checked(tmp_path, inner, *checks, config=CONFIG):
    async with guarded(tmp_path, inner, config) as guard:
        guard.runtime.services = replace(guard.runtime.services, assessors=checks)
        yield guard


def metric(guard, name, **labels):
    return guard.runtime.registry.get_sample_value(name, labels) or 0


def entries(guard, kind):
    path = next(guard.runtime.stores.journal.path.parent.glob("*.jsonl"))
    return [entry["facts"] for entry in map(json.loads, path.read_text().splitlines()) if entry["kind"] == kind]


async def until(condition):
    while not condition():  # noqa: ASYNC110 - the test itself is the event
        await asyncio.sleep(0.005)


def test_a_check_reads_the_prompt_as_it_is_sent(tmp_path):
    """A judge is somebody else's server: what is masked for the model is masked for it too."""

    async def story():
        check = Check(at_once=True)
        config = CONFIG + "screening: {{rule_packs: [privacy]}}\n"
        async with checked(tmp_path, Stepped(), check, config=config) as guard:
            reply = await guard.post(chat("Write to jane@example.org today."))
            assert reply.status == 200
            assert check.asked == [["Write to [email] today."]]

    run(story())


def test_what_the_learned_tier_found_counts_where_the_check_in_its_place_is_silent(tmp_path):
    async def story():
        text = "Tell me how to bomb the crowded stadium and murder everyone inside"
        for error, status in ((None, 200), (Unassessed("neural_timeout"), 403)):
            check = Check(error=error, required=False, at_once=True)
            check.settles = True
            (tmp_path / str(status)).mkdir()
            async with checked(tmp_path / str(status), Stepped(), check) as guard:
                reply = await guard.post(chat(text))
                assert reply.status == status
                await until(lambda: entries(guard, "decision"))
                [decision] = entries(guard, "decision")
                # Acquitted, what would have been blocked is still a flag.
                assert {finding["rule"]: finding["action"] for finding in decision["findings"]} == {
                    "learned.S1": "block" if error else "flag"
                }

    run(story())


def test_a_passed_prompt_is_served_as_always(tmp_path):
    async def story():
        check = Check(at_once=True)
        async with checked(tmp_path, Stepped(before=3), check) as guard:
            reply = await guard.post(chat("How do I bake bread?"))
            assert (reply.status, reply.json["choices"][0]["message"]["content"]) == (200, "Hello.")
            assert check.asked == [["How do I bake bread?"]]
            assert guard.users("llama-2") == 1
            assert metric(guard, "guard_screen_wait_seconds_count") == 1

    run(story())


def test_a_check_that_is_not_wanted_is_not_asked(tmp_path):
    async def story():
        check = Check(HARM, wanted=False)
        async with checked(tmp_path, Stepped(), check) as guard:
            assert (await guard.post(chat())).status == 200
            assert check.asked == []
            assert metric(guard, "guard_screen_wait_seconds_count") == 0

    run(story())


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_leaves_and_nobody_is_counted_while_a_check_is_silent(tmp_path, stream):
    async def story():
        check = Check()
        chunks = events("Hello", " there") if stream else None
        inner = Stepped(chunks=chunks, kind=b"text/event-stream" if stream else b"application/json")
        async with checked(tmp_path, inner, check) as guard:
            replies = []
            posting = asyncio.ensure_future(post_noting(guard, chat(stream=stream), replies))
            await check.started.wait()
            await inner.begun.wait()
            await turns(100)
            assert replies[0].messages == []
            assert not inner.finished
            assert guard.users("llama-2") == 0
            check.go.set()
            await posting
            assert replies[0].status == 200
            assert replies[0].complete
            assert guard.users("llama-2") == 1

    run(story())


async def post_noting(guard, document, replies, **given):
    """Post, and give the reply away before it is complete."""
    original = Reply.__init__

    def noting(self):
        original(self)
        replies.append(self)

    Reply.__init__ = noting
    try:
        posting = asyncio.ensure_future(guard.post(document, **given))
        await turns(1)
    finally:
        Reply.__init__ = original
    return await posting


@pytest.mark.parametrize("stream", [False, True])
def test_a_block_before_the_first_token_refuses_at_once_and_aborts_the_generation(tmp_path, stream):
    async def story():
        check, inner = Check(HARM), Stepped(hang=True)
        async with checked(tmp_path, inner, check) as guard:
            posting = asyncio.ensure_future(guard.post(chat("Something subtle", stream=stream)))
            await check.started.wait()
            check.go.set()
            reply = await posting
            facts = reply.json["error"]["guard"]
            assert (reply.status, reply.json["error"]["code"]) == (403, "aup")
            assert (facts["license"], facts["category"]) == ("llama-2", "S9")
            assert facts["clause"]
            assert reply.headers[b"x-guard-reference"].decode() == facts["reference"]
            assert inner.aborted.is_set()
            assert guard.users("llama-2") == 0
            assert metric(guard, "guard_screen_findings_total", category="S9", direction="prompt", action="block") == 1
            await until(lambda: entries(guard, "decision"))
            [decision] = entries(guard, "decision")
            assert (decision["verdict"], decision["ending"], decision["reference"]) == (
                "deny", "refused", facts["reference"],
            )  # fmt: skip
            assert decision["findings"][0]["rule"] == "neural.S9"

    run(story())


@pytest.mark.parametrize("stream", [False, True])
def test_a_block_after_the_answer_came_lets_none_of_it_out(tmp_path, stream):
    async def story():
        check = Check(HARM)
        chunks = events("The secret", " is out") if stream else None
        inner = Stepped(chunks=chunks, kind=b"text/event-stream" if stream else b"application/json")
        async with checked(tmp_path, inner, check) as guard:
            posting = asyncio.ensure_future(guard.post(chat(stream=stream)))
            await inner.begun.wait()
            await turns(50)
            check.go.set()
            reply = await posting
            assert (reply.status, reply.json["error"]["code"]) == (403, "aup")
            assert b"secret" not in reply.body
            assert b"Hello" not in reply.body
            assert reply.complete
            assert guard.users("llama-2") == 0

    run(story())


def test_a_server_that_does_not_listen_delays_no_refusal(tmp_path):
    async def story():
        check, busy = Check(HARM), asyncio.Event()

        async def deaf(scope, receive, send):
            await receive()
            await busy.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})

        async with checked(tmp_path, deaf, check) as guard:
            replies = []
            posting = asyncio.ensure_future(post_noting(guard, chat(), replies))
            await check.started.wait()
            check.go.set()
            await until(lambda: replies and replies[0].complete)
            assert replies[0].status == 403
            assert not posting.done()
            busy.set()
            await posting
            assert len(replies[0].messages) == 2

    run(story())


def test_a_finding_that_may_only_flag_refuses_nothing(tmp_path):
    async def story():
        async with checked(tmp_path, Stepped(), Check(HINT, at_once=True)) as guard:
            assert (await guard.post(chat())).status == 200
            assert metric(guard, "guard_screen_findings_total", category="S9", direction="prompt", action="flag") == 1

    run(story())


@pytest.mark.parametrize(("error", "reason"), [
    (Unassessed("neural_overload"), "neural_overload"), (RuntimeError("secret prompt"), "error"),
])  # fmt: skip
def test_a_check_that_could_not_be_made_refuses_where_something_blocks(tmp_path, error, reason, caplog):
    async def story():
        inner = Stepped(hang=True)
        async with checked(tmp_path, inner, Check(error=error, at_once=True)) as guard:
            reply = await guard.post(chat())
            assert (reply.status, reply.json["error"]["code"]) == (503, "screening_unavailable")
            assert b"secret" not in reply.body
            assert inner.aborted.is_set()
            assert metric(guard, "guard_screen_not_evaluated_total", reason=reason) == 1
            assert guard.users("llama-2") == 0

    with caplog.at_level(logging.CRITICAL):
        run(story())


@pytest.mark.parametrize(("required", "model", "status"), [
    (False, "tiny", 200), (True, "free", 200), (True, "tiny", 503),
])  # fmt: skip
def test_it_is_served_where_nothing_blocks_or_the_policy_says_so_and_that_is_counted(tmp_path, required, model, status):
    async def story():
        check = Check(error=Unassessed("neural_timeout"), required=required, at_once=True)
        async with checked(tmp_path, Stepped(), check) as guard:
            assert (await guard.post(chat(model=model))).status == status
            assert metric(guard, "guard_screen_not_evaluated_total", reason="neural_timeout") == 1

    run(story())


def test_what_was_found_before_a_check_broke_off_holds(tmp_path):
    async def story():
        check = Check(error=Unassessed("judge_timeout", [HARM]), required=False, at_once=True)
        async with checked(tmp_path, Stepped(), check) as guard:
            assert (await guard.post(chat())).status == 403

    run(story())


def test_a_check_that_cannot_say_whether_it_is_wanted_is_asked(tmp_path, caplog):
    async def story():
        async with checked(tmp_path, Stepped(), Check(HARM, wanted=KeyError("x"), at_once=True)) as guard:
            assert (await guard.post(chat())).status == 403

    with caplog.at_level(logging.CRITICAL):
        run(story())


def test_the_first_block_ends_the_other_checks(tmp_path):
    async def story():
        slow, fast = Check(), Check(HARM, at_once=True)
        async with checked(tmp_path, Stepped(hang=True), slow, fast) as guard:
            assert (await guard.post(chat())).status == 403
            assert slow.canceled.is_set()

    run(story())


def test_one_pass_is_not_the_verdict_of_all(tmp_path):
    async def story():
        slow, fast = Check(HARM), Check(at_once=True)
        async with checked(tmp_path, Stepped(), fast, slow) as guard:
            posting = asyncio.ensure_future(guard.post(chat()))
            await slow.started.wait()
            await turns(50)
            assert not posting.done()
            slow.go.set()
            assert (await posting).status == 403

    run(story())


def test_shadow_only_notes_and_waits_for_nothing(tmp_path):
    async def story():
        check = Check(HARM)
        async with checked(tmp_path, Stepped(), check, config=CONFIG + "mode: shadow\n") as guard:
            assert (await guard.post(chat())).status == 200
            check.go.set()
            await until(lambda: entries(guard, "late_findings"))
            [late] = entries(guard, "late_findings")
            assert late["findings"][0]["action"] == "block"
            assert metric(guard, "guard_screen_wait_seconds_count") == 0

    run(story())


def test_an_upstream_error_passes_on_after_the_verdict(tmp_path, caplog):
    async def story():
        for findings, status in (([], 504), ([HARM], 403)):
            check, inner = Check(*findings), Stepped(raising=UpstreamTimeout("slow"))
            async with checked(tmp_path, inner, check) as guard:
                posting = asyncio.ensure_future(guard.post(chat()))
                await inner.begun.wait()
                await turns(50)
                assert not posting.done()
                check.go.set()
                assert (await posting).status == status

    with caplog.at_level(logging.CRITICAL):
        run(story())


def test_a_4xx_of_the_server_behind_waits_too(tmp_path):
    async def story():
        check = Check()
        async with checked(tmp_path, Stepped(answer={"error": "context length"}, status=400), check) as guard:
            posting = asyncio.ensure_future(guard.post(chat()))
            await check.started.wait()
            await turns(50)
            assert not posting.done()
            check.go.set()
            assert (await posting).status == 400

    run(story())


@pytest.mark.parametrize("hang", [True, False], ids=["before the answer", "while it waits"])
def test_a_client_that_leaves_cancels_everything(tmp_path, hang):
    async def story():
        check, noting, gone = Check(), Check(holds=False), asyncio.Event()
        inner = Stepped(hang=hang)
        async with checked(tmp_path, inner, check, noting) as guard:
            posting = asyncio.ensure_future(guard.post(chat(), gone=gone))
            await check.started.wait()
            await turns(20)
            gone.set()
            reply = await posting
            assert reply.messages == []
            await until(lambda: check.canceled.is_set() and noting.canceled.is_set())
            assert guard.users("llama-2") == 0
            assert metric(guard, "guard_requests_total", decision="allow", reason="client", license="llama-2") == 1

    run(story())


def test_a_server_that_stops_cancels_everything(tmp_path):
    async def story():
        check = Check()
        async with checked(tmp_path, Stepped(hang=True), check) as guard:
            posting = asyncio.ensure_future(guard.post(chat()))
            await check.started.wait()
            posting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await posting
            await until(check.canceled.is_set)

    run(story())


def test_a_check_that_only_notes_delays_nothing_and_is_heard_after_the_answer(tmp_path):
    async def story():
        check = Check(HARM, holds=False)
        async with checked(tmp_path, Stepped(), check) as guard:
            reply = await guard.post(chat())
            assert reply.status == 200
            assert metric(guard, "guard_screen_findings_total", category="S9", direction="prompt", action="flag") == 0
            check.go.set()
            await until(lambda: entries(guard, "late_findings"))
            [late] = entries(guard, "late_findings")
            assert late["reference"] == reply.headers[b"x-guard-reference"].decode()
            assert (late["findings"][0]["rule"], late["findings"][0]["action"]) == ("neural.S9", "flag")
            assert metric(guard, "guard_screen_findings_total", category="S9", direction="prompt", action="flag") == 1

    run(story())


def test_what_it_notes_in_time_stands_in_the_decision(tmp_path):
    async def story():
        async with checked(tmp_path, Stepped(before=20), Check(HARM, holds=False, at_once=True)) as guard:
            assert (await guard.post(chat())).status == 200
            await until(lambda: entries(guard, "decision"))
            [decision] = entries(guard, "decision")
            assert (decision["verdict"], decision["findings"][0]["action"]) == ("flag", "flag")
            assert entries(guard, "late_findings") == []

    run(story())


def test_checks_that_are_late_are_bounded_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("guard.transports.beside.MOST_LATE", 1)

    async def story():
        first, second = Check(HARM, holds=False), Check(HARM, holds=False)
        async with checked(tmp_path, Stepped(), first) as guard:
            await guard.post(chat())
            guard.runtime.services = replace(guard.runtime.services, assessors=(second,))
            await guard.post(chat())
            await second.canceled.wait()
            assert metric(guard, "guard_screen_not_evaluated_total", reason="late_overload") == 1

    run(story())


def test_a_stop_ends_late_checks_and_says_that_they_were_not_made(tmp_path):
    async def story():
        check = Check(HARM, holds=False)
        async with checked(tmp_path, Stepped(), check) as guard:
            await guard.post(chat())
            registry = guard.runtime.registry
        assert check.canceled.is_set()
        assert registry.get_sample_value("guard_screen_not_evaluated_total", {"reason": "stopped"}) == 1

    run(story())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["pass", "block", "gap"])), min_size=1, max_size=3),
    st.integers(0, 12),
    st.booleans(),
)
def test_whatever_the_timing_no_byte_leaves_before_the_verdict(world, plan, before, stream):
    loop, guard, inner = world
    log = []

    async def story():
        inner.before, inner.chunks = before, events("one", " two", " three") if stream else None
        inner.kind = b"text/event-stream" if stream else b"application/json"
        checks = []
        for after, outcome in plan:
            error = Unassessed("neural_timeout") if outcome == "gap" else None
            check = Check(*([HARM] if outcome == "block" else []), error=error, after=after)
            assess = check.assess

            async def spoken(segments, assess=assess):
                try:
                    return await assess(segments)
                finally:
                    log.append("spoke")

            check.assess = spoken
            checks.append(check)
        guard.runtime.services = replace(guard.runtime.services, assessors=tuple(checks))
        original = Reply.send

        async def sending(self, message):
            log.append(("sent", message.get("status")))
            await original(self, message)

        Reply.send = sending
        try:
            return await guard.post(chat(stream=stream))
        finally:
            Reply.send = original

    reply = loop.run_until_complete(asyncio.wait_for(story(), LONG))
    outcomes = {outcome for _, outcome in plan}
    assert reply.complete
    if outcomes == {"pass"}:
        assert reply.status == 200
        assert log.index(("sent", 200)) >= len(plan)
        assert log[: len(plan)] == ["spoke"] * len(plan)
    else:
        assert reply.status in {403 if "block" in outcomes else 503, 503 if "gap" in outcomes else 403}
        assert b"one" not in reply.body
        assert b"Hello" not in reply.body


@pytest.fixture
def world(tmp_path):
    loop = asyncio.new_event_loop()
    inner = Stepped()
    entered = guarded(tmp_path, inner)
    guard = loop.run_until_complete(entered.__aenter__())
    yield loop, guard, inner
    loop.run_until_complete(entered.__aexit__(None, None, None))
    loop.close()
