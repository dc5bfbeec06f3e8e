"""The console in a real browser, before a real ``guard serve``: logging in, looking around, and what others cannot do."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.sync_playwright import Axe
from console_stage import TOKEN, chromium, guarded, log_in, traffic
from playwright.sync_api import expect

from guard.cli.demo_scene.process import Server

pytestmark = pytest.mark.slow
expect.set_options(timeout=15_000)


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with guarded(tmp_path_factory.mktemp("console")) as stage:
        stage.reference = traffic(stage)
        yield stage


@pytest.fixture
def visit(browser, stage):
    """Opens pages in browsers of their own; afterwards none has complained, or asked another host for anything."""
    contexts, complaints, foreign = [], [], []

    def visit(logged_in=True, **options):
        context = browser.new_context(**{"color_scheme": "light", **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith(stage.admin) or foreign.append(request.url))
        if logged_in:
            log_in(page, stage.admin)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [text for text in complaints if "status of 40" not in text and "status of 422" not in text] == []
    assert foreign == []


def test_a_wrong_token_is_refused_and_the_right_one_leads_on(visit, stage):
    page = visit(logged_in=False)
    page.goto(f"{stage.admin}/policy")
    expect(page).to_have_url(re.compile(r"/login\?next=/policy$"))
    page.get_by_label("Token of the admin port").fill("not-the-token-at-all")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not this Guard's token.")
    page.get_by_label("Token of the admin port").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{stage.admin}/policy")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert TOKEN not in cookie["value"]
    assert TOKEN not in stage.folder.joinpath("guard.log").read_text()


def test_logging_out_ends_the_session(visit, stage):
    page = visit()
    cookies = page.context.cookies()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("status")).to_have_text("You are logged out.")
    assert page.context.cookies() == []
    page.context.add_cookies(cookies)
    page.goto(stage.admin)
    expect(page).to_have_url(re.compile("/login"))


def test_a_changed_token_ends_every_session(browser, tmp_path):
    context = browser.new_context()
    page = context.new_page()
    with guarded(tmp_path) as stage:
        log_in(page, stage.admin)
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    tmp_path.joinpath("token").write_text("another-token-entirely")
    again = (*stage.guard, "serve", "--config", str(stage.config))
    with Server("guard serve", again, f"{stage.admin}/readyz", tmp_path / "again.log") as server:
        server.wait_ready(30)
        page.goto(stage.admin)
        expect(page).to_have_url(re.compile("/login"))
        log_in(page, stage.admin)
        expect(page.get_by_role("alert")).to_contain_text("not this Guard's token")
        log_in(page, stage.admin, "another-token-entirely")
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    context.close()


def test_another_origin_cannot_reload_or_log_out_with_the_browsers_cookie(browser, stage):
    """A page on another port of the same host is of the same site: its requests carry the cookie."""
    target = stage.admin

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.removeprefix("/to")
            body = f'<form method="post" action="{target}{path}"><input name="form_token" value="{"0" * 64}"><button>Go</button></form>'
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    context = browser.new_context()
    try:
        page = context.new_page()
        log_in(page, stage.admin)
        loads = page.goto(f"{stage.admin}/api/v1/policy").json()["reloads"]
        posts = []  # their headers are asked for later: to ask is to wait, which a callback may not have done in time
        page.on("request", lambda request: request.method == "POST" and posts.append(request))
        for path, status in (("/policy/reload", 403), ("/logout", 403), ("/-/reload", 401)):
            page.goto(f"http://127.0.0.1:{server.server_port}/to{path}")
            with page.expect_response(f"{target}{path}") as answer:
                page.get_by_role("button").click()
            assert answer.value.status == status
        carried = [request.all_headers() for request in posts]
        assert all("cookie" in headers for headers in carried), "it was not for want of a cookie"
        assert len(carried) == 3
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        read = page.evaluate(
            "url => fetch(url, {credentials: 'include'}).then(() => 'read', () => 'refused')", f"{target}/api/v1/usage"
        )
        assert read == "refused"
        assert page.goto(f"{stage.admin}/api/v1/policy").json()["reloads"] == loads
    finally:
        context.close()
        server.shutdown()
        thread.join()
        server.server_close()


PATHS = ("/", "/decisions", "/decisions?span=month", "/policy", "/obligations", "/exports", "/about")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_axe_finds_nothing_on_any_page(visit, stage, scheme, width):
    page = visit(logged_in=False, color_scheme=scheme, viewport={"width": width, "height": 800})
    axe = Axe()

    def look():
        found = axe.run(page).response["violations"]
        assert [(page.url, each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url

    page.goto(f"{stage.admin}/login")
    look()
    log_in(page, stage.admin)
    for path in (*PATHS, f"/decisions/{stage.reference}", "/decisions/nobody"):
        page.goto(f"{stage.admin}{path}")
        for details in page.locator("summary").all():
            details.click()
        look()


def test_dark_and_light_are_two_looks(visit, stage):
    grounds = set()
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_the_first_page_answers_with_real_numbers(visit, stage):
    page = visit()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    qwen = page.get_by_role("article", name="qwen-2024")
    expect(qwen).to_contain_text("3 users in")
    expect(qwen).to_contain_text("3 users (the operator's limit)")
    expect(page.get_by_role("region", name="Owed next")).to_contain_text("llama-2")
    expect(page.get_by_role("region", name="Health")).to_contain_text("user ledger")
    charts = page.locator("svg[role=img]")
    assert charts.count() > 0


def test_by_the_keyboard_alone_to_a_decisions_explanation(visit, stage):
    page = visit(viewport={"width": 1280, "height": 900})
    page.goto(stage.admin)

    def focused():
        return page.evaluate("document.activeElement.textContent.trim()")

    def walk_to(text):
        for _ in range(60):
            page.keyboard.press("Tab")
            if focused() == text:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", "what has the focus can be seen"
                return
        raise AssertionError(f"{text} is not reached; focused: {focused()}")

    page.keyboard.press("Tab")
    assert focused() == "Skip to content"
    walk_to("Decisions")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{stage.admin}/decisions")
    walk_to(stage.reference)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Decision {stage.reference}")
    expect(page.get_by_role("main")).to_contain_text("llama-2")
    expect(page.get_by_role("main")).to_contain_text("S2")


def test_without_scripts_everything_works(visit, stage):
    page = visit(java_script_enabled=False)
    page.goto(f"{stage.admin}/decisions")
    page.get_by_label("Category", exact=True).select_option("S2")
    page.get_by_label("Verdict", exact=True).select_option("deny")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("category=S2"))
    expect(page.get_by_role("main")).to_contain_text(stage.reference)
    page.get_by_label("Reference", exact=True).fill(stage.reference)
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(f"{stage.admin}/decisions/{stage.reference}")


def test_the_button_loads_the_policy_and_a_bad_one_is_shown_and_changes_nothing(visit, stage):
    page = visit()
    good = dict(stage.settings["usage"])
    page.goto(f"{stage.admin}/policy")
    page.get_by_role("button", name="Load the policy now").click()
    expect(page.get_by_role("status")).to_contain_text("Loaded.")
    stage.configure(usage={**good, "at_limits": "observe"})
    try:
        page.get_by_role("button", name="Load the policy now").click()
        expect(page.get_by_role("alert")).to_contain_text("at_limits")
        expect(page.get_by_role("alert")).to_contain_text("The last good policy stays in force")
        expect(page.get_by_role("region", name="Loads")).to_contain_text("not loaded")
    finally:
        stage.configure(usage=good)
    page.get_by_role("button", name="Load the policy now").click()
    expect(page.get_by_role("status")).to_contain_text("Loaded.")


def test_on_paper_it_is_black_on_white_and_without_ways(visit, stage):
    page = visit(color_scheme="dark")
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
