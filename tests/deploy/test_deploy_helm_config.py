"""The guard.yaml of the chart is one that Guard takes, and changes of it reach a pod that runs."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server
from threading import Thread

import pytest
import yaml
from chart_world import CHART, VALUES, Mounted, containers, matrix, one, parsed, pod, rendered, template, workload
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guard.cli.demo_scene.process import Server, free_port

pytestmark = pytest.mark.slow
GUARD = Path(sys.executable).with_name("guard")
PATIENCE = 60
TOKEN = "a-token-that-is-long-enough"
PUBLIC = (
    Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
)
KEYS = f"keys: [{{id: {'a' * 12}, name: desk, created: 2026-01-01, salt: '{'0' * 32}', hash: '{'0' * 64}'}}]\n"
SECRETS = {
    "guard-admin": {"token": TOKEN, "admin-token": TOKEN},
    "guard-pseudonym": {"pseudonym.key": "ab" * 32, "key": "ab" * 32},
    "guard-keys": {"keys.yaml": KEYS},
    "guard-redis": {"redis-password": "secret", "password": "secret"},
    "guard-attestors": {"legal.pub": PUBLIC},
    "redis-ca": {"ca.pem": "not read by the check"},
}


def guard_yaml(manifests):
    return next(each for each in manifests if each["metadata"]["name"].endswith("-config"))["data"]["guard.yaml"]


def test_guard_takes_every_configuration_that_the_chart_makes(tmp_path):
    made = {
        guard_yaml(matrix()[name, "1.33"]): matrix()[name, "1.33"] for name in VALUES if name != "existing-config-map"
    }
    assert len(made) > 10
    mounted = [Mounted(manifests, tmp_path / str(number), SECRETS) for number, manifests in enumerate(made.values())]
    command = [GUARD, "policy", "check", "--json", *(each.config for each in mounted)]
    said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    result = json.loads(said.stdout)
    assert result["errors"] == []
    assert said.returncode == 0
    assert len({each["path"] for each in result["checked"] if each["path"].endswith("guard.yaml")}) == len(made)


def test_what_the_operator_says_is_what_guard_reads():
    config = yaml.safe_load(guard_yaml(matrix()["policies", "1.33"]))
    assert config["policies"] == ["/etc/guard.d/policies"]
    assert config["tests"] == ["/etc/guard.d/tests"]
    assert config["screening"]["rules"] == ["/etc/guard.d/rules"]
    assert config["screening"]["actions"] == {"HR": "off"}
    assert config["outputs"] == {"behavior": {"mode": "off"}}
    assert config["usage"]["limits"] == {"llama-3.1": 600_000_000}, "numbers stay numbers"
    assert str(config["screening"]["relax"][0]["expires"]) == "2090-06-30"
    assert list(config["tenants"]) == ["school", "research"], "in the order of the list: the first that matches applies"


NUMBERS = [1_048_576, 2_147_483_648, 12_345_678_901_234, -3_000_000, 0.9, 8192]


def test_numbers_are_printed_as_they_were_written(tmp_path):
    """A template of Helm prints a number of a file from a million on as 1.048576e+06, which vLLM takes for none."""
    file = tmp_path / "values.yaml"
    given = {
        "vllm": {"args": [*NUMBERS, True, "word"], "shm": NUMBERS[1]},
        "persistence": {"size": NUMBERS[2]},
        "config": {"usage": {"limits": {"llama-3.1": NUMBERS[2]}}, "evidence": {"rotate_megabytes": NUMBERS[0]}},
        "tenants": [{"name": "school", "inputs": {"count": NUMBERS[1]}}],
    }
    file.write_text(yaml.safe_dump(given), encoding="utf-8")
    made = rendered("--values", file, values="sidecar")
    assert containers(pod(made))["vllm"]["args"][1:9] == [*map(str, NUMBERS), "true", "word"]
    assert workload(made)["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"] == {"storage": NUMBERS[2]}
    assert next(each for each in pod(made)["volumes"] if each["name"] == "shm")["emptyDir"]["sizeLimit"] == NUMBERS[1]
    config = yaml.safe_load(guard_yaml(made))
    assert config["usage"]["limits"] == {"llama-3.1": NUMBERS[2]}
    assert config["evidence"] == {"rotate_megabytes": NUMBERS[0]}
    assert config["tenants"]["school"] == {"inputs": {"count": NUMBERS[1]}}
    text = template("--values", file, "--values", CHART / "ci" / "sidecar-values.yaml").stdout
    assert "e+0" not in text, "nor anywhere else"


def test_paths_of_guard_yaml_are_mounted():
    config = yaml.safe_load(guard_yaml(matrix()["gateway-redis", "1.33"]))
    guard = containers(pod(matrix()["gateway-redis", "1.33"]))["guard"]
    folders = {mount["mountPath"] for mount in guard["volumeMounts"]}
    url = "rediss://guard@redis.data.svc:6379/0?ca=/run/secrets/guard/redis-ca/ca.pem&password_file=/run/secrets/guard/ledger/password"
    assert config["usage"]["ledger"] == url
    for path in (
        config["admin_token_file"],
        config["identity"]["pseudonym_key_file"],
        config["identity"]["keys_file"],
        config["usage"]["attestors"][0]["key"],
        "/run/secrets/guard/ledger/password",
        {each["name"]: each.get("value") for each in guard["env"]}["GUARD_CONFIG"],
    ):
        assert str(Path(path).parent) in folders, path
    assert config["state_dir"] in folders


def test_what_a_config_map_of_ones_own_says_does_not_move_the_ports():
    guard = containers(pod(matrix()["existing-config-map", "1.33"]))["guard"]
    environment = {each["name"]: each["value"] for each in guard["env"]}
    assert environment == {
        "GUARD_CONFIG": "/etc/guard/guard.yaml",
        "GUARD_LISTEN": "0.0.0.0:8080",
        "GUARD_ADMIN": "0.0.0.0:9090",
        "GUARD_UPSTREAM": "http://vllm:8000",
        "GUARD_STATE_DIR": "/var/lib/guard",
        "GUARD_LEDGER": "redis://redis:6379/0",
    }
    volumes = {each["name"]: each for each in pod(matrix()["existing-config-map", "1.33"])["volumes"]}
    assert volumes["config"]["configMap"] == {"name": "our-guard"}


def test_a_url_with_a_secret_in_it_comes_from_the_secret():
    guard = containers(pod(matrix()["gateway-redis-secret", "1.33"]))["guard"]
    ledger = next(each for each in guard["env"] if each["name"] == "GUARD_LEDGER")
    assert ledger["valueFrom"] == {"secretKeyRef": {"name": "guard-ledger", "key": "url"}}
    assert "ledger" not in guard_yaml(matrix()["gateway-redis-secret", "1.33"])


@cache
def template_of(*changes):
    arguments = [part for change in changes for part in ("--set", change)]
    return workload(rendered(*arguments, values="policies"))["spec"]["template"]


@pytest.mark.parametrize(
    "change",
    ["config.mode=shadow", "config.usage.limits.llama-3\\.1=5", "policies.more\\.yaml=x", "rules.more\\.yaml=x",
     "tests.more\\.yaml=x", "files.attested\\.json=x"],
)  # fmt: skip
def test_a_changed_policy_replaces_no_pod_unless_asked_to(change):
    assert template_of() == template_of(change)
    restart = "reload.mode=restart"
    assert template_of(restart) != template_of(restart, change)


@pytest.mark.parametrize(
    "change", ["config.usage.zone=Europe/Berlin", "config.evidence.audit=false", "config.upstream_connections=9"]
)
def test_a_setting_that_is_read_at_the_start_replaces_the_pods(change):
    assert template_of() != template_of(change)


def test_the_whole_of_a_setting_decides_and_a_false_is_one():
    assert template_of("config.evidence.fsync=false") != template_of("config.evidence.fsync=true")
    assert template_of("config.upstream_timeouts.read=5") != template_of("config.upstream_timeouts.read=6")


class Upstream(BaseHTTPRequestHandler):
    """An inference server as far as a probe goes."""

    status = 200

    def do_GET(self):
        assert self.path == "/health"
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


def command(values, container, hook, *path):
    spec = containers(pod(rendered(*values, values="sidecar")))[container]
    for part in (hook, *path):
        spec = spec[part]
    return [sys.executable, *spec["exec"]["command"][1:]]


def test_the_probe_of_vllm_tells_one_that_serves_from_one_that_does_not():
    class Answering(Upstream):
        pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        probe = command(["--set", f"vllm.port={server.server_port}"], "vllm", "readinessProbe")
        assert probe == command(["--set", f"vllm.port={server.server_port}"], "vllm", "livenessProbe")
        # A proxy of the pod's environment has no part in it.
        environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
        ask = {"timeout": PATIENCE, "stderr": subprocess.DEVNULL, "env": environment}
        assert subprocess.run(probe, check=False, **ask).returncode == 0
        Answering.status = 503
        assert subprocess.run(probe, check=False, **ask).returncode == 1
        server.shutdown()
    assert subprocess.run(probe, check=False, **ask).returncode == 1


def test_vllm_ends_when_guard_has_gone_and_not_before():
    with create_server(("127.0.0.1", 0)) as admin:
        hook = command(["--set", f"ports.admin={admin.getsockname()[1]}"], "vllm", "lifecycle", "preStop")
        waiting = subprocess.Popen(hook)
        admin.settimeout(PATIENCE)
        for _ in range(3):  # it asks again and again
            admin.accept()[0].close()
        assert waiting.poll() is None
    assert waiting.wait(PATIENCE) == 0


def test_vllm_waits_no_longer_than_guard_may_take():
    hook = command(["--set", "drain.delay=7,drain.seconds=50"], "vllm", "lifecycle", "preStop")
    assert "time.monotonic() + 87\n" in hook[-1]


def api(port, path):
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return json.load(answer)


def wait_for(happened):
    deadline = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return found


def test_an_upgrade_reaches_a_guard_that_runs_on_the_mounts_of_the_chart(tmp_path):
    """As in a pod: the kubelet swaps the links of all directories, and no process is replaced."""
    before = rendered("--set", "drain.delay=0", values="policies")
    rule = one(before, "ConfigMap", "guard-rules")["data"]["house.yaml"].replace("house reagent", "house catalyst")
    changed = tmp_path / "changed.yaml"
    new = {
        "config": {"models": {"second": {"license": "gemma"}}},
        "rules": {"house.yaml": rule},
        "files": {"note.txt": "beside it"},
    }
    changed.write_text(yaml.safe_dump(new), encoding="utf-8")
    after = rendered("--set", "drain.delay=0", "--values", changed, values="policies")
    assert workload(before) == workload(after)

    mounted = Mounted(before, tmp_path / "pod", SECRETS)
    ports = free_port(), free_port()
    environment = {
        "GUARD_CONFIG": str(mounted.config),
        "GUARD_LISTEN": f"127.0.0.1:{ports[0]}",
        "GUARD_ADMIN": f"127.0.0.1:{ports[1]}",
    }
    spec = containers(pod(before))["guard"]
    assert spec["command"] == ["guard", "serve"]
    probe = f"http://127.0.0.1:{ports[1]}{spec['readinessProbe']['httpGet']['path']}"
    serve = [str(GUARD), *spec["command"][1:]]
    with Server("guard", serve, probe, tmp_path / "log", environment).wait_ready(PATIENCE) as server:
        first = api(ports[1], "/api/v1/policy")
        mounted.swap(after)
        second = wait_for(lambda: (now := api(ports[1], "/api/v1/policy"))["hash"] != first["hash"] and now)
        last = max(second["reloads"], key=lambda each: each["at"])
        assert (last["ok"], last["problems"], last["restart"]) == (True, [], [])
        assert "second" in second["models"]
        assert (mounted.at("/etc/guard") / "note.txt").read_text() == "beside it"
        assert server.stop() == 0
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log


def noted(tmp_path, values):
    """NOTES as helm shows it after an installation; no command prints it without a cluster, so it goes into a map."""
    chart = tmp_path / "chart"
    subprocess.run(["cp", "-r", CHART, chart], check=True)
    text = (chart / "templates" / "NOTES.txt").read_text(encoding="utf-8")
    (chart / "templates" / "NOTES.txt").unlink()
    (chart / "templates" / "noted.yaml").write_text(
        '{{- define "noted" }}' + text + "{{ end }}apiVersion: v1\nkind: ConfigMap\nmetadata: {name: noted}\n"
        'data:\n  text: |\n{{ include "noted" . | indent 4 }}\n'
    )
    manifests = parsed(template("--values", chart / "ci" / f"{values}-values.yaml", chart=chart))
    return one(manifests, "ConfigMap", "noted")["data"]["text"]


@pytest.mark.parametrize(
    ("values", "warnings"),
    [
        ("sidecar", []),
        ("sidecar-plain", ["the state directory ends with the pod"]),
        ("gateway", ["whoever can reach http://vllm.models.svc.cluster.local:8000 is past Guard"]),
        ("network-policies", []),
        ("pod-monitor", ["networkPolicy.enabled is false"]),
    ],
)
def test_notes_warn_of_what_is_not_safe(values, warnings, tmp_path):
    text = noted(tmp_path, values)
    assert ("no other release of this cluster may have one" in text) == (values == "pod-monitor"), "the rules"
    assert "http://guard.serving.svc:8080/v1" in text
    assert text.count("WARNING") == len(warnings)
    for warning in warnings:
        assert f"WARNING: {warning}" in text


def test_what_the_chart_cannot_see_is_said_where_it_is_set():
    readme, page = (path.read_text(encoding="utf-8") for path in PAGES)
    rows = {row.split("`")[1]: row for row in readme.splitlines() if row.startswith("| `")}
    assert "In one release of a cluster only" in rows["prometheusRule.enabled"]
    assert "in one release of a cluster only" in page
    for name in ("existingConfigMap", "drain.seconds"):
        assert "drain" in rows[name]
        assert "existingConfigMap" in rows[name]
    assert "the two have to match" in page
    assert "GuardAttestationMissing](runbooks.md#guardattestationmissing) fires until" in page


PAGES = [CHART / "README.md", CHART.parent.parent.parent / "docs" / "kubernetes.md"]
BLOCKS = [
    block for page in PAGES for block in re.findall(r"(?ms)^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_values_that_the_docs_show_are_rendered(number, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text(BLOCKS[number], encoding="utf-8")
    assert rendered("--values", file, values=None if "admin:" in BLOCKS[number] else "gateway")


def test_the_refusal_that_the_docs_show_is_what_helm_says():
    shown = re.search(r"(?ms)^```text\n(Error:.*?)^```$", PAGES[1].read_text(encoding="utf-8"))[1]
    said = template("--set", "mode=gateway").stderr
    assert [line.strip() for line in shown.splitlines()] == [line.strip() for line in said.splitlines()][
        : shown.count("\n")
    ]
