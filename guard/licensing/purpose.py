"""What an identity says it does with the answers, and how far a request's own header may change that."""

import re
from functools import lru_cache
from typing import NamedTuple, Self

SERVE, EVALUATE, TRAIN, SYNTHETIC_DATA, UNKNOWN = "serve", "evaluate", "train", "synthetic-data", "unknown"
PLAIN = frozenset({SERVE, EVALUATE, UNKNOWN})
"""Purposes that train nothing."""
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,119}")
"""A model name. It is written to the audit log as it was stated, so nothing else may be smuggled into it."""
_TARGETED = frozenset({TRAIN, SYNTHETIC_DATA})

_WITHIN: dict[str, frozenset[str]] = {
    SERVE: frozenset({SERVE}),
    EVALUATE: frozenset({EVALUATE}),
    SYNTHETIC_DATA: frozenset({SYNTHETIC_DATA, EVALUATE, SERVE}),
    TRAIN: frozenset({TRAIN, SYNTHETIC_DATA, EVALUATE, SERVE}),
    UNKNOWN: frozenset({UNKNOWN, TRAIN, SYNTHETIC_DATA, EVALUATE, SERVE}),
}
"""Which kinds of purpose are part of a kind. Serving and evaluating are apart: research licenses tell them apart."""


class Purpose(NamedTuple):
    """``serve``, ``evaluate``, ``train:<target>``, ``synthetic-data:<target>`` or ``unknown``."""

    kind: str
    target: str | None = None
    """The model that is to learn from the answers; None for the kinds that train nothing."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the purpose that ``text`` writes. Raises ValueError for anything else."""
        kind, colon, target = text.strip().partition(":")
        kind, target = kind.lower(), target.strip()
        if kind in PLAIN and not colon:
            return cls(kind)
        if kind in _TARGETED and _TARGET.fullmatch(target):
            return cls(kind, target)
        raise ValueError(
            f"purpose {text[:80]!r}; allowed: serve, evaluate, train:TARGET, synthetic-data:TARGET, unknown"
        )

    def __str__(self) -> str:
        return self.kind if self.target is None else f"{self.kind}:{self.target}"

    @property
    def trains(self) -> bool:
        """True where a model is to learn from the answers."""
        return self.target is not None


@lru_cache(maxsize=1024)
def narrow(policy: str, header: str) -> str | None:
    """Return the purpose of a request whose identity has ``policy`` and whose header says ``header``.

    None when the header asks for more than the policy grants: such a request states a use that was not granted and is
    to be refused, not served under the granted one. Raises ValueError when ``header`` is no purpose.
    """
    granted, stated = Purpose.parse(policy), Purpose.parse(header)
    if stated.kind == UNKNOWN:
        return policy
    if stated.kind not in _WITHIN[granted.kind]:
        return None
    if granted.trains and stated.trains and (granted.target or "").lower() != (stated.target or "").lower():
        return None
    return str(stated)
