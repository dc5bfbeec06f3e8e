"""What the exchange reports to whoever traces it; None where nobody does."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from guard.exchange.exchange import Exchange
    from guard.exchange.record import Ending, Verdict

NOTHING: AbstractContextManager[None] = nullcontext()


class Trace(Protocol):
    """One traced request."""

    @property
    def id(self) -> str:
        """The trace's id: 32 hexadecimal digits, as in ``traceparent``."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Return what measures a step of the exchange while it is entered; ``name`` is one of few."""

    def held(self, seconds: float) -> None:
        """Add to the time that streamed text waited for its verdict."""

    def decided(self, exchange: "Exchange", verdict: "Verdict", ending: "Ending") -> None:
        """Note how the exchange was decided and how it ended: never its text, never who asked."""


def step(trace: Trace | None, name: str) -> AbstractContextManager[None]:
    """Return ``trace.step(name)``, or what measures nothing."""
    return NOTHING if trace is None else trace.step(name)
