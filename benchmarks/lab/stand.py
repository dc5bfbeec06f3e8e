"""Stub, systems and load generator together, and rounds in which every system is asked alone."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peers.install import compiler

from lab import texts
from lab.build import program
from lab.machine import LOAD_CORE
from lab.systems import Absent, free_port, pinned, system

PACE_US = 10_000
"""Between two tokens of a paced stream: 100 tokens a second, as a model of middle size writes for one reader."""


class Failed(Exception):
    """Requests failed, so what was measured is not what was asked about."""


@dataclass(frozen=True)
class Load:
    """What the load generator saw and what the system used. Latencies are {"p50", "p90", "p99", "max"} in us."""

    requests: int
    errors: int
    seconds: float
    chunks: int
    cpu_ns: int
    latency: dict
    first: dict
    """To the first character of a stream."""
    chunk: dict
    """The way of a chunk from the stub's send to the client, one way."""

    @property
    def cpu_us_per_request(self):
        """CPU microseconds of all the system's processes, by request answered."""
        return self.cpu_ns / 1000 / self.requests

    @property
    def cpu_us_per_chunk(self):
        """CPU microseconds by chunk delivered, the stream's own request and ending included."""
        return self.cpu_ns / 1000 / self.chunks

    @property
    def per_second(self):
        """Requests a second."""
        return self.requests / self.seconds


class Stand:
    """A context: on the way in everything is built, started, asked once and frozen; on the way out it is ended.

    ``absent`` says of each system that is not to be had here why; with ``strict`` that is raised instead.
    """

    def __init__(self, systems, *, pace_us=PACE_US, strict=False):
        self.names, self.pace_us, self.strict = list(systems), pace_us, strict
        self.systems, self.absent, self.dropped = {}, {}, set()
        self.round = 0

    def __enter__(self):
        if len(os.sched_getaffinity(0)) < 2:
            raise RuntimeError("the benchmarks need two cores: one for the system under test, one for the load")
        compiler()
        self.folder = Path(tempfile.mkdtemp(prefix="guard-bench-"))
        shared = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else self.folder
        self.moments = shared / f"{self.folder.name}.moments"
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        answers = self.folder / "answers"
        answers.write_text("\n".join(texts.answers()) + "\n")
        self.upstream = free_port()
        self.stub = subprocess.Popen(
            [program("stub"), str(self.upstream), answers, self.moments, str(self.pace_us)],
            preexec_fn=pinned(LOAD_CORE),  # noqa: PLW1509 - nothing else runs here
        )
        body = texts.requests(users=1)[0]
        starting = [system(each) if isinstance(each, str) else each for each in self.names]
        for each in starting:
            try:
                each.start(self.folder, self.upstream)
                self.systems[each.name] = each
                if each.name == "direct":
                    each.pids = [self.stub.pid]
            except Absent as error:
                self._without(each, str(error))
        for each in list(self.systems.values()):
            try:
                each.wait(body)
            except RuntimeError as error:
                self.systems.pop(each.name).stop()
                self._without(each, str(error))
        for each in self.systems.values():
            each.freeze()

    def _without(self, each, why):
        if self.strict:
            raise Absent(f"{each.name}: {why}")
        self.absent[each.name] = why.splitlines()[0]
        print(f"without {each.name}: {why}", file=sys.stderr, flush=True)

    def __exit__(self, *_):
        for each in self.systems.values():
            each.stop()
        if hasattr(self, "stub"):
            self.stub.kill()
            self.stub.wait()
        self.moments.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def bodies(self, **how):
        """Write request bodies (``texts.requests``) into a file and return its path; the same ones are written once."""
        name = "-".join(f"{key}{value}" for key, value in sorted(how.items())) or "plain"
        path = self.folder / f"bodies-{name}"
        if not path.exists():
            path.write_text("\n".join(texts.requests(**how)) + "\n")
        return path

    def names_of(self, wanted):
        """Return the names among ``wanted`` of systems that are here, in its order."""
        return [name for name in wanted if name in self.systems]

    def turns(self, rounds, only=None, *, seed=1):
        """Yield every system once a round, thawed while it has its turn, in an order that is shuffled each round.

        ``round`` is the number of the round. A system whose ``every`` is n takes part in every n-th; with ``only``,
        those of these names do.
        """
        rng = random.Random(seed)
        taking_part = [each for each in self.systems.values() if only is None or each.name in only]
        for self.round in range(rounds):
            order = [each for each in taking_part if self.round % each.every == 0]
            rng.shuffle(order)
            for each in order:
                if each.name not in self.dropped:
                    with self.thawed(each):
                        yield each
        self.dropped.clear()

    @contextmanager
    def or_without(self, each, figures):
        """Go on without the system ``each`` where its turn fails, unless it is one that the question needs."""
        try:
            yield
        except (Failed, OSError) as error:
            if each.needed:
                raise
            self._without(each, str(error))
            self.dropped.add(each.name)
            figures.rounds.pop(each.name, None)

    def thawed(self, each):
        """Return a context in which the system ``each`` runs."""
        return _Thawed(each)

    def load(self, each, mode, bodies, *, seconds, connections=64, rate=0):
        """Ask the system ``each`` in ``mode`` (load.c); return what was seen. Raises Failed if a request failed."""
        generator = [program("load"), mode, each.port, bodies, seconds, connections, rate, self.moments, *each.headers]
        before = each.cpu_ns()
        done = subprocess.run(
            [str(part) for part in generator], capture_output=True, text=True, check=False, preexec_fn=pinned(LOAD_CORE)
        )
        used = each.cpu_ns() - before
        if done.returncode:
            raise Failed(f"{each.name}: the load generator ended with {done.stderr.strip() or done.returncode}")
        seen = json.loads(done.stdout)
        if seen["errors"] or seen["unfinished"] or not seen["requests"]:
            raise Failed(
                f"{each.name}, {mode}: {seen['requests']} answered, {seen['errors']} failed (the first with status "
                f"{seen['first_error']}), {seen['unfinished']} never ended"
            )
        samples = {name: seen.get(name, {}) for name in ("latency", "first", "chunk")}
        plain = {name: seen[name] for name in ("requests", "errors", "seconds", "chunks")}
        return Load(**plain, **samples, cpu_ns=used)


class _Thawed:
    def __init__(self, each):
        self.each = each

    def __enter__(self):
        self.each.thaw()
        return self.each

    def __exit__(self, *_):
        self.each.freeze()
