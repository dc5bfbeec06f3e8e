"""Key sets behind URLs: fetched in a thread of their own, and looked at by requests from memory.

A verifier that uses a key set keeps it alive. When the last one is gone, with the last snapshot that had it, the thread
ends. Every snapshot of a process that names the same URL has the same key set, so a reload fetches nothing anew.
"""

import json
import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple
from urllib.parse import urlsplit

import jwt

from guard.policy.fetch import MOST, FetchError, fetch
from guard.policy.keyset import KeyProblem, Published, parse_key_set
from guard.policy.reading import read_bounded
from guard.policy.writing import write_private

log = logging.getLogger("guard.keys")

FIRST = 12.0
"""Seconds that a load waits for a key set it has not seen yet."""
LEAST = 10.0
"""Seconds between two fetches at least: strangers show key ids that nobody has, and the issuer is not to hear of it."""
RETRY = 30.0
"""Seconds after which a fetch that failed is repeated."""
KEPT = 86400.0
"""Seconds for which the copy in the state directory can stand in for an issuer that does not answer at a start."""
DIRECTORY = "key-sets"


class KeySetState(NamedTuple):
    """How fresh a key set is."""

    name: str
    """Where it comes from: the URL without its query."""
    up: bool
    """True if the last fetch succeeded."""
    age: float
    """Seconds since the keys in use were fetched."""


class RemoteKeys:
    """The key set behind one URL. ``get`` never waits; all fetching is done by whoever calls ``refresh``."""

    def __init__(
        self,
        url: str,
        every: float,
        copy: Path | None,
        fetch: Callable[[str], bytes] = fetch,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self.problem: str | None = "not fetched yet"
        """Why the last fetch failed; None if it did not."""
        self.wishes: SimpleQueue[bool] = SimpleQueue()
        """True: a key is missing. False: nobody uses the key set any more."""
        self._url, self._every, self._copy, self._fetch, self._clock = url, every, copy, fetch, clock
        self._published: Mapping[str, Published] = {}
        self._fetched = 0.0
        self._wished = False
        self._tried = threading.Event()

    def get(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with that ``kid``. One that is missing is None now, and looked for at the issuer's soon."""
        found = self._published.get(kid) if kid is not None else None
        if found is not None:
            return found.key
        if kid is not None and not self._wished:
            self._wished = True
            self.wishes.put(True)
        return None

    def algorithms(self) -> set[str]:
        """Return the algorithms of the keys."""
        return {one.key.algorithm_name for one in self._published.values()}

    def refresh(self) -> float:
        """Fetch the key set once and return the seconds until it should be again. Whatever fails, the keys stay."""
        self._wished = False
        try:
            data = self._fetch(self._url)
            text, published = data.decode(), parse_key_set(data, self._published)
        except (FetchError, KeyProblem) as error:
            return self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - whatever an answer brings about: the thread goes on
            return self._failed(type(error).__name__)
        old, self._published = self._published, published
        self._fetched = self._clock()
        new, gone = len(published.keys() - old.keys()), len(old.keys() - published.keys())
        if self.problem is not None or new or gone:
            log.info("key set %s: fetched, %d keys, %d new, %d gone", self.name, len(published), new, gone)
        self.problem = None
        self._keep(text)
        self._tried.set()
        return self._every

    def wait(self, seconds: float) -> None:
        """Wait up to ``seconds`` for keys; with none, take those of the copy. Raises KeyProblem if there are none."""
        self._tried.wait(seconds)
        if not self._published:
            self._restore()
        if not self._published:
            raise KeyProblem(f"{self.name} cannot be fetched: {self.problem}")

    def state(self) -> KeySetState:
        """Return how fresh the keys are."""
        return KeySetState(self.name, self.problem is None, max(0.0, self._clock() - self._fetched))

    def _failed(self, problem: str) -> float:
        if problem != self.problem:
            stay = "; the keys of before stay" if self._published else ""
            log.warning("key set %s: cannot be fetched: %s%s", self.name, problem, stay)
        self.problem = problem
        self._tried.set()
        return min(RETRY, self._every)

    def _keep(self, text: str) -> None:
        if self._copy is None:
            return
        content = {"url": self._url, "fetched": self._fetched, "document": text}
        try:
            self._copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._copy, json.dumps(content).encode())
        except OSError as error:
            log.warning("key set %s: no copy is kept: %s", self.name, error.strerror)

    def _restore(self) -> None:
        """Take the keys of the copy, if there is one of this URL and of the last day."""
        if self._copy is None:
            return
        try:
            content = json.loads(read_bounded(self._copy, 8 * MOST))
            fetched = float(content["fetched"])
            if content["url"] != self._url or not 0 <= self._clock() - fetched <= KEPT:
                return
            published = parse_key_set(content["document"].encode())
        except (OSError, KeyProblem, ValueError, TypeError, KeyError, AttributeError):
            return
        self._published, self._fetched = published, fetched
        log.warning("key set %s: the copy of %d seconds ago is used", self.name, self._clock() - fetched)


class KeySets:
    """The key sets of one process, by URL. Safe to call from several threads."""

    def __init__(self, fetch: Callable[[str], bytes] = fetch, clock: Callable[[], float] = time.time) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._sets: weakref.WeakValueDictionary[tuple[str, float], RemoteKeys] = weakref.WeakValueDictionary()

    def follow(self, url: str, every: float, state_dir: Path | None) -> RemoteKeys:
        """Return the key set behind ``url``, fetched ``every`` so many seconds for as long as somebody holds it.

        The first time it waits up to 12 seconds. Raises KeyProblem if there are no keys by then, and no copy of them
        in ``state_dir`` that is not older than a day.
        """
        with self._lock:
            keys = self._sets.get((url, every))
            if keys is not None:
                return keys
            copy = state_dir / DIRECTORY / f"{sha256(url.encode()).hexdigest()[:32]}.json" if state_dir else None
            keys = RemoteKeys(url, every, copy, self._fetch, self._clock)
            weakref.finalize(keys, keys.wishes.put, False)
            threading.Thread(
                target=_refreshing, args=(weakref.ref(keys), keys.wishes), name="guard-keys", daemon=True
            ).start()
            keys.wait(FIRST)
            self._sets[url, every] = keys
            return keys

    def states(self) -> list[KeySetState]:
        """Return how fresh every key set is that is in use."""
        there = (reference() for reference in self._sets.valuerefs())  # a list already: a load may add one meanwhile
        return [keys.state() for keys in there if keys is not None]


def _refreshing(reference: "weakref.ref[RemoteKeys]", wishes: SimpleQueue[bool]) -> None:
    """Fetch again and again until nobody holds the key set. A SimpleQueue may be put into by a finalizer."""
    while True:
        keys = reference()
        if keys is None:
            return
        pause = keys.refresh()
        del keys  # or waiting here would keep it in use
        began = time.monotonic()
        while (left := began + pause - time.monotonic()) > 0:
            try:
                wanted = wishes.get(timeout=left)
            except Empty:
                break
            if not wanted:
                return
            pause = LEAST
