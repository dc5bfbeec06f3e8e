"""The examples that wire the gate in refuse what they should: the lines of the workflow, the upload hook, the platform."""

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import uvicorn
import yaml
from prometheus_client import CollectorRegistry
from test_cli_export_check import data, prose, record

from guard.policy.packs import shipped_packs
from guard.transports.admin import build_admin
from guard.transports.export import check_body

EXAMPLES = Path(__file__).parents[2] / "policies" / "examples" / "export-check"
TARGET = "mistralai/Mistral-7B-v0.1"
ALLOWED, OBLIGED, DENIED, UNKNOWN = 9, 2, 1, None

pytestmark = pytest.mark.slow


@pytest.fixture
def here(tmp_path):
    for seed, license_id in ((1, "llama-2"), (2, "llama-3.1")):
        record(tmp_path / "state", [prose(seed)], license_id)
    (tmp_path / "data").mkdir()
    return tmp_path


def run(command, here, state="state", **extra):
    bins = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": bins, "GUARD_STATE": str(here / state), "TARGET": TARGET, **extra}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def unseen(here):
    """A state directory whose index has a gap."""
    record(here / "partial", [prose(5)], "llama-2")
    (segment,) = (here / "partial").rglob("*.segment")
    segment.write_bytes(segment.read_bytes()[:-10])
    return "partial"


@pytest.mark.parametrize(("seed", "merged"), [(ALLOWED, True), (OBLIGED, True), (DENIED, False)])
def test_the_workflow_lets_through_what_is_allowed(here, seed, merged):
    job = yaml.safe_load((EXAMPLES / "ci.yaml").read_text())["jobs"]["export-check"]
    (lines,) = (step["run"] for step in job["steps"] if "run" in step)
    assert job["env"]["TARGET"] == TARGET
    data(here / "data", prose(seed), name="train.jsonl")
    code, out, err = run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", lines], here)
    assert ((code == 0), err) == (merged, "")
    assert ("deny:" in out) is not merged
    statement = json.loads((here / "export-check.json").read_text())["statement"]
    assert statement["subject"][0]["name"] == "data/train.jsonl"
    assert len((here / "export-hits.jsonl").read_text().splitlines()) == (seed != ALLOWED)


def test_the_workflow_stops_at_what_cannot_be_told(here):
    job = yaml.safe_load((EXAMPLES / "ci.yaml").read_text())["jobs"]["export-check"]
    (lines,) = (step["run"] for step in job["steps"] if "run" in step)
    data(here / "data", prose(ALLOWED), name="train.jsonl")
    code, out, _ = run(["bash", "-e", "-c", lines], here, unseen(here))
    assert (code != 0, out.startswith("undetermined:")) == (True, True)


def test_the_hook_uploads_what_is_allowed_and_its_statement_and_nothing_else(here):
    upload, bucket = str(EXAMPLES / "upload.sh"), here / "bucket"
    bucket.mkdir()

    def hook(seed, state="state"):
        name = data(here, prose(seed), name=f"{seed}.jsonl")
        return run([upload, name, f"bucket/{name}"], here, state, UPLOAD="cp")

    assert hook(ALLOWED)[0] == 0
    code, out, err = hook(OBLIGED)
    assert (code, "owed: " in out, "owed by whoever trains" in err) == (0, True, True)
    code, _, err = hook(DENIED)
    assert (code, "a license forbids it" in err) == (2, True)
    code, _, err = hook(8, unseen(here))
    assert (code, "cannot be told" in err) == (3, True)
    code, _, err = hook(7, "nowhere")
    assert (code, "could not be checked" in err) == (78, True)
    sent = [f"{seed}.jsonl{suffix}" for seed in (OBLIGED, ALLOWED) for suffix in ("", ".guard.json")]
    assert sorted(path.name for path in bucket.iterdir()) == sorted(sent)
    keys = here / "state" / "signing" / "keys.json"
    assert run(["guard", "export", "verify", f"bucket/{OBLIGED}.jsonl.guard.json", "--keys", str(keys)], here)[0] == 0


class Runtime:
    """As much of a gateway as its admin port needs for the gate."""

    def __init__(self, state):
        self.registry, self._state = CollectorRegistry(), state
        self.busy, self.go = threading.Event(), threading.Event()
        self.go.set()

    def export_check(self, data, query):
        self.busy.set()
        assert self.go.wait(30)
        return check_body(data, query, self._state, shipped_packs(), {})


@pytest.fixture
def gateway(here):
    runtime = Runtime(here / "state")
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    app = build_admin(runtime, token="a token of sixteen", listen=address)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield runtime, f"http://{address}"
    server.should_exit = True
    thread.join(20)
    listening.close()


def test_the_platform_admits_what_is_allowed_and_names_receipts_where_it_is_not(here, gateway):
    runtime, base = gateway

    def admit(name, token="a token of sixteen", where=base):
        command = [sys.executable, str(EXAMPLES / "admission.py"), name, "--target", TARGET, "--guard", where]
        code, out, err = run(command, here, GUARD_ADMIN_TOKEN=token)
        return code, json.loads(out) if out else err

    code, decision = admit(data(here, prose(ALLOWED)))
    assert (code, decision["admitted"], decision["obligations"]) == (0, True, [])
    code, decision = admit(data(here, prose(OBLIGED)))
    assert (code, decision["admitted"], len(decision["obligations"]) > 0) == (0, True, True)
    code, decision = admit(data(here, prose(DENIED), prose(ALLOWED)))
    assert (code, decision["admitted"], decision["receipts"]) == (1, False, ["r-llama-20-0"])
    assert decision["hits_omitted"] == 0
    (here / "table.csv.gz").write_bytes(gzip.compress(f"text\n{prose(DENIED)}\n".encode()))
    assert admit("table.csv.gz")[0] == 1
    code, said = admit("missing.jsonl")
    assert (code, said) == (65, "missing.jsonl: No such file or directory\n")
    (here / "bad.jsonl").write_text('{"text": "x"}\nnonsense\n')
    code, decision = admit("bad.jsonl")
    assert (code, decision["admitted"], decision["error"]["line"]) == (1, False, 2)
    assert admit(data(here, prose(ALLOWED)), token="another token of it")[0] == 1
    runtime.go.clear()
    first = threading.Thread(target=admit, args=[data(here, prose(ALLOWED), name="first.jsonl")])
    runtime.busy.clear()
    first.start()
    assert runtime.busy.wait(30)
    assert admit(data(here, prose(ALLOWED), name="second.jsonl"))[0] == 75
    runtime.go.set()
    first.join(60)
    assert admit(data(here, prose(ALLOWED)), where="http://127.0.0.1:9")[0] == 69
