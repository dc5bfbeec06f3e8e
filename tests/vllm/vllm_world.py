"""A real vLLM with Guard inside it, and what a model without sense can be relied on to say."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from guard.cli.demo_scene import vllm_server
from guard.cli.demo_scene.deployment import GUARD, operator_rule, sidecar
from guard.cli.demo_scene.process import Server, free_port
from guard.cli.demo_scene.stage import LLAMA, QWEN, Stage, settings

LLAMA_31 = "demo-llama-3.1"
"""Served by name only where a test lists it: its license asks for duties where Llama 2's forbids."""
NAMES = (LLAMA, QWEN, LLAMA_31)
TOOLS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
STRUCTURED = ("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}')
"""Otherwise a model without sense fills its answer with the white space that JSON allows."""
CONTEXT = 16384
LONG = ("--max-model-len", str(CONTEXT), "--hf-overrides", f'{{"max_position_embeddings": {CONTEXT}}}')
"""A context that takes the better part of a minute to fill: what has to end early has the time to."""
GIVING = ("--trust-request-chat-template",)
"""It gives to whoever asks, as far as it can be told to: what does not come out was kept back by Guard."""
STORING = {"VLLM_ENABLE_RESPONSES_API_STORE": "1"}
MIDDLEWARE = ("--middleware", "guard.transports.vllm.Guard")


class Installed(NamedTuple):
    """The ``vllm`` command and the tiny model's directory."""

    command: Path
    model: Path


class Learnt(NamedTuple):
    """What the model says unguarded: a prompt, a passage of its answer, and the answers to the scene's prompts."""

    prompt: str
    passage: str
    truth: Mapping[str, str]


def start(installed: Installed, folder: Path, options: tuple[str, ...] = (), **environment: str) -> Server:
    """Start vLLM on a free port; its log is in ``folder``."""
    log = folder / "vllm.log"
    every, environment = (*TOOLS, *STRUCTURED, *LONG, *GIVING, *options), {**STORING, **environment}
    return vllm_server.start(installed.command, installed.model, NAMES, free_port(), log, every, environment)


@contextmanager
def before(folder: Path, upstream: str, learnt: Learnt, **more: Any) -> Iterator[Stage]:
    """``guard serve`` before ``upstream``."""
    extra = {**operator_rule(folder, learnt.passage), **more}
    with sidecar(folder, upstream, learnt.truth, learnt.prompt, learnt.passage, extra) as stage:
        yield stage


@contextmanager
def inside(
    folder: Path, installed: Installed, learnt: Learnt, options: tuple[str, ...] = (), **more: Any
) -> Iterator[Stage]:
    """vLLM with Guard as its outermost middleware."""
    admin = f"127.0.0.1:{free_port()}"
    own = {**operator_rule(folder, learnt.passage), **more}
    written = {**settings("http://127.0.0.1:1", "127.0.0.1:2", admin, folder), **own}
    stage = Stage("", f"http://{admin}", folder, written, GUARD, learnt.truth, learnt.prompt, learnt.passage)
    stage.configure()
    with start(installed, folder, (*MIDDLEWARE, *options), GUARD_CONFIG=str(stage.config)) as server:
        stage.url = server.wait_ready(vllm_server.READY_SECONDS).base
        yield stage
