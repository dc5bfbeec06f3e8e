"""One chain, followed line by line over its files: does each entry follow the one before it?

Beside the hashes this checks what the journal itself says in entries of its own: which file continues which, whose
journal it is, and what the checkpoints sign.
"""

from pathlib import Path
from typing import NamedTuple, NoReturn

from guard.evidence.checkpoint import Checkpoint, CheckpointError
from guard.evidence.entry import (
    CHECKPOINT,
    CLOSE,
    CONTINUE,
    DAMAGED,
    GENESIS,
    LONGEST,
    OPEN,
    ROTATE,
    Content,
    NotAnEntry,
    checked,
    hash_of,
    outline,
    parse,
    prev_of,
)
from guard.evidence.journals import closed_path, number_of
from guard.evidence.signing import Verifier


class Bad(NamedTuple):
    """The first place where a chain is not what it should be.

    ``line`` is 1-based, 0 for a file as a whole; the line begins at byte ``offset`` of the file and has ``length``.
    """

    file: str
    line: int
    what: str
    offset: int = 0
    length: int = 0

    def __str__(self) -> str:
        if not self.line:
            return f"{self.file}: {self.what}"
        place = f" (bytes {self.offset} to {self.offset + self.length - 1})" if self.length else ""
        return f"{self.file}:{self.line}: {self.what}{place}"


class BrokenChainError(Exception):
    """A chain is not as it was written, from ``bad`` on."""

    def __init__(self, bad: Bad) -> None:
        super().__init__(str(bad))
        self.bad = bad


class Walk:
    """How far the chain called ``name``, of ``instance``, was followed; signatures are checked by ``keys``, if any."""

    def __init__(self, name: str, instance: str, keys: Verifier | None) -> None:
        self.seq, self.prev = 0, GENESIS
        """Number and hash of the last entry."""
        self.first: int | None = None
        """Number of the first entry there is: 1 unless the files before it are elsewhere."""
        self.number = 0
        """Which file of the chain is being read; 0 before the first."""
        self.line = self.offset = 0
        """Lines of the file that were taken, and their bytes."""
        self.unclean = 0
        """Runs that ended without ``close``."""
        self.aside: set[str] = set()
        """Files of chains that were set aside, as the ``damaged`` entries of this one name them."""
        self.checkpoints = self.early = 0
        """Checkpoints, and those that were signed before their key is listed: the clock was set back since."""
        self.first_early: tuple[str, int] | None = None
        """File and line of the first of these."""
        self.checkpoint: Checkpoint | None = None
        """The last one."""
        self.signed = 0
        """Number of the last checkpoint's entry."""
        self.rotated = False
        """The last entry ended a file."""
        self.keys = keys
        self._name, self._instance = name, instance
        self._path = Path()
        self._closed = True

    def begin(self, path: Path) -> None:
        """Go on with the file at ``path``.

        Raises BrokenChainError where one before it is missing or has its number, and for a closed file that is empty.
        """
        number = number_of(path)
        if number is not None and _empty(path):
            raise BrokenChainError(Bad(str(path), 0, "is empty: a file gets its number when entries are in it"))
        if self.number and number is not None and number != self.number + 1:
            if number == self.number:
                raise BrokenChainError(Bad(str(path), 0, f"is file {number} of the chain, and so is {self._path}"))
            raise BrokenChainError(self._missing(path))
        if self.number and not self.rotated:
            what = f"does not say that it is the end of the file, and {path.name} is there: entries were cut off"
            raise BrokenChainError(Bad(str(self._path), self.line, f"the last entry {what}", self.offset, 0))
        self._path, self.line, self.offset = path, 0, 0

    def take(self, raw: bytes) -> str:
        """Take the next line with its line feed and return its entry's kind. Raises BrokenChainError."""
        line = raw[:-1]
        if len(raw) > LONGEST:
            self._broken(raw, f"the line is longer than {LONGEST} bytes: it is not an entry of a journal")
        if not raw.endswith(b"\n"):
            self._broken(raw, "the entry is unfinished: the instance was killed while writing it, or is writing it now")
        if self.first is None:
            self._start(line)
        found = checked(line, self.seq + 1, self.prev)
        if isinstance(found, str):
            if not self.line and self.number and (missing := self._skipped(line)):
                raise BrokenChainError(missing)
            self._broken(raw, f"the entry {found}")
        kind = found.kind
        if kind in _OWN:
            self._own(found, raw)
        elif not self.line and self.number:
            self._broken(raw, f"the file does not say that it continues file {self.number}")
        elif self.rotated:
            self._broken(raw, "the entry stands behind the one that ends the file")
        if not self.line:
            self.number += 1
            if number_of(self._path) not in (None, self.number):
                self._broken(raw, "the entry begins the chain: the file was renamed, or those before it removed")
        if self.first is None:
            self.first = found.seq
        self.seq, self.prev, self.rotated = found.seq, hash_of(line), kind == ROTATE
        self._closed = kind == CLOSE or (self._closed and kind in _AROUND)
        self.line, self.offset = self.line + 1, self.offset + len(raw)
        return kind

    def _start(self, line: bytes) -> None:
        """Where the first entry there is continues a file, that one is elsewhere: begin with what it says."""
        try:
            found = outline(line)
            if found.kind != CONTINUE or found.seq < 2:
                return
            number = parse(line).facts.get("number")
            before = bytes.fromhex(prev_of(line).decode()).hex().encode()
        except ValueError:  # NotAnEntry is one, too
            return
        if type(number) is int and number > 1 and before == prev_of(line):
            self.seq, self.prev, self.number = found.seq - 1, prev_of(line), number - 1

    def _own(self, entry: Content, raw: bytes) -> None:
        """Check what an entry of the journal itself says. Raises BrokenChainError."""
        kind, facts = entry.kind, entry.facts
        if (kind == CONTINUE) != (not self.line and self.number > 0):
            what = "stands where no file begins" if kind == CONTINUE else f"begins a file behind file {self.number}"
            self._broken(raw, f"the entry of kind {kind} {what}")
        if kind == CONTINUE:
            due = {"number": self.number + 1, "seq": self.seq, "hash": self.prev.decode()}
            for name, value in due.items():
                if facts.get(name) != value:
                    self._broken(raw, f"the entry continues {name} {facts.get(name)!a}, where {value!a} is due")
        elif self.rotated:
            self._broken(raw, "the entry stands behind the one that ends the file")
        number = number_of(self._path)
        if kind in (CONTINUE, ROTATE) and number is not None and facts.get("number") != number:
            self._broken(raw, f"the entry is of file {facts.get('number')!a}: the file was renamed")
        if "instance" in facts and facts["instance"] != self._instance:
            self._broken(raw, f"the entry is of instance {facts['instance']!a}: the file was renamed, or is a copy")
        if kind == DAMAGED:
            self.aside.add(str(facts.get("file")))
        if kind == CHECKPOINT:
            try:
                self._check(Checkpoint.of_facts(facts))
            except CheckpointError as error:
                self._broken(raw, f"the checkpoint {error}")
        self.unclean += kind == OPEN and not self._closed

    def _check(self, found: Checkpoint) -> None:
        if (found.seq, found.head) != (self.seq, self.prev.decode()):
            raise CheckpointError("is not of the entry before it: the chain was recomputed")
        if self.keys is not None and not found.check(self.keys):
            self.early += 1
            self.first_early = self.first_early or (str(self._path), self.line + 1)
        self.checkpoints, self.checkpoint, self.signed = self.checkpoints + 1, found, self.seq + 1

    def _skipped(self, line: bytes) -> Bad | None:
        """Return that a file is missing, where ``line`` is in itself sound and continues another than the last one."""
        try:
            entry = parse(line)
        except NotAnEntry:
            return None
        number = entry.facts.get("number")
        sound = not isinstance(checked(line, entry.seq, prev_of(line)), str)
        if sound and entry.kind == CONTINUE and type(number) is int and number > self.number + 1:
            return self._missing(self._path)
        return None

    def _missing(self, path: Path) -> Bad:
        missing = closed_path(path.parent, self._name, self.number + 1)
        return Bad(str(missing), 0, f"is missing: it continued entry {self.seq}, and {path.name} is there")

    def _broken(self, raw: bytes, what: str) -> NoReturn:
        raise BrokenChainError(Bad(str(self._path), self.line + 1, what, self.offset, len(raw)))


def _empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:  # moved to an archive meanwhile
        return False


_OWN = frozenset({OPEN, CHECKPOINT, ROTATE, CONTINUE, DAMAGED})
_AROUND = frozenset({CHECKPOINT, ROTATE, CONTINUE})
"""What a journal may write of itself between the end of a run and the beginning of the next."""
