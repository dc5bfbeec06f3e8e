"""A real ``guard serve`` with real traffic behind it, and the browser that looks at its console."""

import shutil
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

from guard.cli.demo_scene.deployment import CUT_TEXT, LETTER, SCRIPT, learn, serve_embedded, sidecar
from guard.cli.demo_scene.scene import BRIDGES, FORBIDDEN, GUIDE, attempt
from guard.cli.demo_scene.stage import LLAMA, QWEN
from guard.cli.demo_scene.upstream import Upstream

TOKEN = "a-token-for-the-console-test"


@contextmanager
def guarded(folder, token=TOKEN, **more):
    """Guard with a token on its admin port, before the embedded upstream."""
    file = folder / "token"
    file.write_text(token + "\n", encoding="utf-8")
    with serve_embedded(Upstream((LLAMA, QWEN), SCRIPT, 0.0)) as upstream:
        truth = learn(upstream, (BRIDGES, GUIDE, LETTER))
        settings = {"admin_token_file": str(file), **more}
        with sidecar(folder, upstream, truth, LETTER, CUT_TEXT, settings) as stage:
            yield stage


def traffic(stage, users=4):
    """Users of the model that has a limit, and requests that are refused; returns the reference of one of these."""
    for number in range(users):
        attempt(stage, QWEN, f"user-{number}", BRIDGES, max_tokens=2)
    attempt(stage, LLAMA, "user-1", GUIDE, logprobs=True, top_logprobs=5)
    attempt(stage, LLAMA, "user-2", LETTER)
    answer, facts = attempt(stage, LLAMA, "user-2", FORBIDDEN)
    assert answer is None
    return facts["reference"]


@contextmanager
def chromium():
    """The system's Chromium."""
    found = shutil.which("chromium")
    assert found is not None, "chromium is missing; allowed: `make packages`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def log_in(page, base, token=TOKEN):
    """Type the token and come back to the page that was wanted."""
    page.goto(f"{base}/login")
    page.get_by_label("Token of the admin port").fill(token)
    page.get_by_role("button", name="Log in").click()
