"""What is named is named once, and nothing says two things about the models that are not listed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem


def names(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for every name that is there twice, and for two settings of which one is without effect."""
    spelled: dict[str, str] = {}
    for name in config.models:
        first = spelled.setdefault(name.lower(), name)
        if first != name:
            line = document.line(("models", first))
            yield document.problem(
                ("models", name),
                f"differs from '{first}' in line {line} by its capitals only, and clients write either",
                "each model once",
            )
    yield from _repeated(config.license or (), document, ("license",))
    for name, model in config.models.items():
        yield from _repeated(model.license or (), document, ("models", name, "license"))
    for setting in ("policies", "tests"):
        yield from _repeated([_path(path) for path in getattr(config, setting)], document, (setting,))
    yield from _repeated([_path(path) for path in config.screening.rules], document, ("screening", "rules"))
    unknown: Location = ("unknown_models",)
    if config.license is not None and unknown in document.lines and not document.misses(unknown):
        effect = "serves" if config.unknown_models == "refuse" else "settles"
        yield document.problem(
            unknown,
            f"'{config.unknown_models}' together with license, which {effect} the models that are not listed",
            f"one of them: license, or unknown_models: {config.unknown_models}",
        )


def _repeated(values: Sequence[str], document: Document, at: Location) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield document.problem((*at, index), f"'{value}' is there twice", "each once")
        seen.add(value)


def _path(path: str) -> str:
    return str(Path(path))
