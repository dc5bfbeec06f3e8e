"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """Return ``number`` with its ``noun``: ``1 user``, ``1,804 users``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
