"""The supervisor of several workers: who is started, replaced, told and ended. Its workers here serve nobody."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from guard.cli.demo_scene.process import free_port
from guard.transports.listener import Address, StartupError, bind, reserve
from guard.transports.supervisor import Supervisor

pytestmark = pytest.mark.slow

WORKER = textwrap.dedent("""
    import asyncio, json, os, signal, sys, time
    from guard.transports.line import Line
    from guard.transports.listener import Address, reserve
    from guard.transports.post import Post

    ways = json.loads(sys.argv[1])
    post = Post.taken()
    assert "GUARD_WORKER_POST" not in os.environ
    way = ways.get(str(post.number), "")
    if way == "never":
        sys.exit(78)
    if way == "loads":
        print(json.dumps({"loading": True}), flush=True)
        time.sleep(1000)
    while post.number == 0 and os.path.exists("load slowly"):
        time.sleep(0.05)
    client, _ = reserve(Address(post.host, post.port), "listen", shared=True)

    async def main():
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, sys.exit, 99)

        async def ready(_):
            if way == "hangs":
                time.sleep(1000)
            return True, {"pid": os.getpid()}

        async def reload(_):
            ok = way != "bad policy"
            return {"ok": ok, "hash": "h", "problems": [] if ok else ["line 1"], "restart": []}

        async def metrics(_):
            return "# HELP asked_total T.\\n# TYPE asked_total counter\\nasked_total 1.0\\n"

        async def fleet(told):
            if way == "says env":
                told["good"] = os.environ.get("GUARD_LAST_GOOD")
            print(json.dumps(told), flush=True)
            if way == "tells":
                print(json.dumps({"metrics": await line.ask("metrics", seconds=9),
                                  "reload": await line.ask("reload", seconds=9)}), flush=True)

        async def facts(_):
            return {"number": post.number}

        line = await Line.open(post.socket(post.line), {"ready": ready, "metrics": metrics, "reload": reload,
                                                        "facts": facts, "fleet": fleet})
        await line.ask("up", seconds=30)
        if way == "dies" and not os.path.exists("died"):
            open("died", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        gone = asyncio.ensure_future(line.gone())
        await asyncio.wait([gone, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        if way == "counts":
            await line.ask("last", "# HELP asked_total T.\\n# TYPE asked_total counter\\nasked_total 5.0\\n", seconds=9)
        if way == "never ends":
            await asyncio.sleep(1000)
        sys.exit(7 if way == "ends badly" else 0)

    asyncio.run(main())
""")

SUPERVISOR = textwrap.dedent("""
    import asyncio, json, logging, sys
    from guard.transports import supervisor
    from guard.transports.supervisor import StartupError, Supervisor

    logging.basicConfig(level=logging.INFO)
    workers, ways, listen, changed, admin = sys.argv[1:6]
    for name, value in json.loads(changed).items():
        setattr(supervisor, name, value)
    command = [sys.executable, "-c", sys.argv[6], ways]
    supervised = Supervisor(command, workers=int(workers), listen=listen, admin=admin or None, seconds=0,
                            later={"GUARD_LAST_GOOD": "1"},
                            on_ready=lambda listen, admin: print(json.dumps({"listen": str(listen)}), flush=True))
    sys.exit(asyncio.run(supervised.run()))
""")


class Running:
    """A supervisor of ``workers`` that each have their ``ways``."""

    def __init__(self, folder, workers=2, listen="127.0.0.1:0", changed=None, admin="", **ways):
        self.said = Path(folder) / "log"
        self.errors = self.said.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(workers),
             json.dumps({name[1:]: way for name, way in ways.items()}), listen, json.dumps(changed or {}), admin, WORKER],
            stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def lines(self):
        for line in self.process.stdout:
            yield json.loads(line)

    def until(self, what):
        """Return the first line that is so."""
        found = next((line for line in self.lines() if what(line)), None)
        assert found is not None, self.said.read_text()
        return found

    def fleet(self, what=lambda workers: all(each["ready"] for each in workers)):
        """Return what the first worker is told, once it is so."""
        return self.until(lambda line: "workers" in line and what(line["workers"]))

    def log(self):
        self.errors.flush()
        return self.said.read_text()


def gone(pid):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with suppress(OSError):
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z":
                time.sleep(0.05)
                continue
        return True
    return False


def test_all_are_started_once_and_end_with_the_supervisor_s_signal(tmp_path):
    with Running(tmp_path, workers=3) as running:
        told = running.fleet()
        pids = [each["pid"] for each in told["workers"]]
        assert len(set(pids)) == 3
        assert told["restarts"] == 0
        assert [each["parts"]["pid"] for each in told["workers"]] == pids
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert all(map(gone, pids))


def test_a_signal_of_the_terminal_reaches_the_workers_once_and_by_the_supervisor(tmp_path):
    """A worker that gets SIGINT itself ends with 99 here."""
    with Running(tmp_path) as running:
        pids = [each["pid"] for each in running.fleet()["workers"]]
        assert {os.getpgid(pid) for pid in pids}.isdisjoint({os.getpgid(running.process.pid)})
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end by itself"])
def test_who_ends_is_replaced_in_its_own_place(tmp_path, number):
    with Running(tmp_path) as running:
        first, second = (each["pid"] for each in running.fleet()["workers"])
        os.kill(second, number)
        running.fleet(lambda workers: not workers[1]["up"])  # it is said at once
        told = running.fleet(lambda workers: workers[1]["ready"])
        assert told["restarts"] == 1
        assert told["workers"][0]["pid"] == first
        assert told["workers"][1]["pid"] not in {first, second}


def test_one_that_ends_as_soon_as_it_is_up_is_replaced_too(tmp_path):
    with Running(tmp_path, _1="dies") as running:
        running.until(lambda told: told.get("restarts") == 1 and all(each["ready"] for each in told["workers"]))


def test_one_that_hangs_is_killed_and_replaced(tmp_path):
    with Running(tmp_path, _1="hangs", changed={"TICK": 0.1, "MISSED": 3, "ANSWER_SECONDS": 0.1}) as running:
        running.fleet(lambda workers: workers[1]["up"] and "no answer" in workers[1]["parts"].get("worker", ""))
        running.until(lambda line: line.get("restarts", 0) >= 1)
        assert "does not answer any more" in running.log()


def get(port, path):
    """Return status and body of the admin port, or None where nobody answers in time."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return None


@pytest.mark.parametrize("way", ["hangs", "dies again"])
def test_the_admin_port_is_answered_while_the_first_worker_is_not_there(tmp_path, way):
    """The workers here never accept on it: what is answered is answered by the supervisor."""
    port = free_port()
    changed = {"TICK": 0.1, "MISSED": 10_000, "ANSWER_SECONDS": 0.1}
    with Running(tmp_path, admin=f"127.0.0.1:{port}", changed=changed, _0="hangs" if way == "hangs" else "") as running:
        running.until(lambda line: "listen" in line)
        if way != "hangs":
            told = running.fleet()
            assert get(port, "/healthz") is None  # all is well: it is the worker's
            (tmp_path / "load slowly").touch()
            os.kill(told["workers"][0]["pid"], signal.SIGKILL)
        end = time.monotonic() + 20
        while get(port, "/healthz") != (200, {"alive": True}):
            assert time.monotonic() < end, running.log()
        assert get(port, "/readyz?verbose") == (503, {"ready": False})
        assert get(port, "/metrics")[0] == 503
        if way != "hangs":
            (tmp_path / "load slowly").unlink()
            running.fleet()
            end = time.monotonic() + 20
            while get(port, "/healthz") is not None:
                assert time.monotonic() < end, "the supervisor goes on answering"


def test_what_replaces_another_starts_from_the_last_good_policy(tmp_path):
    with Running(tmp_path, _0="says env") as running:
        told = running.fleet()
        assert told["good"] is None
        os.kill(told["workers"][0]["pid"], signal.SIGKILL)
        assert running.fleet(lambda workers: workers[0]["pid"] not in {0, told["workers"][0]["pid"]})["good"] == "1"


def test_what_one_counted_to_its_end_stays(tmp_path):
    """And that it ended as it was asked to is no error."""
    with Running(tmp_path, _0="tells", _1="counts") as running:
        second = running.fleet()["workers"][1]["pid"]
        os.kill(second, signal.SIGTERM)
        running.fleet(lambda workers: workers[1]["ready"] and workers[1]["pid"] != second)
        end = time.monotonic() + 20
        while "asked_total 7.0" not in running.until(lambda line: "metrics" in line)["metrics"]:
            assert time.monotonic() < end
        assert "INFO:guard.workers:worker 1 ended with 0" in running.log()
        assert "ERROR" not in running.log()


def test_one_that_cannot_start_ends_everything_with_its_exit_code(tmp_path):
    """A bad configuration is one for a single process, too."""
    with Running(tmp_path, _1="never") as running:
        assert running.process.wait(20) == 78


def test_a_signal_while_one_is_still_loading_is_no_failure(tmp_path):
    with Running(tmp_path, _1="loads") as running:
        running.until(lambda line: "loading" in line)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0


def test_one_that_ends_badly_is_told(tmp_path):
    with Running(tmp_path, _1="ends badly") as running:
        running.fleet()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 7


def test_one_that_does_not_end_in_time_is_killed(tmp_path):
    with Running(tmp_path, _1="never ends", changed={"CLOSING": 0.3}) as running:
        pids = [each["pid"] for each in running.fleet()["workers"]]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 137
        assert all(map(gone, pids))


def test_a_third_signal_ends_them_as_they_stand(tmp_path):
    with Running(tmp_path, _0="never ends", _1="never ends", changed={"CLOSING": 1000}) as running:
        pids = [each["pid"] for each in running.fleet()["workers"]]
        for _ in range(3):
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)  # else two of them may arrive as one
        assert running.process.wait(20) == 143
        assert all(map(gone, pids))


def test_workers_end_with_a_supervisor_that_is_killed(tmp_path):
    with Running(tmp_path) as running:
        pids = [each["pid"] for each in running.fleet()["workers"]]
        running.process.kill()
        assert all(map(gone, pids))


def test_the_first_asks_for_all(tmp_path):
    with Running(tmp_path, _0="tells", _1="bad policy") as running:
        running.fleet()
        said = running.until(lambda line: "metrics" in line)
        assert "asked_total 2.0" in said["metrics"]
        assert "guard_workers_up 2.0" in said["metrics"]
        assert said["reload"]["problems"] == ["line 1"]  # one that could not is what is said
        second = running.fleet()["workers"][1]["pid"]
        os.kill(second, signal.SIGKILL)
        running.fleet(lambda workers: workers[1]["ready"] and workers[1]["pid"] != second)
        while "asked_total 3.0" not in (text := running.until(lambda line: "metrics" in line)["metrics"]):
            assert "asked_total 2.0" in text  # the killed one's count is kept
        assert "guard_worker_restarts_total 1.0" in text


def test_a_command_that_is_not_there_is_an_end_not_a_crash(caplog):
    supervisor = Supervisor(["/nowhere/guard"], workers=2, listen="127.0.0.1:0", admin=None, seconds=0)
    assert asyncio.run(supervisor.run()) == 71
    assert "cannot be started" in caplog.text


def test_a_port_where_somebody_listens_is_not_shared():
    taken, address = bind(Address("127.0.0.1", 0), "listen")
    supervisor = Supervisor([sys.executable], workers=2, listen=f"127.0.0.1:{address.port}", admin=None, seconds=0)
    with taken, pytest.raises(StartupError, match="in use"):
        asyncio.run(supervisor.run())
    shared, address = reserve(Address("127.0.0.1", 0), "listen", shared=True)
    shared.listen()  # as another Guard's worker does
    supervisor = Supervisor([sys.executable], workers=2, listen=f"127.0.0.1:{address.port}", admin=None, seconds=0)
    with shared, pytest.raises(StartupError, match="in use"):
        asyncio.run(supervisor.run())
