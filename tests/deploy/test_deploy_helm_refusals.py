"""Values that cannot work are refused before anything is installed, with what is allowed; a name that is none is too."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from chart_world import CHART, parsed, rendered, template

pytestmark = pytest.mark.slow

SIDECAR = {"admin": {"existingSecret": "a"}, "vllm": {"model": "org/model"}, "config": {"license": "llama-3.1"}}
GATEWAY = {
    "mode": "gateway",
    "admin": {"existingSecret": "a"},
    "gateway": {"upstream": "http://vllm:8000"},
    "config": {"license": "llama-3.1"},
}
REDIS = {"ledger": {"url": "redis://redis:6379/0"}}
KEY = {"pseudonymKey": {"existingSecret": "p"}}
MONITORED = {"networkPolicy": {"enabled": False}}


def said(values, version="1.33"):
    """What helm says about ``values``, which it must refuse."""
    result = template("--values", "-", version=version, input=yaml.safe_dump(values))
    assert result.returncode == 1, "it was rendered"
    assert result.stdout == ""
    return result.stderr


def side_by_side(every):
    """What helm says about each of ``every``."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(said, every))


MISTAKES = [
    ({**SIDECAR, "admin": {}}, "admin.existingSecret: the Secret with the token of the admin port is missing; allowed: its name, after kubectl create secret generic"),
    ({**SIDECAR, "vllm": {}}, "vllm.model: what vLLM serves is missing"),
    ({**GATEWAY, "gateway": {}}, "gateway.upstream: the inference server is missing"),
    ({**SIDECAR, "gateway": {"upstream": "http://vllm:8000"}}, "gateway.upstream: set in mode sidecar"),
    ({**SIDECAR, "vllm": {"model": "m", "args": ["--host", "0.0.0.0"]}}, "vllm.args: --host; allowed: any but"),
    ({**SIDECAR, "vllm": {"model": "m", "args": ["--port=80"]}}, "vllm.args: --port=80; allowed: any but"),
    ({**SIDECAR, "vllm": {"model": "m", "args": ["--uds", "/tmp/s"]}}, "vllm.args: --uds; allowed: any but"),
    ({**SIDECAR, "ports": {"http": 9090}}, "ports.http, ports.admin, vllm.port: two are the same"),
    ({**SIDECAR, "ports": {"http": 8000}}, "ports.http, ports.admin, vllm.port: two are the same"),
    ({**SIDECAR, "config": {}}, "config.models: no model is listed"),
    *(
        ({**GATEWAY, "config": {"license": "llama-3.1", name: value}}, f"config.{name}: the chart sets it; allowed: {instead}")
        for name, value, instead in [
            ("listen", "0.0.0.0:80", "bind, ports.http"),
            ("admin", "off", "bind, ports.admin"),
            ("admin_token_file", "/token", "admin.existingSecret"),
            ("state_dir", "/tmp", "persistence"),
            ("upstream", "http://vllm", "mode, gateway.upstream"),
            ("drain", {"seconds": 1}, "drain"),
            ("tenants", {"a": {}}, "tenants, a list"),
        ]
    ),
    ({**GATEWAY, "config": {"license": "gemma", "usage": {"ledger": "redis://r"}}}, "config.usage.ledger: the chart sets it; allowed: ledger.url"),
    ({**GATEWAY, "config": {"license": "gemma", "identity": {"keys_file": "/k"}}}, "config.identity.keys_file: the chart sets it; allowed: apiKeys.existingSecret"),
    ({**GATEWAY, "config": {"license": "gemma", "identity": {"pseudonym_key_file": "/k"}}}, "config.identity.pseudonym_key_file: the chart sets it; allowed: pseudonymKey.existingSecret"),
    ({**GATEWAY, "existingConfigMap": "ours"}, "config: set beside existingConfigMap"),
    ({**GATEWAY, "files": {"guard.yaml": ""}}, "files: guard.yaml; allowed: other names"),
    ({**GATEWAY, "ledger": {"url": "redis://r", "existingSecret": "l"}}, "ledger: url and existingSecret; allowed: one of the two"),
    ({**GATEWAY, "ledger": {"url": "redis://guard:hunter2@r:6379/0"}}, "ledger.url: it holds a password"),
    ({**GATEWAY, "ledger": {"url": "redis://:hunter2@r:6379/0"}}, "ledger.url: it holds a password"),
    ({**GATEWAY, "ledger": {"passwordSecret": "l"}}, "ledger.passwordSecret: there is no Redis"),
    ({**GATEWAY, **KEY, "replicas": 2}, "replicas: more than one pod, each with a ledger of its own, would count users apart"),
    ({**GATEWAY, **KEY, "replicas": 2, "ledger": {"url": "sqlite:///var/lib/guard/l.db"}}, "replicas: more than one pod, each with a ledger"),
    ({**GATEWAY, **REDIS, "replicas": 2}, "replicas: more than one pod need the same pseudonym key; allowed: one, or pseudonymKey.existingSecret, after kubectl"),
    ({**GATEWAY, **REDIS, **KEY, "replicas": 2, "persistence": {"existingClaim": "c"}}, "replicas: more than one pod cannot share persistence.existingClaim"),
    ({**GATEWAY, **KEY, "autoscaling": {"enabled": True}}, "autoscaling: more than one pod, each with a ledger of its own"),
    ({**GATEWAY, **REDIS, **KEY, "autoscaling": {"enabled": True, "minReplicas": 9}}, "autoscaling.minReplicas: more than maxReplicas"),
    ({**GATEWAY, **REDIS, **KEY, "autoscaling": {"enabled": True, "targetCPU": None}}, "autoscaling: nothing to scale by"),
    ({**GATEWAY, **REDIS, **KEY, "autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}}, "autoscaling.targetCPU: a share of resources.requests.cpu"),
    ({**SIDECAR, **REDIS, **KEY, "autoscaling": {"enabled": True}}, "autoscaling.metrics: none, and in mode sidecar"),
    ({**GATEWAY, "secretFiles": [{"name": "admin", "secretName": "x"}]}, "secretFiles: admin is taken"),
    ({**GATEWAY, "secretFiles": [{"name": "x", "secretName": "x"}] * 2}, "secretFiles: x is taken"),
    ({**GATEWAY, "tenants": [{"name": "x"}] * 2}, "tenants: x is there twice"),
    ({**GATEWAY, "terminationGracePeriodSeconds": 94}, "terminationGracePeriodSeconds: 94, in which answers and stores could not finish; allowed: 95 and more"),
    ({**SIDECAR, "terminationGracePeriodSeconds": 95}, "allowed: 110 and more"),
    ({**GATEWAY, **MONITORED, "serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}, "serviceMonitor, podMonitor: both would scrape"),
    ({**GATEWAY, "serviceMonitor": {"enabled": True}}, "networkPolicy.monitoring: nobody may reach the admin port"),
    ({**SIDECAR, "networkPolicy": {"upstream": {"enabled": True, "matchLabels": {"a": "b"}}}}, "networkPolicy.upstream: in mode sidecar"),
    ({**GATEWAY, "networkPolicy": {"upstream": {"enabled": True}}}, "networkPolicy.upstream.matchLabels: it would close every pod"),
    ({**GATEWAY, "networkPolicy": {"egress": {"enabled": True}}}, "networkPolicy.egress.upstream.to: Guard could not reach"),
    ({**SIDECAR, **REDIS, "networkPolicy": {"egress": {"enabled": True}}}, "networkPolicy.egress.redis.to: Guard could not reach the ledger"),
    ({**GATEWAY, "ingress": {"enabled": True}}, "ingress.hosts: none"),
    ({**GATEWAY, "httpRoute": {"enabled": True}}, "httpRoute.parentRefs: none"),
    ({**GATEWAY, "prometheusRule": {"disabled": ["GuardNothing"]}}, "prometheusRule: no alert is named GuardNothing; allowed: Guard"),
    ({**GATEWAY, "prometheusRule": {"severity": {"GuardNothing": "info"}}}, "prometheusRule: no alert is named GuardNothing"),
]  # fmt: skip


def test_what_cannot_work_is_refused_with_what_is_allowed():
    for (_, words), message in zip(MISTAKES, side_by_side(values for values, _ in MISTAKES), strict=True):
        assert words in message
        assert "hunter2" not in message, "a password is not repeated"


def test_every_mistake_is_said_at_once():
    message = said({"replicas": 2})
    for name in ("admin.existingSecret", "vllm.model", "config.models", "own, would count", "pseudonym key"):
        assert name in message


def test_native_sidecars_are_not_asked_of_a_kubernetes_without():
    message = said({**SIDECAR, "sidecar": {"native": True}}, "1.27")
    assert "sidecar.native: true, and Kubernetes v1.27.0 has no native sidecars" in message


def test_an_older_kubernetes_is_refused():
    assert "chart requires kubeVersion: >=1.27.0-0" in said(SIDECAR, "1.26")


UNSOUND = [
    ({"replica": 2}, "Additional property replica is not allowed"),
    ({"persistence": {"enable": True}}, "persistence: Additional property enable is not allowed"),
    ({"mode": "inside"}, 'mode: mode must be one of the following: "sidecar", "gateway"'),
    ({"replicas": "two"}, "replicas: Invalid type. Expected: integer, given: string"),
    ({"sidecar": {"native": "maybe"}}, "sidecar.native: sidecar.native must be one of the following"),
    ({"reload": {"mode": "cold"}}, 'reload.mode: reload.mode must be one of the following: "hot", "restart"'),
    ({"vllm": {"args": "--max-model-len 10"}}, "vllm.args: Invalid type. Expected: array, given: string"),
    ({"ports": {"http": 80}}, "ports.http: Must be greater than or equal to 1024"),
    ({"image": {"digest": "sha256:1"}}, "image.digest: Does not match pattern"),
    ({"ledger": {"url": "mysql://r"}}, "ledger.url: Does not match pattern"),
    ({"gateway": {"upstream": "vllm:8000"}}, "gateway.upstream: Does not match pattern"),
    ({"policies": {"acme.txt": ""}}, "Does not match pattern"),
    ({"policies": {"acme.yaml": {"id": "acme"}}}, "policies.acme.yaml: Invalid type. Expected: string, given: object"),
    ({"secretFiles": [{"name": "x"}]}, "secretFiles.0: secretName is required"),
    ({"tenants": [{"match": {}}]}, "tenants.0: name is required"),
    ({"tenants": {"acme": {}}}, "tenants: Invalid type. Expected: array, given: object"),
    ({"prometheusRule": {"severity": {"GuardLedgerDown": "bad"}}}, "must be one of the following"),
    ({"drain": {"seconds": -1}}, "drain.seconds: Must be greater than or equal to 0"),
    ({"serviceMonitor": {"interval": "often"}}, "serviceMonitor.interval: Does not match pattern"),
    ({"vllm": {"env": [{"name": "X", "value": 1}]}}, "vllm.env.0.value: Invalid type. Expected: string, given: integer"),
    ({"extraEnv": [{"name": "X", "value": True}]}, "extraEnv.0.value: Invalid type. Expected: string, given: boolean"),
]  # fmt: skip


def test_the_schema_refuses_names_and_kinds_that_are_none():
    messages = side_by_side({**SIDECAR, **values} for values, _ in UNSOUND)
    for (_, words), message in zip(UNSOUND, messages, strict=True):
        assert "values don't meet the specifications of the schema(s)" in message
        assert words in message


DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
NULLED = {name: None for name, value in DEFAULTS.items() if value is not None}


def test_a_name_with_nothing_behind_it_is_refused_by_name():
    """As ``config:`` with all of it commented out: for Helm that is null, which takes the default away."""
    message = said(NULLED)
    assert [name for name in NULLED if f"(root): {name} is required\n" not in message] == []


@pytest.mark.parametrize(
    "values",
    [{"config": {"license": "gemma", name: None}} for name in ("usage", "identity", "screening", "evidence", "models")]
    + [{"resources": {"requests": None}}],
    ids=str,
)
def test_nothing_within_a_map_of_the_operator_is_no_trace_of_go(values):
    assert parsed(template("--values", "-", input=yaml.safe_dump({**GATEWAY, **values})))


@pytest.mark.parametrize("values", [SIDECAR, GATEWAY])
def test_what_the_mistakes_are_made_of_is_sound(values):
    assert parsed(template("--values", "-", input=yaml.safe_dump(values)))


def test_a_chart_above_may_set_what_is_global():
    assert rendered("--values", CHART / "ci" / "gateway-values.yaml", "--set", "global.somethingElse=1")
