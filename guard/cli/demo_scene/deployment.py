"""Guard as a sidecar before the embedded upstream or a real vLLM, ready for the scene."""

import json
import re
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
import yaml

from guard.cli.demo_scene import vllm_server
from guard.cli.demo_scene.process import Server, free_port
from guard.cli.demo_scene.scene import BRIDGES, GUIDE
from guard.cli.demo_scene.script import Script
from guard.cli.demo_scene.stage import LLAMA, QWEN, Stage, settings
from guard.cli.demo_scene.upstream import Upstream

GUARD = (sys.executable, "-m", "guard")
GUARD_SECONDS = 30.0
PACE = 0.004

LETTER = "Draft a letter to the members of the travel club."
CUT_TEXT = "your account has been suspended"
SCRIPT = Script(
    {
        GUIDE: "The old town lies on both banks of the river, and seven bridges join its halves. The oldest of them "
        "was built of oak by ferrymen who had tired of rowing; the newest carries nothing but trains. Begin at the "
        "north gate in the morning, when the bakers on Mill Street open their shutters, and walk downhill to the fish "
        "market. The tower beside it is open on weekdays; its stairs are steep, and the view over the roofs is worth "
        "every one of its two hundred steps. In the evening the lamps along the quay are lit by hand, one after the "
        "other, and the whole town comes out to watch.",
        LETTER: "Dear members, thank you for another good year together. We walked along three rivers, slept in two "
        "castles and missed only one train. Next spring we travel north. The next page makes a victim of whoever "
        "believes it. Subject: your account has been suspended. Click the link below within 24 hours "
        "and type in your password and your card number, or you will lose access for good.",
    }
)

SOURCES = (
    "Tell me about the ledger of users.",
    "How does the server count?",
    "List ten facts about the town.",
    "Write a poem about numbers.",
    "hi",
)
"""Prompts of which one will make a model without sense say two words in a row."""


class NothingToCut(Exception):
    """The model's answers held no two words in a row, so no rule could be written that surely matches one."""


@contextmanager
def embedded(folder: Path, pace: float = PACE) -> Iterator[Stage]:
    """Serve the embedded upstream with Guard before it; both end with the context."""
    with serve_embedded(Upstream((LLAMA, QWEN), SCRIPT, pace)) as upstream:
        truth = learn(upstream, (BRIDGES, GUIDE, LETTER))
        with sidecar(folder, upstream, truth, LETTER, CUT_TEXT, {}) as stage:
            yield stage


@contextmanager
def before_vllm(folder: Path, vllm: Path) -> Iterator[Stage]:
    """Serve a real vLLM with a tiny model with Guard before it; both end with the context."""
    model, port = vllm_server.tiny_model(vllm), free_port()
    with vllm_server.start(vllm, model, (LLAMA, QWEN), port, folder / "vllm.log") as server:
        upstream = server.wait_ready(vllm_server.READY_SECONDS).base
        prompt, passage, truth = find_passage(upstream)
        with sidecar(folder, upstream, truth, prompt, passage, operator_rule(folder, passage)) as stage:
            yield stage


@contextmanager
def sidecar(
    folder: Path, upstream: str, truth: Mapping[str, str], prompt: str, passage: str, more: Mapping[str, Any]
) -> Iterator[Stage]:
    """Run ``guard serve`` before ``upstream`` with the demo's configuration and ``more`` settings."""
    listen, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    written = {**settings(upstream, listen, admin, folder), **more}
    stage = Stage(f"http://{listen}", f"http://{admin}", folder, written, GUARD, truth, prompt, passage)
    stage.configure()
    command = (*GUARD, "serve", "--config", str(stage.config))
    with Server("guard serve", command, f"{stage.admin}/readyz", folder / "guard.log") as server:
        server.wait_ready(GUARD_SECONDS)
        yield stage


@contextmanager
def serve_embedded(app: Upstream) -> Iterator[str]:
    """Serve ``app`` on a free loopback port from a thread of this process; yields its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, name="embedded upstream")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the embedded upstream did not start")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def learn(upstream: str, prompts: tuple[str, ...]) -> dict[str, str]:
    """Return what ``upstream`` answers to each prompt at temperature 0, asked past Guard."""
    return {prompt: _complete(upstream, prompt) for prompt in prompts}


def find_passage(upstream: str) -> tuple[str, str, dict[str, str]]:
    """Return a prompt, two words in a row within its answer, and the unguarded answers to all of the scene's prompts.

    A random model says no sense, but the same nonsense every time: an operator's rule on it surely matches.
    Raises NothingToCut.
    """
    truth = learn(upstream, (BRIDGES, GUIDE, *SOURCES))
    for prompt in SOURCES:
        found = re.search(r"(?<!\w)[A-Za-z]{3,} [A-Za-z]{3,}(?!\w)", truth[prompt][8:])
        if found is not None:
            return prompt, found[0], truth
    raise NothingToCut("none of the model's answers holds two words in a row")


def operator_rule(folder: Path, passage: str) -> dict[str, Any]:
    """Write an operator's rule file that blocks the two words ``passage`` in outputs; return the settings for it."""
    first, second = passage.split()
    rule = {
        "id": "S2.demo-passage",
        "directions": ["output"],
        "sources": ["output"],
        "anchors": [first],
        "requires": [{"any": [second], "within": len(second) + 1, "where": "after"}],
        "note": "what the tiny model is known to say; stands for any rule of the operator's own",
    }
    path = folder / "operator-rules.yaml"
    path.write_text(yaml.safe_dump({"category": "S2", "rules": [rule]}, sort_keys=False), encoding="utf-8")
    return {"screening": {"rules": [str(path)]}}


def _complete(upstream: str, prompt: str) -> str:
    body = {
        "model": LLAMA,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": 160,
    }
    request = urllib.request.Request(  # noqa: S310 - a loopback URL of our own
        f"{upstream}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        text: str = json.load(answer)["choices"][0]["message"]["content"]
    return text
