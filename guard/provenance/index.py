"""Writes the index: what was answered, digested and fingerprinted behind the answers by a thread of its own.

A request only hands its texts over; they live in memory until they are digested and fingerprinted, and nowhere else.
The queue is bounded by count and by characters. The texts of a choice that does not fit are dropped and counted: an
index never slows a request down, and never claims to be complete when it is not.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import NamedTuple

from guard.licensing.license import License
from guard.provenance.counts import COUNTS_SUFFIX
from guard.provenance.fingerprint import NO_ECHO, Echo, Fingerprinter, attributable, seal
from guard.provenance.layout import SEGMENT_SUFFIX, month_of
from guard.provenance.months import MonthKeyError, MonthKeys
from guard.provenance.receipt import DIGEST_SIZE, Finished, Receipt, Receipts
from guard.provenance.retention import Shredded, expired, months_in, shred
from guard.provenance.rotation import Rotation
from guard.provenance.scan import pack
from guard.provenance.segment import ATTRIBUTABLE, ECHOED, FINGERPRINTED, Output
from guard.provenance.tally import Tally, settle
from guard.provenance.words import Text, read

BATCH = 32
"""Choices looked at together, without the interpreter, and written with one system call. What is left for it to do of
so many is done in less than a millisecond: an event loop need not wait longer for it.
"""
IDLE = 60.0
"""Seconds after which an idle writer looks whether its segment or the month is over."""
TEXTLESS = 16
"""As many times the limit may wait of choices whose texts were dropped: they are small."""

Texts = str | Sequence[str]


_Task = tuple[Finished, Texts, Texts | None, int]
"""What is known of a choice, its prompt, its texts, and the size of both. The texts are None if they were dropped: then
all that is left to make is the receipt.
"""


class _Prompt(NamedTuple):
    """The last prompt, kept because the choices of one request share it."""

    texts: Texts
    digest: bytes
    tag: int
    echo: Echo


class _Trace(NamedTuple):
    """What a choice leaves behind."""

    prompt: bytes
    """The digest of it."""
    digests: bytes
    """The digest of all texts, then those of single ones if there are several."""
    words: int
    tag: int
    flags: int
    keys: bytes


class FingerprintWriter:
    """Digests and fingerprints finished choices in the background, into segments below ``directory``.

    ``keys`` has the keys of the months; ``key`` is the master key. ``receipted`` is called with the receipts of each
    batch after it was written or given up, in the background thread or, when that is overrun, in the caller's. With
    ``fingerprints`` False only digests are kept. A segment in which something was written is ended after ``minutes``.
    With ``keep_months`` older months are shredded, and ``shredded`` is told. With ``recorded`` False choices are given
    to ``count`` instead of ``submit``: nothing is known of them but how many. ``clock`` returns epoch seconds. Raises
    ValueError for a key that is not 16 to 64 bytes long.
    """

    def __init__(
        self,
        directory: Path,
        instance: str,
        key: bytes,
        keys: MonthKeys,
        *,
        receipted: Callable[[list[Receipt]], None] = lambda _receipts: None,
        shredded: Callable[[Shredded], None] = lambda _shredded: None,
        recorded: bool = True,
        fingerprints: bool = True,
        minutes: float = 60.0,
        keep_months: int | None = None,
        clock: Callable[[], float] = time.time,
        limit: int = 4096,
        limit_characters: int = 32 * 1024 * 1024,
        linger: float = 0.05,
    ) -> None:
        self.directory, self.instance = directory, instance
        self.tally = Tally()
        """What was handed over, and what became of it."""
        self._receipts, self._fingerprinter, self._keys = Receipts(key), Fingerprinter(key), keys
        self._rotation = Rotation(directory, instance, key, keys, self.tally, 60.0 * minutes, recorded=recorded)
        self._recorded = recorded
        self._receipted, self._shredded, self._keep_months = receipted, shredded, keep_months
        self._fingerprints, self._clock = fingerprints, clock
        self._limit, self._limit_characters, self._linger = limit, limit_characters, linger
        self._tasks: deque[_Task] = deque()
        self._texts = self._characters = 0
        """What waits: choices with texts, and their length."""
        self._lock = Lock()
        self._ready, self._closing = Event(), Event()
        self._thread: Thread | None = None
        self._prompt: _Prompt | None = None
        self._stack: tuple[Sequence[License | str], tuple[str, ...]] = ((), ())
        """The licenses of the last choice, and their ids."""
        self._failure: str | None = None
        self._kept: str | None = None

    def start(self) -> None:
        """Begin this month's segment, so that whatever becomes of this process is visible from now on.

        Raises OSError or MonthKeyError if the directory or the month's key cannot be written. Where choices are only
        counted that is no reason not to serve: ``error`` says it, and it is tried again.
        """
        if self._recorded:
            self._rotation.begin(self._clock())
        else:
            self._rotation.turn(self._clock())
        self._closing.clear()
        self._thread = Thread(target=self._run, name=f"fingerprints-{self.instance}", daemon=True)
        self._thread.start()

    def submit(self, finished: Finished, prompt: Texts, texts: Texts) -> bool:
        """Hand a finished choice over; False if too much waits already: then its receipt has no digests."""
        size = _size(prompt) + _size(texts)
        self.tally.answer()
        with self._lock:
            fits = self._texts < self._limit and self._characters + size <= self._limit_characters
            if fits := fits and self._thread is not None:
                self._texts += 1
                self._characters += size
                self._tasks.append((finished, prompt, texts, size))
        if not fits:
            self._drop(finished)
        if not self._ready.is_set():
            self._ready.set()
        return fits

    def count(self, choices: int) -> None:
        """Count choices of which nothing is recorded."""
        self.tally.answer(choices)
        if not self._ready.is_set():
            self._ready.set()

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits and end the segment; idempotent. What takes longer than ``timeout`` seconds is lost."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closing.set()
        self._ready.set()
        thread.join(timeout)

    @property
    def error(self) -> str | None:
        """Why choices are being dropped for another reason than load, or a month is kept longer than it should be."""
        return self._rotation.error or self._failure or self._kept

    @property
    def waiting(self) -> int:
        """Choices handed over and not written yet."""
        return self.tally.waiting

    @property
    def healthy(self) -> bool:
        """True while choices are being written."""
        return self.error is None and self._thread is not None and self._thread.is_alive()

    def _drop(self, finished: Finished) -> None:
        self.tally.drop()
        if self._thread is not None and len(self._tasks) < TEXTLESS * self._limit:
            self._tasks.append((finished, "", None, 0))
        else:
            self._receipted([self._receipts.make(finished, None, None)])

    def _run(self) -> None:
        """Write what waits, once per ``linger``. ``_ready`` stays set while choices keep coming: nobody has to wake."""
        self._settle()
        self._retire()
        while not self._closing.is_set() or self._tasks:
            woken = self._ready.wait(IDLE)
            if woken:
                self._closing.wait(self._linger)
            if woken and not self._tasks:
                self._ready.clear()
                if self._tasks:  # came just now, and may have found it set
                    self._ready.set()
                elif not self.tally.waiting and not self._closing.is_set():
                    continue
            if self._rotation.turn(self._clock()) or self._kept:
                self._retire()
            if not self._recorded and self._rotation.month == month_of(self._clock()):
                self.tally.drop(self.tally.waiting)
            while self._tasks:
                self._write([self._tasks.popleft() for _ in range(min(BATCH, len(self._tasks)))])
        if not self._recorded:
            self.tally.drop(self.tally.waiting)
        self._rotation.end(self._clock())

    def _write(self, tasks: list[_Task]) -> None:
        """Index ``tasks`` and hand out their receipts."""
        receipts, indexed, lost, failure = [], 0, 0, None
        for task, trace in zip(tasks, self._traces(tasks), strict=True):
            try:
                receipts.append(self._index(task, trace))
                indexed += task[2] is not None
            except Exception as error:  # noqa: BLE001 - one text that cannot be indexed is a gap, not the end
                failure = f"{type(error).__name__} while indexing a choice"
                receipts.append(self._receipts.make(task[0], None, None))
                lost += 1
        self._prompt = None
        with self._lock:
            self._texts -= sum(texts is not None for _, _, texts, _ in tasks)
            self._characters -= sum(size for _, _, _, size in tasks)
        written = self._rotation.write(indexed)
        self.tally.drop(lost if written else lost + indexed)
        self._failure = failure
        self._receipted(receipts)

    def _traces(self, tasks: list[_Task]) -> list[_Trace | None]:
        """Return the traces of choices of one text each, as far as they can be made together; ``_trace`` makes all."""
        pairs = [_pair(prompt, texts) for _, prompt, texts, _ in tasks]
        month = self._rotation.key if self._fingerprints and self._rotation.segment is not None else None
        traces: list[_Trace | None] = []
        for looked in self._fingerprinter.look(pairs, month):
            if looked is None:
                traces.append(None)
                continue
            prompt, digest, words, tag, keys, worth, code, echoed = looked
            flags = 0
            if month is not None:
                told = attributable(worth, code, echoed=echoed)
                flags = FINGERPRINTED | ATTRIBUTABLE * told | ECHOED * echoed
                keys = pack(keys) if told else b""
            traces.append(_Trace(prompt, digest, words, tag, flags, keys))
        return traces

    def _index(self, task: _Task, trace: _Trace | None) -> Receipt:
        finished, prompt, texts, _ = task
        if texts is None:
            return self._receipts.make(finished, None, None)
        if trace is None:
            time.sleep(0)  # lets a waiting event loop have the interpreter between two texts
            trace = self._trace(prompt, texts)
        segment = self._rotation.segment
        if segment is not None:
            _, digests, words, tag, flags, keys = trace
            label = segment.label(finished.model, self._license_ids(finished), finished.tenant)
            segment.add(Output(finished.id, finished.time, label, flags, words, tag, digests, keys))
        return self._receipts.make(finished, trace.prompt, trace.digests[:DIGEST_SIZE])

    def _license_ids(self, finished: Finished) -> tuple[str, ...]:
        """Return the ids of the stack; one policy gives one tuple to all its answers."""
        if finished.licenses is not self._stack[0] or type(finished.licenses) is not tuple:
            self._stack = finished.licenses, finished.license_ids
        return self._stack[1]

    def _trace(self, prompt: Texts, texts: Texts) -> _Trace:
        """Return the trace of any choice."""
        asked = self._prepare(prompt)
        parts = [part for text in _each(texts) if (part := read(text)).words]
        whole = _joined(parts)
        digests = dict.fromkeys(self._receipts.digest(part.words) for part in (whole, *parts))
        flags, keys = 0, b""
        if self._fingerprints and self._rotation.segment is not None:
            found = self._fingerprinter.fingerprint(whole, asked.echo)
            flags = FINGERPRINTED | ATTRIBUTABLE * found.attributable | ECHOED * found.echoed
            if found.attributable:
                keys = pack(seal(self._rotation.key, found.grams))
        return _Trace(asked.digest, b"".join(digests), whole.count, asked.tag, flags, keys)

    def _prepare(self, texts: Texts) -> _Prompt:
        prompt = self._prompt
        if prompt is None or prompt.texts is not texts:
            text = _joined([read(part) for part in _each(texts)])
            digest = self._receipts.digest_prompt(text.words)
            echo = self._fingerprinter.echo(text) if self._fingerprints else NO_ECHO
            tag = (int.from_bytes(digest[:2], "little") or 1) if text.words else 0
            self._prompt = prompt = _Prompt(texts, digest, tag, echo)
        return prompt

    def _settle(self) -> None:
        """Put on the medium what killed gateways counted: it is believed only while the machine has not lost power."""
        for path in self.directory.glob(f"*/*{SEGMENT_SUFFIX}{COUNTS_SUFFIX}"):
            with suppress(OSError):
                settle(path.with_suffix(""))

    def _retire(self) -> None:
        """Shred the months that are kept no longer."""
        if self._keep_months is None:
            return
        self._kept = None
        for month in expired(months_in(self.directory, self._keys), self._keep_months, self._clock()):
            try:
                gone = shred(self.directory, self._keys, month)
            except (OSError, MonthKeyError) as error:
                self._kept = f"{month} cannot be shredded: {error}"
            else:
                if gone is not None:
                    self._shredded(gone)


def _joined(parts: list[Text]) -> Text:
    """Return all ``parts`` as one text."""
    if len(parts) == 1:
        return parts[0]
    return Text(b" ".join(part.words for part in parts), b" ".join(part.code for part in parts if part.code))


def _pair(prompt: Texts, texts: Texts | None) -> tuple[str, str] | None:
    """Return a prompt and its answer if each is one text."""
    said = texts[0] if texts is not None and len(texts) == 1 else texts
    return (prompt, said) if isinstance(prompt, str) and isinstance(said, str) else None


def _each(texts: Texts) -> Sequence[str]:
    return (texts,) if isinstance(texts, str) else texts


def _size(texts: Texts) -> int:
    return sum(map(len, _each(texts)))
