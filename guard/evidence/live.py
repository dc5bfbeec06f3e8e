"""The file of a chain that entries are appended to, held against other processes until it is given up."""

import errno
import fcntl
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from guard.evidence.entry import GENESIS
from guard.evidence.journals import closed_path, fit, live_path
from guard.evidence.tail import Damage, Tail, examine, set_aside


class LiveFile:
    """``<directory>/<instance>.jsonl`` while this process writes it; a lock file beside it keeps others away."""

    def __init__(self, directory: Path, instance: str) -> None:
        self.path = live_path(directory, instance)
        self.number = 1
        """Which file of the chain it is: the number that it gets when it is closed."""
        self.size = 0
        """Bytes in it."""
        self.before: str | None = None
        """The closed file that its first entry is to name; None when it has one, or begins a chain."""
        self._directory, self._instance = directory, instance
        self._file = self._held = -1

    @property
    def closed_name(self) -> str:
        """The name it gets when it is closed."""
        return closed_path(self._directory, self._instance, self.number).name

    @property
    def in_place(self) -> bool:
        """Return whether the file that is written to still has the journal's name, and all that was written."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        mine = os.fstat(self._file)
        return (found.st_ino, found.st_dev) == (mine.st_ino, mine.st_dev) and mine.st_size >= self.size

    def claim(self) -> Tail:
        """Open the file and return the tail to continue from; a rotation that was interrupted is finished.

        A file whose tail does not verify is set aside with the closed ones before it, and a new chain begun. Raises
        ValueError if the name is unfit or another process holds the chain, OSError if the disk refuses.
        """
        if not fit(self._instance):
            allowed = "1 to 100 letters, digits, '.', '_' and '-', not as a closed or damaged file ends"
            raise ValueError(f"instance name {self._instance!r}; allowed: {allowed}")
        self._directory.mkdir(parents=True, exist_ok=True)
        self._held = self._hold()
        try:
            self._open()
            tail = examine(self._file, self.path)
            if isinstance(tail, str):
                aside = set_aside(self.path)
                self._open()
                tail = Tail(0, GENESIS, "nothing", damage=Damage(aside.name, tail))
            self.number, self.before = tail.number, tail.before
            self.size = os.fstat(self._file).st_size
            if tail.rotated:
                self.rotate()
        except BaseException:
            self.close()
            raise
        return tail

    def write(self, data: memoryview) -> int:
        """Append what the disk takes of ``data`` and return how many bytes. Raises OSError."""
        if self._file < 0:
            raise OSError("the journal is closed")
        written = os.write(self._file, data)
        self.size += written
        return written

    def sync(self) -> None:
        """Have everything written on the medium. Raises OSError."""
        os.fsync(self._file)

    def rotate(self) -> None:
        """Give the file its number and begin the next one under its name, which has to begin with ``continue``.

        Everything is on the medium before the name changes; an empty file that has the number already is replaced. May
        be called again after an OSError, and goes on then.
        """
        closed = closed_path(self._directory, self._instance, self.number)
        if not closed.exists() or (closed.is_file() and closed.stat().st_size == 0):
            os.fsync(self._file)
            with suppress(FileNotFoundError):  # taken away by somebody: the chain goes on, verifying it names the file
                self.path.rename(closed)
        elif not os.path.samestat(closed.stat(), os.fstat(self._file)):
            raise FileExistsError(errno.EEXIST, f"{closed.name} is there already")
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._open()
        self.number, self.size, self.before = self.number + 1, 0, closed.name

    def close(self) -> None:
        """Give the file up; idempotent."""
        for descriptor in (self._file, self._held):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._held = -1

    def _hold(self) -> int:
        descriptor = os.open(self._directory / f".{self._instance}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                raise
            raise ValueError("another process writes this journal; every instance needs a name of its own") from error
        return descriptor

    def _open(self) -> None:
        opened = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise ValueError("is no regular file")
        if self._file >= 0:
            os.close(self._file)
        self._file = opened


def month_ends(moment: float) -> float:
    """Return when the UTC month of ``moment`` ends; both in epoch seconds."""
    date = datetime.fromtimestamp(moment, UTC)
    return datetime(date.year + date.month // 12, date.month % 12 + 1, 1, tzinfo=UTC).timestamp()
