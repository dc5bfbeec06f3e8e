"""``guard doctor`` against deployments with one thing wrong each."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from guard.cli import doctor as doctor_module
from guard.cli.doctor import PROBES, examine
from guard.cli.main import run
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.pseudonym import Pseudonymizer, load_or_create_key

pytestmark = pytest.mark.slow  # whole commands: each compiles the shipped rules


class Server(ThreadingHTTPServer):
    """An inference server that answers GET with 405 on some paths, and counts anything else that it is asked."""

    def __init__(self, mounted=(), status=405):
        server = self
        self.acted = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                code = 200 if self.path == "/health" else status if self.path in mounted else 404
                self.send_response(code)
                self.send_header("content-length", "0")
                self.end_headers()

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


def found(path, name):
    """Return (state, detail) of the checks called ``name``."""
    return [(check.state, check.detail) for check in examine(path) if check.name == name]


def test_a_sound_deployment(deployment):
    with Server() as server:
        checks = list(examine(deployment(server.url)))
    assert {check.state for check in checks} == {"ok"}, checks
    assert {check.name for check in checks} == {
        "policy", "state directory", "pseudonym key", "ledger", "admin port", "inference server", "clock", "exposure",
        "open path",
    }  # fmt: skip


def test_open_paths_are_named_and_nothing_is_ever_posted(deployment):
    mounted = [path for path, _ in PROBES]
    with Server(mounted) as server:
        opened = found(deployment(server.url), "open path")
        assert len(opened) == len(PROBES)
        assert all(state == "warn" for state, _ in opened)  # over loopback only this machine reaches them
        assert opened[0][1].startswith("/invocations answers 405: ")
        assert server.acted == []  # a POST to /sleep would put the engine to sleep


def test_open_paths_fail_where_others_reach_the_server(deployment, monkeypatch):
    monkeypatch.setattr(doctor_module, "_exposure", lambda host: doctor_module.Check("exposure", "warn", "seen"))
    with Server(["/invocations"]) as server:
        assert [state for state, _ in found(deployment(server.url), "open path")] == ["fail"]
    with Server(["/invocations"], status=401) as server:
        assert [state for state, _ in found(deployment(server.url), "open path")] == ["ok"]


@pytest.mark.parametrize(
    ("host", "state"), [("127.0.0.1", "ok"), ("::1", "ok"), (None, "ok"), ("10.1.2.3", "warn"), ("vllm.svc", "warn")]
)
def test_exposure(host, state):
    assert doctor_module._exposure(host).state == state


def test_a_server_that_is_not_there(deployment):
    with Server() as server:
        url = server.url
    (check,) = found(deployment(url), "inference server")
    assert check[0] == "fail"
    assert url in check[1]


def test_a_key_that_others_can_read(deployment):
    with Server() as server:
        path = deployment(server.url)
        (deployment.state / "pseudonym.key").chmod(0o644)
        (check,) = found(path, "pseudonym key")
    assert check[0] == "fail"
    assert "mode 0644; allowed: 0600" in check[1]


def test_a_key_that_is_not_the_ledgers(deployment):
    with Server() as server:
        path = deployment(server.url)
        (deployment.state / "pseudonym.key").unlink()
        load_or_create_key(deployment.state / "pseudonym.key")
        (check,) = found(path, "ledger")
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
    ("extra", "state", "word"),
    [
        ("admin: 127.0.0.1:9090\n", "ok", "loopback"),
        ("admin: 'off'\n", "warn", "off"),
        ("admin: 0.0.0.0:9090\nadmin_token_file: {token}\n", "ok", "asks for the token"),
        ("admin: 0.0.0.0:9090\nadmin_token_file: {short}\n", "fail", "not a token"),
        ("admin: 0.0.0.0:9090\nadmin_token_file: {none}\n", "fail", "none"),
    ],
)
def test_the_admin_port(deployment, tmp_path, extra, state, word):
    files = {name: tmp_path / name for name in ("token", "short", "none")}
    files["token"].write_text("x" * 32)
    files["short"].write_text("x")
    with Server() as server:
        (check,) = found(deployment(server.url, extra.format(**files)), "admin port")
    assert check[0] == state
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
        assert document["checks"][0].keys() == {"name", "state", "detail"}
        (deployment.state / "pseudonym.key").chmod(0o604)
        assert run(["doctor", "--config", str(path)]) == 1
        assert "pseudonym key" in capsys.readouterr().out
