"""A running journal reads its own files again: all of them once, slowly, then what each checkpoint added.

What is in memory is trusted: the numbers and hashes that this process continued from and has written. A file that says
anything else was changed on the disk.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Condition, Event, Thread
from typing import BinaryIO

from guard.evidence.journals import Chain, live_path
from guard.evidence.signing import Signer, SigningError, Verifier
from guard.evidence.walk import Bad, BrokenChainError, Walk

RATE = 8 * 1024 * 1024
"""Bytes a second that are read at most."""
SLICE = 64 * 1024
"""Bytes between two rests: about a millisecond's work."""


class SelfCheck:
    """Reads the chain of ``instance`` in a thread of its own and tells ``found`` of the first bad place, once.

    The signatures of checkpoints are checked by the keys that ``signer`` lists. ``rate`` is in bytes a second.
    """

    def __init__(
        self,
        directory: Path,
        instance: str,
        found: Callable[[Bad], None],
        signer: Signer | None = None,
        rate: float = RATE,
    ) -> None:
        self.checked = 0
        """Number of the last entry that was read and is as it was written."""
        self._path, self._found, self._signer, self._rate = live_path(directory, instance), found, signer, rate
        self._chain = Chain(instance, (), directory)
        self._changed, self._stopping = Condition(), Event()
        self._target: tuple[int, bytes] = (0, b"")
        self._in_place = True
        self._thread: Thread | None = None

    def start(self, seq: int, hash_: bytes) -> None:
        """Begin to read up to entry ``seq``, which has the hash ``hash_``; 0 for a chain without entries."""
        self._stopping.clear()
        self.checked, self._target, self._in_place = 0, (seq, hash_), True
        self._thread = Thread(target=self._run, name=f"selfcheck-{self._chain.name}", daemon=True)
        self._thread.start()

    def reach(self, seq: int, hash_: bytes, *, in_place: bool) -> None:
        """Have everything read up to entry ``seq``, which is in the file; ``in_place``: the file has its name still."""
        with self._changed:
            self._target, self._in_place = (seq, hash_), self._in_place and in_place
            self._changed.notify()

    def stop(self) -> None:
        """End the thread; idempotent."""
        self._stopping.set()
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None

    def _run(self) -> None:
        walk, lines = Walk(self._chain.name, self._chain.instance, None), _Lines(self._chain)
        try:
            while (target := self._next()) is not None:
                walk.keys = self._keys()
                self._read(walk, lines, target[0])
                if self._stopping.is_set():
                    return
                if walk.seq == target[0] and walk.prev != target[1]:
                    what = f"entry {walk.seq} has another hash than it was written with: the chain was recomputed"
                    raise BrokenChainError(Bad(str(self._path), 0, what))
                self.checked = walk.seq
        except BrokenChainError as error:
            self._found(error.bad)
        except OSError as error:
            self._found(Bad(str(self._path), 0, f"cannot be read: {error.strerror or error}"))
        finally:
            lines.close()

    def _next(self) -> tuple[int, bytes] | None:
        """Return what is to be read, once there is more of it than was; None at the end. Raises BrokenChainError."""
        with self._changed:
            while self._target[0] <= self.checked and self._in_place and not self._stopping.is_set():
                self._changed.wait()
            if self._stopping.is_set():
                return None
            if not self._in_place:
                raise BrokenChainError(Bad(str(self._path), 0, "was removed, replaced or cut while it was written"))
            return self._target

    def _keys(self) -> Verifier | None:
        """Return the keys that are listed now; none where nobody can say, which is reported where it signs."""
        try:
            return self._signer.verifier() if self._signer is not None else None
        except SigningError:
            return None

    def _read(self, walk: Walk, lines: "_Lines", seq: int) -> None:
        """Take the lines up to entry ``seq``. Raises BrokenChainError, also where the files end before it."""
        taken = 0
        while walk.seq < seq and not self._stopping.is_set():
            raw = lines.next(walk)
            if not raw:
                raise BrokenChainError(Bad(str(self._path), 0, f"ends with entry {walk.seq}: entries were cut off"))
            walk.take(raw)
            taken += len(raw)
            if taken >= SLICE:
                self._stopping.wait(taken / self._rate)
                taken = 0


class _Lines:
    """The lines of a chain that grows and is rotated: the file that is read stays open under whatever name it gets."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._files = chain.opened()
        self._file: BinaryIO | None = None

    def next(self, walk: Walk) -> bytes:
        """Return the next line, and have ``walk`` begin the file that it is in; nothing where there is none yet."""
        raw = self._file.readline() if self._file is not None else b""
        while not raw:
            if walk.rotated and walk.line:
                self.close()
                self._files = self._chain.opened(after=walk.number)
            path, self._file = next(self._files, (None, None))
            if path is None or self._file is None:
                return b""
            walk.begin(path)
            raw = self._file.readline()
        return raw

    def close(self) -> None:
        """Close what is open."""
        self._files.close()
