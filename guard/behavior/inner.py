"""Which of the two forms of the inner loops there is: the compiled one, or its twin in Python."""

from collections.abc import Callable

take: Callable[..., tuple[int, int, int, tuple[float, ...]]] | None
"""Takes marks into a profile at once; None: ``Profile.observe`` does it, one by one."""
try:
    from guard.behavior._study import Among, Words, add, doubles, halves, remember, take
except ImportError:  # an install needs no compiler
    from guard.behavior.study_twin import (  # type: ignore[assignment]
        Among,
        Words,
        add,
        doubles,
        halves,
        remember,
    )

    take = None

__all__ = ["Among", "Words", "add", "doubles", "halves", "remember", "take"]
