"""The export gate on the admin port: a real gateway's answers are found, one data set at a time, and nobody waits."""

import asyncio
import gzip
import hashlib
import json
import tempfile
import threading
from urllib.parse import urlencode

import pytest
from asgi_world import ANSWER, Inner, chat, guarded
from prometheus_client import CollectorRegistry

from guard.observability.metrics import Metrics
from guard.transports import upload
from guard.transports.admin import build_admin
from guard.transports.export import check_body

ESSAY = " ".join(f"sentence{number} tells something{number * 7} of its own{number * 13}" for number in range(40))
TARGET = "mistralai/Mistral-7B-v0.1"


class Answer:
    def __init__(self, sent):
        self.status = sent[0]["status"]
        self.body = b"".join(message.get("body", b"") for message in sent[1:])

    @property
    def json(self):
        return json.loads(self.body)


class Admin:
    """The admin port of a runtime."""

    def __init__(self, runtime):
        self.app = build_admin(runtime, token=None)

    async def check(self, body, target=TARGET, **query):
        return await self.call("POST", "/api/v1/export/check", urlencode({"target": target, **query}), body)

    async def call(self, method, path, query="", body=b""):
        scope = {
            "type": "http", "method": method, "path": path, "query_string": query.encode(), "http_version": "1.1",
            "headers": [(b"host", b"127.0.0.1:9090")], "scheme": "http", "server": ("127.0.0.1", 9090),
            "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)] or [b""]
        sent = []

        async def receive():
            if not pieces:
                await asyncio.Event().wait()
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message):
            sent.append(message)

        await self.app(scope, receive, send)
        return Answer(sent)


def said(text):
    answer = json.loads(json.dumps(ANSWER))
    answer["choices"][0]["message"]["content"] = text
    return answer


async def settled(guard):
    """Wait until what was answered is in the index."""
    tally = guard.runtime._stores.recorder.writer.tally
    for _ in range(1000):
        if tally.answered and not tally.waiting:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the answer is not in the index")


def lines(*documents):
    return "".join(json.dumps(document) + "\n" for document in documents).encode()


async def gateway_finds_its_own_answers(tmp_path):
    async with guarded(tmp_path, Inner(said(ESSAY))) as guard:
        admin = Admin(guard.runtime)
        assert (await admin.check(lines({"text": ESSAY}))).json["hits"] == []
        await guard.post(chat("Write an essay."))
        await settled(guard)
        mixed = lines({"text": "Something else entirely."}, {"messages": [{"role": "assistant", "content": ESSAY}]})
        found = await admin.check(mixed)
        document = found.json
        assert (found.status, document["verdict"], document["records"]) == (200, "deny", 2)
        (hit,) = document["hits"]
        assert (hit["line"], hit["tier"], hit["license"], hit["clause"]) == (2, "A", "llama-2", "1.b.v")
        assert len(document["packs"]["llama-2"]) == 64
        assert (await admin.check(gzip.compress(mixed), format="jsonl.gz")).json["verdict"] == "deny"
        assert (await admin.check(f"text\n{ESSAY}\n".encode(), format="csv")).json["verdict"] == "deny"
        same = await admin.check(mixed, target="meta-llama/Llama-2-13b-hf")
        assert same.json["verdict"] in {"allow", "allow_with_obligations"}

        bad = await admin.check(b'{"text": "x"}\nnonsense')
        assert (bad.status, bad.json["error"]["line"], b"nonsense" in bad.body) == (400, 2, False)
        assert bad.json["error"]["message"].startswith("not JSON")
        typo = await admin.check(mixed, tenant="no-one", since="2020-01")
        assert typo.json["tenant_seen"] is False
        assert typo.json["coverage"]["gaps"][0].startswith("2020-01: the index begins in")
        assert (await admin.check(b"x", format="docx")).status == 400
        assert b'guard_export_checks_total{verdict="deny"} 4.0' in (await admin.call("GET", "/metrics")).body
    lines_of = [path.read_text() for path in (tmp_path / "state" / "audit").rglob("*.jsonl")]
    entries = [json.loads(line) for text in lines_of for line in text.splitlines()]
    facts = [entry["facts"] for entry in entries if entry["kind"] == "export_check"]
    assert len(facts) == 6
    kept = facts[1]
    assert kept["sha256"] == hashlib.sha256(mixed).hexdigest()
    assert (kept["asker"], kept["records"], kept["found"]["tiers"]) == ("127.0.0.1", 2, {"A": 1, "B": 0, "C": 0})
    assert (kept["verdict"], kept["complete"], len(kept["packs"]), len(kept["policy"])) == ("deny", True, 64, 64)
    assert (facts[-1]["tenant"], facts[-1]["since"], facts[-1]["complete"]) == ("no-one", "2020-01", False)


def test_a_gateway_finds_its_own_answers(tmp_path):
    asyncio.run(gateway_finds_its_own_answers(tmp_path))


def test_without_an_index_there_is_nothing_to_search(tmp_path):
    with pytest.raises(upload.NoIndexError), tempfile.TemporaryFile() as file:
        check_body(file, upload.Query(TARGET, "jsonl"), tmp_path, {}, {})


class Slow:
    """A runtime whose check lasts until it is let go."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.begun, self.go = threading.Event(), threading.Event()
        self.files = []

    def export_check(self, data, _query):
        self.files.append(data)
        self.begun.set()
        assert self.go.wait(10)
        return {"read": len(data.read())}

    def ready(self):
        return True, {}


async def others_are_served_meanwhile():
    slow = Slow()
    admin = Admin(slow)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(admin.check(b"x" * 3_000_000))
        assert await asyncio.to_thread(slow.begun.wait, 10)
        second = await admin.check(b"{}")
        assert (second.status, second.json["error"]["code"]) == (429, "busy")
        assert (await admin.call("GET", "/healthz")).status == 200
        slow.go.set()
    assert first.result().json == {"read": 3_000_000}
    assert (await admin.check(b"{}")).json == {"read": 2}
    assert all(file.closed for file in slow.files)


def test_one_data_set_is_checked_at_a_time_and_others_are_served_meanwhile():
    asyncio.run(others_are_served_meanwhile())


async def parts(*sizes):
    for size in sizes:
        yield b"x" * size


def test_a_body_goes_into_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(upload.tempfile, "tempdir", str(tmp_path))
    with asyncio.run(upload.received(parts(10, 2_000_000, 5, 0))) as file:
        assert list(tmp_path.iterdir()) == []
        assert len(file.read()) == 2_000_015


def test_a_body_that_is_too_large_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "LARGEST", 1000)
    with pytest.raises(upload.TooLargeError):
        asyncio.run(upload.received(parts(600, 600)))
    with asyncio.run(upload.received(parts(600, 400))) as file:
        assert len(file.read()) == 1000
