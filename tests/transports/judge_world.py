"""A judge's server for tests, real but scripted, and a judge that asks it."""

import asyncio
import json
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry
from raw_upstream import RawServer

from guard.exchange.assess import Unassessed
from guard.observability.judge import JudgeMetrics
from guard.policy.settings.judge import JudgeConfig
from guard.screening.judge.question import Conversation
from guard.transports.judge_client import JudgeClient


def said(text, status=200, chat=True, **more):
    """The bytes of an answer in which the judge says ``text``."""
    choice = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    return reply(json.dumps({"choices": [{"index": 0, "finish_reason": "stop", **choice, **more}]}).encode(), status)


def reply(body, status=200):
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


class Scripted:
    """Answers every request with what ``answer`` returns for its document; None: never."""

    def __init__(self, answer):
        self.answer = answer if callable(answer) else lambda _: answer
        self.asked = []
        self.heads = []
        self.busy = self.most = self.left = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, connection):
        while True:
            head, body = await connection.request()
            document = json.loads(body)
            self.asked.append(document)
            self.heads.append(head)
            self.busy += 1
            self.most = max(self.most, self.busy)
            try:
                answer = self.answer(document)
                if answer is None:
                    await connection.gone()
                    self.left += 1
                    return
                await self.gate.wait()
                await connection.send(answer)
            finally:
                self.busy -= 1


def settings(url, **more):
    return JudgeConfig(
        **{"url": url, "model": "guard", "family": "llama_guard_3", "rules": [{"categories": ["S9", "S1"]}], **more}
    )


class World:
    def __init__(self, script, server, client, registry, clock):
        self.script, self.server, self.client, self.registry, self.clock = script, server, client, registry, clock

    async def ask(self, text="Hello", categories=("S9", "S1")):
        """What the judge finds: categories, or why it was not asked."""
        (question,) = self.client._family.ask(Conversation(text), categories)
        try:
            return {opinion.category for opinion in await self.client.ask(question)}
        except Unassessed as error:
            return error.reason

    def outcome(self, name):
        return self.registry.get_sample_value("guard_judge_requests_total", {"outcome": name}) or 0

    @property
    def open(self):
        return self.registry.get_sample_value("guard_judge_breaker_open")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@asynccontextmanager
async def judged(answer, key=None, ssl=None, path="", **more):
    """A client before a server that answers with ``answer``."""
    script, registry, clock = Scripted(answer), CollectorRegistry(), Clock()
    async with RawServer(script, ssl=ssl) as server:
        config = settings(server.url + path, **more)
        client = JudgeClient(config, config.asked(), key, JudgeMetrics(registry), clock)
        try:
            yield World(script, server, client, registry, clock)
        finally:
            client.close()


async def until(condition):
    """Wait until ``condition()`` holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is in a server or a pool, which tell nobody
            await asyncio.sleep(0.005)
