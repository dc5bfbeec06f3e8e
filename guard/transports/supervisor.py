"""Starts the workers of one client port, replaces those that end, passes signals on, and lets them answer as one.

It serves nobody and opens no store, so nothing can go wrong in it that goes wrong with a request. Every worker is a
process of its own from its first instruction (no memory is shared, nothing is forked that has threads), has its own
socket on the port (``SO_REUSEPORT``: the kernel deals connections out among those that accept), and a line to here.
Where the supervisor is killed the lines end, and the workers with them.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from guard.observability.merged import Departed, merged
from guard.transports.line import Line, LineBrokenError
from guard.transports.listener import Address, StartupError, bind, release, reserve
from guard.transports.post import Post
from guard.transports.standin import StandIn

log = logging.getLogger("guard.workers")

TICK = 1.0
"""Seconds between questions to every worker how it is."""
MISSED = 30
"""Questions in a row without an answer, a tick apart, each waited for as long, until a worker is killed: a minute."""
SILENT = 3
"""Questions in a row without an answer of the first worker after which the admin port is answered here."""
METRICS_TICKS = 5
"""Of so many ticks a killed worker's counters may be missing."""
ANSWER_SECONDS = 5.0
RELOAD_SECONDS = 600.0
"""As long as a policy may take to load, key sets over the network included."""
SETTLED = 10.0
"""Seconds after which a worker that was up is taken to have been well."""
ATTEMPTS = 5
"""Starts in a row that fail, with no other worker up, after which the supervisor gives up."""
LONGEST_PAUSE = 30.0
"""Seconds between starts that fail."""
CLOSING = 20.0
"""Seconds beyond the drain within which a worker has ended or is killed."""
EX_OSERR = 71
EX_KILLED = 143
"""As shells count the end by SIGTERM: 128 and its number."""


@dataclass(slots=True)
class Worker:
    """One place, and the process that has it."""

    number: int
    pid: int = 0
    """0: it has none."""
    line: Line | None = None
    up: bool = False
    """True while it accepts connections."""
    ready: bool = False
    said: Mapping[str, Any] = field(default_factory=dict)
    """What its parts said last."""
    metrics: str = ""
    last: str = ""
    """Its metrics when all it had open was closed; empty for one that was killed."""
    missed: int = 0
    failed: int = 0
    """Its processes in a row that did not last."""

    def told(self) -> dict[str, Any]:
        """Return what the others are to know of it."""
        return {"number": self.number, "pid": self.pid, "up": self.up, "ready": self.ready, "parts": dict(self.said)}


class Supervisor:
    """Keeps ``workers`` processes of ``command`` on ``listen`` until a signal ends it.

    ``admin`` is where the first of them answers operators for all (None: nobody does). ``seconds`` is how long a worker
    may take to drain. ``on_ready`` is called once, when all of them accept connections, with their addresses.
    ``later`` is besides in the environment of workers that are started after that.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        workers: int,
        listen: str,
        admin: str | None,
        seconds: float,
        on_ready: Callable[[Address, Address | None], None] = lambda _listen, _admin: None,
        environment: Mapping[str, str] = os.environ,
        later: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._command, self._environment = list(command), dict(environment)
        self._later = dict(later)
        self._listen, self._admin = Address.parse(listen), None if admin is None else Address.parse(admin)
        self._seconds, self._on_ready = seconds, on_ready
        self._workers = [Worker(number) for number in range(workers)]
        self._departed = Departed()
        self._restarts = 0
        self._sockets: tuple[socket.socket | None, socket.socket | None] = None, None
        """Those that are handed on: of a unix socket for clients, and of the admin port."""
        self._stand_in: StandIn | None = None
        self._ends: dict[int, asyncio.Future[int]] = {}
        """How the processes ended, by pid."""
        self._served = False
        """True once all workers were up."""
        self._signaled = 0
        self._code = 0
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Return the exit code when every worker has ended: 0 if that was asked for and all of them ended well.

        Raises StartupError if an address cannot be had.
        """
        loop = asyncio.get_running_loop()
        with ExitStack() as closing:
            self._bind(closing)
            handlers: dict[int, Callable[[], None]] = {
                signal.SIGCHLD: self._reap, signal.SIGTERM: self._stop, signal.SIGINT: self._stop,
                signal.SIGHUP: self._hang_up,
            }  # fmt: skip
            for number, handler in handlers.items():
                loop.add_signal_handler(number, handler)
                closing.callback(loop.remove_signal_handler, number)
            watching = asyncio.ensure_future(self._watch())
            try:
                await asyncio.gather(*(self._keep(worker) for worker in self._workers))
            finally:
                watching.cancel()
        return self._code

    def _bind(self, closing: ExitStack) -> None:
        """Take the ports, so that nobody else does while workers come and go."""
        if self._listen.path:
            client, self._listen = bind(self._listen, "listen")
        else:
            client, self._listen = reserve(self._listen, "listen")
        closing.callback(release, client, self._listen)
        admin = None
        if self._admin is not None:
            admin, self._admin = bind(self._admin, "admin")
            closing.callback(release, admin, self._admin)
            self._stand_in = StandIn(admin)
            closing.callback(self._stand_in.close)
        self._sockets = client if self._listen.path else None, admin

    async def _keep(self, worker: Worker) -> None:
        """Keep one place filled until the end."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._one(worker)
            if self._stopping.is_set():
                # One that was still loading has no handler yet, and nothing open: it ended as it was asked to.
                self._note(0 if code == EX_KILLED and not worker.up else code)
                return
            started, lasted = worker.up, worker.up and loop.time() - began >= SETTLED
            worker.failed = 0 if lasted else worker.failed + 1
            worker.up = worker.ready = False
            alone = not any(each.up for each in self._workers)
            if not (self._served or started) or (alone and worker.failed >= ATTEMPTS):
                log.critical("worker %d ended with %d; giving up", worker.number, code)
                self._note(code or 1)
                self._end()
                return
            pause = 0.0 if lasted else min(LONGEST_PAUSE, 0.1 * 2**worker.failed)
            level = logging.ERROR if code else logging.INFO  # 0: somebody asked this one to drain
            log.log(level, "worker %d ended with %d; another one takes its place in %g s", worker.number, code, pause)
            self._restarts += 1
            self._tell()
            await self._answer()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _one(self, worker: Worker) -> int:
        """Start a process for a place and return its exit code when it has ended; up says whether it was."""
        ours, theirs = socket.socketpair()
        client, admin = self._sockets
        environment = {**self._environment, **self._later} if self._served else self._environment
        post = Post(
            worker.number, len(self._workers), theirs.fileno(), self._listen.host, self._listen.port,
            -1 if client is None else client.fileno(),
            -1 if admin is None or worker.number else admin.fileno(),
        )  # fmt: skip
        with theirs:
            try:
                # A group of its own: what a terminal sends goes to the supervisor alone, which passes it on once.
                process = subprocess.Popen(  # noqa: ASYNC220, S603 - nobody is served here; the command is our own
                    self._command, env={**environment, **post.told()}, pass_fds=post.files, process_group=0
                )
            except OSError as error:  # no memory, or no more processes: it is tried again
                ours.close()
                log.error("worker %d cannot be started: %s", worker.number, error.strerror)  # noqa: TRY400 - says it
                return EX_OSERR
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._ends[process.pid], worker.pid = ended, process.pid
        worker.line = await Line.open(ours, self._answers(worker))
        worker.missed, worker.metrics, worker.last, worker.said = 0, "", "", {}
        if self._stopping.is_set():  # the signal came while nobody was there to get it
            os.kill(worker.pid, signal.SIGTERM)
        code = process.returncode = await ended  # by _reap, which asks for every child there is
        worker.pid, worker.ready = 0, False
        await worker.line.close()
        worker.line = None
        self._departed.add(worker.last, worker.metrics)
        worker.metrics = worker.last = ""
        return 128 - code if code < 0 else code

    def _note(self, code: int) -> None:
        self._code = self._code or code

    def _reap(self) -> None:
        """Bury every child that ended; as the first process of a container also those that others left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if (ended := self._ends.pop(pid, None)) is not None and not ended.done():
                ended.set_result(os.waitstatus_to_exitcode(status))

    # Signals

    def _stop(self) -> None:
        self._signaled += 1
        if self._signaled == 1:
            log.info("stopping: the workers finish what is in flight")
            self._end()
        elif self._signaled == 2:
            self._signal(signal.SIGTERM)
        else:
            log.warning("ending without closing anything")
            self._signal(signal.SIGKILL)
            os._exit(EX_KILLED)

    def _end(self) -> None:
        """Let every worker drain, for as long as it takes if that is not too long."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._stand_in is not None:
            self._stand_in.close()
        self._signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(self._seconds + CLOSING, self._signal, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            if worker.pid:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, number)

    def _hang_up(self) -> None:
        task = asyncio.ensure_future(self._reload(None))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    # What is asked over the lines

    def _answers(self, worker: Worker) -> dict[str, Callable[[Any], Any]]:
        async def up(_: Any) -> None:
            worker.up = True
            await self._ask(worker)
            if not self._served and all(each.up for each in self._workers):
                self._served = True
                self._on_ready(self._listen, self._admin)
            elif self._served:
                log.info("worker %d is up again", worker.number)
            self._tell()
            await self._answer()

        async def last(text: Any) -> None:
            worker.last = str(text)

        async def others(_: Any) -> None:
            """Answer when no other worker is left."""
            while any(each.pid and each is not worker for each in self._workers):  # noqa: ASYNC110 - of some ends
                await asyncio.sleep(0.05)

        return {
            "up": up, "last": last, "others": others,
            "metrics": self._metrics, "reload": self._reload, "facts": self._facts,
        }  # fmt: skip

    async def _everybody(self, what: str, seconds: float) -> list[Any]:
        """Return the answers of the workers that are up and have one, in their order."""
        asked = [each.line.ask(what, seconds=seconds) for each in self._workers if each.up and each.line is not None]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for each in answers:
            if isinstance(each, BaseException) and not isinstance(each, LineBrokenError):
                raise each
        return [each for each in answers if not isinstance(each, BaseException)]

    async def _metrics(self, _: Any) -> str:
        await asyncio.gather(*map(self._count, self._workers))
        own = (
            "# HELP guard_workers Processes that share the client port.\n# TYPE guard_workers gauge\n"
            f"guard_workers {float(len(self._workers))}\n"
            "# HELP guard_workers_up Of these, those that accept connections.\n# TYPE guard_workers_up gauge\n"
            f"guard_workers_up {float(sum(each.up for each in self._workers))}\n"
            "# HELP guard_worker_restarts_total Processes that ended and were replaced.\n"
            f"# TYPE guard_worker_restarts_total counter\nguard_worker_restarts_total {float(self._restarts)}\n"
        )
        return merged([each.metrics for each in self._workers if each.up], self._departed) + own

    async def _count(self, worker: Worker) -> None:
        """Read a worker's metrics; those of one that does not answer are as they were."""
        line = worker.line
        if worker.up and line is not None:
            with suppress(LineBrokenError):
                text = await line.ask("metrics", seconds=ANSWER_SECONDS)
                if worker.line is line:
                    worker.metrics = text

    async def _reload(self, _: Any) -> dict[str, Any]:
        """Have every worker load the policy, and return the first that failed, or the first."""
        results = await self._everybody("reload", RELOAD_SECONDS)
        if not results:
            return {"ok": False, "hash": "", "problems": ["no worker is up"], "restart": []}
        return next((each for each in results if not each["ok"]), results[0])

    async def _facts(self, _: Any) -> list[Any]:
        return await self._everybody("facts", ANSWER_SECONDS)

    # How they are

    async def _watch(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(TICK)
            number += 1
            await asyncio.gather(*map(self._ask, self._workers))
            if number % METRICS_TICKS == 0:
                await asyncio.gather(*(self._count(each) for each in self._workers if not each.missed))
            self._tell()
            await self._answer()

    async def _ask(self, worker: Worker) -> None:
        """Ask a worker how it is. Ticks are counted, not seconds: they stand still when everything was stopped."""
        if not worker.up or worker.line is None:
            return
        try:
            worker.ready, worker.said = await worker.line.ask("ready", seconds=TICK)
            worker.missed = 0
        except LineBrokenError as error:
            worker.missed += 1
            worker.ready, worker.said = False, {"worker": str(error)}
            if worker.missed >= MISSED and worker.pid:
                log.critical("worker %d does not answer any more; it is killed, and replaced", worker.number)
                os.kill(worker.pid, signal.SIGKILL)

    async def _answer(self) -> None:
        """Answer the admin port here while the first worker, who does, is being replaced or hangs."""
        first = self._workers[0]
        if self._stand_in is not None:
            needed = self._served and not self._stopping.is_set() and (not first.up or first.missed >= SILENT)
            await self._stand_in.serve(needed=needed)

    def _tell(self) -> None:
        """Let the first worker know how all of them are: it answers for them."""
        first = self._workers[0].line
        if first is not None:
            first.tell("fleet", {"workers": [each.told() for each in self._workers], "restarts": self._restarts})


__all__ = ["StartupError", "Supervisor"]
