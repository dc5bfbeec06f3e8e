"""What two configurations say otherwise, setting by setting, and which rules they look for."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from guard.policy.load import Loaded

PASSING = frozenset({"confirm", "candidate", "tests"})
"""Settings that say nothing about requests: they are about changing the policy."""
NAMES = ("name", "header", "rule", "category", "check", "license", "about")
"""What tells the entries of a list apart, where they have it; others go by their place."""


def wordings(active: Loaded, candidate: Loaded) -> list[str]:
    """Return a line such as ``identity.keys[desk].purpose: train:gemma -> serve`` for each thing said otherwise.

    A setting that is not there shows its default; an entry of a list or a mapping that is not there shows ``-``.
    """
    before, after = (dict(_settings(loaded)) for loaded in (active, candidate))
    lines = [
        f"{name}: {before.get(name, '-')} -> {after.get(name, '-')}"
        for name in dict.fromkeys((*before, *after))
        if before.get(name, "-") != after.get(name, "-")
    ]
    old, new = ({rule.id: rule.content for rule in loaded.snapshot.rules.rules} for loaded in (active, candidate))
    for id_ in sorted(old.keys() | new.keys()):
        if id_ not in old:
            lines.append(f"rule {id_}: added")
        elif id_ not in new:
            lines.append(f"rule {id_}: removed")
        elif old[id_] != new[id_]:
            lines.append(f"rule {id_}: looks for something else")
    return lines


def _settings(loaded: Loaded) -> Iterator[tuple[str, str]]:
    for name in type(loaded.config).model_fields:
        if name not in PASSING:
            yield from _flat(name, getattr(loaded.config, name))


def _flat(at: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from _flat(f"{at}.{info.alias or name}", getattr(value, name))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{at}.{name}", inner)
    elif isinstance(value, tuple) and any(isinstance(item, BaseModel) and not _is_word(item) for item in value):
        for index, item in enumerate(value):
            yield from _flat(f"{at}[{_name(item, index)}]", item)
    else:
        yield at, _plain(value)


def _is_word(entry: BaseModel) -> bool:
    """True if ``entry`` can be written as one word or line, in a list whose order says something."""
    return type(entry).__str__ is not BaseModel.__str__


def _name(entry: BaseModel, index: int) -> str:
    found = (getattr(entry, name, None) for name in NAMES)
    return " ".join(str(part) for part in found if part is not None) or str(index)


def _plain(value: Any) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return ", ".join(map(_plain, value))
    if hasattr(value, "_fields"):  # what is done about a capability: an action, and the limit of a clamp
        return " ".join(_plain(part) for part in value if part is not None)
    name = getattr(value, "name", None)
    return name.lower() if isinstance(name, str) else str(value)
