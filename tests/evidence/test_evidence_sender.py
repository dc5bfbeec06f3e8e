"""Heads leave the machine behind everything else, and a place that does not take them is seen."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from evidence_clock import Clock

from guard.evidence.chain import Journal
from guard.evidence.checkpoint import Checkpoint
from guard.evidence.kept import read as read_heads
from guard.evidence.place import FilePlace, PlaceError, WebhookPlace
from guard.evidence.sender import QUEUE, HeadSender
from guard.evidence.signing import PUBLIC, Signer, Verifier
from guard.evidence.verify import verify


def head(seq):
    return Checkpoint("guard-0", seq, "a" * 64, 1.5, "key", b"signature")


def wait_for(condition):
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Receiver(BaseHTTPRequestHandler):
    """Answers with the statuses that it is given, one after the other, then with 204."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, dict(self.headers), body))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.seen, server.statuses = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(receiver):
    return f"http://127.0.0.1:{receiver.server_port}/heads?site=1"


def test_every_checkpoint_of_a_journal_reaches_a_file_and_verifies_the_chain(tmp_path):
    kept, signer = tmp_path / "worm" / "heads.jsonl", Signer(tmp_path / "signing", Clock())
    kept.parent.mkdir()
    sender = HeadSender([FilePlace(kept)], clock=Clock())
    sender.start()
    assert sender.last_sent is None
    journal = Journal(
        tmp_path / "audit", instance="a", clock=Clock(), linger=0.0, rotate_bytes=2000, signer=signer, heads=sender.send
    )
    journal.start()
    for number in range(15):
        journal.append("decision", {"number": number, "digest": "f" * 64})
        journal.flush()
    journal.close()
    sender.close()
    sender.close()
    assert (sender.failures, sender.error) == (0, None)
    assert sender.last_sent is not None
    heads = read_heads(kept)
    assert len(heads) >= 4
    assert heads[0].checkpoint.seq == 1, "the start"
    report = verify(tmp_path / "audit", heads=heads, keys=Verifier.of_list(tmp_path / "signing" / PUBLIC))
    assert report.ok, report.first_bad
    assert report.chains[0].matched == len(heads)
    assert heads[-1].checkpoint.seq == report.lengths["a"] - 2, "all but the checkpoint itself and close"
    assert set(json.loads(kept.read_text().splitlines()[0])) == {
        "instance", "seq", "head", "time", "key", "signature",
    }  # fmt: skip


def test_a_line_that_was_cut_short_does_not_spoil_the_next(tmp_path):
    kept = tmp_path / "heads.jsonl"
    kept.write_bytes(b'{"instance":"a","se')
    FilePlace(kept).put(b"{}")
    assert kept.read_bytes() == b'{"instance":"a","se\n{}\n'


def test_a_webhook_gets_the_line_with_the_token_of_its_file(receiver, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    place = WebhookPlace(url(receiver), token)
    place.put(b'{"seq":1}')
    token.write_text("an0ther")
    place.put(b'{"seq":2}')
    (path, headers, body), (_, later, _) = receiver.seen
    assert (path, body, headers["content-type"]) == ("/heads?site=1", b'{"seq":1}', "application/json")
    assert headers["authorization"] == "Bearer s3cret"
    assert later["authorization"] == "Bearer an0ther"
    assert "heads" not in place.name, "a path may be a secret"


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_anything_but_a_2xx_is_a_failure_and_no_redirect_is_followed(receiver, status):
    receiver.statuses.append(status)
    with pytest.raises(PlaceError, match=f"status {status}"):
        WebhookPlace(url(receiver)).put(b"{}")
    assert len(receiver.seen) == 1


def test_a_place_that_fails_is_tried_again_until_it_takes_the_head(receiver, caplog):
    receiver.statuses += [500, 500, 503]
    sender = HeadSender([WebhookPlace(url(receiver))], clock=Clock(), first_wait=0.01)
    sender.start()
    with caplog.at_level("INFO"):
        sender.send(head(1))
        sender.send(head(2))
        wait_for(lambda: len(receiver.seen) == 5)
        sender.close()
    assert [json.loads(body)["seq"] for _, _, body in receiver.seen] == [1, 1, 1, 1, 2]
    assert (sender.failures, sender.error) == (3, None)
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(": ")[-1] for text in said] == [
        "answered with status 500", "answered with status 503", "takes heads again",
    ]  # fmt: skip


class Shut:
    """A place that is shut until it is opened."""

    name = "shut"

    def __init__(self):
        self.open, self.kept = False, []

    def put(self, line):
        if not self.open:
            raise PlaceError("no answer")
        self.kept.append(json.loads(line)["seq"])


def test_a_place_that_is_away_for_long_gets_the_newest_heads_and_holds_up_no_other(tmp_path):
    (tmp_path / "heads.jsonl").touch()
    shut, free = Shut(), FilePlace(tmp_path / "heads.jsonl")
    sender = HeadSender([shut, free], clock=Clock(), first_wait=0.01)
    sender.start()
    for seq in range(1, 3 * QUEUE + 1):
        sender.send(head(seq))
        if seq % QUEUE == 0:
            wait_for(lambda: (tmp_path / "heads.jsonl").read_text().count("\n") == seq)  # noqa: B023 - waited for
    wait_for(lambda: sender.failures > 0)
    assert sender.error == "shut: no answer"
    assert sender.last_sent is None, "the place furthest behind counts"
    shut.open = True
    wait_for(lambda: shut.kept and shut.kept[-1] == 3 * QUEUE)
    assert len(shut.kept) <= QUEUE + 1
    assert shut.kept == sorted(shut.kept)
    assert sender.error is None
    assert sender.last_sent is not None
    sender.close()


def test_closing_tries_once_more_and_does_not_wait_for_ever():
    sender = HeadSender([Shut()], clock=Clock(), first_wait=600)
    sender.start()
    sender.send(head(1))
    wait_for(lambda: sender.failures == 1)
    sender.close()
    assert sender.failures == 2
    never = HeadSender([Shut()])
    never.close()


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xc3\xa9", b"a\r\nx-evil: 1", b"x" * 9000])
def test_a_token_that_is_none_is_not_sent(receiver, tmp_path, content):
    token = tmp_path / "token"
    token.write_bytes(content)
    with pytest.raises(PlaceError, match="token_file: holds no token") as caught:
        WebhookPlace(url(receiver), token).put(b"{}")
    assert receiver.seen == []
    assert "words" not in str(caught.value)


def test_places_that_cannot_be_reached_say_why(tmp_path):
    with pytest.raises(PlaceError, match="No such file"):
        FilePlace(tmp_path / "nowhere" / "heads.jsonl").put(b"{}")
    with pytest.raises(PlaceError, match="token_file: No such file"):
        WebhookPlace("https://127.0.0.1:1/", tmp_path / "token").put(b"{}")
    with pytest.raises(PlaceError, match="refused"):
        WebhookPlace("http://127.0.0.1:1/").put(b"{}")
    with pytest.raises(PlaceError):
        WebhookPlace("https://127.0.0.1:1/", ca=tmp_path / "ca.pem").put(b"{}")
