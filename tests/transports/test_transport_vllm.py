"""The class vLLM builds: a bad configuration stops the server, and one process serves the admin port."""

import asyncio
import urllib.request

import pytest
from asgi_world import Inner, chat
from prometheus_client import CollectorRegistry

from guard.transports import runtime as runtime_module
from guard.transports import vllm
from guard.transports.vllm import Guard

CONFIG = "admin: 127.0.0.1:0\nstate_dir: {state}\nmodels: {{tiny: {{license: llama-2}}}}\n"


@pytest.fixture(autouse=True)
def _own_registries(monkeypatch):
    real = runtime_module.Runtime.__init__

    def build(self, path, overrides=None, **more):
        real(self, path, overrides, registry=CollectorRegistry(), **more)

    monkeypatch.setattr(vllm.InsideRuntime, "__init__", build)


class Host:
    """A server that runs the lifespan of an app, as uvicorn does."""

    def __init__(self, app):
        self.app, self.inbox, self.outbox = app, asyncio.Queue(), asyncio.Queue()
        self.task = asyncio.ensure_future(app({"type": "lifespan"}, self.inbox.get, self.outbox.put))

    async def say(self, kind):
        await self.inbox.put({"type": kind})
        return await asyncio.wait_for(self.outbox.get(), 20)


@pytest.mark.parametrize(
    "text", [None, "models: {tiny: {license: lama-2}}", "models: ["], ids=["unset", "typo", "broken"]
)
def test_a_bad_configuration_stops_the_server(tmp_path, monkeypatch, text):
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    if text is not None:
        (tmp_path / "guard.yaml").write_text(text)
        monkeypatch.setenv("GUARD_CONFIG", str(tmp_path / "guard.yaml"))

    async def story():
        inner = Inner()
        host = Host(Guard(inner))
        answer = await host.say("lifespan.startup")
        assert answer["type"] == "lifespan.startup.failed"
        with pytest.raises(RuntimeError, match="cannot start"):
            await host.app({"type": "http"}, None, None)
        assert inner.requests == []

    asyncio.run(story())


@pytest.mark.parametrize(("allowed", "believed"), [(None, False), ("127.0.0.1", False), ("", True)])
def test_a_peer_that_a_header_may_have_written_is_not_trusted(tmp_path, monkeypatch, allowed, believed):
    trusting = CONFIG + "identity: {{trusted_from: [10.0.0.0/8], trusted_headers: [x-user-id]}}\n"
    (tmp_path / "guard.yaml").write_text(trusting.format(state=tmp_path / "state"))
    monkeypatch.setenv("GUARD_CONFIG", str(tmp_path / "guard.yaml"))
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if allowed is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", allowed)

    async def story():
        from asgi_world import Guarded

        host = Host(Guard(Inner()))
        await host.say("lifespan.startup")
        guard = Guarded(host.app, host.app.runtime)
        headers = ((b"x-forwarded-for", b"10.1.2.3"), (b"x-user-id", b"victim"))
        document = chat()
        del document["user"]
        await guard.post(document, headers=headers, peer="10.1.2.3")
        assert guard.users("llama-2") == int(believed)
        await host.say("lifespan.shutdown")
        await host.task

    asyncio.run(story())


def test_two_processes_on_one_state_directory_share_the_ledger_and_one_serves_the_admin_port(tmp_path, monkeypatch):
    (tmp_path / "guard.yaml").write_text(CONFIG.format(state=tmp_path / "state"))
    monkeypatch.setenv("GUARD_CONFIG", str(tmp_path / "guard.yaml"))

    async def story():
        first, second = Host(Guard(Inner())), Host(Guard(Inner()))
        for host in (first, second):
            assert (await host.say("lifespan.startup"))["type"] == "lifespan.startup.complete"
        assert first.app.runtime._admin is not None
        assert second.app.runtime._admin is None
        for host, user in ((first, "alice"), (second, "alice"), (second, "bob")):
            assert await post(host.app, chat(user=user)) == 200
        for host in (first, second):
            host.app.runtime.counter.flush()
        first.app.runtime.counter.refresh()
        url = f"{first.app.runtime._admin.address}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read().decode())
        assert 'guard_license_mau{kind="exact",license="llama-2"} 2.0' in text
        for host in (first, second):
            assert (await host.say("lifespan.shutdown"))["type"] == "lifespan.shutdown.complete"
            await host.task

    asyncio.run(story())


async def post(app, document):
    from asgi_world import Guarded

    return (await Guarded(app, app.runtime).post(document)).status
