"""The chart over its values and three releases of Kubernetes: it is valid, and what it promises holds in each."""

import difflib
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from chart_world import (
    CHART,
    GOLDEN,
    KUBERNETES,
    MATRIX,
    ROOT,
    VALUES,
    containers,
    matrix,
    one,
    pod,
    rendered,
    run,
    workload,
)

pytestmark = pytest.mark.slow
MATRIX_IDS = [f"{name}-{version}" for name, version in MATRIX]
every = pytest.mark.parametrize(("name", "version"), MATRIX, ids=MATRIX_IDS)
CRDS = ("monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1")


def test_there_is_a_matrix():
    assert len(VALUES) > 12
    assert len(matrix()) == len(MATRIX) == 3 * len(VALUES) - 1


def test_lint_finds_nothing():
    def lint(name):
        return run("lint", "--strict", CHART, "--values", CHART / "ci" / f"{name}-values.yaml")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, result in zip(VALUES, pool.map(lint, VALUES), strict=True):
            assert result.returncode == 0, f"{name}: {result.stdout}{result.stderr}"


def test_every_manifest_fits_the_schemas_of_its_release():
    known, seen, customs = set(), 0, set()
    for (name, version), manifests in matrix().items():
        for manifest in manifests:
            if manifest["apiVersion"] in CRDS:
                customs.add(manifest["kind"])
                continue
            if (key := (version, json.dumps(manifest))) in known:
                continue
            known.add(key)
            seen += 1
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                place = ".".join(map(str, error.path))
                pytest.fail(f"{name} {version}: {manifest['kind']}: {place}: {error.message}")
    assert seen > 100
    assert customs == {"ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute"}


def models(manifests):
    """What the models of the Prometheus operator's resources say to each."""
    folder = subprocess.run(
        [ROOT / ".ci" / "crd-models"], check=True, capture_output=True, text=True, timeout=300
    ).stdout.strip()
    command = ["node", Path(__file__).with_name("crd_models.mjs"), folder]
    said = subprocess.run(command, input=json.dumps(manifests), check=True, capture_output=True, text=True, timeout=60)
    return json.loads(said.stdout)


def test_monitors_and_rules_fit_the_definitions_of_the_prometheus_operator():
    monitored = [
        manifest for manifests in matrix().values() for manifest in manifests if manifest["apiVersion"] == CRDS[0]
    ]
    broken = json.loads(json.dumps(one(matrix()["monitoring", "1.33"], "PrometheusRule")))
    broken["spec"]["groups"][-1]["rules"][0]["for"] = "5x"
    *found, last = models([*monitored, broken])
    assert len(found) >= 9
    assert [each for each in found if each] == []
    assert last is not None, "the models find mistakes"


@pytest.mark.parametrize("name", ["monitoring", "pod-monitor"])
def test_prometheus_takes_the_rules(name, tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(one(matrix()[name, "1.33"], "PrometheusRule")["spec"]), encoding="utf-8")
    said = subprocess.run(
        ["promtool", "check", "rules", rules], check=False, capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 0, said.stdout + said.stderr


def short(manifest):
    """A manifest without the copies that have tests of their own."""
    if manifest["kind"] == "PrometheusRule":
        groups = [f"{group['name']}: as in deploy/prometheus" for group in manifest["spec"]["groups"]]
        return {**manifest, "spec": {"groups": groups}}
    if manifest["metadata"]["name"].endswith("-dashboard"):
        return {**manifest, "data": {"guard.json": "as in deploy/grafana"}}
    return manifest


class Readable(yaml.SafeDumper):
    """Writes texts of several lines as such."""


Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def golden(manifests):
    ordered = sorted(manifests, key=lambda each: (each["kind"], each["metadata"]["name"]))
    return yaml.dump_all(map(short, ordered), Dumper=Readable, width=120, explicit_start=True)


@pytest.mark.parametrize("name", VALUES)
def test_what_is_rendered_is_what_was_looked_at(name):
    """A release without a file of its own renders what the one before it does. `make golden` writes the files anew."""
    expected = None
    for version in KUBERNETES:
        if (name, version) not in matrix():
            continue
        file, text = GOLDEN / f"{name}-{version}.yaml", golden(matrix()[name, version])
        if os.environ.get("GUARD_GOLDEN") == "write":
            file.unlink(missing_ok=True)
            if text != expected:
                GOLDEN.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8")
            expected = text
            continue
        if file.is_file():
            expected = file.read_text(encoding="utf-8")
        assert expected is not None, f"{file.name} is missing; `make golden` writes it"
        lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), file.name, "rendered", lineterm="")
        difference = "\n".join(lines)
        assert not difference, f"`make golden` writes it anew, if it is meant:\n{difference}"


def test_every_golden_file_is_of_the_matrix():
    assert {file.stem for file in GOLDEN.iterdir()} <= set(MATRIX_IDS)


ENUMS = {
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "operator": {"In", "NotIn", "Exists", "DoesNotExist", "Equal"},
    "pathType": {"Prefix", "Exact"},
    "podManagementPolicy": {"Parallel"},
    "protocol": {"TCP", "UDP"},
    "restartPolicy": {"Always"},
    "whenDeleted": {"Retain"},
    "whenScaled": {"Retain"},
    "whenUnsatisfiable": {"ScheduleAnyway", "DoNotSchedule"},
    "medium": {"Memory"},
    "fsGroupChangePolicy": {"OnRootMismatch"},
}


def walk(value):
    """Every mapping at any depth."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from walk(each)


@every
def test_words_are_those_that_kubernetes_knows(name, version):
    """Its published schemas say only that they are words."""
    for manifest in matrix()[name, version]:
        for mapping in walk(manifest):
            for key, allowed in ENUMS.items():
                assert mapping.get(key) is None or mapping[key] in allowed, f"{manifest['kind']}: {key}: {mapping[key]}"


@every
def test_guard_is_a_native_sidecar_where_there_are_any(name, version):
    spec = pod(matrix()[name, version])
    sidecar = "vllm" in containers(spec)
    native = sidecar and version != "1.27" and name != "sidecar-plain"
    assert [each["name"] for each in spec.get("initContainers", ())] == (["guard"] if native else [])
    assert [each["name"] for each in spec["containers"]] == (
        ["vllm"] if native else ["guard", "vllm"] if sidecar else ["guard"]
    ), "the kubelet begins them in order, and vLLM's image takes minutes to pull"
    guard = containers(spec)["guard"]
    assert guard.get("restartPolicy") == ("Always" if native else None)
    assert ("lifecycle" in guard) == native, "only a native sidecar has to be told that the pod ends"


@every
def test_nobody_reaches_vllm_past_guard(name, version):
    manifests = matrix()[name, version]
    spec = pod(manifests)
    guard, vllm = containers(spec)["guard"], containers(spec).get("vllm")
    ports = {port["name"]: port["containerPort"] for port in guard["ports"]}
    services = [each for each in manifests if each["kind"] == "Service"]
    assert len(services) == 2
    assert {port["targetPort"] for service in services for port in service["spec"]["ports"]} == set(ports.values())
    client = next(each for each in services if not each["metadata"]["name"].endswith("-admin"))
    assert [port["targetPort"] for port in client["spec"]["ports"]] == [ports["http"]], (
        "operators have a Service of theirs"
    )
    assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"))
    policies = [
        each
        for each in manifests
        if each["kind"] == "NetworkPolicy" and not each["metadata"]["name"].endswith("-upstream")
    ]
    assert len(policies) == (name != "pod-monitor")
    for policy in policies:
        admitted = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert admitted <= set(ports.values())
        assert "Ingress" in policy["spec"]["policyTypes"]
        for rule in policy["spec"]["ingress"]:
            assert rule["ports"] == [{"port": ports["http"], "protocol": "TCP"}] or rule["from"], "operators are named"
    if vllm is None:
        return
    assert "ports" not in vllm
    arguments = vllm["args"]
    assert [argument for argument in arguments if argument.startswith(("--host", "--port", "--uds"))] == [
        "--host",
        "--port",
    ]
    host, port = arguments[arguments.index("--host") + 1], arguments[arguments.index("--port") + 1]
    assert host == "127.0.0.1"
    assert int(port) not in ports.values()
    if name != "existing-config-map":
        config = next(each for each in manifests if each["metadata"]["name"].endswith("-config"))
        assert yaml.safe_load(config["data"]["guard.yaml"])["upstream"] == f"http://127.0.0.1:{port}"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert f'"127.0.0.1", {port}' in vllm[probe]["exec"]["command"][-1], "the kubelet cannot reach loopback itself"


@every
def test_probes_of_guard_ask_the_admin_port(name, version):
    guard = containers(pod(matrix()[name, version]))["guard"]
    admin = next(port["containerPort"] for port in guard["ports"] if port["name"] == "admin")
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert guard[probe]["httpGet"] == {"path": path, "port": admin}


@pytest.mark.parametrize(("workers", "failures"), [(None, 1), (1, 1), (2, 8)])
def test_a_worker_may_be_replaced_before_a_pod_is_taken_out(workers, failures):
    given = () if workers is None else ("--set", f"config.workers={workers}")
    guard = containers(pod(rendered(*given, values="gateway")))["guard"]
    assert guard["readinessProbe"]["failureThreshold"] == failures


ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


@every
def test_pods_pass_the_restricted_security_standard(name, version):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards, restricted; with a read-only root besides."""
    spec = pod(matrix()[name, version])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "sysctls" not in spec["securityContext"]
    for container in containers(spec).values():
        context = container["securityContext"]
        assert context == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert not any("hostPort" in port for port in container.get("ports", ()))
    for volume in spec["volumes"]:
        assert set(volume) - {"name"} <= ALLOWED_VOLUMES
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


@every
def test_every_mount_is_a_directory_of_a_volume_that_is_there(name, version):
    manifests = matrix()[name, version]
    spec = pod(manifests)
    claims = workload(manifests)["spec"].get("volumeClaimTemplates", ())
    names = [volume["name"] for volume in spec["volumes"]] + [claim["metadata"]["name"] for claim in claims]
    assert len(names) == len(set(names))
    for container in containers(spec).values():
        mounts = container["volumeMounts"]
        assert {mount["name"] for mount in mounts} <= set(names)
        assert not any("subPath" in mount or "subPathExpr" in mount for mount in mounts), "it would never be reloaded"
        paths = [mount["mountPath"] for mount in mounts]
        assert not [(a, b) for a in paths for b in paths if a != b and b.startswith(a + "/")], "no mount within another"


@every
def test_no_manifest_holds_a_secret(name, version):
    for manifest in matrix()[name, version]:
        assert manifest["kind"] != "Secret"
    for container in containers(pod(matrix()[name, version])).values():
        for variable in container.get("env", ()):
            assert "@" not in variable.get("value", ""), variable["name"]


@every
def test_selectors_find_the_pods_and_nothing_else_does(name, version):
    manifests = matrix()[name, version]
    labels = workload(manifests)["spec"]["template"]["metadata"]["labels"]
    selectors = [workload(manifests)["spec"]["selector"]["matchLabels"]]
    selectors += [each["spec"]["selector"] for each in manifests if each["kind"] == "Service"]
    selectors += [
        each["spec"]["selector"]["matchLabels"]
        for each in manifests
        if each["kind"] in {"PodDisruptionBudget", "PodMonitor"}
    ]
    for selector in selectors:
        assert selector == {"app.kubernetes.io/name": "guard", "app.kubernetes.io/instance": "guard"}
        assert selector.items() <= labels.items()
    for scaler in (each for each in manifests if each["kind"] == "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == (
            workload(manifests)["kind"],
            workload(manifests)["metadata"]["name"],
        )
        assert "replicas" not in workload(manifests)["spec"], "two would not agree"
    for monitor in (each for each in manifests if each["kind"] == "ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        found = [
            each
            for each in manifests
            if each["kind"] == "Service" and selector.items() <= each["metadata"]["labels"].items()
        ]
        assert [each["metadata"]["name"] for each in found] == ["guard-admin"]
        assert found[0]["spec"]["ports"][0]["name"] == monitor["spec"]["endpoints"][0]["port"]


@every
def test_a_pod_has_time_to_end(name, version):
    manifests = matrix()[name, version]
    spec = pod(manifests)
    drain = {"delay": 5, "seconds": 60}
    for config in (each for each in manifests if each["metadata"]["name"].endswith("-config")):
        drain = yaml.safe_load(config["data"]["guard.yaml"])["drain"]
    assert spec["terminationGracePeriodSeconds"] >= drain["delay"] + drain["seconds"] + 30 + 15 * (
        "vllm" in containers(spec)
    )


@every
def test_the_state_is_kept_by_what_can_keep_it(name, version):
    manifests = matrix()[name, version]
    made = workload(manifests)
    state = [volume for volume in pod(manifests)["volumes"] if volume["name"] == "state"]
    if name == "sidecar-plain":
        assert made["kind"] == "Deployment"
        assert state[0]["emptyDir"]["sizeLimit"] == "1Gi"
    elif name == "existing-claim":
        assert (made["kind"], made["spec"]["replicas"]) == ("Deployment", 1)
        assert made["spec"]["strategy"] == {"type": "Recreate"}, "two pods cannot have the volume at a time"
        assert state[0]["persistentVolumeClaim"]["claimName"] == "guard-state"
    else:
        assert made["kind"] == "StatefulSet"
        assert state == []
        assert made["spec"]["serviceName"] in {
            each["metadata"]["name"] for each in manifests if each["kind"] == "Service"
        }
        assert made["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_the_token_that_prometheus_shows_is_named_and_not_given():
    for name, kind, field in (
        ("monitoring", "ServiceMonitor", "endpoints"),
        ("pod-monitor", "PodMonitor", "podMetricsEndpoints"),
    ):
        endpoint = one(matrix()[name, "1.33"], kind)["spec"][field][0]
        assert endpoint["authorization"] == {"type": "Bearer", "credentials": {"name": "guard-admin", "key": "token"}}
        assert endpoint["path"] == "/metrics"


def test_alerts_are_changed_as_asked_and_not_otherwise():
    shipped = {
        rule["alert"]: rule
        for file in sorted((ROOT / "deploy" / "prometheus").glob("guard-*.yml"))
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }

    def alerts(name):
        groups = one(matrix()[name, "1.33"], "PrometheusRule")["spec"]["groups"]
        return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}

    assert alerts("pod-monitor") == shipped
    changed = alerts("monitoring")
    assert set(shipped) - set(changed) == {"GuardUsersAt50Percent"}
    for alert, rule in changed.items():
        before = shipped[alert]
        severity = "critical" if alert == "GuardUsersAt80Percent" else before["labels"]["severity"]
        assert rule["labels"] == {**before["labels"], "team": "safety", "severity": severity}
        assert rule["expr"] == before["expr"]
        assert rule["annotations"]["runbook_url"] == f"https://docs.example.org/guard/runbooks/#{alert.lower()}"


def test_the_dashboard_is_the_committed_one():
    made = one(matrix()["monitoring", "1.33"], "ConfigMap", "guard-dashboard")
    assert made["metadata"]["namespace"] == "monitoring"
    assert made["metadata"]["labels"]["grafana_dashboard"] == "yes"
    assert made["data"]["guard.json"] == (ROOT / "deploy" / "grafana" / "guard.json").read_text(encoding="utf-8")


def test_the_upstream_is_closed_to_everybody_but_guard():
    policy = one(matrix()["network-policies", "1.33"], "NetworkPolicy", "guard-upstream")
    assert policy["metadata"]["namespace"] == "models"
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "vllm"}}
    guard, prometheus = policy["spec"]["ingress"][0]["from"]
    assert guard["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "serving"}
    assert guard["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "guard"
    assert "podSelector" not in prometheus


def test_a_route_leads_to_the_clients_port():
    manifests = matrix()["ingress", "1.33"]
    route = one(manifests, "HTTPRoute")["spec"]
    assert route["rules"][0]["backendRefs"] == [{"name": "guard", "port": 80}]
    ingress = one(manifests, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert ingress == {"name": "guard", "port": {"number": 80}}
    assert one(manifests, "Service", "guard")["spec"]["ports"][0]["port"] == 80
