"""Plain data to a typed model: every mistake at once, in words, and what is sound of a document that has mistakes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from guard.policy.document import Document, Location, PolicyError, Problem, nearest

ModelT = TypeVar("ModelT", bound=BaseModel)
_CREDENTIALS = re.compile(r"(?s)(?<=://).*@|^[^/:@]*:(?!//).*@")
"""What may be user and password in a value that should have been a URL: never shown, however it is written."""

WORDINGS: Mapping[str, str] = {
    "string_type": "text",
    "string_unicode": "text",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "text that matches {pattern}",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number from {ge} on",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number up to {le}",
    "too_short": "at least {min_length} in the list",
    "date_type": "a date such as 2027-06-30",
    "date_parsing": "a date such as 2027-06-30",
    "date_from_datetime_parsing": "a date such as 2027-06-30",
    "date_from_datetime_inexact": "a date such as 2027-06-30",
    "invalid_key": "a name that is text",
}
"""What is allowed, by pydantic's type of error, where neither the field's own words nor its example say it."""
LISTS = frozenset({"tuple_type", "list_type", "set_type", "frozen_set_type"})
MAPPINGS = frozenset({"model_type", "dict_type", "mapping_type", "model_attributes_type"})
OWN = frozenset({"value_error", "found"})
"""Errors of validators in this package: they say themselves what is allowed."""


@dataclass(frozen=True, slots=True)
class Salvaged(Generic[ModelT]):
    """What is sound of a document: ``document`` says what is lost, ``problems`` why, in the order of the lines."""

    value: ModelT
    document: Document
    problems: tuple[Problem, ...]


def validate(document: Document, model: type[ModelT]) -> ModelT:
    """Return ``document`` as ``model``. Raises PolicyError with every problem of form."""
    salvaged = salvage(document, model)
    if salvaged.problems:
        raise PolicyError(salvaged.problems)
    return salvaged.value


def salvage(
    document: Document, model: type[ModelT], stand_ins: Mapping[str, Any] = MappingProxyType({})
) -> Salvaged[ModelT]:
    """Return ``document`` as ``model`` without the values that are mistaken: defaults take their places.

    ``stand_ins`` take the places of values at the top that have no default, so that the rest of the document can still
    be looked at. A problem that is only there because another value was dropped is not told. Raises PolicyError when
    nothing at all is left.
    """
    whole = document.data if document.data is not None else {}
    problems = list(document.flaws)
    dropped, lost = set(document.lost), set(document.lost)
    filled: dict[str, Any] = {}
    while True:
        gaps: dict[Location, list[int]] = {}
        left = _pruned(whole, (), dropped, gaps)
        data = {**filled, **left} if filled and isinstance(left, dict) else left
        sound = replace(document, data=data, lost=frozenset(lost), gaps=gaps)
        try:
            value = model.model_validate(sound.data)
        except ValidationError as error:
            before = len(dropped) + len(filled)
            found = list(_take(error, sound, model, dropped, lost, filled, stand_ins))
            if len(dropped) + len(filled) == before:
                raise PolicyError(problems or found) from error
            problems += found
        else:
            return Salvaged(value, sound, tuple(sorted(problems, key=lambda problem: problem.line)))


def _take(
    error: ValidationError,
    document: Document,
    model: type[BaseModel],
    dropped: set[Location],
    lost: set[Location],
    filled: dict[str, Any],
    stand_ins: Mapping[str, Any],
) -> Iterator[Problem]:
    """Yield the problems in ``error``, and drop what they are about, or fill in what is missing."""
    earlier = frozenset(dropped)
    found: list[tuple[Problem, Location, bool]] = []
    items = [(item, tuple(part for part in item["loc"] if not _is_tag(part))) for item in error.errors()]
    for item, inner in items:
        inside = any(other[: len(inner)] == inner and len(other) > len(inner) for _, other in items)
        if item["type"] == "too_short" and inside:
            continue  # too short because of the mistakes in it
        location, problem = document.origin(inner), _problem(document, model, item, inner)
        found.append((problem, location, item["type"] == "missing"))
        if item["type"] == "extra_forbidden" and problem.nearest is not None:
            meant = (*location[:-1], problem.nearest)
            if not isinstance(_value(document.data, (*inner[:-1], problem.nearest)), Found):
                lost.add(meant)
    for problem, location, missing in found:
        follows = any(gone[: len(location)] == location for gone in (lost if missing else earlier))
        if missing and len(location) == 1 and location[0] in stand_ins:
            filled[str(location[0])] = stand_ins[str(location[0])]
            lost.add(location)
        else:
            gone = location[:-1] if missing or location in earlier else location
            dropped.add(gone)
            lost.add(gone)
        if not follows:
            yield problem


@dataclass(frozen=True, slots=True)
class Found:
    """A value that is there."""

    value: Any


def _value(data: Any, location: Location) -> Found | None:
    for part in location:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return Found(data)


def _pruned(value: Any, at: Location, dropped: set[Location], gaps: dict[Location, list[int]]) -> Any:
    """Return ``value`` without what is dropped, and note the gaps that leaves in lists."""
    if not any(gone[: len(at)] == at for gone in dropped):
        return value
    if isinstance(value, dict):
        named = ((key, (*at, key if isinstance(key, int) and not isinstance(key, bool) else str(key))) for key in value)
        return {key: _pruned(value[key], where, dropped, gaps) for key, where in named if where not in dropped}
    if isinstance(value, list):
        missing = [index for index in range(len(value)) if (*at, index) in dropped]
        if missing:
            gaps[at] = missing
        return [_pruned(item, (*at, index), dropped, gaps) for index, item in enumerate(value) if index not in missing]
    return value


def _problem(document: Document, model: type[BaseModel], item: Any, location: Location) -> Problem:
    kind, context = item["type"], item.get("ctx") or {}
    if kind == "extra_forbidden":
        choices = list(_fields_at(model, location[:-1]))
        return document.problem(location, "unknown name", ", ".join(sorted(choices)), choices)
    if kind == "missing":
        return document.problem(location, "missing", "a value is required here")
    if kind == "secret":
        return document.problem(location, "a value that is not shown here", item["msg"])
    if kind == "found":
        return document.problem(location, context["found"], context["allowed"])
    given, allowed = item.get("input"), _allowed(kind, context, item["msg"], model, location)
    near = nearest(given, re.split(", | or ", allowed)) if isinstance(given, str) else None
    return document.problem(location, _shown(given), allowed, near=near)


def _shown(given: Any) -> str:
    if isinstance(given, dict):
        return "a mapping"
    if isinstance(given, list):
        return "a list"
    if given is None:
        return "nothing"
    text = str(given).lower() if isinstance(given, bool) else str(given)
    return f"'{_CREDENTIALS.sub('...@', text)[:80]}'"


def _allowed(kind: str, context: Mapping[str, Any], message: str, model: type[BaseModel], location: Location) -> str:
    if kind in {"literal_error", "enum"}:
        return str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
    if kind in LISTS:
        return "a list" + _such("e.g.", _example(model, location))
    if kind in MAPPINGS:
        return "a mapping" + (_such("such as", _example(model, location)) or _names(model, location))
    if kind in WORDINGS:
        return WORDINGS[kind].format_map({name: _plain(value) for name, value in context.items()})
    return message.removeprefix("Value error, ")


def _such(word: str, example: str | None) -> str:
    return f"{',' if word == 'e.g.' else ''} {word} {example}" if example else ""


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _names(model: type[BaseModel], location: Location) -> str:
    names = ", ".join(_fields_at(model, location))
    return f" with {names}" if names else " of names to values"


def _example(model: type[BaseModel], location: Location) -> str | None:
    """Return an example of the value at ``location``: the field's own, its model's, or one made of its choices."""
    current: Any = model
    info: FieldInfo | None = None
    for part in location:
        named = _fields(_inner_model(current)).get(part) if isinstance(part, str) else None
        info, current = named, named.annotation if named is not None else _inner_model(current)
    if info is not None and info.examples:
        return str(info.examples[0])
    own = getattr(current, "example", None) or getattr(_inner_model(current), "example", None)
    if info is not None and get_origin(info.annotation) in {tuple, list}:
        choices = _choices(info.annotation)
        return f"[{choices[0]}]" if choices else f"[{own}]" if own else None
    return own


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    for argument in get_args(annotation):
        found = _choices(argument)
        if found:
            return found
    return ()


def _is_tag(part: str | int) -> bool:
    return isinstance(part, str) and ("[" in part or part in {"str", "int", "bool", "list", "float"})


def _fields_at(model: type[BaseModel], location: Location) -> dict[str, FieldInfo]:
    current: Any = model
    for part in location:
        info = _fields(current).get(part) if isinstance(part, str) else None
        if info is not None:
            current = info.annotation
        current = _inner_model(current)
    return _fields(_inner_model(current))


def _fields(model: Any) -> dict[str, FieldInfo]:
    """The fields of ``model``, if it is one, by the names that they have in a document."""
    return {info.alias or name: info for name, info in getattr(model, "model_fields", {}).items()}


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_model(argument)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return annotation
