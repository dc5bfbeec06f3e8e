"""A judge beside the model: what blocks, what only notes, what is asked at all, and what happens when it cannot be."""

import asyncio
import json
import os
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from asgi_world import ANSWER, CONFIG, Inner, chat, events, guarded
from judge_world import Scripted, reply, said, settings, until
from prometheus_client import CollectorRegistry
from raw_upstream import RawServer

from guard.cli.demo_scene.deployment import serve_embedded
from guard.cli.demo_scene.process import Server, free_port
from guard.cli.demo_scene.script import Script
from guard.cli.demo_scene.upstream import Upstream
from guard.exchange.assess import Unassessed
from guard.screening.findings import Action
from guard.screening.segments import Segment, Source
from guard.transports.judge import judge_from

pytestmark = pytest.mark.slow

BLOCKING = {"categories": ["S9", "S10"], "mode": "blocking", "band": "all"}
NOTING = {"categories": ["S9", "S10"], "band": "all"}
ANSWERS = {"categories": ["S9"], "mode": "blocking", "outputs": True}
JUDGE = {"model": "meta-llama/Llama-Guard-3-8B", "family": "llama_guard_3", "license": "llama-3.1"}
HELLO = (Segment(Source.USER, "Hello"),)


def judging(url, *rules, **more):
    """The configuration with a judge of these rules."""
    written = json.dumps({"judge": {**JUDGE, "url": url, "rules": rules, **more}})
    return f"{CONFIG}screening: {written.replace('{', '{{').replace('}', '}}')}\n"


def story(tmp_path, answer, tell, *rules, inner=None, **more):
    """Run ``tell(guard, script, inner)`` with a judge that gives ``answer``."""

    async def main():
        script, server = Scripted(answer), inner or Inner()
        async with (
            RawServer(script) as judge,
            guarded(tmp_path, server, judging(judge.url, *rules, **more)) as guard,
        ):
            return await tell(guard, script, server)

    return asyncio.run(asyncio.wait_for(main(), 30))


def metric(guard, name, **labels):
    return guard.runtime.registry.get_sample_value(name, labels) or 0


def test_a_blocking_judge_refuses_with_category_license_and_clause(tmp_path):
    async def tell(guard, script, inner):
        reply = await guard.post(chat("How do I do the thing?"))
        assert reply.status == 403
        error = reply.json["error"]
        assert error["code"] == "aup"
        assert (error["guard"]["category"], error["guard"]["license"]) == ("S9", "llama-2")
        assert error["guard"]["clause"]
        assert metric(guard, "guard_screen_findings_total", category="S9", direction="prompt", action="block") == 1
        assert [asked["messages"] for asked in script.asked] == [
            [{"role": "user", "content": "How do I do the thing?"}]
        ]
        assert guard.users("llama-2") == 0

    story(tmp_path, said("unsafe\nS9"), tell, BLOCKING)


def test_a_judge_that_finds_nothing_lets_the_answer_through(tmp_path):
    async def tell(guard, script, inner):
        document = {"model": "tiny", "messages": [
            {"role": "system", "content": "Never talk about bombs."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": "And now?"},
        ]}  # fmt: skip
        reply = await guard.post(document)
        assert (reply.status, reply.json["choices"][0]["message"]["content"]) == (200, "Hello.")
        (asked,) = script.asked
        assert asked["messages"] == [{"role": "user", "content": "Hello\n\nAnd now?"}]
        assert metric(guard, "guard_judge_requests_total", outcome="safe") == 1

    story(tmp_path, said("safe"), tell, BLOCKING)


@pytest.mark.parametrize(("answer", "reason"), [(reply(b"{}", 500), "judge_error"), (said("?"), "judge_answer")])
@pytest.mark.parametrize(("on_error", "status"), [("refuse", 503), ("serve", 200)])
def test_a_judge_that_cannot_be_asked_is_never_a_pass(tmp_path, answer, reason, on_error, status):
    async def tell(guard, script, inner):
        reply = await guard.post(chat())
        assert reply.status == status
        if status == 503:
            assert reply.json["error"]["code"] == "screening_unavailable"
        assert metric(guard, "guard_screen_not_evaluated_total", reason=reason) == 1

    story(tmp_path, answer, tell, BLOCKING, on_error=on_error)


def test_a_judge_that_is_down_is_no_pass_either(tmp_path):
    async def tell(guard, script, inner):
        statuses = [(await guard.post(chat(f"{number}"))).status for number in range(3)]
        assert statuses == [503, 503, 503]
        assert metric(guard, "guard_judge_breaker_open") == 1
        assert len(script.asked) == 2
        assert metric(guard, "guard_screen_not_evaluated_total", reason="judge_breaker") == 1

    story(tmp_path, None, tell, BLOCKING, timeout=0.2, breaker={"failures": 2, "rest": 60})


def test_a_model_about_which_nothing_is_ruled_is_not_judged(tmp_path):
    async def tell(guard, script, inner):
        assert (await guard.post(chat(model="free"))).status == 200
        assert script.asked == []

    story(tmp_path, said("unsafe\nS9"), tell, BLOCKING)


def test_an_asynchronous_judge_notes_and_never_refuses(tmp_path):
    async def tell(guard, script, inner):
        script.gate.clear()
        reply = await guard.post(chat())
        assert reply.status == 200, "it did not wait"
        script.gate.set()
        await until(lambda: metric(guard, "guard_judge_requests_total", outcome="unsafe") == 1)
        labels = {"category": "S9", "direction": "prompt", "action": "flag"}
        await until(lambda: metric(guard, "guard_screen_findings_total", **labels) == 1)

    story(tmp_path, said("unsafe\nS9"), tell, NOTING)


def test_rules_that_ask_the_same_are_one_question(tmp_path):
    async def tell(guard, script, inner):
        assert (await guard.post(chat())).status == 200
        assert len(script.asked) == 1

    story(tmp_path, said("safe"), tell, BLOCKING, {**BLOCKING, "band": [0, 0.999]})


def test_an_unstreamed_answer_waits_and_is_refused(tmp_path):
    two = {**ANSWER, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Fine."}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": "Here is how."}, "finish_reason": "stop"},
    ]}  # fmt: skip

    async def tell(guard, script, inner):
        reply = await guard.post(chat("How?", n=2))
        assert (reply.status, reply.json["error"]["guard"]["category"]) == (403, "S9")
        assert "Here is how" not in reply.body.decode()
        assert sorted(asked["messages"][1]["content"] for asked in script.asked) == ["Fine.", "Here is how."]
        assert metric(guard, "guard_screen_findings_total", category="S9", direction="output", action="block") == 1
        assert guard.users("llama-2") == 0, "nobody was answered"

    def answer(asked):
        return said("unsafe\nS9" if "Here" in str(asked) else "safe")

    story(tmp_path, answer, tell, ANSWERS, inner=Inner(two))


def test_an_answer_whose_judge_is_down_does_not_leave(tmp_path):
    async def tell(guard, script, inner):
        reply = await guard.post(chat())
        assert (reply.status, reply.json["error"]["code"]) == (503, "screening_unavailable")
        assert metric(guard, "guard_screen_not_evaluated_total", reason="judge_error") == 1

    story(tmp_path, reply(b"", 500), tell, ANSWERS)


@pytest.mark.parametrize("mode", ["blocking", "asynchronous"])
def test_a_streamed_answer_is_judged_when_it_has_left(tmp_path, mode):
    async def tell(guard, script, inner):
        reply = await guard.post(chat("How?", stream=True))
        assert b"there" in reply.body
        assert reply.complete
        labels = {"category": "S9", "direction": "output", "action": "flag"}
        await until(lambda: metric(guard, "guard_screen_findings_total", **labels) == 1)
        (asked,) = script.asked
        assert [message["content"] for message in asked["messages"]] == ["How?", "Hello there"]

    inner = Inner(kind=b"text/event-stream", chunks=events("Hello", " there"))
    story(tmp_path, said("unsafe\nS9"), tell, {**ANSWERS, "mode": mode}, inner=inner)


# The same as a process, before the embedded upstream, with a judge in a process's own HTTP.


class Judging(BaseHTTPRequestHandler):
    """Finds S9 wherever a text speaks of the recipe."""

    def do_POST(self):
        document = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, self.headers["authorization"], document))
        verdict = "unsafe\nS9" if "recipe" in document["messages"][-1]["content"] else "safe"
        body = json.dumps({"choices": [{"message": {"content": verdict}, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def judge_process():
    with ThreadingHTTPServer(("127.0.0.1", 0), Judging) as server:
        server.asked, server.daemon_threads = [], True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(base, text):
    """Status and document of one chat."""
    document = {"model": "tiny", "messages": [{"role": "user", "content": text}], "user": "ann"}
    request = urllib.request.Request(
        f"{base}/v1/chat/completions", json.dumps(document).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize(("on_error", "down"), [("refuse", 503), ("serve", 200)])
def test_guard_serve_with_a_judge_that_goes_down(tmp_path, on_error, down):
    (tmp_path / "judge.key").write_text("sk-e2e-secret\n")
    listen, admin = free_port(), free_port()
    upstream = Upstream(("tiny",), Script({}))
    with serve_embedded(upstream) as behind, judge_process() as judging:
        written = {
            "upstream": behind,
            "listen": f"127.0.0.1:{listen}",
            "admin": f"127.0.0.1:{admin}",
            "state_dir": str(tmp_path / "state"),
            "models": {"tiny": {"license": "llama-2"}},
            "screening": {
                "neural": {"scope": "off"},
                "judge": {
                    **JUDGE,
                    "url": f"http://127.0.0.1:{judging.server_port}",
                    "key_file": "judge.key",
                    "on_error": on_error,
                    "rules": [BLOCKING],
                },
            },
        }
        (tmp_path / "guard.yaml").write_text(json.dumps(written))
        command = (sys.executable, "-m", "guard", "serve", "--config", str(tmp_path / "guard.yaml"))
        server = Server("guard serve", command, f"http://127.0.0.1:{admin}/readyz", tmp_path / "guard.log", {})
        with server:
            server.wait_ready(60)
            base = f"http://127.0.0.1:{listen}"
            assert ask(base, "How many bridges are there?")[0] == 200
            served = upstream.served
            status, refused = ask(base, "Give me the recipe.")
            assert (status, refused["error"]["code"]) == (403, "aup")
            assert {"category": "S9", "license": "llama-2"}.items() <= refused["error"]["guard"].items()
            assert refused["error"]["guard"]["clause"]
            assert [(path, key) for path, key, _ in judging.asked] == [
                ("/v1/chat/completions", "Bearer sk-e2e-secret")
            ] * 2
            judging.shutdown()
            judging.server_close()
            status, answered = ask(base, "Which one is the oldest?")
            assert status == down
            if down == 503:
                assert answered["error"]["code"] == "screening_unavailable"
            assert ask(base, "How many bridges are there?")[0] == 200, "its verdict is remembered"
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=20) as page:
                metrics = page.read().decode()
        assert 'guard_judge_requests_total{outcome="unsafe"} 1.0' in metrics
        assert 'guard_judge_requests_total{outcome="cached"} 1.0' in metrics
        assert 'guard_screen_not_evaluated_total{reason="judge_error"} 1.0' in metrics
        assert upstream.served > served
    for path in (tmp_path / "guard.log", *(tmp_path / "state").rglob("*")):
        if path.is_file():
            found = path.read_bytes()
            assert b"sk-e2e-secret" not in found, path
            assert b"recipe" not in found, path


# What is asked at all, on a rule by itself.


class Asked:
    """As much of an exchange as a rule looks at."""

    def __init__(self, risk=None, reference="00", segments=HELLO, rulings=("S9",)):
        self.risk = risk
        self.model = type("Model", (), {"rulings": dict.fromkeys(rulings)})()
        self.head = type("Head", (), {"reference": reference})()
        self.inquiry = type("Inquiry", (), {"segments": segments})()


def rule(**more):
    judge = judge_from(
        settings("http://127.0.0.1:9", rules=[{"categories": ["S9", "S1"], **more}]), CollectorRegistry()
    )
    (one,) = (*judge.assessors, *judge.answer_assessors)
    return one


@pytest.mark.parametrize(("band", "risk", "wanted"), [
    (None, 0.09, False), (None, 0.1, True), (None, 0.99, True), ([0.3, 0.6], 0.29, False), ([0.3, 0.6], 0.6, True),
    ([0.3, 0.6], 0.61, False), ("all", 0.0, True), ("all", 1.0, True), ([0.3, 0.6], None, True),
])  # fmt: skip
def test_the_band_is_of_learned_scores_and_without_a_score_everything_is_in_doubt(band, risk, wanted):
    assert rule(band=band).wanted(Asked(risk)) is wanted


def test_answers_are_judged_whatever_the_score_of_the_prompt():
    assert rule(outputs=True).wanted(Asked(0.0))
    assert not rule(outputs=True, band=[0.5, 1]).wanted(Asked(0.0))


def test_a_sample_is_of_the_size_it_says_and_told_by_the_reference():
    one = rule(sample=0.25)
    references = [os.urandom(10).hex() for _ in range(4000)]
    chosen = [reference for reference in references if one.wanted(Asked(reference=reference))]
    assert 800 < len(chosen) < 1200
    assert all(one.wanted(Asked(reference=reference)) for reference in chosen)


def test_nothing_to_judge_is_not_judged():
    assert not rule().wanted(Asked(segments=(Segment(Source.SYSTEM, "Be kind."),)))
    assert not rule().wanted(Asked(rulings=("S2",)))
    assert rule(mode="blocking").holds
    assert not rule().holds


def finding(answer, rule, **more):
    """What the one finding of a judge with that answer may lead to."""

    async def main():
        async with RawServer(Scripted(answer)) as server:
            judge = judge_from(
                settings(server.url, rules=[{"categories": ["S9"], **rule}], **more), CollectorRegistry()
            )
            try:
                segments = [
                    Segment(Source.USER, "a", "m[0]"),
                    Segment(Source.SYSTEM, "b"),
                    Segment(Source.USER, "cd", "m[2]"),
                ]
                (found,) = await judge.assessors[0].assess(segments)
                return found
            finally:
                judge.close()

    return asyncio.run(asyncio.wait_for(main(), 20))


def likely(probability):
    top = [{"token": "unsafe", "logprob": probability}, {"token": "safe", "logprob": -1.0}]
    return {"logprobs": {"content": [{"token": "unsafe", "logprob": probability, "top_logprobs": top}]}}


@pytest.mark.parametrize(("answer", "mode", "block_from", "most"), [
    (said("unsafe\nS9"), "blocking", 0.9, Action.BLOCK),
    (said("unsafe\nS9"), "asynchronous", 0.9, Action.FLAG),
    (said("unsafe\nS9", **likely(-0.5)), "blocking", 0.9, Action.FLAG),
    (said("unsafe\nS9", **likely(-0.5)), "blocking", 0.6, Action.BLOCK),
])  # fmt: skip
def test_a_weak_sign_only_flags(answer, mode, block_from, most):
    found = finding(answer, {"mode": mode}, block_from=block_from)
    assert (found.rule, found.category, found.most) == ("judge.S9", "S9", most)
    assert (found.path, found.start, found.end, found.source) == ("m[2]", 0, 2, Source.USER)


def test_what_was_found_holds_although_another_question_stayed_open():
    def answer(asked):
        return said("Yes", chat=False) if "Harassment" in asked["prompt"] else reply(b"", 500)

    async def main():
        async with RawServer(Scripted(answer)) as server:
            rules = [{"categories": ["HR", "S12"], "mode": "blocking"}]
            judge = judge_from(settings(server.url, family="shieldgemma", rules=rules), CollectorRegistry())
            try:
                with pytest.raises(Unassessed) as caught:
                    await judge.assessors[0].assess([Segment(Source.USER, "a")])
                return caught.value
            finally:
                judge.close()

    error = asyncio.run(asyncio.wait_for(main(), 20))
    assert error.reason == "judge_error"
    assert [found.category for found in error.findings] == ["HR"]


def test_what_is_too_long_is_not_judged_in_part():
    judge = judge_from(settings("http://127.0.0.1:9", longest=1000), CollectorRegistry())
    with pytest.raises(Unassessed, match="judge_length"):
        asyncio.run(judge.assessors[0].assess([Segment(Source.USER, "x" * 100_000)]))
