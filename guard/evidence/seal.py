"""Seals: a signature for a batch of journal entries, by which each of them can be shown elsewhere with a short proof.

Entries of the kinds ``receipt`` and ``declaration`` are the leaves of hash trees (``guard.evidence.merkle``). A
``seal`` entry stands behind the leaves that it covers; between them others may stand that the next one covers. Signed
are the root, how many leaves it is of, when it was signed, and the hash of an entry before it (``head``): so whatever
stands in the file up to that entry cannot be recomputed by somebody without the key.
"""

import time
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

from guard.evidence import merkle
from guard.evidence.entry import Canonical, Content, Facts
from guard.evidence.envelope import canonical
from guard.evidence.signing import Signer

MOST = 4096
"""Leaves under one seal: their proofs have at most 12 hashes."""
SECONDS = 0.5
"""How long leaves that are written wait, so that many share a signature: one costs as much as linking thirty."""
MANY = 256
"""Leaves that do not wait for more: about what the next run looks back at, should this one be killed."""
LOOK_BACK = 65_536
"""Leaves without a seal that are kept in mind while a journal is read."""
_SIGNED_AS = b"guard-seal/1\n"
_COUNTED = 2**53
"""What canonical JSON can say is less (``guard.evidence.envelope``)."""
_KINDS: dict[str, set[type]] = {
    "key": {str},
    "count": {int},
    "first": {str},
    "last": {str},
    "sealed": {int, float},
    "late": {bool},
}


class SealError(ValueError):
    """A seal that is not what it should be; the text says what is wrong, as the end of a sentence about the seal."""


class Leaf(NamedTuple):
    """A leaf as a journal is read."""

    id: str
    hash: bytes
    seq: int
    """Its entry's number in the chain."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A ``seal`` entry."""

    key: str
    count: int
    root: bytes
    first: str
    """The id of the first leaf."""
    last: str
    head: str
    sealed: float
    """When it was signed, in epoch seconds, by the clock of whoever signed."""
    late: bool
    """The leaves were left behind by a run that was killed: the signature says no more than that they stood in the
    file when the next one began.
    """
    signature: bytes

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is over."""
        return signed_bytes(self.root, self.count, self.head, self.sealed, late=self.late)

    def facts(self) -> dict[str, Any]:
        """Return the facts of its entry."""
        return asdict(self) | {"root": self.root.hex(), "signature": b64encode(self.signature).decode()}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Return the seal that a ``seal`` entry's ``facts`` state. Raises SealError."""
        try:
            known = {name: facts[name] for name in cls.__slots__}
            root, signature = bytes.fromhex(known["root"]), b64decode(known["signature"], validate=True)
            typed = all(type(known[name]) in kinds for name, kinds in _KINDS.items())
            typed = typed and known["count"] < _COUNTED
            if not typed or len(root) != merkle.SIZE or len(bytes.fromhex(known["head"])) != merkle.SIZE:
                raise SealError("has not the facts of a seal")
            return cls(**known | {"root": root, "signature": signature})
        except (KeyError, TypeError, ValueError) as error:
            raise SealError("has not the facts of a seal") from error


class Sealer:
    """Signs the leaves of one journal, batch by batch: what the journal calls, one thread at a time."""

    def __init__(self, signer: Signer, clock: Callable[[], float] = time.time) -> None:
        self._signer, self._clock = signer, clock
        self._waiting: deque[Leaf | tuple[str, Facts]] = deque()
        self._late = 0
        """Leaves that the run before left: no seal holds leaves of both."""
        self.until: float | None = None
        """When ``turn`` is due, by the monotonic clock; None: as soon as a leaf waits."""

    @property
    def full(self) -> bool:
        """True if as many leaves wait as share a signature."""
        return len(self._waiting) >= MANY

    @property
    def forgotten(self) -> bool:
        """True if leaves wait and nobody knows until when."""
        return self.until is None and len(self._waiting) > 0

    def turn(self, now: float, seal: Callable[[], bool]) -> None:
        """Have leaves sealed that have waited long enough or are many; ``seal`` returns whether there were any.

        While more keep coming, ``until`` is set again. It is cleared before leaves are counted, and ``forgotten`` is
        asked when they are there already: none is missed by both.
        """
        if self.full or (self.until is not None and now >= self.until):
            self.until = now + SECONDS if seal() else None
        if self.forgotten:
            self.until = now + SECONDS

    def resume(self, entries: Sequence[Content]) -> None:
        """Take the leaves that the run before left without a seal: they are sealed first, as ``late``."""
        self._waiting = deque((entry.kind, entry.facts) for entry in entries)
        self._late = len(entries)

    def take(self, kind: str, facts: Facts) -> None:
        """Take a leaf that has been linked into the chain; call in the order of the chain."""
        self._waiting.append((kind, facts))

    def take_all(self, leaves: Sequence[Leaf]) -> None:
        """Take leaves that have been linked into the chain."""
        self._waiting.extend(leaves)

    def seals(self, head: str) -> list[dict[str, Any]]:
        """Return the facts of the ``seal`` entries for all leaves taken; ``head`` is the hash of an entry in the file.

        Mostly one; none if no leaf waits.
        """
        seals = []
        while self._waiting:
            late = self._late > 0
            taken = min(MOST, self._late or len(self._waiting))
            each = [self._waiting.popleft() for _ in range(taken)]
            leaves = [leaf for one in each if (leaf := one if isinstance(one, Leaf) else leaf_of(*one)) is not None]
            if late:
                self._late -= taken
            if leaves:
                seals.append(self._seal(leaves, head, late=late).facts())
        return seals

    def _seal(self, leaves: list[Leaf], head: str, *, late: bool) -> Seal:
        root, now = merkle.root([leaf.hash for leaf in leaves]), self._clock()
        signed = self._signer.sign(signed_bytes(root, len(leaves), head, now, late=late))
        return Seal(signed.key, len(leaves), root, leaves[0].id, leaves[-1].id, head, now, late, signed.value)


class Unsealed:
    """The leaves of one chain that no seal has covered yet, while it is read from the beginning."""

    def __init__(self) -> None:
        self.skipped: int | None = None
        """The entry of the first leaf that no seal covers though one behind it was made."""
        self.missed = 0
        """How many of those there are."""
        self._leaves: deque[Leaf] = deque()

    def __len__(self) -> int:
        return len(self._leaves)

    @property
    def first(self) -> int | None:
        """The entry of the first leaf without a seal."""
        return self.skipped if self.skipped is not None else self._leaves[0].seq if self._leaves else None

    def add(self, kind: str, facts: Mapping[str, Any], seq: int) -> None:
        """Take the leaf in entry ``seq``."""
        leaf = leaf_of(kind, facts, seq)
        if leaf is None:
            return
        self._leaves.append(leaf)
        if len(self._leaves) > LOOK_BACK:
            self._skip()

    def holds(self, id_: str) -> bool:
        """Return whether a leaf of that id waits."""
        return any(leaf.id == id_ for leaf in self._leaves)

    def drop_through(self, id_: str) -> None:
        """Forget the leaves up to the one of that id, if it is here: their seal covers others that are not."""
        if self.holds(id_):
            while self._leaves.popleft().id != id_:
                pass

    def cover(self, seal: Seal) -> list[Leaf]:
        """Return the leaves that ``seal`` covers, which have a seal now. Raises SealError if they are not as sealed."""
        while self._leaves and self._leaves[0].id != seal.first:
            self._skip()
        if len(self._leaves) < seal.count or seal.count < 1:
            raise SealError(
                f"is over {seal.count} leaves from {seal.first} on, and {len(self._leaves)} stand before it"
            )
        covered = [self._leaves.popleft() for _ in range(seal.count)]
        if merkle.root([leaf.hash for leaf in covered]) != seal.root or covered[-1].id != seal.last:
            entries = f"{covered[0].seq} to {covered[-1].seq}"
            raise SealError(f"is not over the leaves before it: one in entries {entries} was changed or replaced")
        return covered

    def _skip(self) -> None:
        self.missed += 1
        leaf = self._leaves.popleft()
        if self.skipped is None:
            self.skipped = leaf.seq


def leaf_of(kind: str, facts: Facts, seq: int = 0) -> Leaf | None:
    """Return an entry as a leaf: the hash is that of the canonical JSON of its kind and its facts.

    None for facts without an ``id``, and for those that canonical JSON cannot say: no seal covers such an entry.
    """
    if isinstance(facts, Canonical):
        return Leaf(facts.id, merkle.leaf_hash(leaf_bytes(kind, facts)), seq)
    id_ = facts.get("id")
    if not isinstance(id_, str):
        return None
    try:
        return Leaf(id_, merkle.leaf_hash(leaf_bytes(kind, facts)), seq)
    except ValueError:
        return None


def leaf_bytes(kind: str, facts: Facts) -> bytes:
    """Return what of an entry is a leaf. Raises ValueError for what canonical JSON cannot say."""
    if isinstance(facts, Canonical):
        return b'{"facts":%b,"kind":"%b"}' % (facts.octets, kind.encode())
    return canonical({"facts": facts, "kind": kind})


def signed_bytes(root: bytes, count: int, head: str, sealed: float, *, late: bool) -> bytes:
    """Return what a seal's signature is over."""
    return _SIGNED_AS + canonical({"root": root.hex(), "count": count, "head": head, "sealed": sealed, "late": late})
