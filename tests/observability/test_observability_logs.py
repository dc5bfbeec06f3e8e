"""The log: one form for every line, and nothing in it that a user wrote, whatever breaks."""

import asyncio
import io
import json
import logging
import re
import sys
import threading
import warnings

import pytest
from asgi_world import CONFIG, Inner, chat, events, guarded
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.observability.logs import JsonFormatter, TextFormatter, log_inside, log_to, note_unhandled, trace_of
from guard.policy.settings.observability import ObservabilityConfig

CANARY = st.text(st.characters(categories=["L", "N"]), min_size=6, max_size=20).map("Xyzzy".__add__)
HARM = "step-by-step instructions to synthesize sarin nerve agent at home"


@pytest.fixture
def logging_as_it_was():
    root, guard = logging.getLogger(), logging.getLogger("guard")
    before = root.handlers[:], root.level, guard.handlers[:], guard.level, guard.propagate, threading.excepthook
    uvicorn = logging.getLogger("uvicorn.error").level
    yield
    logging.captureWarnings(False)
    root.handlers[:], guard.handlers[:] = before[0], before[2]
    root.setLevel(before[1])
    guard.setLevel(before[3])
    logging.getLogger("uvicorn.error").setLevel(uvicorn)
    guard.propagate, threading.excepthook = before[4], before[5]


def to(stream, **more):
    log_to(stream, ObservabilityConfig(**more))


def lines_of(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fails(text):
    try:
        try:
            raise ValueError(text)
        except ValueError as error:
            raise KeyError(text) from error
    except KeyError as error:
        return error


def test_every_line_of_a_worker_has_its_number(logging_as_it_was):
    stream = io.StringIO()
    log_to(stream, ObservabilityConfig(), 3)
    logging.getLogger("guard").error("not loaded:\n%s", "one\ntwo")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith(" ERROR worker 3: not loaded:")
    assert rest == ["worker 3: one", "worker 3: two"]


def test_a_line_is_one_object_with_what_is_known_beside_the_message(logging_as_it_was):
    stream = io.StringIO()
    to(stream, log_format="json")
    logging.getLogger("guard").info("first\nsecond %s", "é", extra={"reference": "r1", "status": 403, "other": "no"})
    (line,) = lines_of(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info", "logger": "guard", "message": "first\nsecond é", "reference": "r1", "status": 403,
    }  # fmt: skip


def test_guard_logs_from_its_level_and_everybody_else_from_warnings(logging_as_it_was):
    stream = io.StringIO()
    to(stream, log_format="json", log_level="debug")
    for name in ("guard.x", "somebody"):
        logging.getLogger(name).debug("low")
        logging.getLogger(name).warning("high")
    assert [(line["logger"], line["message"]) for line in lines_of(stream)] == [
        ("guard.x", "low"), ("guard.x", "high"), ("somebody", "high"),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
@settings(max_examples=50, deadline=None)
@given(CANARY)
def test_an_exception_is_told_without_what_it_says(form, canary):
    formatter = JsonFormatter(quoting=False) if form == "json" else TextFormatter(quoting=False)
    error = fails(canary)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "broke", (), (type(error), error, error.__traceback__))
    line = formatter.format(record)
    assert canary not in line
    assert "KeyError" in line
    assert "ValueError" in line
    assert "in fails" in line
    assert "\n" not in line or form == "text"
    quoting = JsonFormatter(quoting=True) if form == "json" else TextFormatter(quoting=True)
    record.exc_text = None
    assert canary in json.loads(quoting.format(record))["traceback"] if form == "json" else quoting.format(record)


def test_an_exception_that_causes_itself_ends():
    error = ValueError()
    error.__cause__ = error
    assert trace_of(error) == "ValueError"


@pytest.mark.filterwarnings("ignore")
def test_what_a_thread_a_loop_and_a_warning_say_has_the_same_form(logging_as_it_was):
    stream = io.StringIO()
    to(stream, log_format="json")
    threading.excepthook(threading.ExceptHookArgs((KeyError, fails("Xyzzy"), None, threading.current_thread())))
    note_unhandled(None, {"message": "future: <Task Xyzzy>", "exception": fails("Xyzzy")})
    note_unhandled(None, {"message": "handle: <Xyzzy>"})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("mind", UserWarning, stacklevel=1)
        logging.captureWarnings(False)
    lines = lines_of(stream)
    assert [line["logger"] for line in lines] == ["guard.loop"] * 3 + ["py.warnings"]
    assert "Xyzzy" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_inside_another_server_only_guards_own_lines_change(form, logging_as_it_was, monkeypatch):
    stream, host = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root, guard = logging.getLogger(), logging.getLogger("guard")
    root.handlers[:], guard.handlers[:] = [logging.StreamHandler(host)], []
    log_inside(ObservabilityConfig(log_format=form))
    guard.warning("ours")
    logging.getLogger("host").warning("theirs")
    assert host.getvalue() == ("ours\ntheirs\n" if form == "text" else "theirs\n")
    assert [line["message"] for line in lines_of(stream)] == (["ours"] if form == "json" else [])


class Breaking(Inner):
    """A server behind that fails with what it was asked in its words."""

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        body = (await receive())["body"]
        raise RuntimeError(body.decode())


STREAMED = st.sampled_from([False, True])
INNERS = st.sampled_from(["whole", "stream", "breaking", "garbled", "status"])


@settings(max_examples=60, deadline=None)
@given(CANARY, STREAMED, INNERS, st.sampled_from(["", HARM, "{"]), st.booleans())
def test_nothing_that_a_client_or_a_model_wrote_is_ever_logged(logs, canary, streamed, kind, harm, shown):
    inner = logs.inner(kind, canary)
    document = chat(f"{canary} {harm}", user=canary, stream=streamed, model=canary if shown else "tiny")
    headers = [(b"authorization", b"Bearer sk-" + canary.encode()), (b"x-request-id", canary.encode())]
    body = json.dumps(document).encode()[: -2 if harm == "{" else None]
    with logs.heard() as stream:
        logs.post(inner, body, headers)
    for line in stream.getvalue().splitlines():
        json.loads(line)
    assert canary not in stream.getvalue()


class Logs:
    """One Guard that stays up, with everything that is logged in JSON."""

    def __init__(self, folder):
        self.runner, self.app = asyncio.Runner(), None
        self.context = guarded(folder, self, CONFIG)
        self.guard = self.runner.run(self.context.__aenter__())

    async def __call__(self, scope, receive, send):
        await (self.app or Inner())(scope, receive, send)

    def inner(self, kind, canary):
        return {
            "whole": Inner,
            "stream": lambda: Inner(kind=b"text/event-stream", chunks=events(f"{canary} ", HARM)),
            "breaking": Breaking,
            "garbled": lambda: Inner(answer=f"{canary}".encode()),
            "status": lambda: Inner(answer={"error": {"message": canary}}, status=500),
        }[kind]()

    def heard(self):
        return Heard()

    def post(self, inner, body, headers):
        self.app = inner
        self.runner.run(asyncio.wait_for(self.guard.post(body, headers=headers), 20))

    def close(self):
        self.app = None
        self.runner.run(self.context.__aexit__(None, None, None))
        self.runner.close()


class Heard:
    """Everything that any logger says at info or above, as Guard's own log would have it."""

    def __enter__(self):
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(JsonFormatter(quoting=False))
        self.handler.setLevel(logging.INFO)
        self.level = logging.getLogger().level
        logging.getLogger().setLevel(logging.INFO)
        logging.getLogger().addHandler(self.handler)
        return self.stream

    def __exit__(self, *_):
        logging.getLogger().removeHandler(self.handler)
        logging.getLogger().setLevel(self.level)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    logs = Logs(tmp_path_factory.mktemp("logs"))
    yield logs
    logs.close()


def test_a_notable_decision_is_a_line_and_a_plain_one_is_none(logs):
    with logs.heard() as stream:
        logs.post(Inner(), json.dumps(chat()).encode(), ())
        logs.post(Inner(), json.dumps(chat(HARM)).encode(), ())
        logs.post(
            Inner(kind=b"text/event-stream", chunks=events("Well: ", HARM)), json.dumps(chat(stream=True)).encode(), ()
        )
        logs.post(Inner(), b"{", ())
    told = [line for line in lines_of(stream) if line["logger"] == "guard.decision"]
    assert [(line["verdict"], line["ending"], line.get("code"), line["status"]) for line in told] == [
        ("deny", "refused", "aup", 403), ("flag", "served", None, 200), ("deny", "refused", "malformed", 400),
    ]  # fmt: skip
    assert {"license", "clause", "category", "model", "surface", "duration", "reference"} <= told[0].keys()
    assert told[0]["message"].startswith(f"decision reference={told[0]['reference']} verdict=deny ")


def test_lines_about_decisions_are_bounded_and_say_how_many_were_left_out(tmp_path):
    async def story(stream):
        async with guarded(tmp_path, Inner()) as guard:
            for _ in range(130):
                await guard.post(chat(HARM))
            await asyncio.sleep(0.15)
            await guard.post(chat(HARM))

    with Heard() as stream:
        asyncio.run(asyncio.wait_for(story(stream), 30))
    told = [line for line in lines_of(stream) if line["logger"] == "guard.decision"]
    assert 100 <= len(told) < 131
    assert sum(line.get("not_listed_before", 0) for line in told) + len(told) == 131


def test_no_line_where_none_is_wanted(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), CONFIG + "observability: {{log_decisions: none}}\n") as guard:
            assert (await guard.post(chat(HARM))).status == 403

    with Heard() as stream:
        asyncio.run(asyncio.wait_for(story(), 30))
    assert [line for line in lines_of(stream) if line["logger"] == "guard.decision"] == []
