"""Time for journals under test."""


class Clock:
    """Epoch seconds that advance by a millisecond per reading."""

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 0.001
        return self.now
