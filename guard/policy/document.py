"""YAML documents that remember where every value stood, and problems that say so.

A problem reads ``file:line: path: found X; allowed: Y; did you mean 'Z'?``; a load reports all its problems at once.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from guard.policy.reading import read_bounded

Location = tuple[str | int, ...]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times faster and gives the same nodes
MAX_DEPTH = 100
"""Most lists and mappings inside each other. The parser's own composer recurses in C, where depth kills the process."""
MAX_NODES = 200_000
"""Most values of a file, those behind an alias counted every time."""
LONG = 200
"""Characters of a word for which no nearest choice is looked for: it takes their square, and nobody meant one."""
_USERINFO = re.compile(r"(?<=://)\S*@")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a policy. ``line`` is 1-based, 0 for what stands in no file: ``defaults``, ``command line``.

    It goes to logs and to the audit chain, so user and password of a URL are not shown in it.
    """

    file: str
    line: int
    path: str
    found: str
    allowed: str = ""
    nearest: str | None = None

    def __post_init__(self) -> None:
        for name in ("path", "found", "allowed", "nearest"):
            text = getattr(self, name)
            if text is not None and "://" in text:
                object.__setattr__(self, name, masked(text))

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{place}: {self.path or 'document'}: {self.found}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.nearest:
            text += f"; did you mean '{self.nearest}'?"
        return text


@dataclass(frozen=True, slots=True)
class Caution(Problem):
    """What is not wrong but worth knowing: ``found`` says it, ``path`` is where, ``subject`` what it is about."""

    subject: str = ""
    strict: bool = False
    """True if ``guard policy check --strict`` refuses it."""

    @property
    def note(self) -> str:
        """The line of a log, away from the file: ``license falcon-180b: duty notice_file (4.2) is unconfirmed``."""
        return f"{self.subject or self.path}: {self.found}"


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return ``problems`` by file and line, no problem twice; those of one line stay in the order they were found."""
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line))


class PolicyError(Exception):
    """A policy that cannot be used, with every problem found in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@contextmanager
def foreseen(file: str) -> Iterator[None]:
    """Turn whatever goes wrong within into a PolicyError about ``file``: no policy is worth the process for it.

    An exception's text may hold anything, so only its name is told; the exception itself is the cause.
    """
    try:
        yield
    except PolicyError:
        raise
    except Exception as error:
        raise PolicyError([Problem(file, 0, "", f"cannot be loaded: {type(error).__name__}")]) from error


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed YAML file: plain data, and the line of every value by its location."""

    file: str
    data: Any
    lines: dict[Location, int]
    flaws: tuple[Problem, ...] = ()
    """What is no value, or there twice; the values are not in ``data``, or the last one is."""
    lost: frozenset[Location] = frozenset()
    """Where something stood, or was meant to stand, that is not in ``data`` because it is mistaken."""
    gaps: Mapping[Location, Sequence[int]] = field(default_factory=dict)
    """The indices that are gone from lists, ascending, by the list's location; ``problem`` counts them."""

    def line(self, location: Location) -> int:
        """Return the line of the value at ``location``, or of the nearest enclosing value; 0 if there is no file."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1 if self.lines else 0)

    def origin(self, location: Location) -> Location:
        """Return where the value at ``location`` of ``data`` stands in the file."""
        found: Location = ()
        for part in location:
            for gap in self.gaps.get(found, ()):
                if isinstance(part, int) and gap <= part:
                    part += 1  # noqa: PLW2901 - each gap before it moves it on by one
            found += (part,)
        return found

    def misses(self, *locations: Location) -> bool:
        """Return True if something at, in or around one of ``locations`` is lost: its absence is not to be blamed."""
        return any(
            gone[: len(location)] == location or location[: len(gone)] == gone
            for gone in self.lost
            for location in locations
        )

    def caution(self, location: Location, found: str, *, subject: str = "", strict: bool = False) -> Caution:
        """Return a caution at ``location``."""
        at = self.origin(location)
        return Caution(self.file, self.line(at), show(at), found, subject=subject, strict=strict)

    def problem(
        self, location: Location, found: str, allowed: str = "", choices: Iterable[str] = (), near: str | None = None
    ) -> Problem:
        """Return a problem at ``location``; ``near``, or the choice nearest to the last path element, is suggested."""
        location = self.origin(location)
        if near is None and location:
            near = nearest(str(location[-1]), choices)
        return Problem(self.file, self.line(location), show(location), found, allowed, near)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that ``word`` most likely means, or None."""
    if len(word) > LONG:
        return None
    found = get_close_matches(word, list(choices), 1)
    return found[0] if found else None


def masked(text: str) -> str:
    """Return ``text`` with ``...`` for user and password of every URL in it."""
    return _USERINFO.sub("...@", text)


def show(location: Location) -> str:
    """Return a location as people write it: ``models.tiny.license[0]``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def read(path: Path) -> Document:
    """Return the YAML document in ``path``; duplicate keys are refused. Raises PolicyError."""
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Return the text of ``path``. Raises PolicyError when it cannot be read (``read_bounded``) or is not UTF-8."""
    try:
        return read_bounded(path).decode().replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not UTF-8 text"
        raise PolicyError([Problem(str(path), 1, "", f"cannot be read: {reason}")]) from error


def parse(text: str, file: str) -> Document:
    """Return the YAML document in ``text``. Raises PolicyError."""
    document = scan(text, file)
    if document.flaws:
        raise PolicyError(document.flaws)
    return document


def scan(text: str, file: str) -> Document:
    """Return the YAML document in ``text``, with its flaws if it has any. Raises PolicyError if it is not YAML."""
    lines: dict[Location, int] = {}
    problems: list[Problem] = []
    lost: set[Location] = set()
    try:
        _measure(text, file)
        root = yaml.compose(text, Loader=_LOADER)
        data = _Builder(file, lines, problems, lost).build(root, ()) if root is not None else None
    except yaml.YAMLError as error:
        raise PolicyError([syntax_problem(error, text, file)]) from error
    return Document(file, data, lines, tuple(problems), frozenset(lost))


def _measure(text: str, file: str) -> None:
    """Raise PolicyError if ``text`` is nested too deeply or holds too much; raises yaml.YAMLError if it is no YAML."""
    loader = _LOADER(text)
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []  # each open list or mapping: its anchor, and how much was before it
    count = 0
    try:
        while not isinstance(event := loader.get_event(), yaml.StreamEndEvent):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                count += 1
                if event.anchor is not None:
                    sizes[event.anchor] = 1
            elif kind is yaml.SequenceStartEvent or kind is yaml.MappingStartEvent:
                opened.append((event.anchor, count))
                count += 1
            elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
                anchor, before = opened.pop()
                if anchor is not None:
                    sizes[anchor] = count - before
            elif kind is yaml.AliasEvent:
                if any(anchor == event.anchor for anchor, _ in opened):
                    raise _excess(event, file, f"an alias that contains itself, *{event.anchor}", "no such alias")
                count += sizes.get(event.anchor, 1)
            if len(opened) > MAX_DEPTH:
                raise _excess(event, file, "nested too deeply", f"up to {MAX_DEPTH} levels")
            if count > MAX_NODES:
                raise _excess(event, file, "too many values, aliases counted", f"up to {MAX_NODES} in a file")
    finally:
        loader.dispose()


def _excess(event: yaml.Event, file: str, found: str, allowed: str) -> PolicyError:
    line = event.start_mark.line + 1 if event.start_mark is not None else 1
    return PolicyError([Problem(file, line, "", found, allowed)])


class _Builder:
    """Makes plain data of nodes, and notes the line of everything."""

    def __init__(self, file: str, lines: dict[Location, int], problems: list[Problem], lost: set[Location]) -> None:
        self._file, self._lines, self._problems, self._lost = file, lines, problems, lost
        self._scalars = SafeConstructor()

    def build(self, node: yaml.Node, at: Location) -> Any:
        """Return the data of ``node``, which stands at ``at``."""
        self._lines[at] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            mapping: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                line = key_node.start_mark.line + 1
                if not isinstance(key_node, yaml.ScalarNode):
                    self._note(line, at, "a key that is a list or a mapping", "a name")
                    continue
                key = self._scalar(key_node, at)
                where = (*at, key if isinstance(key, int) and not isinstance(key, bool) else str(key))
                if key in mapping:
                    self._note(line, where, "the key is there twice", "each key once")
                mapping[key] = self.build(value_node, where)
                self._lines[where] = line
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*at, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, at)

    def _scalar(self, node: yaml.Node, at: Location) -> Any:
        if node.tag == "tag:yaml.org,2002:bool" and node.value.lower() not in {"true", "false"}:
            return node.value  # `off` and `no` are words here, as in YAML 1.2; a truth value's field takes them
        try:
            return self._scalars.construct_object(node, deep=True)
        except yaml.MarkedYAMLError as error:  # an unknown tag
            return self._no_value(node, at, error.problem or "")
        except ValueError as error:  # a date such as 2026-02-31
            return self._no_value(node, at, str(error))
        except (ArithmeticError, AttributeError, LookupError, TypeError):  # `!!int ""`, `!!timestamp tomorrow`
            return self._no_value(node, at, f"not what {node.tag.removeprefix('tag:yaml.org,2002:')} looks like")

    def _no_value(self, node: yaml.Node, at: Location, reason: str) -> None:
        self._note(node.start_mark.line + 1, at, f"not a value: {reason}")
        self._lost.add(at)

    def _note(self, line: int, at: Location, found: str, allowed: str = "") -> None:
        self._problems.append(Problem(self._file, line, show(at), found, allowed))


_MISPLACED = frozenset(
    {
        "did not find expected key",
        "did not find expected '-' indicator",
        "did not find expected <document start>",
        "mapping values are not allowed in this context",
    }
)
"""What libyaml says of a line whose indentation fits no block, among other things."""


def syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """Return what ``error`` means in words of the file, at the line where the mistake is."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return Problem(file, 1, "", f"not YAML: {' '.join(str(error).split())}")
    context, opened, lines = error.context or "", error.context_mark, text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation and mark.column <= len(indentation):
        return Problem(file, mark.line + 1, "", "a tab", "spaces")
    if opened is not None and context in {"while parsing a flow mapping", "while parsing a flow sequence"}:
        sign = lines[opened.line][opened.column]
        return Problem(file, opened.line + 1, "", f"not YAML: '{sign}' is not closed, or a ',' is missing behind it")
    if opened is not None and "end of stream" in (error.problem or "") and "quoted scalar" in context:
        return Problem(file, opened.line + 1, "", "not YAML: the quote is not closed")
    if error.problem in _MISPLACED and _is_misplaced(line, mark.column, lines[: mark.line]):
        found = "the indentation is not that of the lines around it"
        return Problem(file, mark.line + 1, "", found, "as many spaces as the names or items beside it")
    return Problem(file, mark.line + 1, "", f"not YAML: {error.problem}")


def _is_misplaced(line: str, column: int, before: Sequence[str]) -> bool:
    """True if the parser stopped at the line's first word, or at the first ':' of one deeper than the line before."""
    indentation = len(line) - len(line.lstrip())
    if column <= indentation:
        return True
    earlier = next((other for other in reversed(before) if other.strip() and other.lstrip()[0] != "#"), "")
    deeper = indentation > len(earlier) - len(earlier.lstrip())
    return deeper and line[column : column + 1] == ":" and ": " not in line[:column]
