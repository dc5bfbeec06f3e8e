"""Verdicts of a judge that are remembered for a while, by keyed digest: no text is kept, and none can be tried out."""

import secrets
from collections import OrderedDict
from hashlib import blake2b

from guard.screening.judge.question import Opinion

Verdict = tuple[Opinion, ...]


class VerdictCache:
    """At most ``size`` verdicts, the least recently used go first; each holds for ``ttl`` seconds.

    The key is random and of this process, so the digests tell nobody else anything.
    """

    __slots__ = ("_key", "_size", "_ttl", "_verdicts")

    def __init__(self, size: int, ttl: float) -> None:
        self._size, self._ttl = size, ttl
        self._key = secrets.token_bytes(32)
        self._verdicts: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._verdicts)

    def digest(self, judge: bytes, *parts: bytes) -> bytes:
        """Return the digest of what ``judge`` is asked: 16 bytes."""
        digest = blake2b(key=self._key, digest_size=16)
        for part in (judge, *parts):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.digest()

    def get(self, digest: bytes, now: float) -> Verdict | None:
        """Return the verdict if there is one that holds at ``now`` (seconds of one monotonic clock)."""
        found = self._verdicts.get(digest)
        if found is None:
            return None
        until, verdict = found
        if now >= until:
            del self._verdicts[digest]
            return None
        self._verdicts.move_to_end(digest)
        return verdict

    def put(self, digest: bytes, verdict: Verdict, now: float) -> None:
        """Remember ``verdict``."""
        self._verdicts[digest] = now + self._ttl, verdict
        self._verdicts.move_to_end(digest)
        while len(self._verdicts) > self._size:
            self._verdicts.popitem(last=False)
