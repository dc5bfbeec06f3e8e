"""CONTRACT (to be implemented in the screening room): one tier 1 rule."""


class Rule:
    """A rule."""
