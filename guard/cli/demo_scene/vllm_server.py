"""A real vLLM on the CPU with a tiny model, on a loopback port."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from guard.cli.demo_scene.process import Server

READY_SECONDS = 300.0
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; otherwise a share of all memory
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",  # more threads make a tiny model slower
    "TORCH_COMPILE_DISABLE": "1",  # compiling holds up the first request with log probabilities by 20 s
}


def cache() -> Path:
    """Return the directory for what is expensive to make and the same every time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GUARD_CACHE") or Path(base) / "guard")


def find(venv: Path | None) -> Path | None:
    """Return the ``vllm`` command of ``venv``, or the one on PATH; None where there is none."""
    if venv is not None:
        command = venv / "bin" / "vllm"
        return command if command.exists() else None
    found = shutil.which("vllm")
    return Path(found) if found else None


def tiny_model(vllm: Path) -> Path:
    """Return the directory of the tiny model; vLLM's own Python makes it the first time. Raises CalledProcessError."""
    directory = cache() / "tiny-model"
    script = Path(__file__).with_name("tiny_model.py")
    python = vllm.resolve().parent / "python"
    subprocess.run([python, script, directory], check=True, capture_output=True)  # noqa: S603 - our own script
    return directory


def start(
    vllm: Path,
    model: Path,
    names: Sequence[str],
    port: int,
    log: Path,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Server:
    """Start ``vllm serve`` with the served model ``names`` on 127.0.0.1; it is ready when /health answers."""
    command = [str(vllm), "serve", str(model), "--served-model-name", *names]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "1024", "--enforce-eager", *options]
    return Server("vllm serve", command, f"http://127.0.0.1:{port}/health", log, {**ENVIRONMENT, **(environment or {})})
