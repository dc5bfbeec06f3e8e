"""The hash tree of RFC 6962: one root for many leaves, and a short proof that a leaf is one of them.

A leaf hashes as SHA-256(0x00 || leaf), a node as SHA-256(0x01 || left || right), so that no node can pass for a leaf. A
tree of n leaves splits at the largest power of two below n (RFC 6962, 2.1). Everything here takes *hashes* of leaves.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

SIZE = 32
"""Bytes of a hash."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + leaf).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Return the hash of the tree over ``hashes``, in order; of none at all, the hash of nothing."""
    return _root(list(hashes))


def root_twin(hashes: list[bytes]) -> bytes:
    """Return what ``root`` does, in Python."""
    if not hashes:
        return sha256().digest()
    level = hashes
    while len(level) > 1:
        level = _above(level)
    return level[0]


def proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of leaf ``index``: the hashes beside its road up to the root. Raises IndexError."""
    if not 0 <= index < len(hashes):
        raise IndexError(f"leaf {index} of {len(hashes)}")
    path, level = [], list(hashes)
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        level = _above(level)
        index >>= 1
    return path


def proved_root(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that ``path`` leads to from the hash ``leaf`` as leaf ``index`` of ``count`` (RFC 9162, 2.1.3.2).

    None if no tree of that size has such a path.
    """
    if not 0 <= index < count:
        return None
    last, found = count - 1, leaf
    for beside in path:
        if last == 0 or len(beside) != SIZE:
            return None
        if index & 1 or index == last:
            found = sha256(b"\x01" + beside + found).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = sha256(b"\x01" + found + beside).digest()
        index, last = index >> 1, last >> 1
    return found if last == 0 else None


def _above(level: list[bytes]) -> list[bytes]:
    """Return the level above; a hash without a neighbor moves up as it is, which is RFC 6962's split."""
    pairs = zip(level[::2], level[1::2], strict=False)
    above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    if len(level) & 1:
        above.append(level[-1])
    return above


_root: Callable[[list[bytes]], bytes]
try:
    from guard.evidence._links import root as _root
except ImportError:  # an install needs no compiler, and not every processor is able to
    _root = root_twin
