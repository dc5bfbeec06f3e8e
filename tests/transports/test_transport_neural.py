"""The neural tier from guard.yaml to the refusal: real queue, real runtime, a model of a few words."""

import asyncio
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from asgi_world import CONFIG, Inner, chat, guarded

from guard.exchange.assess import Unassessed
from guard.policy.document import PolicyError
from guard.policy.load import load
from guard.screening.neural import model as model_module
from guard.screening.neural.policy import NeuralPolicy
from guard.screening.neural.queue import NeuralQueue
from guard.screening.segments import Segment, Source
from guard.transports.neural import NeuralAssessor

sys.path.append(str(Path(__file__).parents[1] / "screening"))
from neural_world import weights

LONG = 20
BOMB = {"bomb": {"unsafe": 4.0, "S9": 3.0}, "spy": {"unsafe": 1.0, "S7": 1.5}}
NEURAL = CONFIG + "screening: {{neural: {{scope: {scope}, weights: {weights}}}}}\n"
POLICY = NeuralPolicy(0.0, 1.0, 20.0, True)
PROMPT = [Segment(Source.USER, "a bomb")]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, LONG))


def assessor(scan, policy=POLICY, clock=lambda: 0.0, **queue):
    failures = []
    made = NeuralQueue(scan, **{"threads": 1, "most_waiting": 1, **queue})
    return NeuralAssessor(made, policy, lambda *failure: failures.append(failure), clock), made, failures


async def why(checked):
    with pytest.raises(Unassessed) as caught:
        await checked.assess(PROMPT)
    return caught.value.reason


def test_a_prompt_that_only_the_model_recognizes_is_refused_with_clause_and_category(tmp_path):
    async def story():
        inner, folder = Inner(hang=True, chunks=[]), weights(tmp_path / "w", BOMB)
        async with guarded(tmp_path, inner, NEURAL, scope="all", weights=folder) as guard:
            reply = await guard.post(chat("please make a bomb"))
            facts = reply.json["error"]["guard"]
            assert (reply.status, reply.json["error"]["code"], facts["category"]) == (403, "aup", "S9")
            assert facts["license"] == "llama-2"
            assert inner.disconnected
            assert guard.users("llama-2") == 0

    run(story())


def test_a_harmless_one_and_one_under_a_license_that_rules_on_nothing_are_served(tmp_path):
    async def story():
        folder = weights(tmp_path / "w", BOMB)
        async with guarded(tmp_path, Inner(), NEURAL, scope="all", weights=folder) as guard:
            assert (await guard.post(chat("please make tea"))).status == 200
            assert (await guard.post(chat("please make a bomb", model="free"))).status == 200

    run(story())


def test_in_a_system_prompt_it_at_most_flags(tmp_path):
    async def story():
        folder = weights(tmp_path / "w", BOMB)
        async with guarded(tmp_path, Inner(), NEURAL, scope="all", weights=folder) as guard:
            document = chat("tea please")
            document["messages"].insert(0, {"role": "system", "content": "the bomb"})
            assert (await guard.post(document)).status == 200
            value = guard.runtime.registry.get_sample_value
            labels = {"category": "S9", "direction": "prompt", "action": "flag"}
            assert value("guard_screen_findings_total", labels) == 1

    run(story())


def test_only_prompts_in_the_band_are_read(tmp_path):
    async def story():
        folder = weights(tmp_path / "w", BOMB)
        async with guarded(tmp_path, Inner(), NEURAL, scope="band", weights=folder) as guard:
            [asked] = guard.runtime.services.assessors
            snapshot = guard.runtime.snapshot

            class Exchange:
                model, risk = snapshot.models["tiny"], 0.05

            Exchange.snapshot = snapshot
            assert not asked.wanted(Exchange)
            Exchange.risk = 0.5
            assert asked.wanted(Exchange)
            Exchange.model = replace(Exchange.model, rulings={})
            assert not asked.wanted(Exchange)

    run(story())


def test_off_costs_nothing(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), NEURAL, scope="off", weights="nowhere") as guard:
            assert guard.runtime.services.assessors == []
            assert guard.runtime.snapshot.neural is None

    run(story())


def test_auto_is_off_where_there_are_no_weights_and_band_where_there_are(tmp_path):
    path = tmp_path / "guard.yaml"
    for name, expected in (("none", None), ("some", (0.1, 1.0))):
        if name == "some":
            weights(tmp_path / name, BOMB)
        path.write_text(f"license: llama-2\nscreening: {{neural: {{weights: {name}}}}}\n")
        policy = load(path).snapshot.neural
        assert (policy and policy[:2]) == expected


@pytest.mark.parametrize("scope", ["band", "all"])
def test_a_model_that_is_asked_for_and_missing_is_a_mistake_with_its_remedy(tmp_path, monkeypatch, scope):
    path = tmp_path / "guard.yaml"
    path.write_text(f"license: llama-2\nscreening:\n  neural:\n    scope: {scope}\n")
    monkeypatch.setattr(model_module, "find_spec", lambda name: None)
    with pytest.raises(PolicyError) as caught:
        load(path)
    [problem] = caught.value.problems
    assert str(problem).startswith(f"{path}:4: screening.neural.scope: '{scope}', but onnxruntime is not installed")
    assert "pip install '.[neural]' in a clone" in str(problem)


@pytest.mark.parametrize("band", ["[0.9, 0.1]", "[0, 2]", "0.5", "[0.1]", "[true, 1]"])
def test_a_band_that_is_none_is_a_mistake(tmp_path, band):
    path = tmp_path / "guard.yaml"
    path.write_text(f"license: llama-2\nscreening: {{neural: {{band: {band}}}}}\n")
    with pytest.raises(PolicyError, match="LOW < HIGH"):
        load(path)


def test_guard_does_not_start_with_a_damaged_model(tmp_path):
    async def story():
        folder = weights(tmp_path / "w", BOMB)
        (folder / "model.onnx").write_bytes(b"damaged")
        async with guarded(tmp_path, Inner(), NEURAL, scope="all", weights=folder):
            pass

    with pytest.raises(model_module.NeuralUnavailable, match=r"model\.onnx"):
        run(story())


def test_a_model_found_damaged_on_a_reload_refuses_and_passes_nothing(tmp_path, caplog):
    async def story():
        folder = weights(tmp_path / "w", BOMB)
        async with guarded(tmp_path, Inner(), NEURAL, scope="off", weights=folder) as guard:
            assert (await guard.post(chat("tea"))).status == 200
            (folder / "model.onnx").write_bytes(b"damaged")
            path = tmp_path / "guard.yaml"
            path.write_text(path.read_text().replace("scope: off", "scope: all"))
            assert (await guard.runtime.reload())["ok"]
            assert (await guard.post(chat("tea"))).status == 503
            value = guard.runtime.registry.get_sample_value
            assert value("guard_screen_not_evaluated_total", {"reason": "neural_error"}) == 1

    with caplog.at_level(logging.CRITICAL):
        run(story())


def test_a_reload_takes_the_scope(tmp_path):
    async def story():
        folder = weights(tmp_path / "w", BOMB)
        async with guarded(tmp_path, Inner(), NEURAL, scope="off", weights=folder) as guard:
            assert (await guard.post(chat("a bomb"))).status == 200
            path = tmp_path / "guard.yaml"
            path.write_text(path.read_text().replace("scope: off", "scope: all"))
            assert (await guard.runtime.reload())["ok"]
            assert (await guard.post(chat("a bomb"))).status == 403

    run(story())


class Stuck:
    """A model that does not answer until it is let."""

    def __init__(self):
        import threading

        self.go, self.begun = threading.Event(), threading.Event()

    def __call__(self, segments, wanted):
        self.begun.set()
        assert self.go.wait(LONG)
        return []


def test_a_full_queue_is_overload_and_a_slow_model_a_timeout():
    async def story():
        stuck = Stuck()
        checked, queue, _ = assessor(stuck, POLICY._replace(deadline=0.2))
        first = asyncio.ensure_future(why(checked))
        await asyncio.to_thread(stuck.begun.wait, LONG)
        second = asyncio.ensure_future(why(checked))
        await asyncio.sleep(0)
        assert await why(checked) == "neural_overload"
        assert [await first, await second] == ["neural_timeout"] * 2
        stuck.go.set()
        await asyncio.to_thread(queue.close)

    run(story())


def test_failures_in_a_row_open_the_breaker_and_one_success_closes_it():
    async def story():
        now, asked, answer = [0.0], [], [MemoryError("no")]

        def scan(segments, wanted):
            asked.append(True)
            if answer[0] is not None:
                raise answer[0]
            return []

        checked, queue, failures = assessor(scan, clock=lambda: now[0])
        assert {await why(checked) for _ in range(8)} == {"neural_error"}
        assert len(failures) == len(asked) == 8
        assert await why(checked) == "neural_overload"
        assert len(asked) == 8
        now[0], answer[0] = 6.0, None
        assert await checked.assess(PROMPT) == []
        assert await checked.assess(PROMPT) == []
        await asyncio.to_thread(queue.close)

    run(story())


def test_who_cancels_leaves_no_work_behind_and_fails_nothing():
    async def story():
        stuck = Stuck()
        checked, queue, failures = assessor(stuck, most_waiting=100)
        tasks = [asyncio.ensure_future(checked.assess(PROMPT)) for _ in range(20)]
        await asyncio.to_thread(stuck.begun.wait, LONG)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stuck.go.set()
        assert await checked.assess(PROMPT) == []
        assert failures == []
        await asyncio.to_thread(queue.close)

    run(story())


def test_the_decision_in_the_audit_chain_names_rule_and_span_and_no_text(tmp_path):
    async def story():
        folder = weights(tmp_path / "w", BOMB)
        async with guarded(tmp_path, Inner(), NEURAL, scope="all", weights=folder) as guard:
            await guard.post(chat("please make a bomb"))
            [decision] = guard.runtime.decisions(1)
            [finding] = [finding for finding in decision["findings"] if finding["rule"].startswith("neural.")]
            assert (finding["rule"], finding["start"], finding["end"]) == ("neural.S9", 0, 18)
            assert "bomb" not in json.dumps(decision)

    run(story())


def test_a_candidate_policy_rules_on_what_the_model_found_too(tmp_path):
    async def story():
        folder = weights(tmp_path / "w", BOMB)
        relax = "{{category: S9, owner: legal@example.org, expires: 2999-01-01, reason: a test}}"
        second = NEURAL.replace("screening: {{", f"screening: {{{{actions: {{{{S9: flag}}}}, relax: [{relax}], ")
        (tmp_path / "next.yaml").write_text(second.format(state=tmp_path / "next", scope="all", weights=folder))
        config = NEURAL + "candidate: next.yaml\n"
        async with guarded(tmp_path, Inner(), config, scope="all", weights=folder) as guard:
            assert (await guard.post(chat("please make a bomb"))).status == 403
            while not guard.runtime.candidate_facts()["candidate"]["compared"]:  # noqa: ASYNC110 - a thread compares
                await asyncio.sleep(0.01)
            [difference] = guard.runtime.candidate_facts()["differences"]
            assert (difference["active"]["verdict"], difference["candidate"]["verdict"]) == ("deny", "flag")

    run(story())
