"""Every expression of Grafana's dashboard, asked of a real Prometheus that scrapes a real Guard with real traffic.

The one Guard is scraped as two targets, so that an expression that needs one series where several processes give
several fails here, and what must not be added up would be twice as much.
"""

import base64
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from grafana_board import ROOT, board, shown

from guard.cli.demo_scene.deployment import CUT_TEXT, GUARD, LETTER, SCRIPT, serve_embedded
from guard.cli.demo_scene.process import Server, free_port
from guard.cli.demo_scene.scene import FORBIDDEN
from guard.cli.demo_scene.script import Script
from guard.cli.demo_scene.stage import Stage
from guard.cli.demo_scene.upstream import Upstream
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.ledger import Scope
from guard.usage.period import month_before

pytestmark = pytest.mark.slow

SECONDS = 60.0
"""For a series to appear; most are there within five."""
MODELS = {"llama": "llama-3.1", "qwen": "qwen-2024", "gemma": "gemma"}
NEVER_HERE = {
    "Churn of identities A": "guard_identity_churn_ratio has no series on the first day of a process",
}
"""Expressions without data in this test, each with the reason; their metrics are still checked against the exposition."""
CHOSEN_OVER_REJECTED = {
    "type": "json_schema",
    "json_schema": {
        "name": "pair",
        "schema": {
            "type": "object",
            "properties": {"prompt": {"type": "string"}, "chosen": {"type": "string"}, "rejected": {"type": "string"}},
        },
    },
}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


class Breaking(Upstream):
    """An inference server that breaks down over one surface."""

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/v1/completions":
            await send({"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"out of memory"})
            return
        await super().__call__(scope, receive, send)


class KeySet:
    """An issuer's key set: an ASGI app."""

    async def __call__(self, scope, receive, send):
        key = {
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": "EdDSA",
            "kid": "1",
            "x": base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=").decode(),
        }
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps({"keys": [key]}).encode()})


def settings(folder, upstream, judge, keys):
    """A configuration in which as much as possible has something to say."""
    (folder / "LICENSE").write_text("not the license's text")
    listen, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    written = {
        "upstream": upstream,
        "listen": listen,
        "admin": admin,
        "state_dir": str(folder / "state"),
        "models": {name: {"license": license} for name, license in MODELS.items()},
        "identity": {
            "unidentified": "allow",
            "jwt": {
                "algorithms": ["EdDSA"],
                "jwks_url": keys,
                "issuer": "https://idp.example.org",
                "audience": "guard",
            },
        },
        "usage": {"limits": {"qwen-2024": 3}, "windows": ["day"], "attestations": ["llama.json"]},
        "screening": {
            "judge": {
                "url": judge,
                "model": "judge",
                "family": "yes_no",
                "on_error": "serve",
                "yes_no": {"category": "HR", "question": "Is {text} an insult? Yes or no."},
                "rules": [{"categories": ["HR"], "mode": "blocking", "band": "all"}],
            }
        },
        "evidence": {"heads": [{"file": str(folder / "heads.jsonl")}]},
    }
    written["models"]["llama"]["license_file"] = "LICENSE"
    stage = Stage(f"http://{listen}", f"http://{admin}", folder, written, GUARD, {}, LETTER, CUT_TEXT)
    stage.configure()
    return stage


def ask(stage, path="/v1/chat/completions", data=None, **body):
    """Send one request and return its status; what it is answered is looked at elsewhere."""
    data = json.dumps(body).encode() if data is None else data
    sent = urllib.request.Request(f"{stage.url}{path}", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(sent, timeout=30) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def said(text):
    return [{"role": "user", "content": text}]


def play(stage, number):
    """One of each thing that clients do; in every round somebody new comes."""
    ask(stage, model="llama", user=f"user-{number}", messages=said("How many bridges are there?"))
    ask(stage, model="qwen", user=f"user-{number}", messages=said("And how many rivers?"))
    ask(stage, model="llama", user="reader", messages=said(LETTER), stream=True)
    ask(stage, model="llama", user="reader", messages=said(FORBIDDEN))
    ask(stage, model="gemma", messages=said("Nobody asks this."))
    ask(stage, model="llama", user="reader", messages=said("Tell me about the volcano."))
    ask(stage, model="llama", user="reader", messages=said([{"type": "text", "text": "What is this?"}, PICTURE]))
    ask(stage, data=b'{"model": "llama", "model": "qwen"}')
    ask(stage, "/v1/completions", model="qwen", user="reader", prompt="Once upon a time")
    for row in range(8):
        text = f"Write a prompt about town {number * 8 + row}, a good answer as chosen and a poor one as rejected."
        ask(stage, model="gemma", user="maker", messages=said(text), response_format=CHOSEN_OVER_REJECTED)


def run(stage, *arguments):
    done = stage.run_guard(*arguments)
    assert done.returncode == 0, done.stderr + done.stdout


def prepare(stage):
    """What happened before: a count in the ledger, a number that was stated, a segment of the index that is over."""
    folder, day = stage.folder, datetime.now(UTC).date()
    run(stage, "usage", "attest", "--license", "llama-3.1", "--users", "12000", "--owner", "legal@example.org",
        "--licensee", "Example GmbH", "--active-user", "an account that signed in", "--statement", "report 7",
        "--expires", f"{day.year + 1}-12-31", "--key", str(folder / "attestor.pem"), "--out", str(folder / "llama.json"))  # fmt: skip
    with guard(stage):
        play(stage, 0)
    # Only a month before which counting began has an upper bound.
    ledger = open_ledger(sqlite_url(folder / "state" / "ledger.db"))
    for period in (month_before(f"{day:%Y-%m}"), f"{day - timedelta(1)}"):
        ledger.write({Scope(period, name): [1] for name in MODELS.values()}, {}, owner="earlier", day=None)
    ledger.close()
    run(stage, "usage", "import", "--declared", "1200", "--license", "qwen-2024", "--period", f"{day:%Y-%m}",
        "--source", "mobile app", "--owner", "legal@example.org", "--stated", f"{day}",
        "--config", str(stage.config))  # fmt: skip
    other = {**stage.settings, "identity": {**stage.settings["identity"], "unidentified": "deny"}}
    (folder / "candidate.yaml").write_text(yaml.safe_dump(other), encoding="utf-8")
    # Set only now: what is there is copied by the next process, in which it is looked for.
    stage.configure(candidate="candidate.yaml", outputs={"upload": ["cp", "{file}", str(folder / "{month}-{name}")]})


def guard(stage):
    server = Server(
        "guard", (*GUARD, "serve", "--config", str(stage.config)), f"{stage.admin}/readyz", stage.folder / "guard.log"
    )
    return server.wait_ready(SECONDS)


def prometheus(stage):
    """Prometheus with the project's own rules, which wait for nothing here."""
    folder, port = stage.folder, free_port()
    for rules in sorted((ROOT / "deploy" / "prometheus").glob("guard-*.yml")):
        document = yaml.safe_load(rules.read_text(encoding="utf-8"))
        for group in document["groups"]:
            for rule in group["rules"]:
                rule.pop("for", None)
        (folder / rules.name).write_text(yaml.safe_dump(document), encoding="utf-8")
    at = stage.admin.rpartition(":")[2]
    written = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["guard-*.yml"],
        "scrape_configs": [
            {"job_name": "guard", "static_configs": [{"targets": [f"127.0.0.1:{at}", f"localhost:{at}"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(written), encoding="utf-8")
    command = (
        "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=warn",
    )  # fmt: skip
    server = Server("prometheus", command, f"http://127.0.0.1:{port}/-/ready", folder / "prometheus.log")
    return server.wait_ready(SECONDS)


def asked(base, each):
    """Return the series that Prometheus gives for an expression. An error it finds is the test's."""
    now = time.time()
    if each.instant:
        path, parameters = "query", {"query": each.chosen(), "time": now}
    else:
        path, parameters = "query_range", {"query": each.chosen(), "start": now - 20, "end": now, "step": 1}
    url = f"{base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{each.where}: {error.read().decode()}") from error


def numbers(series):
    """Every number in what was answered, without what is no number (a share of nothing)."""
    points = [row.get("values") or [row["value"]] for row in series]
    return [float(value) for row in points for _, value in row if value != "NaN"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A Guard with traffic that does not end, and the Prometheus that scrapes it."""
    judge = Upstream(("judge",), Script({"volcano": "perhaps", "": "no"}))
    with ExitStack() as stack:
        upstream, judges, keys = (
            stack.enter_context(serve_embedded(app))
            for app in (Breaking(tuple(MODELS), SCRIPT, 0.001), judge, KeySet())
        )
        stage = settings(tmp_path_factory.mktemp("grafana"), upstream, judges, f"{keys}/keys")
        prepare(stage)
        stack.enter_context(guard(stage))
        stage.prometheus = stack.enter_context(prometheus(stage)).base.removesuffix("/-")
        over = threading.Event()

        def clients():
            number = 0
            while not over.wait(0.5):
                number += 1
                play(stage, number)

        busy = stack.enter_context(ThreadPoolExecutor(1))
        playing = busy.submit(clients)
        stack.callback(over.set)
        check = urllib.request.Request(f"{stage.admin}/api/v1/export/check?target=mistral-7b", b'{"text": "a town"}\n')
        urllib.request.urlopen(check, timeout=30).close()
        yield stage
        over.set()
        playing.result(30)


def reload(stage, **changes):
    """Change guard.yaml and have it loaded; return what Guard says of it."""
    stage.configure(**changes)
    return stage.ask_admin("/-/reload", "POST").json()


RELOADS = ("annotation Policy loads", "annotation The policy files are bad")


def left(stage, waiting):
    """Ask for the expressions in ``waiting`` until each has data; return those that never had."""
    deadline = time.monotonic() + SECONDS
    while waiting and time.monotonic() < deadline:
        waiting = [each for each in waiting if not numbers(asked(stage.prometheus, each))]
        time.sleep(0.5)
    return [each.where for each in waiting]


def test_every_expression_has_data(stage):
    everything = {each.where: each for each in shown(board())}
    assert len(everything) > 75
    assert {*NEVER_HERE, *RELOADS} <= set(everything)
    assert left(stage, [each for where, each in everything.items() if where not in {*NEVER_HERE, *RELOADS}]) == []
    before = stage.settings
    assert reload(stage, usage={**before["usage"], "limits": {"qwen-2024": 2}})["ok"]
    assert left(stage, [everything[RELOADS[0]]]) == []
    assert not reload(stage, surfaces={})["ok"]
    assert left(stage, [everything[RELOADS[1]]]) == []
    stage.settings = before
    assert {where for where in NEVER_HERE if numbers(asked(stage.prometheus, everything[where]))} == set()


def test_every_metric_is_in_guards_own_exposition(stage):
    text = stage.ask_admin("/metrics").text
    for each in shown(board()):
        for name in each.metrics() - {"ALERTS"}:
            family = name.removesuffix("_bucket")
            assert f"# TYPE {family} " in text, f"{each.where}: {name}"


def test_two_targets_are_not_twice_as_many_users(stage):
    everything = {each.where: each for each in shown(board())}
    users = [row for row in stage.ask_admin("/api/v1/usage").json()["usage"] if row["license"] == "gemma"]
    (counted,) = [row["measured"]["lower"] if "measured" in row else row["lower"] for row in users]
    wanted = [everything["Users of the month against the limit A"], everything["Processes A"]]
    assert left(stage, wanted) == []  # whichever test is the first waits for the first scrapes
    deadline, gemma, processes = time.monotonic() + SECONDS, [], []
    while (not gemma or processes != [2.0]) and time.monotonic() < deadline:
        series = asked(stage.prometheus, wanted[0])
        gemma = [row for row in series if row["metric"]["license"] == "gemma"]
        processes = numbers(asked(stage.prometheus, wanted[1]))
        time.sleep(0.2)
    (gemma,) = gemma
    assert max(float(value) for _, value in gemma["values"]) == counted == 1
    assert processes == [2.0]
