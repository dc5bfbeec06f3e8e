"""What the seals of a chain say, while it is read: which leaves they cover, and what they sign."""

from guard.evidence.entry import GENESIS, LEAVES, SEAL, parse
from guard.evidence.seal import LOOK_BACK, Seal, SealError, Unsealed
from guard.evidence.signing import Verifier, holds, moment

_SIZE = 32


class Coverage:
    """The seals up to here; signatures are checked by ``keys``, if any."""

    def __init__(self, keys: Verifier | None) -> None:
        self.seals = self.sealed = 0
        self.early = 0
        """Seals that were signed before their key is listed."""
        self.first_early: int | None = None
        """The entry of the first of them."""
        self._heads = bytearray(bytes.fromhex(GENESIS.decode()))
        """Hashes of the last entries, from the one on that the last seal names; at most twice ``LOOK_BACK``."""
        self._keys, self._leaves = keys, Unsealed()
        self._partial = False
        """True until a seal is wholly of what is here, where the chain begins with a later file."""

    @property
    def unsealed(self) -> int:
        """Leaves that no seal covers."""
        return self._leaves.missed + len(self._leaves)

    @property
    def first_unsealed(self) -> int | None:
        """The entry of the first of them."""
        return self._leaves.first

    def begin(self, prev: bytes) -> None:
        """Say which hash the first entry follows, where it is not the first of the chain."""
        self._heads, self._partial = bytearray(bytes.fromhex(prev.decode())), True

    def take(self, kind: str, raw: bytes, seq: int, hash_: bytes) -> None:
        """Take entry ``seq``; of a seal, check what it says. Raises SealError."""
        if kind in LEAVES:
            self._leaves.add(kind, parse(raw).facts, seq)
        elif kind == SEAL:
            seal = Seal.of(parse(raw).facts)
            self._signed(seal, seq)
            self._partial &= self._find(seal.head) < 0 or not self._leaves.holds(seal.first)
            if self._partial:
                self._leaves.drop_through(seal.last)
            else:
                self._follows(seal)
                self.sealed += len(self._leaves.cover(seal))
            self.seals += 1
        self._heads += bytes.fromhex(hash_.decode())
        if len(self._heads) > 2 * LOOK_BACK * _SIZE:
            del self._heads[: LOOK_BACK * _SIZE]

    def _signed(self, seal: Seal, seq: int) -> None:
        if self._keys is None:
            return
        key = self._keys.key(seal.key)
        if key is None:
            raise SealError(f"is signed by the key {seal.key!a}, which is not one of those given")
        if not holds(key.public, seal.signed, seal.signature):
            raise SealError(f"has a signature that is not the key's ({key.id}): the seal or the signature was changed")
        if key.retired(seal.sealed):
            raise SealError(f"is signed on {moment(seal.sealed)} by the key {key.id}, which was retired then")
        if not key.in_use(seal.sealed):
            self.early += 1
            self.first_early = self.first_early or seq

    def _follows(self, seal: Seal) -> None:
        """The entry that the seal names must stand before it: with it all before that one is as it was."""
        at = self._find(seal.head)
        if at < 0:
            raise SealError("names an entry before it that is not there: the chain was recomputed")
        del self._heads[:at]

    def _find(self, head: str) -> int:
        wanted = bytes.fromhex(head)
        at = self._heads.find(wanted)
        while at % _SIZE and at >= 0:
            at = self._heads.find(wanted, at + 1)
        return at
