"""Who decides, from a seed, what breaks when; and who watches what the gateways say of it."""

import heapq
import random
import sqlite3
import threading
import time
from collections import Counter
from typing import NamedTuple


class Broken(NamedTuple):
    """Something that is broken now: which kind of fault, where, for how long, and how it is mended."""

    kind: str
    what: str
    seconds: float
    mend: object


def killed_gateway(fleet, luck):
    """kill -9 of a gateway, started again within two seconds with what its state directory holds."""
    serving = [gateway for gateway in fleet.gateways if gateway.serving]
    if not serving:
        return None
    gateway = luck.choice(serving)
    gateway.kill()
    return Broken("gateways killed", gateway.name, luck.uniform(0, 2), gateway.start)


def killed_redis(fleet, luck):
    """kill -9 of Redis, started again within four seconds."""
    if fleet.redis.process is None or fleet.redis.paused:
        return None
    fleet.redis.kill()
    return Broken("redis killed", "", luck.uniform(0, 4), fleet.redis.start)


def paused_redis(fleet, luck):
    """SIGSTOP of Redis, which goes on within six seconds: it takes connections meanwhile, and answers nothing."""
    if fleet.redis.process is None or fleet.redis.paused:
        return None
    fleet.redis.pause()
    return Broken("redis paused", "", luck.uniform(0, 6), fleet.redis.resume)


def locked_file(path, seconds):
    """Return the fault that another process's transaction keeps the file at ``path`` for a while."""
    locks = []

    def lock(fleet, luck):
        if locks:
            return None
        connection = sqlite3.connect(path, isolation_level=None, timeout=2)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:  # the gateways were faster
            connection.close()
            return None
        locks.append(connection)
        return Broken("ledger locked", "", luck.uniform(*seconds), lambda: locks.pop().close())

    return lock


class Director:
    """Breaks something every ``pace`` seconds (a range) while clients ask, and mends it after a while.

    ``faults`` are functions of fleet and luck that break something, or find that it is broken already and return None.
    Their turns come in rounds, each in another order. Outages overlap.
    """

    def __init__(self, fleet, seed, faults, *, pace=(1.0, 4.0)):
        self.fleet, self.faults, self.pace = fleet, faults, pace
        self.luck = random.Random(seed)
        self.start = time.monotonic()
        self.turns = []
        self.mending = []
        self.happened = Counter()
        self.story = []
        """What happened, with the seconds since the start."""

    def run(self):
        """Break and mend until every user has been asked for; then mend everything and wait until all are ready."""
        following = self.start + self.pace[0]
        try:
            while self.fleet.loading:
                now = time.monotonic()
                self.mend(now)
                if now >= following:
                    self.strike(now)
                    following = now + self.luck.uniform(*self.pace)
                time.sleep(0.02)
        finally:
            self.mend(float("inf"))
        for gateway in self.fleet.gateways:
            gateway.wait_ready()

    def strike(self, now):
        self.turns = self.turns or self.luck.sample(self.faults, len(self.faults))
        broken = self.turns[-1](self.fleet, self.luck)
        if broken is not None:
            self.turns.pop()
            self.happened[broken.kind] += 1
            self.note(f"{broken.kind} {broken.what} for {broken.seconds:.1f} s")
            heapq.heappush(self.mending, (now + broken.seconds, len(self.story), broken))

    def mend(self, now):
        while self.mending and self.mending[0][0] <= now:
            broken = heapq.heappop(self.mending)[2]
            broken.mend()
            self.note(f"{broken.kind} {broken.what}: over")

    def note(self, what):
        self.story.append(f"{time.monotonic() - self.start:7.2f} {what}")


class Background:
    """Runs ``_run`` in a thread while the context lasts; it is to end soon after ``_ended`` is set."""

    def __init__(self, name):
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


class Witness(Background):
    """Looks at every gateway's /metrics and /readyz four times a second, from a thread, while the context lasts."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.seen = Counter()
        """Looks by what they showed: a gateway's ledger ``down``, it ``ready`` or ``unready`` meanwhile, ``looks``."""
        self.most = Counter()
        """The most that any gateway's metrics without labels ever said."""
        self.least = {}
        """The least, likewise."""
        self.said = set()
        """What /readyz said of the spool and the ledger."""
        self.errors = []
        super().__init__("witness")

    def _run(self):
        while not self._ended.wait(0.25):
            for gateway in self.fleet.gateways:
                try:
                    self._look(gateway)
                except Exception as error:  # noqa: BLE001  (the test is to hear of it, whatever it is)
                    self.errors.append(f"{gateway.name}: {error!r}")

    def _look(self, gateway):
        metrics = gateway.metrics()
        status, facts = gateway.ready()
        if not metrics or status is None:
            return
        self.seen["looks"] += 1
        for name, value in metrics.items():
            self.most[name] = max(self.most[name], value)
            self.least[name] = min(self.least.get(name, value), value)
        parts = facts["parts"]
        if not parts["started"]:
            return
        self.said.update((parts["spool"], parts["ledger"]))
        self.seen["ready" if status == 200 else "unready"] += 1
        if parts["ledger"] != "ok":
            self.seen["down"] += 1
            self.seen["ready while down"] += status == 200
