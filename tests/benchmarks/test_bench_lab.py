"""What measures can be trusted: the clock of a tree, the stub, the load generator, ratios and rounds."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from lab import texts  # noqa: E402
from lab.build import program  # noqa: E402
from lab.figures import Figures, spread  # noqa: E402
from lab.systems import NAMES, free_port, merged, system  # noqa: E402
from lab.tree import cpu_ns, members, resident  # noqa: E402

BURN = "import time\nuntil = time.process_time() + {seconds}\nwhile time.process_time() < until: pass\n"


def test_a_ratio_is_taken_within_a_round():
    figures = Figures(["slow", "fast"])
    for figures.round, (fast, slow) in enumerate([(1, 4), (2, 4), (10, 50)]):
        figures.add("fast", "us", fast)
        figures.add("slow", "us", slow)
    assert figures.ratio("slow", "fast", "us") == {"median": 4.0, "low": 2.0, "high": 5.0, "values": [4.0, 2.0, 5.0]}
    assert figures.difference("slow", "fast", "us")["median"] == 3


def test_a_round_in_which_one_took_no_part_is_no_pair():
    figures = Figures()
    figures.add("fast", "us", 1, round=0)
    figures.add("fast", "us", 100, round=1)
    figures.add("slow", "us", 3, round=0)
    assert figures.pairs("slow", "fast", "us") == [(3, 1)]
    assert figures.pairs("slow", "nobody", "us") == []


def test_a_spread_keeps_every_round():
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0, "values": [3.0, 1.0, 2.0]}


def test_prompts_are_as_long_as_asked_all_different_and_the_same_in_every_run():
    bodies = [json.loads(body) for body in texts.requests(users=50, prompt=1024, tokens=64, stream=True, paced=True)]
    prompts = {body["messages"][0]["content"] for body in bodies}
    assert len(prompts) == 50
    assert {len(prompt) for prompt in prompts} == {1024}
    assert len({body["user"] for body in bodies}) == 50
    assert {(body["model"], body["stream"], body["max_tokens"]) for body in bodies} == {("bench-paced", True, 64)}
    assert texts.requests(users=5) == texts.requests(users=5)


def test_what_the_stub_answers_needs_no_escapes():
    for answer in texts.answers(count=3, tokens=100):
        assert answer.isascii()
        assert len(answer) == 700
        assert json.dumps(answer) == f'"{answer}"'


def test_the_patterns_are_500_and_none_is_in_prompts_or_answers():
    phrases, expressions = texts.SHARED
    assert len(set(phrases)) + len(set(expressions)) == 500
    text = " ".join([*texts.requests(users=100), *texts.answers(count=10)]).lower()
    assert [phrase for phrase in phrases if phrase in text] == []


def test_every_system_has_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES)
    assert [system(name).name for name in NAMES] == list(NAMES)
    with pytest.raises(KeyError, match="no system is called"):
        system("nonsense")


def test_settings_are_merged_deeply():
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}, "d": 4}) == {"a": {"b": 1, "c": 3}, "d": 4}


@pytest.mark.slow
def test_the_clock_of_a_tree_counts_children_and_threads_that_have_ended():
    burning = BURN.format(seconds=0.2)
    lines = [
        "import subprocess, sys, threading",
        f"command = [sys.executable, '-c', {burning + 'input()'!r}]",
        "child = subprocess.Popen(command, stdin=subprocess.PIPE)",
        f"thread = threading.Thread(target=exec, args=({burning!r}, {{}}))",
        "thread.start(); thread.join(); print('x', flush=True); input()",
    ]
    code = "\n".join(lines)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        pids, until = members(process.pid), time.monotonic() + 20
        assert len(pids) == 2
        while cpu_ns(pids[1:]) < 0.2e9 and time.monotonic() < until:
            time.sleep(0.05)
        assert cpu_ns(pids[:1]) >= 0.2e9
        assert cpu_ns(pids) >= 0.4e9
        assert resident(pids) > 2**20
        process.kill()
        for pid in pids[1:]:
            subprocess.run(["kill", "-9", str(pid)], check=False)
    with pytest.raises(ProcessLookupError, match="ended while it was measured"):
        cpu_ns([process.pid])


@pytest.fixture
def stub(tmp_path):
    """A running stub: its port and folder, with one answer that a line of text holds."""
    (tmp_path / "texts").write_text("\n".join(texts.answers(count=4, tokens=300)) + "\n")
    port = free_port()
    command = [program("stub"), str(port), tmp_path / "texts", tmp_path / "moments", "2000"]
    with subprocess.Popen(command) as process:
        yield port, tmp_path
        process.kill()


def load(mode, port, folder, bodies, seconds=0.3, connections=4, rate=0):
    (folder / "bodies").write_text("\n".join(bodies) + "\n")
    command = [program("load"), mode, port, folder / "bodies", seconds, connections, rate, folder / "moments"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_stub_answers_and_the_generator_reads_all_of_it(stub):
    port, folder = stub
    found = load("closed", port, folder, texts.requests(users=10, tokens=20))
    assert found["requests"] >= 4
    assert found["errors"] == found["unfinished"] == 0
    found = load("open", port, folder, texts.requests(users=10, tokens=20), rate=100)
    assert 1 <= found["requests"] <= 31  # no more than are due, however fast it is answered
    assert found["latency"]["p50"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("paced", [False, True])
def test_every_character_of_a_stream_is_counted_and_timed(stub, paced):
    port, folder = stub
    found = load("stream", port, folder, texts.requests(users=10, tokens=33, stream=True, paced=paced))
    assert found["requests"] >= 4
    assert found["errors"] == found["unfinished"] == 0
    assert found["characters"] == found["requests"] * 33 * texts.TOKEN
    assert found["chunk"]["count"] == found["chunks"] == found["requests"] * 33
    assert 0 < found["chunk"]["p50"] <= found["chunk"]["max"] < 30e6
    if paced:
        assert found["latency"]["p50"] >= 32 * 2000


class Refusing(threading.Thread):
    """A server that refuses, cuts an answer off, or ends a stream without its end."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        import socket

        self.answer, self.socket = answer, socket.create_server(("127.0.0.1", 0))
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
                connection.recv(65536)
                connection.sendall(self.answer)
                connection.close()
            except OSError:
                return


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "answer"), [
    ("closed", b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n{}"),
    ("closed", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"),
    ("stream", b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n"),
])  # fmt: skip
def test_what_is_no_whole_answer_is_an_error(tmp_path, mode, answer):
    server = Refusing(answer)
    try:
        port = server.socket.getsockname()[1]
        found = load(mode, port, tmp_path, texts.requests(users=1), seconds=0.2, connections=1)
        assert found["requests"] == 0
        assert found["errors"] > 0
    finally:
        server.socket.close()
