"""``guard doctor`` against deployments with one thing wrong each."""

import asyncio
import hashlib
import inspect
import json
import os
import runpy
import shutil
import socket
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import redis_world

from guard.cli.doctor import admin, evidence, judge, keys, ledger, process, state, traces
from guard.cli.doctor import server as upstream
from guard.cli.doctor.command import examine
from guard.cli.doctor.server import PROBES, TESTED
from guard.cli.main import run
from guard.evidence.chain import Journal
from guard.policy.config import Config
from guard.policy.load import load_config
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.pseudonym import Pseudonymizer, load_or_create_key

real_file_system_of = state.file_system_of
pytestmark = pytest.mark.slow  # whole commands: each compiles the shipped rules


class Server(ThreadingHTTPServer):
    """An inference server that answers GET with 405 on some paths, and counts anything else that it is asked."""

    def __init__(self, mounted=(), status=405):
        server = self
        self.acted, self.version, self.models = [], TESTED, []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                known = {
                    "/health": {},
                    "/version": {"version": server.version},
                    "/v1/models": {"data": [{"id": name} for name in server.models]},
                }
                code = 200 if self.path in known else status if self.path in mounted else 404
                body = json.dumps(known.get(self.path)).encode()
                self.send_response(code)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                server.acted.append(self.path)
                self.do_GET()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture
def deployment(tmp_path):
    """Writes guard.yaml for a server; the state directory holds a key and a ledger."""
    state = tmp_path / "state"

    def make(url, extra=""):
        key = load_or_create_key(state / "pseudonym.key")
        ledger = open_ledger(sqlite_url(state / "ledger.db"))
        ledger.claim_key(f"{datetime.now(UTC):%Y-%m}", Pseudonymizer(key).fingerprint)
        ledger.close()
        path = tmp_path / "guard.yaml"
        path.write_text(f"upstream: {url}\nstate_dir: {state}\nlicense: llama-3.1\n{extra}")
        return path

    make.state = state
    return make


def asked(module, path, name):
    """Return (state, detail) of the checks of one file that are called ``name``: no policy is compiled for them."""
    checks = module.checks(load_config(path))
    checks = asyncio.run(checks) if inspect.iscoroutine(checks) else list(checks)
    assert all(bool(check.do) is (check.state != "ok") for check in checks)  # whatever is not well says what to do
    return [(check.state, check.detail) for check in checks if check.name == name]


@pytest.fixture(autouse=True)
def roomy(monkeypatch):
    """A machine of a known kind: what this one is like is no part of the story."""
    monkeypatch.setattr(state, "file_system_of", lambda place: "ext4")
    monkeypatch.setattr(process.resource, "getrlimit", lambda _: (65536, 65536))
    monkeypatch.setattr(upstream, "own_addresses", list)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)


def test_a_sound_deployment(deployment):
    with Server() as server:
        checks = list(examine(deployment(server.url)))
    assert {check.state for check in checks if check.name not in {"policy warning", "heads"}} == {"ok"}, checks
    assert {check.name for check in checks} == {
        "policy", "policy warning", "heads", "state directory", "free space", "file system", "pseudonym key", "ledger",
        "admin port", "open files", "time zone", "inference server", "vLLM", "clock", "exposure", "open path",
    }  # fmt: skip


def test_open_paths_are_named_and_nothing_is_ever_posted(deployment):
    mounted = [path for path, _ in PROBES]
    with Server(mounted) as server:
        path = deployment(server.url)
        opened = asked(upstream, path, "open path")
        assert len(opened) == len(PROBES)
        assert all(state == "warn" for state, _ in opened)  # over loopback only this machine reaches them
        advice = {each.detail.split()[0]: each.do for each in asyncio.run(upstream.checks(load_config(path)))}
        assert not any("bind it to loopback" in do for do in advice.values())
        assert advice["/invocations"].startswith("nothing")
        assert "VLLM_SERVER_DEV_MODE" in advice["/sleep"]
        assert opened[0][1].startswith("/invocations answers 405: ")
        assert server.acted == []  # a POST to /sleep would put the engine to sleep


def test_open_paths_fail_where_others_reach_the_server(deployment, monkeypatch):
    module = upstream
    monkeypatch.setattr(module, "exposure", lambda host: module.warn("exposure", "seen", "hide it"))
    with Server(["/invocations"]) as server:
        assert [state for state, _ in asked(upstream, deployment(server.url), "open path")] == ["fail"]
    with Server(["/invocations"], status=401) as server:
        assert [state for state, _ in asked(upstream, deployment(server.url), "open path")] == ["ok"]


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1", "ok"), ("::1", "ok"), (None, "ok"), ("10.1.2.3", "warn"), ("vllm.svc", "warn")]
)
def test_exposure(host, said):
    assert upstream.exposure(host).state == said


def test_a_server_that_is_not_there(deployment):
    with Server() as server:
        url = server.url
    (check,) = asked(upstream, deployment(url), "inference server")
    assert check[0] == "fail"
    assert url in check[1]


def test_a_key_that_others_can_read(deployment):
    with Server() as server:
        path = deployment(server.url)
        for mode in (0o644, 0o660, 0o444, 0o602):
            (deployment.state / "pseudonym.key").chmod(mode)
            (check,) = asked(keys, path, "pseudonym key")
            assert check[0] == "fail"
            assert f"mode {mode:04o}; allowed: 0600" in check[1]
        for mode in (0o400, 0o440, 0o600, 0o640):
            (deployment.state / "pseudonym.key").chmod(mode)
            assert [each[0] for each in asked(keys, path, "pseudonym key")] == ["ok"]


def test_secrets_that_an_orchestrator_mounts_may_have_any_mode(deployment, tmp_path, monkeypatch):
    mounted = tmp_path / "run" / "secrets"
    mounted.mkdir(parents=True)
    monkeypatch.setattr(keys, "mount_of", lambda place: state.Mount("/", "overlay", read_only=True))
    (mounted / "key").write_text("ab" * 32)
    (mounted / "token").write_text("0123456789" * 4)
    for name in ("key", "token"):
        (mounted / name).chmod(0o444)
    more = f"identity: {{pseudonym_key_file: {mounted / 'key'}}}\nadmin_token_file: {mounted / 'token'}\n"
    with Server() as server:
        path = deployment(server.url, more)

    def states():
        return [each[0] for name in ("pseudonym key", "key files") for each in asked(keys, path, name)]

    assert states() == ["fail", "fail"]
    (mounted / "token").chmod(0o440)
    assert states() == ["fail", "ok"]  # the group's to read, wherever it is
    (mounted / "token").chmod(0o444)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(mounted))
    assert states() == ["ok", "ok"]
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    monkeypatch.setattr(keys, "SECRETS", (mounted,))
    assert states() == ["ok", "ok"]
    monkeypatch.setattr(keys, "SECRETS", ())
    monkeypatch.setattr(keys, "mount_of", lambda place: state.Mount(str(mounted), "tmpfs", read_only=False))
    assert states() == ["fail", "fail"]
    monkeypatch.setattr(keys, "mount_of", lambda place: state.Mount(str(mounted), "tmpfs", read_only=True))
    assert states() == ["ok", "ok"]


def test_a_key_that_is_not_the_ledgers(deployment):
    with Server() as server:
        path = deployment(server.url)
        (deployment.state / "pseudonym.key").unlink()
        load_or_create_key(deployment.state / "pseudonym.key")
        (check,) = asked(ledger, path, "ledger")
    assert check[0] == "fail"
    assert "count twice" in check[1]


def test_looking_creates_nothing(tmp_path):
    path = tmp_path / "guard.yaml"
    with Server() as server:
        path.write_text(f"upstream: {server.url}\nstate_dir: {tmp_path / 'state'}\n")
        states = {check.name: check.state for check in examine(path)}
    assert (states["state directory"], states["pseudonym key"], states["ledger"]) == ("warn", "warn", "warn")
    assert [file.name for file in tmp_path.iterdir()] == ["guard.yaml"]


@pytest.mark.parametrize(
    ("extra", "said", "word"),
    [
        ("admin: 127.0.0.1:9090\n", "ok", "loopback"),
        ("admin: 'off'\n", "warn", "off"),
        ("admin: 0.0.0.0:9090\nadmin_token_file: {token}\n", "ok", "asks for the token"),
        ("admin: 0.0.0.0:9090\nadmin_token_file: {short}\n", "fail", "not a token"),
        ("admin: 0.0.0.0:9090\nadmin_token_file: {none}\n", "fail", "none"),
    ],
)
def test_the_admin_port(deployment, tmp_path, extra, said, word):
    files = {name: tmp_path / name for name in ("token", "short", "none")}
    files["token"].write_text("x" * 32)
    files["short"].write_text("x")
    with Server() as server:
        (check,) = asked(admin, deployment(server.url, extra.format(**files)), "admin port")
    assert check[0] == said
    assert word in check[1]


def test_a_policy_that_does_not_load(tmp_path, deployment):
    path = tmp_path / "bad.yaml"
    path.write_text("mode: enforced\n")
    (check,) = list(examine(path))
    assert (check.name, check.state) == ("policy", "fail")
    assert "bad.yaml:1: mode" in check.detail


def test_a_bad_configuration_is_78_and_a_bad_upstream_64(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.yaml"
    path.write_text("mode: enforced\n")
    assert run(["doctor", "--config", str(path)]) == 78
    monkeypatch.setenv("GUARD_CONFIG", str(path))
    assert run(["doctor", "--json"]) == 78
    assert "bad.yaml:1: mode" in capsys.readouterr().out
    assert run(["doctor", "--upstream", "localhost:8000"]) == 64
    assert "allowed: http://HOST" in " ".join(capsys.readouterr().err.split())


def test_the_command_prints_and_tells_by_its_exit_code(deployment, capsys):
    with Server() as server:
        path = deployment(server.url)
        assert run(["doctor", "--config", str(path), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["ok"]
        assert document["checks"][0].keys() == {"name", "state", "detail", "do"}
        (deployment.state / "pseudonym.key").chmod(0o604)
        assert run(["doctor", "--config", str(path)]) == 1
        assert "pseudonym key" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "said"), [("ext4", "ok"), ("tmpfs", "warn"), ("overlay", "warn"), ("nfs4", "warn")])
def test_a_file_system_that_forgets_or_does_not_lock(deployment, monkeypatch, kind, said):
    monkeypatch.setattr(state, "file_system_of", lambda place: kind)
    with Server() as server:
        (check,) = asked(state, deployment(server.url), "file system")
    assert check[0] == said


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /var rw shared:1 - ext4 /dev/a rw\n"
        "3 2 0:3 / /var/lib/my\\040guard rw - tmpfs tmpfs rw\n"
    )
    assert real_file_system_of(Path("/var/lib/my guard/state"), mounts) == "tmpfs"
    assert real_file_system_of(Path("/var/library"), mounts) == "ext4"
    assert real_file_system_of(Path("/variable"), mounts) == "overlay"
    assert real_file_system_of(Path("/"), tmp_path / "none") is None


def test_little_room_is_told_and_none_fails(deployment, monkeypatch, tmp_path):
    monkeypatch.setattr(state, "LEAST_FREE", 1 << 60)
    with Server() as server:
        path = deployment(server.url)
    assert [each[0] for each in asked(state, path, "free space")] == ["warn"]
    used = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(state.shutil, "disk_usage", lambda _: used._replace(free=0))
    assert [each[0] for each in asked(state, path, "free space")] == ["fail"]


def test_another_vllm_than_the_tested_one(deployment):
    with Server() as server:
        path = deployment(server.url)
        server.version = "0.31.0+cpu"
        assert asked(upstream, path, "vLLM") == [("warn", f"version 0.31.0; Guard is tested with {TESTED}")]


def test_a_server_that_listens_beyond_loopback(deployment, monkeypatch):
    with Server() as server, socket.create_server(("127.0.0.2", server.server_port)):
        monkeypatch.setattr(upstream, "own_addresses", lambda: ["127.0.0.3", "127.0.0.2"])
        checks = asked(upstream, deployment(server.url), "exposure")
    assert [each[0] for each in checks] == ["ok", "warn"]
    assert "also open on 127.0.0.2" in checks[1][1]


def test_limits_metric_files_and_zones(tmp_path):
    config = Config(upstream_connections=1000)
    assert (process.files(config, 1024).state, process.files(config, 65536).state) == ("warn", "ok")
    shared = Config(upstream_connections=1000, workers=4)  # divided among them
    assert (process.files(shared, 1024).state, process.files(config, 1024).state) == ("ok", "warn")
    assert (process.workers(shared, 4).state, process.workers(shared, 2).state) == ("ok", "warn")
    assert process.zone(config).state == "ok"
    assert [check.state for check in process.metrics({})] == []
    missing = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "none")}
    assert [check.state for check in process.metrics(missing)] == ["fail"]
    (tmp_path / f"counter_{os.getpid()}.db").touch()
    for number in range(process.STALE_FILES + 1):
        (tmp_path / f"counter_{2**22 + number}.db").touch()  # beyond every process id
    (check,) = process.metrics({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)})
    assert (check.state, str(process.STALE_FILES + 1) in check.detail) == ("warn", True)


def test_an_audit_chain_that_was_changed(deployment):
    with Server() as server:
        path = deployment(server.url)
        journal = Journal(deployment.state / "audit", instance="guard-0")
        journal.start()
        for number in range(3):
            journal.append("decision", {"number": number})
        journal.close()
        (check,) = asked(evidence, path, "audit chain")
        assert check[0] == "ok"
        file = deployment.state / "audit" / "guard-0.jsonl"
        file.write_bytes(file.read_bytes().replace(b'"number":1', b'"number":7'))
        (check,) = asked(evidence, path, "audit chain")
    assert check[0] == "fail"
    assert "guard-0.jsonl:3" in check[1]


def test_keys_that_others_can_read_and_an_index_without_one(deployment):
    with Server() as server:
        path = deployment(server.url)
        (deployment.state / "provenance").mkdir()
        (check,) = asked(evidence, path, "index")
        assert check[0] == "fail"
        load_or_create_key(deployment.state / "provenance.key")
        assert [each[0] for each in asked(keys, path, "key files")] == ["ok"]
        (deployment.state / "provenance.key").chmod(0o640)
        (check,) = asked(keys, path, "key files")
        assert check[0] == "fail"
        assert "provenance.key: mode 0640" in check[1]
        assert asked(evidence, path, "index") == [("ok", "no segment that another one names is missing")]


def test_a_judge_that_is_there_another_one_and_none(deployment):
    section = "screening: {{judge: {{url: '{}', model: meta-llama/Llama-Guard-3-8B, family: llama_guard_3, "
    section += "license: llama-3.1, rules: [{{categories: [S9]}}]}}}}\n"
    with Server() as server, Server() as other:
        path = deployment(server.url, section.format(other.url))
        other.models = ["meta-llama/Llama-Guard-3-8B"]
        assert asked(judge, path, "judge") == [("ok", "serves meta-llama/Llama-Guard-3-8B, under llama-3.1")]
        other.models = ["another"]
        assert [each[0] for each in asked(judge, path, "judge")] == ["fail"]
    with Server() as server:
        path = deployment(server.url, section.format("http://127.0.0.1:9"))
        assert [each[0] for each in asked(judge, path, "judge")] == ["fail"]


def test_traces(deployment, tmp_path, monkeypatch):
    section = "observability: {{traces: {{endpoint: '{}', sample: 0.5}}}}\n"
    with Server() as server:
        path = deployment(server.url, section.format(server.url))
        (check,) = asked(traces, path, "traces")
        assert check == ("ok", f"{server.url} takes connections; 0.5 of the requests are sampled")
        path = deployment(server.url, section.format("http://127.0.0.1:9"))
        assert [each[0] for each in asked(traces, path, "traces")] == ["warn"]
        headers = tmp_path / "headers"
        headers.write_text("secret")
        path = deployment(server.url, section.format(server.url).replace("}}", f", headers_file: {headers}}}}}"))
        (check,) = asked(traces, path, "traces")
        assert check[0] == "fail"
        assert "secret" not in check[1]


def test_a_redis_without_replica_and_aof_one_that_evicts_and_one_that_does_not_tell(deployment, tmp_path_factory):
    redis = redis_world.Server(tmp_path_factory.mktemp("redis"))
    try:
        with Server() as server:
            path = deployment(server.url, f"usage: {{ledger: '{redis.url()}'}}\n")
            checks = dict.fromkeys(asked(ledger, path, "Redis"))
            said = "\n".join(f"{state} {detail}" for state, detail in checks)
            assert "ok version " in said
            assert "warn has no replica" in said
            assert "ok maxmemory-policy is noeviction" in said
            assert "warn appendonly is no, without snapshots too" in said
            assert asked(ledger, path, "clock") == [("ok", "within 1 s of Redis")]
            redis.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            redis.do("CONFIG", "SET", "appendonly", "yes")
            checks = asked(ledger, path, "Redis")
            assert ("ok", "appendonly is yes, appendfsync everysec") in checks
            assert "warn" in [state for state, detail in checks if "allkeys-lru" in detail]
            redis.do("CONFIG", "SET", "maxmemory", "100mb")
            assert "fail" in [state for state, detail in asked(ledger, path, "Redis") if "allkeys-lru" in detail]
            redis.do("ACL", "SETUSER", "guard", "on", ">s3cret", "~*", "+@all", "-config")
            path = deployment(server.url, f"usage: {{ledger: '{redis.url(login='guard:s3cret@')}'}}\n")
            checks = asked(ledger, path, "Redis")
            assert "its user may not see its settings (CONFIG GET)" in [detail for _, detail in checks]
            assert "s3cret" not in str(checks)
    finally:
        redis.kill()
    with Server() as server:
        path = deployment(server.url, f"usage: {{ledger: '{redis.url()}'}}\n")
        assert [each[0] for each in asked(ledger, path, "ledger")] == ["fail"]


def test_the_redis_of_the_compose_file_lets_its_settings_be_seen(deployment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("r")
    made = runpy.run_path(str(Path(__file__).parents[2] / "deploy" / "docker" / "make_secrets.py"))
    (folder / "users").write_text(made["USERS"].format(digest=hashlib.sha256(b"a password").hexdigest()))
    login = {"username": "guard", "password": "a password"}
    server = redis_world.Server(folder, "--aclfile", str(folder / "users"), "--appendonly", "yes", login=login)
    try:
        ledger_url = server.url(login="guard:a%20password@")
        path = deployment("http://127.0.0.1:9", f"usage: {{ledger: '{ledger_url}'}}\n")
        found = asked(ledger, path, "Redis")
        assert found, "nothing is said of the Redis"
        assert not any("CONFIG GET" in detail for _, detail in found)
        assert ("ok", "maxmemory-policy is noeviction") in found
    finally:
        server.kill()


def test_heads_that_reach_their_place_and_heads_that_do_not(deployment, tmp_path):
    section = "evidence: {{heads: [{{file: {}}}, {{webhook: '{}'}}]}}\n"
    with Server() as server:
        path = deployment(server.url, section.format(tmp_path / "heads.jsonl", f"{server.url}/hook/s3cret"))
        assert [each[0] for each in asked(evidence, path, "heads")] == ["ok", "ok"]
    path = deployment(server.url, section.format(tmp_path / "no" / "heads.jsonl", "http://127.0.0.1:9/hook/s3cret"))
    checks = asked(evidence, path, "heads")
    assert [each[0] for each in checks] == ["fail", "warn"]
    assert "s3cret" not in str(checks)
