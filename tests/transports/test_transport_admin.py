"""The admin port: who gets in, what it answers, and what it never says."""

import asyncio
import json

import pytest
from prometheus_client import CollectorRegistry

from guard.exchange.snapshot import IdentityPolicy, Mode, Snapshot, SurfacePolicy
from guard.observability.metrics import Metrics
from guard.transports import upload
from guard.transports.admin import AdminExposedError, build_admin, read_token
from guard.transports.behind import BusyError
from guard.transports.lookup import Lookup
from guard.transports.reference import REFERENCE, new_reference
from guard.transports.upload import BadDataError, BadFormatError, NoIndexError
from guard.usage.thresholds import AtLimit

TOKEN = "correct-horse-battery-staple"
KNOWN, OLD = "6dac1cc18c8cf6e4beb8", "95adb7f14648e905f8d1"
"""References of a decision in memory, and of one in the files alone."""
SNAPSHOT = Snapshot(
    hash="ab" * 32,
    mode=Mode.ENFORCE,
    models={},
    default_model=None,
    allow_unknown_models=False,
    identity=IdentityPolicy(),
    surface=SurfacePolicy(),
    rules=None,
    at_limit=AtLimit.OBSERVE,
)


class FakeRuntime:
    snapshot = SNAPSHOT

    def __init__(self):
        self.registry = CollectorRegistry()
        Metrics(self.registry).identity("jwt")
        self.is_ready, self.reloads, self.reload_ok = True, 0, True
        self.checked = []

    async def refresh(self):
        self.refreshed = getattr(self, "refreshed", 0) + 1

    def usage(self):
        return [
            {
                "license": "llama-3.1", "period": "2026-11", "users": 120, "lower": 120, "upper": 130, "exact": True,
                "reasons": [], "limits": [],
            }
        ]  # fmt: skip

    def policy(self):
        return {"hash": SNAPSHOT.hash, "mode": "enforce"}

    def decisions(self, limit):
        return [{"reference": f"r{number}", "verdict": "deny"} for number in range(3)][:limit]

    def obligations(self):
        return [{"kind": "display", "text": "Built with Llama", "license": "llama-3.1", "clause": "1.b.i"}]

    def candidate_facts(self):
        return {"candidate": None, "differences": []}

    def history(self):
        return {"since": 0, "step": 3600, "buckets": []}

    def decision(self, reference):
        return {"entry": {"reference": KNOWN, "verdict": "deny"}, "explained": {}} if reference == KNOWN else None

    def look_up(self, reference, go_on):
        self.looked_up = [*getattr(self, "looked_up", ()), reference]
        return {"entry": {"reference": OLD, "verdict": "deny"}, "explained": {}} if reference == OLD else None

    def due(self):
        return [{"what": "attest", "license": "llama-3.1", "clause": "2", "by": None, "state": "open", "how": "so"}]

    def health(self):
        return {"parts": [{"name": "ledger", "state": "ok", "detail": "", "facts": {}}]}

    def export_checks(self):
        return []

    async def reload(self):
        self.reloads += 1
        return {"ok": self.reload_ok, "hash": SNAPSHOT.hash, "problems": []}

    def ready(self):
        return self.is_ready, {"spool": self.is_ready}

    def export_check(self, data, query):
        body = data.read()
        if body == b"boom":
            raise OSError("secret path")
        if body == b"bad":
            raise BadDataError(3, "not JSON; allowed: one JSON value a line")
        if body == b"never":
            raise NoIndexError
        if query.format == "docx":
            raise BadFormatError
        self.checked.append((body, query))
        return {"verdict": "deny"}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, dict(headers), body

    @property
    def json(self):
        return json.loads(self.body)


def call(app, method, path, headers=None, body=b"", host=b"127.0.0.1:9090"):
    """Send one request to the ASGI app."""
    path, _, query = path.partition("?")
    raw = [(b"host", host)] if host is not None else []
    pairs = headers if isinstance(headers, list) else (headers or {}).items()
    raw += [(name.encode(), value.encode()) for name, value in pairs]
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw,
        "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 9090), "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    sent = []

    async def main():
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)

    asyncio.run(main())
    return Answer(sent[0]["status"], sent[0]["headers"], b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.fixture
def runtime():
    return FakeRuntime()


@pytest.fixture
def local(runtime):
    return build_admin(runtime, token=None)


@pytest.fixture
def remote(runtime):
    return build_admin(runtime, token=TOKEN, listen="0.0.0.0:9090")


def bearer(token=TOKEN):
    return {"authorization": f"Bearer {token}"}


def test_every_path_answers(local, runtime):
    assert call(local, "GET", "/healthz").json == {"alive": True}
    assert call(local, "GET", "/readyz").json == {"ready": True, "parts": {"spool": True}}
    metrics = call(local, "GET", "/metrics")
    assert b'guard_identity_total{source="jwt"} 1.0' in metrics.body
    assert metrics.headers[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
    assert call(local, "GET", "/api/v1/usage").json == {"usage": runtime.usage()}
    assert call(local, "GET", "/api/v1/policy").json == runtime.policy()
    assert call(local, "GET", "/api/v1/obligations").json == {"obligations": runtime.obligations()}
    assert len(call(local, "GET", "/api/v1/decisions").json["decisions"]) == 3
    assert len(call(local, "GET", "/api/v1/decisions?limit=2").json["decisions"]) == 2
    assert call(local, "GET", "/api/v1/history").json == runtime.history()
    assert call(local, "GET", f"/api/v1/decisions/{KNOWN}").json == runtime.decision(KNOWN)
    assert call(local, "GET", f"/api/v1/decisions/{OLD}").json["entry"]["reference"] == OLD
    unknown = call(local, "GET", f"/api/v1/decisions/{'0' * 20}")
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "not_found")
    assert call(local, "GET", "/api/v1/due").json == {"due": runtime.due()}
    assert call(local, "GET", "/api/v1/health").json == runtime.health()
    assert call(local, "GET", "/api/v1/export/checks").json == {"checks": []}
    assert call(local, "GET", "/icon.svg").headers[b"content-type"].startswith(b"image/svg+xml")
    assert call(local, "GET", "/console.css").headers[b"content-type"].startswith(b"text/css")
    assert call(local, "GET", "/nowhere").status == 404
    assert call(local, "DELETE", "/api/v1/usage").status == 405


@pytest.mark.parametrize("text", ["0", '"', "a" * 19, "a" * 21, "A" * 20, "r-" + "a" * 20 + "-0", "guard"])
@pytest.mark.parametrize("path", ["/api/v1/decisions/", "/decisions/", "/decisions?reference="])
def test_files_are_searched_for_nothing_but_a_reference(local, runtime, path, text):
    assert call(local, "GET", path + text).status == (200 if "=" in path else 404)
    assert not hasattr(runtime, "looked_up")
    call(local, "GET", path + OLD)
    assert runtime.looked_up == [OLD]


def test_whoever_asks_for_more_than_can_be_looked_for_is_told_so(local, monkeypatch):
    async def busy(*_):
        raise BusyError

    monkeypatch.setattr(Lookup, "find", busy)
    for path in (f"/api/v1/decisions/{OLD}", f"/decisions/{OLD}"):
        answer = call(local, "GET", path)
        assert (answer.status, answer.json["error"]["code"], answer.headers[b"retry-after"]) == (503, "busy", b"1")


def test_guards_own_references_are_looked_for():
    assert all(REFERENCE.fullmatch(new_reference()) for _ in range(50))


def test_a_slash_too_many_leads_nowhere(local):
    answer = call(local, "GET", "/decisions/")
    assert answer.status == 404
    assert b"location" not in answer.headers


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "", "1e3", "²"])
def test_limits_that_are_none(local, limit):
    assert call(local, "GET", f"/api/v1/decisions?limit={limit}").status == 400


def test_not_ready_is_503(local, runtime):
    runtime.is_ready = False
    assert call(local, "GET", "/readyz").status == 503
    assert call(local, "GET", "/healthz").status == 200


def test_a_reload_says_how_it_went(local, runtime):
    assert call(local, "POST", "/-/reload").status == 200
    runtime.reload_ok = False
    assert call(local, "POST", "/-/reload").status == 422
    assert call(local, "GET", "/-/reload").status == 405
    assert runtime.reloads == 2


def test_an_export_check_runs_and_its_errors_say_nothing_of_the_inside(local, runtime, monkeypatch, caplog):
    assert call(local, "POST", "/api/v1/export/check?target=mine", body=b'{"a":1}\n').json == {"verdict": "deny"}
    call(local, "POST", "/api/v1/export/check?target=mine&format=csv", body=b"a\n1\n")
    assert runtime.checked == [
        (body, upload.Query("mine", format_, asker="127.0.0.1"))
        for body, format_ in ((b'{"a":1}\n', "jsonl"), (b"a\n1\n", "csv"))
    ]
    assert call(local, "POST", "/api/v1/export/check", body=b"{}").status == 400
    bad = call(local, "POST", "/api/v1/export/check?target=mine", body=b"bad")
    assert (bad.status, bad.json["error"]["line"]) == (400, 3)
    assert bad.json["error"]["message"] == "not JSON; allowed: one JSON value a line"
    unknown = call(local, "POST", "/api/v1/export/check?target=mine&format=docx", body=b"x")
    assert (unknown.status, "jsonl" in unknown.json["error"]["message"]) == (400, True)
    assert call(local, "POST", "/api/v1/export/check?target=mine", body=b"never").status == 409
    monkeypatch.setattr(upload, "LARGEST", 10)
    assert call(local, "POST", "/api/v1/export/check?target=mine", body=b"x" * 11).status == 413


@pytest.mark.parametrize(("media", "format_"), [
    ("application/x-ndjson", "jsonl"), ("application/json; charset=utf-8", "json"), ("Text/CSV", "csv"),
    ("application/vnd.apache.parquet", "parquet"), ("application/x-www-form-urlencoded", "jsonl"),
])  # fmt: skip
def test_the_type_of_the_body_tells_its_format_unless_the_query_does(local, runtime, media, format_):
    for query in ("target=mine", "target=mine&format=tsv&tenant=shop&since=2026-10&until=2026-11"):
        assert call(local, "POST", f"/api/v1/export/check?{query}", [("content-type", media)], b"x").status == 200
    assert [query for _, query in runtime.checked] == [
        upload.Query("mine", format_, asker="127.0.0.1"),
        upload.Query("mine", "tsv", "shop", "2026-10", "2026-11", "127.0.0.1"),
    ]


@pytest.mark.parametrize(("query", "said"), [
    ("targt=mine", "targt: not a parameter; allowed: target, format, tenant, since, until"),
    ("target=mine&exclude=public.jsonl", "`guard export check --exclude` takes public texts"),
    ("target=mine&target=yours", "target: given twice"),
    ("target=mine&tenant=", "tenant: empty"),
    ("target=mine&since=2026", "allowed: months such as 2026-11"),
    ("target=mine&since=2026-12&until=2026-11", "the first one not after the last"),
    ("format=csv", "target: missing"),
])  # fmt: skip
def test_a_query_that_is_not_understood_is_refused(local, runtime, query, said):
    answer = call(local, "POST", f"/api/v1/export/check?{query}", body=b"{}")
    assert (answer.status, said in answer.json["error"]["message"]) == (400, True)
    assert runtime.checked == []


def test_an_error_inside_is_logged_and_not_told(local, caplog):
    with pytest.raises(OSError, match="secret"):  # Starlette raises on after answering; uvicorn logs it
        call(local, "POST", "/api/v1/export/check?target=mine", body=b"boom")
    assert "admin request failed" in caplog.text


# Loopback without a token: other web pages in the operator's browser must not reach it.


@pytest.mark.parametrize(
    "host", [b"localhost", b"localhost:9090", b"LOCALHOST:1", b"127.0.0.1:9090", b"127.8.8.8", b"[::1]:9090", b"[::1]"]
)
def test_hosts_that_name_loopback(local, host):
    assert call(local, "GET", "/api/v1/usage", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        b"",
        b"guard.example",
        b"guard.example:9090",
        b"localhost.evil.example",
        b"10.0.0.1:9090",
        b"127.0.0.1.evil.example",
    ],
)
def test_a_rebound_name_gets_nothing(local, host):
    for path in ("/", "/metrics", "/api/v1/usage"):
        assert call(local, "GET", path, host=host).status == 403
    assert call(local, "POST", "/-/reload", host=host).status == 403
    assert call(local, "GET", "/healthz", host=host).status == 200


def test_two_host_headers_get_nothing(local):
    assert call(local, "GET", "/", {"host": "127.0.0.1"}).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:9090"}, 200),
        ({"origin": "http://127.0.0.1:9090", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:8080"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_only_the_page_itself_or_no_page_may_post(local, runtime, headers, status):
    assert call(local, "POST", "/-/reload", headers).status == status
    assert runtime.reloads == (status == 200)


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/usage", f"/api/v1/decisions/{OLD}"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # curl, Prometheus, the kubelet
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),  # typed, or a bookmark
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),  # a link
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
    ],
)
def test_another_page_may_lead_here_but_fetch_nothing(local, runtime, path, headers, status):
    assert call(local, "GET", path, headers).status == status
    assert hasattr(runtime, "looked_up") == (status == 200 and path.endswith(OLD))
    assert call(local, "GET", "/readyz", headers).status == 200


# Beyond loopback: the token.


def test_without_a_token_it_stays_on_loopback(runtime):
    for listen in ("0.0.0.0:9090", "[::]:9090", ":9090", "10.0.0.1:9090", "guard.example:9090"):
        with pytest.raises(AdminExposedError, match="admin_token_file"):
            build_admin(runtime, token=None, listen=listen)
    for listen in ("127.0.0.1:9090", "localhost:9090", "[::1]:9090", "unix:///run/guard-admin.sock"):
        build_admin(runtime, token=None, listen=listen)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        bearer(""),
        bearer(TOKEN + "x"),
        {"authorization": TOKEN},
        {"authorization": "Basic b3BlcmF0b3I6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ=="},
        {"cookie": f"guard={TOKEN}"},
    ],
)
def test_without_the_token_nothing_but_the_probes(remote, runtime, headers):
    for path in ("/", "/policy", "/metrics", "/api/v1/usage", "/api/v1/decisions/r1", "/nowhere"):
        answer = call(remote, "GET", path, headers, host=b"guard.example")
        assert answer.status == 401
        assert answer.headers[b"www-authenticate"] == b'Bearer realm="guard"'
    assert call(remote, "POST", "/-/reload", headers).status == 401
    assert call(remote, "POST", "/healthz", headers).status == 401
    assert call(remote, "GET", "/healthz", headers).status == 200
    assert call(remote, "GET", "/readyz", headers).json == {"ready": True}  # and no details
    assert runtime.reloads == 0


def test_the_token_opens_everything(remote, runtime):
    assert call(remote, "GET", "/api/v1/usage", bearer(), host=b"guard.example").status == 200
    assert call(remote, "GET", "/readyz", bearer()).json["parts"] == {"spool": True}
    assert call(remote, "POST", "/-/reload", bearer()).status == 200
    assert call(remote, "GET", "/policy", bearer()).status == 200
    assert runtime.reloads == 1
    both = [*bearer().items(), ("authorization", "Bearer x")]
    assert call(remote, "GET", "/", both).status == 401


def test_every_answer_carries_the_security_headers(local, remote):
    for answer in (
        call(local, "GET", "/"),
        call(local, "GET", "/", host=b"evil.example"),
        call(remote, "GET", "/"),
        call(local, "GET", "/nowhere"),
    ):
        assert answer.headers[b"x-content-type-options"] == b"nosniff"
        assert answer.headers[b"cache-control"] == b"no-store"
        policy = answer.headers[b"content-security-policy"]
        assert b"default-src 'none'" in policy
        assert b"unsafe" not in policy
        assert b"script" not in policy
        assert b"frame-ancestors 'none'" in policy


def test_tokens_are_read_from_files(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    assert read_token(path) == TOKEN
    for bad in ("", "short", "a space in the middle of it", "x" * 15):
        path.write_text(bad)
        with pytest.raises(ValueError, match="token"):
            read_token(path)
