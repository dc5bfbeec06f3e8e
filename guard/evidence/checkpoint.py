"""Checkpoints: a signature for the chain as it is, in an entry of it and, as a *head*, on its way to another machine.

A ``checkpoint`` entry signs number and hash of the entry before it, and with them everything up to there: nobody who
has not the key can recompute what stands before one. The same signature is on the line that leaves the machine::

    {"instance":"guard-0","seq":4711,"head":"<64 hex>","time":1795000000.25,"key":"<id>","signature":"<base64>"}

It is over ``guard-checkpoint/1``, a line feed and the canonical JSON (RFC 8785) of ``instance``, ``seq``, ``head`` and
``time``.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from guard.evidence.entry import EARLIEST, LATEST, MOST
from guard.evidence.envelope import canonical
from guard.evidence.journals import fit
from guard.evidence.signing import Signer, Verifier, holds, moment

_SIGNED_AS = b"guard-checkpoint/1\n"
_KINDS: dict[str, set[type]] = {
    "instance": {str},
    "seq": {int},
    "head": {str},
    "time": {int, float},
    "key": {str},
    "signature": {str},
}
_HEXADECIMAL = frozenset("0123456789abcdef")


class CheckpointError(ValueError):
    """A checkpoint that is not what it should be; the text says what, as the end of a sentence about it."""


class Checkpoint(NamedTuple):
    """That entry ``seq`` of the chain of ``instance`` has the hash ``head``, as the holder of ``key`` says."""

    instance: str
    seq: int
    head: str
    time: float
    """Epoch seconds by the clock of whoever signed."""
    key: str
    signature: bytes

    def facts(self) -> dict[str, Any]:
        """Return the facts of its entry; ``sealed`` is the time."""
        facts = self.line()
        return {("sealed" if name == "time" else name): facts[name] for name in facts}

    def line(self) -> dict[str, Any]:
        """Return it as it leaves the machine."""
        return self._asdict() | {"signature": b64encode(self.signature).decode()}

    def check(self, keys: Verifier) -> bool:
        """Return whether the key was in use already; False shows a clock that was set back, and nothing worse.

        Raises CheckpointError unless the signature is that of a key among ``keys`` which was not retired then.
        """
        key = keys.key(self.key)
        if key is None:
            raise CheckpointError(f"is signed by the key {self.key!a}, which is not one of those given")
        if not holds(key.public, signed_bytes(self.instance, self.seq, self.head, self.time), self.signature):
            raise CheckpointError(f"has a signature that is not the key's ({key.id}): it was changed")
        if key.retired(self.time):
            raise CheckpointError(f"is signed on {moment(self.time)} by the key {key.id}, which was retired then")
        return key.in_use(self.time)

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Return the checkpoint that an entry's ``facts`` state. Raises CheckpointError."""
        return cls.of_line({("time" if name == "sealed" else name): value for name, value in facts.items()})

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Self:
        """Return the checkpoint that a line which left the machine states. Raises CheckpointError."""
        if any(type(line.get(name)) not in kinds for name, kinds in _KINDS.items()):
            raise CheckpointError("has not the facts of a checkpoint")
        known = {name: line[name] for name in cls._fields}
        try:
            signature = b64decode(known["signature"], validate=True)
        except ValueError as error:
            raise CheckpointError("has no signature in base64") from error
        if len(known["head"]) != 64 or not _HEXADECIMAL.issuperset(known["head"]) or not 0 < known["seq"] < MOST:
            raise CheckpointError("names no entry")
        if not fit(known["instance"]):
            raise CheckpointError("names no instance")
        if not EARLIEST <= known["time"] < LATEST:
            raise CheckpointError("has no time")
        return cls(**known | {"signature": signature})


def make(signer: Signer, instance: str, seq: int, head: str, now: float) -> Checkpoint:
    """Return a checkpoint, signed at ``now`` (epoch seconds), for entry ``seq`` with the hash ``head``."""
    signed = signer.sign(signed_bytes(instance, seq, head, now))
    return Checkpoint(instance, seq, head, now, signed.key, signed.value)


def signed_bytes(instance: str, seq: int, head: str, time: float) -> bytes:
    """Return what a checkpoint's signature is over. Raises CheckpointError for numbers that JSON cannot say."""
    try:
        return _SIGNED_AS + canonical({"instance": instance, "seq": seq, "head": head, "time": time})
    except ValueError as error:
        raise CheckpointError(f"cannot be signed: {error}") from error
