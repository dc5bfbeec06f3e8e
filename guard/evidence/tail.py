"""How a journal file is taken over: locked, its last entries verified, an unfinished line kept apart."""

import fcntl
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from guard.evidence.entry import CLOSE, GENESIS, LEAVES, SEAL, SUFFIX, Entry, fault, hash_of, outline, parse, prev_of

WINDOW = 256 * 1024
"""Bytes at the end of a file that are verified before its chain is continued; ``verify`` reads all of it."""
INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Torn(NamedTuple):
    """An unfinished line at the end: how long, what digest, and the file it was moved to."""

    bytes: int
    sha256: str
    file: str


class Damage(NamedTuple):
    """A file that could not be continued: the name it was given, and why."""

    file: str
    what: str


class Tail(NamedTuple):
    """Where a chain goes on: the last entry's number and hash, and how the file was left."""

    seq: int
    hash: bytes
    state: str
    """``nothing``, ``close`` or ``kill`` (the last entry is no ``close``)."""
    torn: Torn | None = None
    damage: Damage | None = None
    unsealed: tuple[Entry, ...] = ()
    """The leaves in the window that no seal covers (``guard.evidence.seal``), in order."""


def claim(directory: Path, instance: str) -> tuple[int, Tail]:
    """Return a locked descriptor that appends to the journal of ``instance``, and the tail to continue from.

    Raises ValueError if the name is unfit or another process holds the file, OSError if the disk refuses.
    """
    if not INSTANCE.fullmatch(instance):
        raise ValueError(f"instance name {instance!r}; allowed: 1 to 100 letters, digits, '.', '_' and '-'")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{instance}{SUFFIX}"
    file = _lock(path)
    try:
        tail = _examine(file, path)
        if isinstance(tail, str):
            aside = _set_aside(path)
            os.close(file)
            file = _lock(path)
            tail = Tail(0, GENESIS, "nothing", None, Damage(aside.name, tail))
    except BaseException:
        os.close(file)
        raise
    return file, tail


def _lock(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise ValueError("another process writes this journal; every instance needs a name of its own") from error
    return file


def _examine(file: int, path: Path) -> Tail | str:
    """Return the tail of an open journal, or what is wrong with it; an unfinished last line is moved away."""
    size = os.fstat(file).st_size
    window = WINDOW
    while True:
        start = max(0, size - window)
        data = os.pread(file, size - start, start)
        end = data.rfind(b"\n") + 1
        if start == 0 or data.count(b"\n", 0, end) >= 2:
            break
        window *= 4
    lines = data[:end].split(b"\n")[:-1]
    if start:
        del lines[0]
    tail = _follow(lines, whole=start == 0)
    if isinstance(tail, str) or end == len(data):
        return tail
    return tail._replace(state="kill", torn=_keep_apart(file, path, data[end:], start + end, tail.seq + 1))


def _follow(lines: list[bytes], *, whole: bool) -> Tail | str:
    if not lines:
        return Tail(0, GENESIS, "nothing")
    try:
        seq = 1 if whole else outline(lines[0]).seq
        prev = GENESIS if whole else prev_of(lines[0])
        for line in lines:
            if what := fault(line, seq, prev):
                return f"entry {seq} {what}"
            seq, prev = seq + 1, hash_of(line)
        state = "close" if outline(lines[-1]).kind == CLOSE else "kill"
        return Tail(seq - 1, prev, state, unsealed=_unsealed(lines))
    except ValueError:
        return "its last lines are not entries of a journal"


def _unsealed(lines: list[bytes]) -> tuple[Entry, ...]:
    """Return the leaves behind the last leaf of the last seal; all of them where that one is not among them."""
    leaves: list[Entry] = []
    for line in lines:
        kind = outline(line).kind
        if kind in LEAVES:
            leaves.append(parse(line))
        elif kind == SEAL:
            last = parse(line).facts.get("last")
            covered = next((at for at in range(len(leaves) - 1, -1, -1) if leaves[at].facts.get("id") == last), -1)
            del leaves[: covered + 1]
    return tuple(leaves)


def _keep_apart(file: int, path: Path, torn: bytes, offset: int, seq: int) -> Torn:
    """Move ``torn`` to a file of its own before cutting it off; repeating it after a crash changes nothing."""
    aside = path.with_name(f"{path.stem}.torn-{seq}")
    with aside.open("wb") as copy:
        copy.write(torn)
        copy.flush()
        os.fsync(copy.fileno())
    os.ftruncate(file, offset)
    return Torn(len(torn), sha256(torn).hexdigest(), aside.name)


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{SUFFIX}")).exists():
        number += 1
    return path.rename(aside)
