"""Traces: what a collector gets of real requests, what the server behind is told, and what neither ever sees."""

import asyncio
import io
import json
import logging
import signal
import sys

import pytest
from asgi_world import CONFIG, Inner, chat, events, guarded
from collector_world import Collector
from drain_world import Holding, serving
from prometheus_client import CollectorRegistry

from guard.observability.logs import formatter
from guard.observability.tracing import Tracing, collector_url, read_headers
from guard.policy.settings.observability import ObservabilityConfig, TracesConfig
from guard.transports.telemetry import TelemetryError

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = CALLER[:-2] + "00"
TRACE, PARENT = CALLER.split("-")[1:3]
HARM = "Plugh: step-by-step instructions to synthesize sarin nerve agent at home"


def run(story):
    return asyncio.run(asyncio.wait_for(story, 30))


def traced(collector, **more):
    return CONFIG + f"observability: {{{{traces: {{{{{written({'endpoint': collector.url, **more})}}}}}}}}}\n"


def written(settings):
    return ", ".join(f"{name}: {json.dumps(value)}" for name, value in settings.items())


def posted(tmp_path, config, *requests, inner=None):
    """Post ``requests`` (document, headers) to Guard around ``inner``; return inner and the replies."""
    inner = inner or Inner()

    async def story():
        async with guarded(tmp_path, inner, config) as guard:
            return [await guard.post(document, headers=tuple(headers)) for document, headers in requests]

    return inner, run(story())


def test_a_request_is_a_part_of_its_callers_trace_and_the_server_behind_of_guards(tmp_path):
    with Collector() as collector:
        headers = [
            (b"traceparent", CALLER.encode()),
            (b"tracestate", b"a=1"),
            (b"tracestate", b"b=2"),
            (b"baggage", b"k=v"),
        ]
        inner, (reply,) = posted(tmp_path, traced(collector), (chat(user="xyzzy"), headers))
        (server,) = collector.servers(1)
        spans = {span.name: span for span in collector.spans}
    upstream = next(span for span in collector.spans if span.kind == 3)
    assert (server.trace, server.parent) == (TRACE, PARENT)
    assert (upstream.trace, upstream.parent) == (TRACE, server.id)
    sent = inner.requests[0][1]
    assert sent[b"traceparent"].decode() == f"00-{TRACE}-{upstream.id}-01"
    assert (sent[b"tracestate"], sent[b"baggage"]) == (b"a=1,b=2", b"k=v")
    assert server.facts["guard.reference"].encode() == reply.headers[b"x-guard-reference"]
    expected = {
        "http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": 200,
        "guard.decision": "allow", "guard.reason": "served", "guard.license": "llama-2", "guard.surface": "chat",
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "tiny", "gen_ai.request.stream": False,
    }  # fmt: skip
    assert {name: server.facts[name] for name in expected} == expected
    assert upstream.facts["http.response.status_code"] == 200
    assert upstream.events == ["guard.upstream.first_byte"]
    assert spans["guard.screen_prompt"].parent == server.id
    assert collector.resource["service.name"] == "guard"


def test_a_refusal_says_why_and_neither_text_nor_identity_nor_a_strangers_path_is_sent(tmp_path):
    secret = [(b"authorization", b"Bearer sk-xyzzy")]
    stream = Inner(kind=b"text/event-stream", chunks=events("plugh ", "frotz"))
    with Collector() as collector:
        _, replies = posted(
            tmp_path, traced(collector),
            (chat(HARM, user="xyzzy"), secret),
            (chat("plugh", user="xyzzy", stream=True), secret),
            (chat("plugh", model="xyzzy-model"), secret),
            (b"plugh", secret),
            inner=stream,
        )  # fmt: skip
        servers = collector.servers(4)
        payload = collector.payload
    assert [reply.status for reply in replies] == [403, 200, 404, 400]
    by_reference = {span.facts["guard.reference"].encode(): span for span in servers}
    refused = by_reference[replies[0].headers[b"x-guard-reference"]]
    error = replies[0].json["error"]
    assert refused.facts["guard.decision"] == "deny"
    assert refused.facts["guard.reason"] == error["code"] == "aup"
    cited = {name: refused.facts[f"guard.{name}"] for name in ("license", "clause", "category")}
    assert cited == {name: error["guard"][name] for name in cited}
    assert by_reference[replies[3].headers[b"x-guard-reference"]].facts["guard.reason"] == "malformed"
    for word in (b"xyzzy", b"plugh", b"Plugh", b"frotz", b"sarin"):
        assert word not in payload


CANARY = "plugh-canary"
BAD_STATES = [
    f"{CANARY.upper()}=1", f"a={CANARY},b", f"{CANARY}", f"a=1,a={CANARY}", f"a={CANARY}\u00e9", f"a={CANARY * 800}",
    ",".join(f"k{number}={CANARY}" for number in range(33)),
]  # fmt: skip


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_a_client_says_of_its_trace_is_in_no_log(tmp_path, log_format):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(ObservabilityConfig(log_format=log_format)))
    root = logging.getLogger()
    root.addHandler(handler)
    parents = [CALLER[:-2] + CANARY, f"00-{CANARY}", f"{CALLER}-{CANARY}", CANARY * 60]
    headers = [
        *([("traceparent", CALLER), ("tracestate", state)] for state in BAD_STATES),
        *([("traceparent", parent), ("tracestate", "a=1")] for parent in parents),
        [("traceparent", CALLER), ("baggage", f"{CANARY}==,;{CANARY}")],
        [("traceparent", CALLER), ("tracestate", "a=1, ,b@c=2 ")],
    ]
    try:
        with Collector() as collector:
            requests = [
                (chat(), [(name.encode(), value.encode("latin-1")) for name, value in each]) for each in headers
            ]
            inner, replies = posted(tmp_path, traced(collector), *requests)
    finally:
        root.removeHandler(handler)
    assert {reply.status for reply in replies} == {200}
    assert CANARY not in stream.getvalue().lower()
    assert "opentelemetry" not in stream.getvalue()
    assert "length" not in stream.getvalue()
    sent = [request[1].get(b"tracestate") for request in inner.requests]
    assert sent == [None] * (len(headers) - 1) + [b"a=1,b@c=2"]  # invalid in part is invalid, as W3C has it


def test_an_unknown_path_is_traced_without_its_name(tmp_path):
    with Collector() as collector:

        async def story():
            async with guarded(tmp_path, Inner(), traced(collector)) as guard:
                await guard.post(chat(), path="/plugh")

        run(story())
        (server,) = collector.servers(1)
        assert b"plugh" not in collector.payload
    assert (server.name, server.facts["http.response.status_code"]) == ("POST", 403)


@pytest.mark.parametrize(
    ("header", "sample", "kept"),
    [(None, 1, True), (None, 0, False), (CALLER, 0, True), (UNSAMPLED, 1, False), ("00-junk", 1, True)],
)
def test_the_caller_decides_what_is_sampled_and_where_it_does_not_the_share_does(tmp_path, header, sample, kept):
    headers = [] if header is None else [(b"traceparent", header.encode()), (b"tracestate", b"a=1")]
    with Collector() as collector:
        inner, _ = posted(tmp_path, traced(collector, sample=sample), (chat(), headers))
        found = [span for span in collector.spans if span.kind == 2]
    sent = inner.requests[0][1][b"traceparent"].decode()
    assert (len(found) == 1) is kept
    assert bool(int(sent[-2:], 16) & 1) is kept  # the server behind samples the same traces
    valid = header is not None and "junk" not in header
    assert (sent.split("-")[1] == TRACE) is valid
    assert inner.requests[0][1].get(b"tracestate") == (b"a=1" if valid else None)


@pytest.mark.parametrize("header", [CALLER, "00-junk", "ff-" + CALLER])
def test_without_tracing_the_callers_context_passes_through_as_it_is(tmp_path, header):
    given = {b"traceparent": header.encode(), b"tracestate": b"a=1", b"baggage": b"k=v"}
    inner, _ = posted(tmp_path, CONFIG, (chat(), given.items()))
    assert {name: inner.requests[0][1][name] for name in given} == given


def test_the_trace_is_in_the_audit_chain_and_in_the_log_beside_the_reference(tmp_path, caplog):
    caplog.set_level(logging.INFO, "guard.decision")
    with Collector() as collector:
        posted(tmp_path, traced(collector), (chat(HARM), [(b"traceparent", CALLER.encode())]))
    lines = (tmp_path / "state" / "audit" / "guard-0.jsonl").read_text().splitlines()
    decisions = [entry["facts"] for entry in map(json.loads, lines) if entry["kind"] == "decision"]
    assert [facts["trace"] for facts in decisions] == [TRACE]
    (record,) = [record for record in caplog.records if record.name == "guard.decision"]
    assert (record.trace_id, record.reference) == (TRACE, decisions[0]["reference"])


def test_a_collector_that_takes_nothing_costs_spans_and_one_line(tmp_path, caplog):
    with Collector(status=400) as collector:
        registry = CollectorRegistry()
        tracing = Tracing(TracesConfig(endpoint=collector.url), "http://127.0.0.1:9", registry)
        for _ in range(2):
            for number in range(3):
                span = tracing._tracer.start_span(str(number))
                span.end()
            tracing._provider.force_flush()
        assert registry.get_sample_value("guard_trace_spans_total", {"outcome": "dropped"}) == 6
        collector.status = 200
        tracing._tracer.start_span("after").end()
        tracing._provider.force_flush()
        assert registry.get_sample_value("guard_trace_spans_total", {"outcome": "exported"}) == 1
        tracing.close(10)
    said = [record.message for record in caplog.records if record.name == "guard.tracing"]
    assert len([line for line in said if "does not take" in line]) == 1
    assert "does not take" in said[0]


def test_headers_for_the_collector_are_read_from_a_file_and_never_shown(tmp_path):
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer s3cret\n\nx-tenant: me\n")
    assert read_headers(file) == {"authorization": "Bearer s3cret", "x-tenant": "me"}
    with Collector() as collector:
        posted(tmp_path, traced(collector, headers_file=str(file)), (chat(), ()))
        collector.servers(1)
        path, sent = collector.headers[0]
    assert (path, sent["authorization"]) == ("/v1/traces", "Bearer s3cret")
    file.write_text("s3cret\n")
    with pytest.raises(ValueError, match="headers:1: no header") as error:
        read_headers(file)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://a:4318", "http://a:4318/v1/traces"),
        ("http://a:4318/", "http://a:4318/v1/traces"),
        ("https://a/otlp/v1/traces", "https://a/otlp/v1/traces"),
    ],
)
def test_where_spans_are_posted(endpoint, url):
    assert collector_url(endpoint) == url


@pytest.mark.slow
def test_guard_serve_sends_what_it_has_before_it_ends(tmp_path):
    held = Holding()
    held.go.set()
    with Collector() as collector:
        extra = f"observability: {{log_format: json, traces: {{endpoint: '{collector.url}', service: edge}}}}\n"
        with serving(tmp_path, extra, held) as (guard, _):
            guard.ready()
            for text, stream in (("Xyzzy", True), ("Xyzzy", False), (HARM, True)):
                response = guard.ask("plugh-user", stream, {"traceparent": CALLER}, text)
                response.read()
                response.owner.close()
            guard.process.send_signal(signal.SIGTERM)
            assert guard.process.wait(30) == 0
            servers = collector.servers(3)
            payload, resource = collector.payload, collector.resource
            log = guard.log.read_text()
    assert {span.trace for span in servers} == {TRACE}
    assert sorted(span.facts["http.response.status_code"] for span in servers) == [200, 200, 403]
    assert all(headers[b"traceparent"].decode().startswith(f"00-{TRACE}-") for headers in held.headers)
    assert resource["service.name"] == "edge"
    for word in (b"Xyzzy", b"plugh-user", b"Plugh", b"Good "):
        assert word not in payload
        assert word.decode() not in log
    lines = [json.loads(line) for line in log.splitlines()]  # every line is one object
    (refused,) = [line for line in lines if line["logger"] == "guard.decision"]
    assert (refused["trace_id"], refused["code"], refused["status"]) == (TRACE, "aup", 403)


def test_traces_that_cannot_be_sent_as_configured_stop_the_start(tmp_path, monkeypatch):
    config = CONFIG + "observability: {{traces: {{endpoint: 'http://127.0.0.1:9', headers_file: {headers}}}}}\n"

    async def story(headers):
        async with guarded(tmp_path, Inner(), config, headers=headers):
            pass

    with pytest.raises(TelemetryError, match=r"observability\.traces: .*nowhere"):
        run(story(tmp_path / "nowhere"))
    (tmp_path / "headers").write_text("a: b\n")
    monkeypatch.setitem(sys.modules, "guard.observability.tracing", None)  # as without the extra
    monkeypatch.delattr("guard.observability.tracing")
    with pytest.raises(TelemetryError, match=r"not installed; allowed: the extra guard\[otel\]"):
        run(story(tmp_path / "headers"))
