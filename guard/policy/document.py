"""YAML documents that remember where every value stood, and problems that say so.

A problem reads ``file:line: path: found X; allowed: Y; did you mean 'Z'?``; a load reports all its problems at once.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import SafeConstructor

Location = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times faster and gives the same nodes


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a policy file. ``line`` is 1-based."""

    file: str
    line: int
    path: str
    found: str
    allowed: str = ""
    nearest: str | None = None

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {self.path or 'document'}: {self.found}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.nearest:
            text += f"; did you mean '{self.nearest}'?"
        return text


class PolicyError(Exception):
    """A policy that cannot be used, with every problem found in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed YAML file: plain data, and the line of every value by its location."""

    file: str
    data: Any
    lines: dict[Location, int]

    def line(self, location: Location) -> int:
        """Return the line of the value at ``location``, or of the nearest enclosing value that has one."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def problem(
        self, location: Location, found: str, allowed: str = "", choices: Iterable[str] = (), near: str | None = None
    ) -> Problem:
        """Return a problem at ``location``; ``near``, or the choice nearest to the last path element, is suggested."""
        if near is None and location:
            near = nearest(str(location[-1]), choices)
        return Problem(self.file, self.line(location), show(location), found, allowed, near)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that ``word`` most likely means, or None."""
    found = get_close_matches(word, list(choices), 1)
    return found[0] if found else None


def show(location: Location) -> str:
    """Return a location as people write it: ``models.tiny.license[0]``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def read(path: Path, *, name: str | None = None) -> Document:
    """Return the YAML document in ``path``; duplicate keys are refused. Raises PolicyError."""
    return parse(read_text(path), name or str(path))


def read_text(path: Path) -> str:
    """Return the text of ``path``. Raises PolicyError when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not UTF-8 text"
        raise PolicyError([Problem(str(path), 1, "", f"cannot be read: {reason}")]) from error


def parse(text: str, file: str) -> Document:
    """Return the YAML document in ``text``. Raises PolicyError."""
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError([Problem(file, line, "", f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise PolicyError([Problem(file, 1, "", f"not YAML: {error}")]) from error
    lines: dict[Location, int] = {}
    problems: list[Problem] = []
    data = _build(root, (), lines, problems, file, SafeConstructor()) if root is not None else None
    if problems:
        raise PolicyError(problems)
    return Document(file, data, lines)


def _build(
    node: yaml.Node,
    at: Location,
    lines: dict[Location, int],
    problems: list[Problem],
    file: str,
    scalars: SafeConstructor,
) -> Any:
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                problems.append(Problem(file, line, show(at), "a key that is a list or a mapping", "a name"))
                continue
            key = _scalar(key_node, scalars, problems, file, at)
            where = (*at, key if isinstance(key, int) and not isinstance(key, bool) else str(key))
            if key in mapping:
                problems.append(Problem(file, line, show(where), "the key is there twice", "each key once"))
            mapping[key] = _build(value_node, where, lines, problems, file, scalars)
            lines[where] = line
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*at, index), lines, problems, file, scalars) for index, item in enumerate(node.value)]
    return _scalar(node, scalars, problems, file, at)


def _scalar(node: yaml.Node, scalars: SafeConstructor, problems: list[Problem], file: str, at: Location) -> Any:
    if node.tag == "tag:yaml.org,2002:bool" and node.value.lower() not in {"true", "false"}:
        return node.value  # `off` and `no` are words here, as in YAML 1.2; a field that wants a truth value takes them
    try:
        return scalars.construct_object(node, deep=True)
    except (yaml.MarkedYAMLError, ValueError) as error:  # an unknown tag, a date such as 2026-02-31
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
        problems.append(Problem(file, node.start_mark.line + 1, show(at), f"not a value: {reason}"))
        return None


def validate(document: Document, model: type[ModelT]) -> ModelT:
    """Return ``document`` as ``model``. Raises PolicyError with one problem per pydantic error."""
    try:
        return model.model_validate(document.data if document.data is not None else {})
    except ValidationError as error:
        raise PolicyError([_problem(document, model, item) for item in error.errors()]) from error


def _problem(document: Document, model: type[BaseModel], item: Any) -> Problem:
    location: Location = tuple(part for part in item["loc"] if not _is_tag(part))
    kind, context = item["type"], item.get("ctx") or {}
    if kind == "extra_forbidden":
        choices = _fields_at(model, location[:-1])
        return document.problem(location, "unknown name", ", ".join(sorted(choices)), choices)
    if kind == "missing":
        return document.problem(location, "missing", "a value is required here")
    if kind == "secret":
        return document.problem(location, "a value that is not shown here", item["msg"])
    given = item.get("input")
    written = str(given).lower() if isinstance(given, bool) else str(given)
    value = "a mapping" if isinstance(given, dict) else "a list" if isinstance(given, list) else f"'{written[:80]}'"
    if kind in {"literal_error", "enum"}:
        allowed = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
    else:
        allowed = item["msg"].removeprefix("Value error, ")
    return document.problem(
        location, value, allowed, near=nearest(given, re.split(", | or ", allowed)) if isinstance(given, str) else None
    )


def _is_tag(part: str | int) -> bool:
    return isinstance(part, str) and ("[" in part or part in {"str", "int", "bool", "list", "float"})


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    current: Any = model
    for part in location:
        field = getattr(current, "model_fields", {}).get(part) if isinstance(part, str) else None
        if field is not None:
            current = field.annotation
        current = _inner_model(current)
    fields = getattr(_inner_model(current), "model_fields", {})
    return [info.alias or name for name, info in fields.items()]


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_model(argument)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return annotation
