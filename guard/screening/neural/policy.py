"""Which prompts the neural tier is asked about, and what happens where it cannot answer."""

from typing import NamedTuple


class NeuralPolicy(NamedTuple):
    """Part of a snapshot; where the tier is off there is none."""

    low: float
    high: float
    """It is asked about prompts whose learned risk is between these, both included."""
    deadline: float
    """Seconds."""
    refuses: bool
    """True: where the model's policy blocks, a request that could not be assessed is refused."""

    def wants(self, risk: float | None) -> bool:
        """Return whether a prompt of that learned risk is assessed; one whose risk nobody knows is."""
        return risk is None or self.low <= risk <= self.high
