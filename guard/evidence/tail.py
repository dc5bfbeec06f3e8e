"""How a chain is taken over: the last entries of its live file verified, an unfinished line kept apart."""

import os
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from guard.evidence.entry import (
    CLOSE,
    CONTINUE,
    GENESIS,
    LEAVES,
    LONGEST,
    ROTATE,
    SEAL,
    Entry,
    NotAnEntry,
    checked,
    hash_of,
    outline,
    parse,
    prev_of,
)
from guard.evidence.journals import SUFFIX, chain_of, closed_path, live_path, number_of

WINDOW = 256 * 1024
"""Bytes at the end of a file that are verified before its chain is continued; ``verify`` reads all of it."""
_FIRST = 64 * 1024
"""Bytes in which the first line of a file that continues another one ends."""


class Torn(NamedTuple):
    """An unfinished line at the end: how long, what digest, and the file it was moved to."""

    bytes: int
    sha256: str
    file: str


class Damage(NamedTuple):
    """A chain that could not be continued: the name its live file was given, and why."""

    file: str
    what: str


class Tail(NamedTuple):
    """Where a chain goes on: the last entry's number, hash and time, and how it was left."""

    seq: int
    hash: bytes
    state: str
    """``nothing``, ``close`` or ``kill`` (the last entry is no ``close``)."""
    number: int = 1
    """Which file of the chain the live one is."""
    time: float | None = None
    rotated: bool = False
    """The live file has its last entry, and not its number yet."""
    before: str | None = None
    """The file that the live one is to continue, if that has no entry yet."""
    torn: Torn | None = None
    damage: Damage | None = None
    unsealed: tuple[Entry, ...] = ()
    """The leaves in the window that no seal covers (``guard.evidence.seal``), in order."""


class _Window(NamedTuple):
    """Whole lines at the end of a file; ``whole`` if they are all there are, ``rest`` what stands behind them."""

    lines: list[bytes]
    whole: bool
    rest: bytes
    end: int


def examine(file: int, path: Path) -> Tail | str:
    """Return the tail of an open live file, or what is wrong with it; an unfinished last line is moved away."""
    name, window = chain_of(path), _window(file)
    if window is None:
        return "its last line is too long for an entry of a journal"
    # A file gets its number when entries are in it: an empty one is somebody else's, and says nothing of the chain.
    newest = max((_number(closed) for closed in _closed(path.parent, name) if _holds_entries(closed)), default=0)
    try:
        number = _number_in(file) if window.lines else newest + 1
    except NotAnEntry:
        return "its first line is not an entry of a journal"
    if number <= newest:
        return f"it does not continue {closed_path(path.parent, name, newest).name}"
    before = closed_path(path.parent, name, number - 1)
    earlier = _Window([], True, b"", 0)
    there = _holds_entries(before)
    if window.whole and there:
        with before.open("rb") as closed:
            end = _window(closed.fileno())
        if end is None or end.rest:
            return f"the file before it, {before.name}, ends with an unfinished line"
        earlier = end
    whole = window.whole and (number == 1 or (number == 2 and there and earlier.whole))
    tail = _follow([*earlier.lines, *window.lines], whole=whole)
    if isinstance(tail, str):
        return tail
    begun = bool(window.lines)
    tail = tail._replace(
        number=number,
        rotated=tail.rotated and begun,
        before=before.name if earlier.lines and not begun else None,
    )
    if not window.rest:
        return tail
    return tail._replace(state="kill", torn=_keep_apart(file, path, window.rest, window.end, tail.seq + 1))


def set_aside(path: Path) -> Path:
    """Rename the chain whose live file is ``path``; return that file's new name. Goes on where it was interrupted."""
    name, number = chain_of(path), 1
    while live_path(path.parent, f"{name}.damaged-{number}").exists():
        number += 1
    damaged = f"{name}.damaged-{number}"
    for closed in _closed(path.parent, name):
        closed.rename(closed_path(path.parent, damaged, _number(closed)))
    return path.rename(live_path(path.parent, damaged))


def _closed(directory: Path, name: str) -> list[Path]:
    found = (path for path in directory.glob(f"{name}.*{SUFFIX}") if chain_of(path) == name)
    return sorted((path for path in found if number_of(path) is not None), key=_number)


def _holds_entries(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _number(path: Path) -> int:
    return number_of(path) or 0


def _number_in(file: int) -> int:
    """Return which file of its chain an open one is, by its first entry. Raises NotAnEntry."""
    line = os.pread(file, _FIRST, 0).partition(b"\n")[0]
    if not line.startswith(b'{"seq":') or b'"kind":"continue"' not in line:
        return 1
    entry = parse(line)
    number = entry.facts.get("number")
    return number if entry.kind == CONTINUE and type(number) is int and number > 1 else 1


def _window(file: int) -> _Window | None:
    """Return the last lines of a file, at least one if it has any; None where they are longer than entries are."""
    size, window = os.fstat(file).st_size, WINDOW
    while True:
        start = max(0, size - window)
        data = os.pread(file, size - start, start)
        end = data.rfind(b"\n") + 1
        if start == 0 or data.count(b"\n", 0, end) >= 2:
            break
        if window > 2 * LONGEST:
            return None
        window *= 4
    lines = data[:end].split(b"\n")[:-1]
    if start:
        del lines[0]
    return _Window(lines, start == 0, data[end:], start + end)


def _follow(lines: list[bytes], *, whole: bool) -> Tail | str:
    if not lines:
        return Tail(0, GENESIS, "nothing")
    try:
        seq = 1 if whole else outline(lines[0]).seq
        prev = GENESIS if whole else prev_of(lines[0])
        for line in lines:
            if isinstance(what := checked(line, seq, prev), str):
                return f"entry {seq} {what}"
            seq, prev = seq + 1, hash_of(line)
        last = parse(lines[-1])
        state = "close" if last.kind == CLOSE else "kill"
        unsealed = _unsealed(lines)
    except ValueError:
        return "its last lines are not entries of a journal"
    return Tail(seq - 1, prev, state, time=last.time, rotated=last.kind == ROTATE, unsealed=unsealed)


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
