"""The console's log-in: who gets a session, what it opens, how it ends, and what no other site can do with it."""

import logging
import re
from http.cookies import SimpleCookie
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_transport_admin import KNOWN, TOKEN, FakeRuntime, call

from guard.transports import pages, session
from guard.transports.access import own_path
from guard.transports.admin import build_admin
from guard.transports.session import SECONDS, Guesses, Sessions

HOST = b"guard.example"
HTML = {"accept": "text/html,application/xhtml+xml"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Clock:
    def __init__(self):
        self.now = 1_795_366_475.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("guard.transports.admin.time.time", clock)
    return clock


@pytest.fixture
def runtime():
    return FakeRuntime()


@pytest.fixture
def app(runtime, clock):
    return build_admin(runtime, token=TOKEN, listen="0.0.0.0:9090")


def log_in(app, token=TOKEN, next_="/", headers=None, host=HOST):
    body = urlencode({"token": token, "next": next_}).encode()
    sent = {"origin": "https://guard.example", "sec-fetch-site": "same-origin"} if headers is None else headers
    return call(app, "POST", "/login", {**FORM, **sent}, body, host=host)


def cookie(app, **more):
    """The cookie of a new session, as a browser sends it."""
    line = log_in(app, **more).headers[b"set-cookie"].decode()
    return {"cookie": line.partition(";")[0]}


def form_token(app, sent, path="/policy", host=HOST):
    return re.search(rb'name="form_token" value="([0-9a-f]+)"', call(app, "GET", path, sent, host=host).body)[
        1
    ].decode()


def press(app, sent, path="/policy/reload", token=None, host=HOST, **headers):
    given = form_token(app, sent) if token is None else token
    own = {"origin": "https://guard.example", "sec-fetch-site": "same-origin", **headers}
    return call(app, "POST", path, {**FORM, **sent, **own}, urlencode({"form_token": given}).encode(), host=host)


def test_a_browser_is_sent_to_the_log_in_and_back_to_where_it_wanted(app):
    answer = call(app, "GET", "/decisions?span=week&verdict=deny", HTML, host=HOST)
    assert answer.status == 303
    target = answer.headers[b"location"].decode()
    assert target.startswith("/login?next=/decisions%3Fspan%3Dweek")
    page = call(app, "GET", target, HTML, host=HOST)
    assert page.status == 200
    assert b'name="next" value="/decisions?span=week&amp;verdict=deny"' in page.body
    assert (
        log_in(app, next_="/decisions?span=week&verdict=deny").headers[b"location"]
        == b"/decisions?span=week&verdict=deny"
    )
    for path in ("/api/v1/usage", "/metrics"):
        assert call(app, "GET", path, HTML, host=HOST).status == 401, "no page waits for these"


def test_a_session_opens_pages_and_reading_and_nothing_else(app, runtime):
    sent = cookie(app)
    for path in ("/", "/decisions", "/policy", "/obligations", "/exports", "/about", "/metrics", "/api/v1/usage"):
        assert call(app, "GET", path, sent, host=HOST).status == 200, path
    assert b"Log out" in call(app, "GET", "/", sent, host=HOST).body
    assert call(app, "GET", "/login", sent, host=HOST).status == 303
    for path in ("/-/reload", "/api/v1/export/check?target=mine"):
        assert call(app, "POST", path, {**sent, "origin": "https://guard.example"}, host=HOST).status == 401
    assert runtime.reloads == 0


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_http(app):
    secure = SimpleCookie(log_in(app).headers[b"set-cookie"].decode())
    ((name, morsel),) = secure.items()
    assert name == "__Host-guard"
    assert (morsel["httponly"], morsel["secure"], morsel["samesite"], morsel["path"]) == (True, True, "Strict", "/")
    assert morsel["max-age"] == str(SECONDS)
    assert morsel["domain"] == ""
    plain = (
        log_in(app, headers={"origin": "http://localhost:9091"}, host=b"localhost:9091").headers[b"set-cookie"].decode()
    )
    assert plain.startswith("guard-9091="), "two Guards on one host keep a session each"
    assert "Secure" not in plain
    assert TOKEN not in plain + str(secure)


@pytest.mark.parametrize("wrong", ["", "wrong", TOKEN[:-1], TOKEN + "x", "ß" * 20, "a" * 9000])
def test_a_wrong_token_gets_nothing_and_is_written_nowhere(app, wrong, caplog):
    with caplog.at_level(logging.DEBUG):
        answer = log_in(app, wrong)
    assert answer.status == 403
    assert b"set-cookie" not in answer.headers
    assert b"That is not this Guard" in answer.body
    assert not wrong or wrong not in caplog.text + answer.body.decode()


def test_who_guesses_has_to_wait_and_others_do_not(app, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pages.time, "monotonic", lambda: now[0])
    app = build_admin(FakeRuntime(), token=TOKEN, listen="0.0.0.0:9090")
    assert [log_in(app, "wrong").status for _ in range(6)] == [403] * 5 + [429]
    assert log_in(app).status == 429, "nor is the right one tried, or guessing would go on"
    assert log_in(app, "wrong").headers[b"retry-after"] == b"60"
    now[0] += 12
    assert log_in(app).status == 303
    assert [log_in(app, "wrong").status for _ in range(5)] == [403] * 5, "who had the token begins anew"


def test_guesses_are_counted_by_network_and_of_a_bounded_number(monkeypatch):
    monkeypatch.setattr(session, "_ADDRESSES", 3)
    guesses = Guesses(lambda: 0.0)
    assert [guesses.admit(f"2001:db8::{number}") for number in range(6)] == [True] * 5 + [False]
    assert guesses.admit("2001:db8:0:1::1")
    assert guesses.admit("")
    assert guesses.admit("10.0.0.1")
    assert guesses.admit("2001:db8::1"), "forgotten for newer ones"
    assert len(guesses._throttles) == 3


def test_a_session_ends_after_its_time_with_the_log_out_and_with_its_process(app, clock, runtime):
    sent = cookie(app)
    clock.now += SECONDS - 1
    assert call(app, "GET", "/", sent, host=HOST).status == 200
    clock.now += 1
    assert call(app, "GET", "/", sent, host=HOST).status == 401
    sent = cookie(app)
    answer = press(app, sent, "/logout")
    assert answer.headers[b"location"] == b"/login?ended=1"
    assert b"Max-Age=0" in answer.headers[b"set-cookie"]
    assert call(app, "GET", "/", sent, host=HOST).status == 401, "also for whoever kept the cookie"
    assert b"You are logged out" in call(app, "GET", "/login?ended=1", host=HOST).body
    sent = cookie(app)
    changed = build_admin(runtime, token="another-token-entirely", listen="0.0.0.0:9090")
    assert call(changed, "GET", "/", sent, host=HOST).status == 401


def test_the_button_loads_the_policy_and_shows_how_it_went(app, runtime):
    sent = cookie(app)
    answer = press(app, sent)
    assert (answer.status, runtime.reloads) == (200, 1)
    assert b"Loaded." in answer.body
    runtime.reload_ok = False
    assert press(app, sent).status == 422
    assert call(app, "GET", "/policy/reload", sent, host=HOST).headers[b"location"] == b"/policy"


@pytest.mark.parametrize("headers", [
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"origin": "null", "sec-fetch-site": "same-site"},
    {"origin": "https://guard.example:8443", "sec-fetch-site": "same-site"},
])  # fmt: skip
def test_another_site_cannot_press_the_button_even_with_its_token(app, runtime, headers):
    sent = cookie(app)
    assert press(app, sent, **headers).status == 403
    assert press(app, sent, "/logout", **headers).status == 403
    assert call(app, "GET", "/", sent, host=HOST).status == 200
    assert runtime.reloads == 0
    assert log_in(app, headers=headers).status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://guard.example:81", "guard.example"])
def test_where_the_browser_does_not_say_the_site_the_origin_decides(app, origin):
    assert log_in(app, headers={"origin": origin}).status == 403
    assert log_in(app, headers={"origin": "http://guard.example"}).status == 303
    assert log_in(app, headers={}).status == 303, "no page at all"


def test_a_form_without_its_token_or_with_another_sessions_changes_nothing(app, runtime):
    mine, other = cookie(app), cookie(app)
    for token in ("", "0" * 64, form_token(app, other)):
        assert press(app, mine, token=token).status == 403
        press(app, mine, "/logout", token=token)
    assert call(app, "GET", "/", mine, host=HOST).status == 200
    assert runtime.reloads == 0


def test_a_cookie_does_not_count_where_another_page_fetches(app):
    sent = cookie(app)
    for site in ("same-site", "cross-site"):
        assert call(app, "GET", "/api/v1/usage", {**sent, "sec-fetch-site": site}, host=HOST).status == 401
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert call(app, "GET", "/", {**sent, **followed}, host=HOST).status == 200


def test_without_a_token_nobody_logs_in_and_forms_have_a_token_all_the_same(runtime):
    local, host = build_admin(runtime, token=None), b"127.0.0.1:9090"
    assert call(local, "GET", "/login").headers[b"location"] == b"/"
    assert b"Log out" not in call(local, "GET", "/").body
    own = {"origin": "http://127.0.0.1:9090"}
    good = form_token(local, {}, host=host)
    assert press(local, {}, token="0" * 64, host=host, **own).status == 403
    assert press(local, {}, token=good, host=host, **own).status == 200
    assert press(local, {}, token=good, host=host, origin="http://127.0.0.1:8080").status == 403
    assert runtime.reloads == 1


def test_what_the_log_in_is_drawn_with_is_free_and_nothing_beside_it(app):
    assert call(app, "GET", "/console.css", host=HOST).status == 200
    assert call(app, "GET", "/icon.svg", host=HOST).status == 200
    assert call(app, "POST", "/console.css", host=HOST).status == 401
    assert call(app, "GET", "/logout", host=HOST).status == 401


def test_the_log_in_warns_where_the_token_can_be_read_on_its_way(app):
    said = b"did not come over HTTPS"
    assert said in call(app, "GET", "/login", host=HOST).body
    assert said not in call(app, "GET", "/login", {"sec-fetch-site": "none"}, host=HOST).body
    assert said not in call(app, "GET", "/login", host=b"localhost:9090").body


def test_a_reference_leads_to_its_decision(app):
    sent = cookie(app)
    found = call(app, "GET", f"/decisions?reference={KNOWN}", sent, host=HOST)
    assert found.headers[b"location"] == f"/decisions/{KNOWN}".encode()
    assert f"Decision {KNOWN}".encode() in call(app, "GET", f"/decisions/{KNOWN}", sent, host=HOST).body
    for name in ("r2", "a b", "x" * 200, "..%2f", "<b>"):
        answer = call(app, "GET", f"/decisions/{name}", sent, host=HOST)
        assert answer.status == 404
        assert b"<b>" not in answer.body


@settings(max_examples=100)
@given(st.text(max_size=40) | st.sampled_from(["//evil.example", "/\\evil.example", "https://evil.example", "/decisions/../..//evil",
                                               "/policy/reload", "/api/v1/usage", "/\t/evil.example", "/decisions//evil"]))  # fmt: skip
def test_a_log_in_leads_to_pages_of_the_console_only(next_):
    path = own_path(next_)
    assert path == "/" or path == next_
    assert re.match(r"/(?:$|\?|(?:decisions|policy|obligations|exports|about)(?:[?/]|$))", path)
    assert not re.search(r"[\s\\]", path)
    assert own_path(quote("/decisions")) == "/decisions"


@settings(max_examples=50)
@given(st.text(alphabet="0123456789abcdef.-_Z", max_size=90), st.integers(0, 200))
def test_no_cookie_but_its_own_is_a_session(text, at):
    sessions = Sessions(lambda: 1000.0)
    value = sessions.begin()
    assert sessions.find(value) is not None
    assert sessions.find(text) is None
    place = at % len(value)
    assert sessions.find(value[:place] + ("a" if value[place] != "a" else "b") + value[place + 1 :]) is None
    assert Sessions(lambda: 1000.0).find(value) is None
