"""The files that a configuration names: where in it, and where they are."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from guard.policy.document import Document, Location, Problem
from guard.policy.reading import unusable
from guard.usage.attestation import is_public_key


def named_files(data: dict[str, Any]) -> Iterator[Location]:
    """Yield where ``data`` names files below names and numbers of its own: of models, tenants, attestors ..."""
    for section, name in (("models", "license_file"), ("tenants", "rules")):
        entries = data.get(section)
        yield from ((section, key, name) for key in (entries if isinstance(entries, dict) else ()))
    usage = data.get("usage")
    attestors = usage.get("attestors") if isinstance(usage, dict) else None
    for index, entry in enumerate(attestors if isinstance(attestors, list) else ()):
        key = entry.get("key") if isinstance(entry, dict) else None
        if isinstance(key, str) and not is_public_key(key):
            yield "usage", "attestors", index, "key"
    evidence = data.get("evidence")
    heads = evidence.get("heads") if isinstance(evidence, dict) else None
    for index in range(len(heads) if isinstance(heads, list) else 0):
        yield from (("evidence", "heads", index, name) for name in ("token_file", "ca"))
    identity = data.get("identity")
    assertions = identity.get("assertions") if isinstance(identity, dict) else None
    for index in range(len(assertions) if isinstance(assertions, list) else 0):
        yield from (("identity", "assertions", index, name) for name in ("key_file", "jwks_file"))


def resolve(data: dict[str, Any], location: Location, place: Callable[[str], str]) -> None:
    """Replace the paths at ``location`` by their places; what is no path is left for validation to refuse."""
    *outer, last = location
    inner: Any = data
    for name in outer:
        inner = _within(inner, name)
    value = _within(inner, last)
    if isinstance(value, str):
        inner[last] = place(value)
    elif isinstance(value, list):
        inner[last] = [place(item) if isinstance(item, str) else item for item in value]


def without_unusable(document: Document, data: dict[str, Any], locations: Iterable[Location]) -> Document:
    """Return ``document`` with a flaw for each of the paths at ``locations`` in ``data`` where nothing can be."""
    flaws: list[Problem] = []
    lost: set[Location] = set()
    for location in locations:
        value: Any = data
        for name in location:
            value = _within(value, name)
        listed = [((*location, index), item) for index, item in enumerate(value)] if isinstance(value, list) else []
        for at, item in listed or [(location, value)]:
            reason = unusable(item) if isinstance(item, str) else None
            if reason is not None:
                flaws.append(document.problem(at, f"cannot be read: {reason}", "the path of a file"))
                lost.add(at)
    return replace(document, flaws=(*document.flaws, *flaws), lost=document.lost | lost)


def _within(value: Any, name: str | int) -> Any:
    """What is called ``name`` in ``value``, if it can hold anything of that name."""
    if isinstance(value, list) and isinstance(name, int):
        return value[name]
    return value.get(name) if isinstance(value, dict) else None
