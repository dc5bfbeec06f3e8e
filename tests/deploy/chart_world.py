"""The chart as a real helm renders it, and the directories of a pod as the kubelet would fill them."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "deploy" / "helm" / "guard"
GOLDEN = Path(__file__).parent / "golden"
KUBERNETES = ("1.27", "1.29", "1.33")
VALUES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
NATIVE = "sidecar-native"
"""Refused by a Kubernetes without native sidecars."""
MATRIX = [(name, version) for name in VALUES for version in KUBERNETES if (name, version) != (NATIVE, "1.27")]
SECONDS = 60


@cache
def helm():
    return subprocess.run(
        [ROOT / ".ci" / "helm"], check=True, capture_output=True, text=True, timeout=300
    ).stdout.strip()


def run(*arguments, **options):
    command = [helm(), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS, **options)


def template(*arguments, version="1.33", chart=CHART, name="guard", **options):
    """What helm says to render the chart in the namespace ``serving``."""
    given = ("--namespace", "serving", "--kube-version", f"{version}.0")
    return run("template", name, chart, *given, *arguments, **options)


def parsed(result):
    """The manifests that helm printed."""
    assert result.returncode == 0, result.stderr
    return [document for document in yaml.load_all(result.stdout, yaml.CSafeLoader) if document]


def rendered(*arguments, version="1.33", values=None):
    """The manifests for ``values`` of ci and further ``arguments``."""
    given = [] if values is None else ["--values", CHART / "ci" / f"{values}-values.yaml"]
    return parsed(template(*given, *arguments, version=version))


@cache
def matrix():
    """The manifests of every file in ci for every release, rendered side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(lambda one: rendered(values=one[0], version=one[1]), MATRIX)
        return dict(zip(MATRIX, made, strict=True))


def one(manifests, kind, name=None):
    """The only manifest of ``kind`` (and ``name``)."""
    found = [each for each in manifests if each["kind"] == kind and name in {None, each["metadata"]["name"]}]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def workload(manifests):
    """The StatefulSet or Deployment."""
    return next(each for each in manifests if each["kind"] in {"StatefulSet", "Deployment"})


def pod(manifests):
    """The spec of the pods."""
    return workload(manifests)["spec"]["template"]["spec"]


def containers(spec):
    """All containers of a pod by name, native sidecars among them."""
    return {each["name"]: each for each in (*spec.get("initContainers", ()), *spec["containers"])}


class ConfigMap:
    """A directory as the kubelet keeps it: files are links into ``..data``, which is a link that is swapped."""

    def __init__(self, folder, files):
        self.folder, self.number = folder, 0
        folder.mkdir(parents=True)
        self.swap(files)

    def swap(self, files):
        self.number += 1
        place = self.folder / f"..2026_11_22_{self.number}"
        place.mkdir()
        for name, text in files.items():
            (place / name).write_text(text, encoding="utf-8")
        before = (self.folder / "..data").readlink() if self.number > 1 else None
        (self.folder / "..data_tmp").symlink_to(place.name)
        (self.folder / "..data_tmp").replace(self.folder / "..data")
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        for link in self.folder.iterdir():
            if not link.name.startswith("..") and link.name not in files:
                link.unlink()
        if before is not None:
            for file in (self.folder / before).iterdir():
                file.unlink()
            (self.folder / before).rmdir()


class Mounted:
    """The files that Guard's container sees, below ``root`` in place of ``/``.

    ``secrets`` has the content of every Secret's keys; paths in ``guard.yaml`` are turned to ``root``.
    """

    def __init__(self, manifests, root, secrets):
        self.root, self.maps = root, {}
        spec = pod(manifests)
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for mount in containers(spec)["guard"]["volumeMounts"]:
            volume = volumes.get(mount["name"], {})
            folder = self.at(mount["mountPath"])
            if "configMap" in volume:
                name = volume["configMap"]["name"]
                self.maps[name] = ConfigMap(folder, self.files(manifests, name))
            elif "secret" in volume:
                held = secrets[volume["secret"]["secretName"]]
                items = volume["secret"].get("items") or [{"key": key, "path": key} for key in held]
                ConfigMap(folder, {item["path"]: held[item["key"]] for item in items})
            else:
                folder.mkdir(parents=True, exist_ok=True)
        self.config = self.at("/etc/guard/guard.yaml")

    def at(self, path):
        return self.root / path.lstrip("/")

    def files(self, manifests, name):
        texts = one(manifests, "ConfigMap", name)["data"]
        return {key: self._turned(text) if key == "guard.yaml" else text for key, text in texts.items()}

    def swap(self, manifests):
        """Bring every ConfigMap to what ``manifests`` say, as the kubelet does some time after an upgrade."""
        for name, directory in self.maps.items():
            directory.swap(self.files(manifests, name))

    def _turned(self, text):
        for prefix in ("/etc/guard", "/run/secrets/guard", "/var/lib/guard"):
            text = text.replace(prefix, str(self.at(prefix)))
        return text
