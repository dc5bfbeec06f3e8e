"""Rule files (``guard.policy.rulefile``) to screening rules, with every mistake reported at its line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from guard.licensing.items import AUP_ITEMS
from guard.policy.checks.expiry import lapse
from guard.policy.document import Caution, Document, Location, PolicyError, Problem, in_order, nearest, read_text, scan
from guard.policy.locations import shipped_rules, yaml_files
from guard.policy.rulefile import Entry, Group, RuleFile
from guard.policy.validation import salvage
from guard.screening.categories import CATEGORIES
from guard.screening.checksums import CHECKS
from guard.screening.findings import Action
from guard.screening.normalize import fold
from guard.screening.patterns import Pattern
from guard.screening.positions import MAX_LENGTH
from guard.screening.rules import Context, Exemption, Literal, Release, Rule, Where, reach
from guard.screening.segments import Direction, Source

SOURCES = {
    Direction.PROMPT: frozenset(Source) - {Source.OUTPUT},
    Direction.OUTPUT: frozenset({Source.OUTPUT, Source.REASONING, Source.TOOL_ARGUMENTS}),
}
"""What is read of a prompt and of an answer."""


_NEVER_ONE_WORD = "a required group, or anchors of three words and more: never block on one word"
_PATTERN = f"a regular expression of at most {MAX_LENGTH} characters, without lookaround, backreferences and flags"
_NO_MASK = frozenset("\"'\\")
"""What would end a string of the JSON that a masked text may stand in."""


@dataclass(frozen=True, slots=True)
class _Source:
    document: Document
    content: RuleFile
    own: bool
    """Whether it is a file of the operator's own, or one that he asks for by name."""


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """The sound rules of the files that were read, what to know of them, and every problem in them."""

    rules: tuple[Rule, ...]
    cautions: tuple[Caution, ...]
    problems: tuple[Problem, ...]
    """In the order of files and lines."""
    places: Mapping[str, tuple[Document, Location]]
    """Where each rule stands, by its id."""


def load_rules(
    paths: Sequence[Path], *, today: date | None = None, items: frozenset[str] | None = AUP_ITEMS
) -> tuple[list[Rule], list[Caution]]:
    """Return the rules of all files in ``paths`` (a directory stands for its YAML files) and what to know of them.

    An exception that expired before ``today`` (default: the current day) no longer applies and is a caution: a gateway
    must start the day after. ``items`` are the ids that a rule's items may have: those of the packs in use,
    None where they are not all known. Raises PolicyError with every problem of every file.
    """
    read = read_rules(paths, today=today, items=items)
    if read.problems:
        raise PolicyError(read.problems)
    return list(read.rules), list(read.cautions)


def read_rules(
    paths: Sequence[Path], *, today: date | None = None, items: frozenset[str] | None = AUP_ITEMS
) -> RuleFiles:
    """Return what ``load_rules`` returns, as far as it is sound, and every problem of every file."""
    problems: list[Problem] = []
    sources: list[_Source] = []
    complete = True
    seen: set[tuple[str, str]] = set()
    shipped = shipped_rules().resolve()
    for path in _files(paths):
        try:
            text = read_text(path)
            if (path.name, text) in seen:
                continue  # a copy, word for word, of a file that is loaded
            seen.add((path.name, text))
            read = salvage(scan(text, str(path)), RuleFile)
        except PolicyError as error:
            problems.extend(error.problems)
            complete = False
            continue
        problems.extend(read.problems)
        complete &= not read.document.misses(("lists",))
        sources.append(_Source(read.document, read.value, path.resolve().parent != shipped))
    day = today or date.today()  # noqa: DTZ011 - expiry days are local days
    reader = _Reader(day, problems, complete, items)
    reader.collect_lists(sources)
    for source in sources:
        reader.read_rules(source)
    return RuleFiles(tuple(reader.rules), tuple(reader.cautions), tuple(in_order(problems)), reader.places)


def _files(paths: Iterable[Path]) -> list[Path]:
    return [file for path in paths for file in (yaml_files(path) if path.is_dir() else [path])]


class _Reader:
    def __init__(self, today: date, problems: list[Problem], complete: bool, items: frozenset[str] | None) -> None:
        self.rules: list[Rule] = []
        self.cautions: list[Caution] = []
        self.places: dict[str, tuple[Document, Location]] = {}
        self._today = today
        self._problems = problems
        self._items = items
        self._complete = complete
        """Whether every list is known, so that one that is not is a mistake."""
        self._doubtful = False
        """Whether the rule being read uses a list that is not known because of a mistake in it."""
        self._lists: dict[str, tuple[Literal, ...]] = {}
        self._seen: dict[str, str] = {}

    def collect_lists(self, sources: Iterable[_Source]) -> None:
        for source in sources:
            for name, words in source.content.lists.items():
                at = ("lists", name)
                if name in self._lists:
                    self._problem(source, at, "the list is there twice", "each list once over all files")
                literals = [self._literal(source, (*at, index), word) for index, word in enumerate(words)]
                self._lists[name] = tuple(literal for literal in literals if literal is not None)

    def read_rules(self, source: _Source) -> None:
        category, document = source.content.category, source.document
        if category not in CATEGORIES:
            if (category is not None or source.content.rules) and not document.misses(("category",)):
                found = f"unknown category '{category}'" if category else "no category"
                near = nearest(category, CATEGORIES) if category else None
                self._problem(source, ("category",), found, ", ".join(CATEGORIES), near)
            category = None
        for index, entry in enumerate(source.content.rules):
            self._read(source, ("rules", index), category, entry)

    def _read(self, source: _Source, at: Location, category: str | None, entry: Entry) -> None:
        before = len(self._problems)
        self._doubtful = False
        if entry.id in self._seen:
            self._problem(
                source, (*at, "id"), f"'{entry.id}' is there twice", f"ids once; first in {self._seen[entry.id]}"
            )
        line = source.document.line(source.document.origin((*at, "id")))
        self._seen.setdefault(entry.id, f"{source.document.file}:{line}")
        if category and (not entry.id.startswith(f"{category}.") or len(entry.id) <= len(category) + 1):
            self._problem(source, (*at, "id"), f"'{entry.id}'", f"an id that begins with '{category}.'")
        anchors = self._literals(source, (*at, "anchors"), entry.anchors)
        patterns = self._patterns(source, at, entry)
        requires = self._contexts(source, (*at, "requires"), entry.requires)
        forbids = self._contexts(source, (*at, "forbids"), entry.forbids)
        exceptions = self._exceptions(source, (*at, "exceptions"), entry, anchors, patterns)
        self._unread(source, at, entry)
        self._uncited(source, at, entry)
        self._impossible(source, at, requires, forbids)
        self._contradicted(source, at, entry, patterns)
        needed = reach(anchors, patterns, (*requires, *forbids), exceptions)
        if entry.action == "mask" and entry.window is not None and entry.window < needed:
            found = f"{entry.window}: masking a match may take {needed} characters"
            self._problem(source, (*at, "window"), found, f"{needed} and more, or release: scanned")
        lost = self._doubtful or source.document.misses(source.document.origin(at))
        if category is None or lost or len(self._problems) > before:
            return
        try:
            rule = Rule(
                id=entry.id,
                category=category,
                anchors=anchors,
                requires=requires,
                forbids=forbids,
                exceptions=exceptions,
                directions=frozenset(entry.directions),
                sources=frozenset(entry.sources),
                score=entry.score,
                action=Action.parse(entry.action),
                items=tuple(entry.items),
                patterns=patterns,
                mask=entry.mask,
                acts=source.own and "action" in entry.model_fields_set,
                release=entry.release,
                window=entry.window,
                hits=tuple(entry.tests.hits) if entry.tests is not None else (),
                misses=tuple(entry.tests.misses) if entry.tests is not None else (),
            )
        except ValueError as error:
            self._problem(source, (*at, "anchors" if entry.anchors else "patterns"), str(error), _NEVER_ONE_WORD)
            return
        self.rules.append(rule)
        self.places[rule.id] = source.document, at

    def _contexts(self, source: _Source, at: Location, groups: Sequence[Group]) -> tuple[Context, ...]:
        contexts: list[Context] = []
        for index, group in enumerate(groups):
            literals = self._literals(source, (*at, index, "any"), group.any)
            if literals:
                contexts.append(Context(literals, group.within, group.where))
        return tuple(contexts)

    def _patterns(self, source: _Source, at: Location, entry: Entry) -> tuple[Pattern, ...]:
        check = entry.check or ""
        if check and (check not in CHECKS or not entry.patterns):
            found, near = (f"unknown check '{check}'", nearest(check, CHECKS)) if entry.patterns else ("a check", None)
            allowed = ", ".join(CHECKS) if entry.patterns else "a check of what patterns match"
            self._problem(source, (*at, "check"), found, allowed, near)
            check = ""
        found_patterns: dict[Pattern, None] = {}
        for index, written in enumerate(entry.patterns):
            try:
                found_patterns[Pattern.parse(written, check)] = None
            except ValueError as error:
                self._problem(source, (*at, "patterns", index), f"'{written[:60]}': {error}", _PATTERN)
        return tuple(found_patterns)

    def _exceptions(
        self,
        source: _Source,
        at: Location,
        entry: Entry,
        anchors: Sequence[Literal],
        patterns: Sequence[Pattern],
    ) -> tuple[Exemption, ...]:
        exceptions: list[Exemption] = []
        for index, exception in enumerate(entry.exceptions):
            phrase = self._literal(source, (*at, index, "phrase"), exception.phrase)
            if phrase is None:
                continue
            exemption = Exemption(phrase, exception.owner, exception.expires)
            where: Location = (*at, index)
            lost = source.document.misses(source.document.origin((*at[:-1], "anchors")))
            matched = any(exemption.leads(anchor) for anchor in anchors)
            if not lost and not matched and not any(pattern.findall(phrase.text) for pattern in patterns):
                found = f"'{exception.phrase}' holds none of the rule's anchors"
                found += " and nothing that its patterns match" if patterns else ""
                self._problem(source, (*where, "phrase"), found, "a phrase around what the rule looks for")
                continue
            document = source.document
            if not exception.owner.strip():
                self._problem(source, (*where, "owner"), "nobody", "who answers for it")
            line = document.line(document.origin((*where, "expires")))
            subject = f"{document.file}:{line}: rule '{entry.id}'"
            what = f"the exception '{exception.phrase}' ({exception.owner})"
            told = lapse(document, (*where, "expires"), exception.expires, self._today, what, subject)
            if told is not None:
                self.cautions.append(told)
            if exception.expires >= self._today:
                exceptions.append(exemption)
        return tuple(exceptions)

    def _unread(self, source: _Source, at: Location, entry: Entry) -> None:
        """A direction in which none of the rule's sources is ever read."""
        if source.document.misses(source.document.origin((*at, "sources"))):
            return
        for index, direction in enumerate(entry.directions):
            if not (SOURCES[direction] & set(entry.sources)):
                place = (*at, "directions", index)
                where = place if "directions" in entry.model_fields_set else (*at, "sources")
                found = f"'{direction.value}', but none of the sources is read there"
                self._problem(source, where, found, f"with {direction.value}: {', '.join(sorted(SOURCES[direction]))}")

    def _uncited(self, source: _Source, at: Location, entry: Entry) -> None:
        """An item that no acceptable use policy has."""
        known = self._items
        for index, item in enumerate(entry.items if known is not None else ()):
            if known is not None and item not in known:
                allowed, near = "the id of an item in a license pack", nearest(item, known)
                self._problem(source, (*at, "items", index), f"unknown item '{item}'", allowed, near)

    def _impossible(
        self, source: _Source, at: Location, requires: Sequence[Context], forbids: Sequence[Context]
    ) -> None:
        """A required group of which every literal is forbidden wherever it may stand: the rule never fires."""
        for wanted in requires:
            for index, barred in enumerate(forbids):
                reach = barred.where in {Where.NEAR, wanted.where} and barred.within >= wanted.within
                if reach and wanted.literals and set(wanted.literals) <= set(barred.literals):
                    words = ", ".join(f"'{literal.text}'" for literal in wanted.literals[:3])
                    self._problem(
                        source, (*at, "forbids", index), f"{words}, which the rule requires", "what it does not require"
                    )

    def _contradicted(self, source: _Source, at: Location, entry: Entry, patterns: Sequence[Pattern]) -> None:
        """Keys that say something of each other: what is masked, with what, and when streams let text go."""
        document = source.document
        if (
            not entry.anchors
            and not entry.patterns
            and not document.misses(document.origin((*at, "anchors")), document.origin((*at, "patterns")))
        ):
            self._problem(source, at, "neither anchors nor patterns", "anchors, patterns or both")
        if entry.mask is not None:
            bad = [character for character in entry.mask if character in _NO_MASK or not character.isprintable()]
            if entry.action != "mask":
                self._problem(source, (*at, "mask"), f"a mask, but the action is '{entry.action}'", "action: mask")
            elif bad:
                self._problem(source, (*at, "mask"), f"{bad[0]!r}", "text without quotes, backslashes and line breaks")
            elif any(pattern.findall(fold(entry.mask)) for pattern in patterns):
                self._problem(source, (*at, "mask"), f"'{entry.mask}', which the rule masks itself", "another text")
        if entry.action in {"block", "mask"} and entry.release is Release.IMMEDIATE:
            found = f"'immediate' with action '{entry.action}': what has left cannot be called back"
            self._problem(source, (*at, "release"), found, "scanned or window; immediate with flag, log or off")
        if (entry.release is Release.WINDOW) is not (entry.window is not None):
            where = "release" if entry.window is None else "window"
            allowed = "release: window with window: N, or neither"
            self._problem(source, (*at, where), f"release '{entry.release}'", allowed)

    def _literals(self, source: _Source, at: Location, words: Sequence[str]) -> tuple[Literal, ...]:
        literals: dict[Literal, None] = {}
        for index, word in enumerate(words):
            if word.startswith("$"):
                if word[1:] not in self._lists and not self._complete:
                    self._doubtful = True
                elif word[1:] not in self._lists:
                    known = ", ".join(f"${name}" for name in sorted(self._lists)) or "lists, of which there are none"
                    near = nearest(word[1:], self._lists)
                    self._problem(source, (*at, index), f"unknown list '{word}'", known, near and f"${near}")
                literals.update(dict.fromkeys(self._lists.get(word[1:], ())))
                continue
            literal = self._literal(source, (*at, index), word)
            if literal is not None:
                literals[literal] = None
        return tuple(literals)

    def _literal(self, source: _Source, at: Location, word: str) -> Literal | None:
        try:
            return Literal.parse(word)
        except ValueError as error:
            self._problem(source, at, str(error), "a word or a phrase")
            return None

    def _problem(self, source: _Source, at: Location, found: str, allowed: str, near: str | None = None) -> None:
        self._problems.append(replace(source.document.problem(at, found, allowed), nearest=near))
