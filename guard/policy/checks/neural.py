"""A neural tier that is asked for is installed."""

from collections.abc import Iterator

from guard.policy.config import Config
from guard.policy.document import Document, Problem


def neural(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem where ``screening.neural`` asks for a model that cannot be used here."""
    settings = config.screening.neural
    why = settings.missing
    if why is not None:
        yield document.problem(
            ("screening", "neural", "scope"),
            f"'{settings.scope}', but {why.found}",
            f"auto, off, or after: {why.remedy}",
        )
