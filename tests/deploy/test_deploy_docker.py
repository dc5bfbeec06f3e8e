"""What the container image and the composition promise: read from the files, as an operator would."""

import hashlib
import json
import re
import runpy
import shlex
import stat
import tomllib
from pathlib import PurePath

import pytest
import yaml
from grafana_board import ROOT

import guard
from guard.cli.main import run

DOCKER = ROOT / "deploy" / "docker"
PINNED = re.compile(r"^[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*$")


def instructions():
    """The Dockerfile's instructions: (word, rest), lines joined, comments left out."""
    lines = [
        line for line in (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, " ".join(rest.split())


def stages():
    """The instructions of each stage, from its FROM on."""
    found = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def said(stage, word):
    return [rest for name, rest in stage if name == word]


def test_the_image_is_built_in_one_stage_and_served_from_another():
    build, runtime = stages()
    assert said(build, "FROM") == ["${BUILD_IMAGE} AS build"]
    assert said(runtime, "FROM") == ["${RUNTIME_IMAGE}"]
    assert said(runtime, "COPY") == ["--from=build /opt/guard /opt/guard"]
    assert not any("pip" in command for command in said(runtime, "RUN"))


def test_base_images_have_an_exact_tag_and_nothing_is_fetched_from_a_url():
    words = list(instructions())
    defaults = [rest.partition("=")[2] for word, rest in words if word == "ARG" and "_IMAGE" in rest]
    assert len(defaults) == 2
    assert [image for image in defaults if not PINNED.match(image)] == []
    assert "ADD" not in {word for word, _ in words}
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    assert "://" not in text, "package indexes come from pip's own configuration"
    assert "curl" not in text
    assert "vllm" not in text


def test_the_server_runs_as_a_number_that_is_not_root():
    _, runtime = stages()
    assert said(runtime, "USER") == ["10001:10001"]
    order = [word for word, _ in runtime]
    assert order.index("USER") > max(at for at, word in enumerate(order) if word in {"RUN", "COPY"})


def test_the_command_needs_no_shell():
    _, runtime = stages()
    assert json.loads(said(runtime, "ENTRYPOINT")[0]) == ["guard"]
    assert json.loads(said(runtime, "CMD")[0]) == ["serve", "--config", "/etc/guard/guard.yaml"]
    assert said(runtime, "EXPOSE") == ["8080 9090"]
    assert said(runtime, "STOPSIGNAL") == ["SIGTERM"]
    assert said(runtime, "VOLUME") == ["/var/lib/guard"]


def test_the_health_check_asks_the_admin_port_by_python_and_without_a_token():
    _, runtime = stages()
    (check,) = said(runtime, "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[:3] == ["python", "-I", "-c"]
    compile(command[3], "HEALTHCHECK", "exec")
    assert "'/healthz'" in command[3]


def test_the_image_says_what_it_is():
    _, runtime = stages()
    labels = dict(word.partition("=")[::2] for label in said(runtime, "LABEL") for word in shlex.split(label))
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {f"org.opencontainers.image.{name}" for name in ("title", "description", "revision")} <= labels.keys()


def test_versions_are_those_that_work_together():
    build, _ = stages()
    (environment,) = said(build, "ENV")
    assert "PIP_CONSTRAINT=/src/constraints.txt" in environment
    assert "!constraints.txt" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_what_a_build_needs_is_let_in_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    included = {str(PurePath(*PurePath(name).parts[:2])) for name in wheel["force-include"]}
    assert let_in == {"pyproject.toml", "hatch_build.py", "constraints.txt", "README.md", "LICENSE", "guard", *included}
    assert all((ROOT / name).exists() for name in let_in)


COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]


def test_the_services_are_the_ones_the_page_names():
    assert set(SERVICES) == {"guard", "vllm", "redis", "prometheus", "alertmanager", "grafana"}
    assert {name for name, service in SERVICES.items() if service.get("profiles")} == {"vllm"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("healthcheck") or name == "guard", "Guard's is in its image"


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_an_exact_tag(name):
    image = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", SERVICES[name]["image"])
    assert PINNED.match(image)
    if name == "guard":
        assert image == f"guard:{guard.__version__}"


def test_only_guard_reaches_the_model_and_the_ledger():
    members = {
        network: {name for name, service in SERVICES.items() if network in service["networks"]}
        for network in COMPOSE["networks"]
    }
    assert members["model"] == {"guard", "vllm"}
    assert members["ledger"] == {"guard", "redis"}
    assert all(COMPOSE["networks"][network].get("internal") for network in ("model", "ledger", "watch"))
    assert SERVICES["vllm"]["networks"] == ["model"]
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["guard", "grafana"]
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(":-127.0.0.1:" in port for port in published), "beyond this machine only where somebody says so"


def test_the_model_is_the_argument_of_vllm_serve():
    """Its flag --model is to be removed; the command goes to `vllm serve`, the entry point of the image."""
    command = SERVICES["vllm"]["command"]
    assert not command[0].startswith("-")
    assert command[0] in {volume.split(":")[-2] for volume in SERVICES["vllm"]["volumes"]}
    assert "--model" not in command


def test_redis_keeps_everything():
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"


def test_secrets_are_files_and_nowhere_in_the_environment():
    for service in SERVICES.values():
        for name, value in (service.get("environment") or {}).items():
            assert "PASSWORD" not in name or (name.endswith("__FILE") and value.startswith("/run/secrets/"))
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    assert "secrets/" in (DOCKER / ".gitignore").read_text(encoding="utf-8").split()


def test_everything_that_is_mounted_is_there():
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).resolve().exists(), source
            elif not source.startswith("$"):
                assert source in COMPOSE["volumes"]


def test_the_secrets_are_random_private_and_made_once(tmp_path, monkeypatch, capsys):
    made = runpy.run_path(str(DOCKER / "make_secrets.py"))
    folder = tmp_path / "secrets"
    monkeypatch.setitem(made["main"].__globals__, "FOLDER", folder)
    made["main"]()
    first = {path.name: path.read_text() for path in folder.iterdir()}
    made["main"]()
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
    assert set(first) == set(COMPOSE["secrets"])
    assert len(set(first.values())) == 4
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert hashlib.sha256(first["redis-password"].encode()).hexdigest() in first["redis-users"]
    said = capsys.readouterr().out
    assert not any(value in said for value in first.values())


def test_guards_configuration_in_it_is_a_good_policy(capsys):
    assert run(["policy", "check", str(DOCKER / "guard" / "guard.yaml")]) == 0, capsys.readouterr().err
