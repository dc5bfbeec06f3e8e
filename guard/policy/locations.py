"""Where the policies that ship with Guard are, and the operator's configuration."""

import os
from collections.abc import Mapping
from pathlib import Path

import guard


def configuration(given: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the configuration a command is about: ``given``, else GUARD_CONFIG, else ./guard.yaml if it is there."""
    if given is not None:
        return given
    if named := environment.get("GUARD_CONFIG"):
        return Path(named)
    return here if (here := Path("guard.yaml")).is_file() else None


def shipped_policies() -> Path:
    """Return the directory with ``licenses/``, ``aup/``, ``rule-packs/`` ...: in the wheel, or atop a checkout."""
    package = Path(guard.__file__).parent
    installed = package / "policies"
    return installed if installed.is_dir() else package.parent / "policies"


def shipped_licenses() -> Path:
    """Return the directory of the license packs that ship with Guard."""
    return shipped_policies() / "licenses"


def shipped_rules() -> Path:
    """Return the directory of the screening rules that ship with Guard."""
    return shipped_policies() / "aup"


def rule_pack(name: str) -> Path:
    """Return the file of the shipped rules that a configuration asks for by ``name``."""
    return shipped_policies() / "rule-packs" / f"{name}.yaml"


def shipped_monitoring() -> Path:
    """Return the directory with the rules for Prometheus and example configurations: in the wheel, or a checkout."""
    package = Path(guard.__file__).parent
    installed = package / "deploy" / "prometheus"
    return installed if installed.is_dir() else package.parent / "deploy" / "prometheus"


def yaml_files(directory: Path) -> list[Path]:
    """Return the YAML files directly in ``directory`` in name order; names that start with a dot are not policies."""
    found = (path for path in directory.glob("*.y*ml") if not path.name.startswith("."))
    return sorted(found, key=lambda path: (path.stem, path.suffix))
