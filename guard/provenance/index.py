"""Writes the index: what was answered, digested and fingerprinted behind the answers by a thread of its own.

A request only hands its texts over; they live in memory until they are digested and fingerprinted, and nowhere else.
The queue is bounded by count and by characters. A choice that does not fit is dropped and counted: an index never slows
a request down, and never claims to be complete when it is not.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Lock, Thread
from typing import NamedTuple

from guard.provenance.fingerprint import NO_ECHO, NOTHING, Echo, Fingerprinter
from guard.provenance.layout import month_of
from guard.provenance.receipt import Finished, Receipt, Receipts, key_id
from guard.provenance.segment import ATTRIBUTABLE, ECHOED, FINGERPRINTED, Output, SegmentWriter, Totals
from guard.provenance.words import joined, words, words_of

BATCH = 64
"""Choices written with one system call."""
IDLE = 60.0
"""Seconds after which an idle writer looks whether a new month has begun."""
RETRY = 1.0
"""Seconds between attempts to open a segment on a disk that refuses."""

Texts = str | Sequence[str]


class _Task(NamedTuple):
    finished: Finished
    prompt: Texts
    texts: Texts
    size: int


class _Prompt(NamedTuple):
    """The last prompt, kept because the choices of one request share it."""

    texts: Texts
    digest: bytes
    echo: Echo


class FingerprintWriter:
    """Digests and fingerprints finished choices in the background, into segments below ``directory``.

    ``receipted`` is called in the background thread with the receipt of each choice, after its record was written or
    given up. With ``fingerprints`` False only digests are kept. ``clock`` returns epoch seconds. Raises ValueError for
    a key that is not 16 to 64 bytes long.
    """

    def __init__(
        self,
        directory: Path,
        instance: str,
        key: bytes,
        *,
        receipted: Callable[[Receipt], None] = lambda _receipt: None,
        fingerprints: bool = True,
        clock: Callable[[], float] = time.time,
        limit: int = 4096,
        limit_characters: int = 32 * 1024 * 1024,
        linger: float = 0.02,
    ) -> None:
        self.directory, self.instance = directory, instance
        self.answered = self.written = self.dropped = 0
        """Choices handed over, in the index, and left out; the others are waiting."""
        self.error: str | None = None
        """Why choices are being dropped for another reason than load, or None."""
        self._receipts, self._fingerprinter, self._key = Receipts(key), Fingerprinter(key), key_id(key)
        self._receipted, self._fingerprints, self._clock = receipted, fingerprints, clock
        self._limit, self._limit_characters, self._linger = limit, limit_characters, linger
        self._tasks: deque[_Task] = deque()
        self._characters = 0
        self._lock = Lock()
        self._ready, self._closing = Event(), Event()
        self._thread: Thread | None = None
        self._segment: SegmentWriter | None = None
        self._before = (0, 0)
        self._retry_at = 0.0
        self._prompt: _Prompt | None = None

    def start(self) -> None:
        """Begin this month's segment, so that an unclean stop is visible even before anything was answered.

        Raises OSError if the directory cannot be written.
        """
        self._segment = SegmentWriter(self.directory, self.instance, self._key, self._clock())
        self._before = (self.written, self.dropped)
        self._closing.clear()
        self._thread = Thread(target=self._run, name=f"fingerprints-{self.instance}", daemon=True)
        self._thread.start()

    def submit(self, finished: Finished, prompt: Texts, texts: Texts) -> bool:
        """Hand a finished choice over; False if it was left out, because too much waits already, and counted so."""
        size = _size(prompt) + _size(texts)
        with self._lock:
            self.answered += 1
            full = len(self._tasks) >= self._limit or self._characters + size > self._limit_characters
            if full or self._thread is None:
                self.dropped += 1
                return False
            self._characters += size
            self._tasks.append(_Task(finished, prompt, texts, size))
        if not self._ready.is_set():
            self._ready.set()
        return True

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits and end the segment; idempotent. What takes longer than ``timeout`` seconds is lost."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closing.set()
        self._ready.set()
        thread.join(timeout)

    @property
    def waiting(self) -> int:
        """Choices handed over and not written yet."""
        return self.answered - self.written - self.dropped

    @property
    def healthy(self) -> bool:
        """True while choices are being written."""
        return self.error is None and self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing.is_set() or self._tasks:
            self._ready.wait(IDLE)
            self._closing.wait(self._linger)
            self._ready.clear()
            self._turn_month()
            while self._tasks:
                self._write([self._tasks.popleft() for _ in range(min(BATCH, len(self._tasks)))])
        self._end(self._clock())

    def _write(self, tasks: list[_Task]) -> None:
        """Index ``tasks`` and hand out their receipts."""
        receipts, indexed, error = [], 0, None
        for task in tasks:
            try:
                receipts.append(self._index(task))
                indexed += 1
            except Exception as failure:  # noqa: BLE001 - one text that cannot be indexed is a gap, not the end
                error = f"{type(failure).__name__} while indexing a choice"
                receipts.append(self._receipts.make(task.finished, None, None))
            time.sleep(0)  # lets a waiting event loop have the interpreter between two texts
        self._prompt = None
        with self._lock:
            self._characters -= sum(task.size for task in tasks)
            written = indexed if self._segment is not None else 0
            self.written += written
            self.dropped += len(tasks) - written
        if self._segment is not None:
            self.error = error
            self._flush(written)
        for receipt in receipts:
            self._receipted(receipt)

    def _index(self, task: _Task) -> Receipt:
        prompt, finished = self._prepare(task.prompt), task.finished
        parts = [part for text in _each(task.texts) if (part := words(text))]
        whole = joined(parts)
        digest = self._receipts.digest(whole)
        if self._segment is not None:
            found = self._fingerprinter.fingerprint(whole, prompt.echo) if self._fingerprints else NOTHING
            self._segment.add(
                Output(
                    finished.id,
                    finished.time,
                    self._segment.label(finished.model, finished.license_ids),
                    ATTRIBUTABLE * found.attributable | ECHOED * found.echoed | FINGERPRINTED * self._fingerprints,
                    b"".join(dict.fromkeys([digest, *map(self._receipts.digest, parts)])),
                    found.values if found.attributable else b"",
                )
            )
        return self._receipts.make(finished, prompt.digest, digest)

    def _prepare(self, texts: Texts) -> _Prompt:
        prompt = self._prompt
        if prompt is None or prompt.texts is not texts:
            every = words_of(texts)
            echo = self._fingerprinter.echo(every) if self._fingerprints else NO_ECHO
            self._prompt = prompt = _Prompt(texts, self._receipts.digest_prompt(every), echo)
        return prompt

    def _flush(self, count: int) -> None:
        """Write a batch with ``count`` choices in it; if the disk refuses, they are dropped and the segment is over."""
        segment = self._segment
        if segment is None:
            return
        segment.add(self._totals(waiting=True))
        try:
            segment.write()
        except OSError as error:
            with self._lock:
                self.written -= count
                self._before = (self.written, self.dropped)
                self.dropped += count
            self.error = error.strerror or str(error)
            segment.abandon()
            self._segment = None

    def _totals(self, *, waiting: bool) -> Totals:
        """Return the counts since the segment began; choices that wait belong to the segment they will be in."""
        with self._lock:
            written, dropped = self.written - self._before[0], self.dropped - self._before[1]
            answered = self.answered - sum(self._before) if waiting else written + dropped
        return Totals(answered, written, dropped)

    def _turn_month(self) -> None:
        """See to it that there is a segment and that it is this month's."""
        now = self._clock()
        if self._segment is not None:
            if self._segment.month == month_of(now):
                return
            self._end(now)
        elif now < self._retry_at:
            return
        try:
            self._segment = SegmentWriter(self.directory, self.instance, self._key, now)
        except OSError as error:
            self.error = error.strerror or str(error)
            self._retry_at = now + RETRY

    def _end(self, now: float) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        segment.add(self._totals(waiting=False))
        self._before = (self.written, self.dropped)
        try:
            segment.end(now)
        except OSError as error:
            self.error = error.strerror or str(error)
            segment.abandon()


def _each(texts: Texts) -> Sequence[str]:
    return (texts,) if isinstance(texts, str) else texts


def _size(texts: Texts) -> int:
    return sum(map(len, _each(texts)))
