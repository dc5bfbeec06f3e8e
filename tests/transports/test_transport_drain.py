"""The end of ``guard serve``: readiness goes first, answers in flight come whole, nobody who was answered is lost."""

import json
import signal
import threading

import pytest
from drain_world import PIECES, serving, wait_for

from guard.transports.answer import ENDING

pytestmark = pytest.mark.slow


def content(body):
    """The text of a chat stream."""
    events = [line[6:] for line in body.decode().splitlines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in json.loads(event).get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_streams_in_flight_come_whole_and_nobody_new_gets_in(tmp_path):
    with serving(tmp_path, "drain: {delay: 1.5, seconds: 60}\n") as (guard, held):
        guard.ready()
        idle = guard.connect()
        idle.connect()
        streams = [guard.ask(f"user-{number}") for number in range(6)]
        assert [stream.status for stream in streams] == [200] * 6
        guard.process.send_signal(signal.SIGTERM)
        status, parts = wait_for(lambda: guard.readyz() if guard.readyz()[0] == 503 else None)
        assert (status, parts["draining"]) == (503, True)
        late = guard.ask("late")  # endpoints take a while to hear of it: until then everybody is served
        assert (late.status, late.getheader("connection")) == (200, "close")
        wait_for(lambda: not guard.accepts(), "the client port goes on accepting")
        assert guard.readyz()[0] == 503  # the admin port answers to the end
        assert idle.sock.recv(1) == b""
        idle.close()
        held.go.set()
        for stream in (*streams, late):
            body = stream.read()
            assert content(body) == "".join(PIECES)
            assert body.endswith(b"data: [DONE]\n\n")
            stream.owner.close()
        assert guard.process.wait(20) == 0
        assert guard.users() == 7
        kinds = [entry["kind"] for entry in guard.journal()]
        assert "stop" in kinds
        assert kinds[-1] == "close"


def test_what_is_not_whole_in_time_is_cut_as_its_protocol_says_and_recorded_so(tmp_path):
    with serving(tmp_path, "drain: {seconds: 1}\n") as (guard, held):
        guard.ready()
        stream, waiting = guard.ask("cut"), []
        asking = threading.Thread(target=lambda: waiting.append(guard.ask("waiting", stream=False)))
        asking.start()
        wait_for(lambda: held.asked == 2)
        guard.process.send_signal(signal.SIGTERM)
        body = stream.read()  # raises IncompleteRead if the chunked body does not end in order
        assert "".join(PIECES).startswith(content(body))
        assert b'"code":"upstream_unavailable"' in body.replace(b": ", b":")
        assert ENDING.encode() in body
        asking.join()
        refused = json.loads(waiting[0].read())["error"]
        assert (waiting[0].status, refused["code"]) == (503, "upstream_unavailable")
        for response in (stream, *waiting):
            response.owner.close()
        assert guard.process.wait(30) == 0
        assert guard.users() == 1  # only who was answered
        decisions = [entry["facts"] for entry in guard.journal() if entry["kind"] == "decision"]
        assert [(facts["ending"], facts["verdict"]) for facts in decisions] == [("drained", "allow")] * 2
        assert guard.journal()[-1]["kind"] == "close"


def test_a_second_signal_cuts_at_once_and_closes_everything(tmp_path):
    with serving(tmp_path, "drain: {delay: 300, seconds: 300}\n") as (guard, _):
        guard.ready()
        stream = guard.ask("alice")
        guard.process.send_signal(signal.SIGTERM)
        wait_for(lambda: guard.readyz()[0] == 503)  # two signals at once may arrive as one
        guard.process.send_signal(signal.SIGTERM)
        assert b"upstream_unavailable" in stream.read()
        stream.owner.close()
        assert guard.process.wait(30) == 0
        assert guard.users() == 1
        assert guard.journal()[-1]["kind"] == "close"


def test_a_kill_while_draining_loses_nobody(tmp_path):
    with serving(tmp_path, "drain: {seconds: 300}\n") as (guard, held):
        guard.ready()
        streams = [guard.ask(f"user-{number}") for number in range(5)]
        guard.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not guard.accepts())
        guard.end()  # kill -9
        for stream in streams:
            stream.owner.close()
        held.go.set()
        guard.start()
        guard.ready()
        guard.process.send_signal(signal.SIGTERM)
        assert guard.process.wait(30) == 0
        assert guard.users() == 5


def test_a_signal_while_it_starts_ends_it_in_order(tmp_path):
    with serving(tmp_path) as (guard, _):
        wait_for(lambda: "guard is active" in guard.log.read_text())
        guard.process.send_signal(signal.SIGTERM)
        assert guard.process.wait(30) == 0
        kinds = [entry["kind"] for entry in guard.journal()]
        assert "stop" in kinds
        assert kinds[-1] == "close"
