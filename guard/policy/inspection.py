"""What ``guard policy check`` looks at: configurations, packs, rules, cases, API keys, and directories of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from pathlib import Path

from guard.licensing.items import AUP_ITEMS
from guard.policy import ruletest
from guard.policy.candidate import load_candidate
from guard.policy.checks.warnings import unconfirmed
from guard.policy.document import Caution, PolicyError, Problem, in_order, read_text, scan
from guard.policy.keyfile import read_keys
from guard.policy.known import own_packs
from guard.policy.load import Loaded, RuleCache, digest_of, load, read_config
from guard.policy.locations import configuration, shipped_licenses, shipped_policies, shipped_rules, yaml_files
from guard.policy.packs import read_packs
from guard.policy.rehearsal.cases import read_cases
from guard.policy.rules import read_rules
from guard.policy.selftest import SelfTest


class Kind(StrEnum):
    """What a file is, by the names in it."""

    CONFIGURATION = "configuration"
    PACK = "license pack"
    RULES = "rules"
    KEYS = "API keys"
    CASES = "cases"


TELLING: Mapping[Kind, frozenset[str]] = {
    Kind.CASES: frozenset({"cases"}),
    Kind.KEYS: frozenset({"keys"}),
    Kind.RULES: frozenset({"rules", "lists", "category"}),
    Kind.PACK: frozenset({"id", "family", "version", "output_use", "thresholds", "duties", "aup"}),
}
"""Names that only stand in files of a kind; a file with none of them is a configuration."""
TREE = ("licenses", "aup", "rule-packs", "tests", "examples")
"""The directories of a whole tree of policies."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One file or directory that was looked at."""

    path: Path
    what: str
    digest: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that was found, in the order of files and lines."""

    checked: tuple[Checked, ...]
    problems: tuple[Problem, ...]
    cautions: tuple[Caution, ...]


def inspect(paths: Sequence[Path], environment: Mapping[str, str], today: date) -> Inspection:
    """Return what is wrong in ``paths``, and what is worth knowing. No path: the tree that ships with Guard."""
    inspector = _Inspector(environment, today)
    directories = [path for path in paths or [shipped_policies()] if path.is_dir()]
    inspector.look([path for path in paths if path not in directories])
    for directory in directories:
        inspector.look_into(directory)
    inspector.look_at_cases()
    cautions = [found for found in in_order(inspector.cautions) if isinstance(found, Caution)]
    return Inspection(tuple(inspector.checked), tuple(in_order(inspector.problems)), tuple(cautions))


def kind_of(file: Path) -> Kind | None:
    """Return what ``file`` is; None where it is no YAML and cannot be told. Raises PolicyError if it is unreadable."""
    text = read_text(file)
    try:
        data = scan(text, str(file)).data
    except PolicyError:
        return None
    names = set(data) if isinstance(data, dict) else set()
    return next((kind for kind, telling in TELLING.items() if telling & names), Kind.CONFIGURATION)


class _Inspector:
    def __init__(self, environment: Mapping[str, str], today: date) -> None:
        self.checked: list[Checked] = []
        self.problems: list[Problem] = []
        self.cautions: list[Caution] = []
        self._environment, self._today = environment, today
        self._rules, self._self_test = RuleCache(), SelfTest(environment)
        self._packs_given: list[Path] = []
        self._cases_given: list[Path] = []
        self._items: frozenset[str] | None = AUP_ITEMS

    def look(self, files: Sequence[Path]) -> None:
        """Check ``files``, those of one kind together."""
        kinds: dict[Path, Kind | None] = {}
        for file in files:
            try:
                kinds[file] = kind_of(file)
            except PolicyError as error:
                self.problems += error.problems
        for kind, found in _by_kind(kinds):
            self._check(kind, found)
            if kind is not Kind.CONFIGURATION:
                self.checked += (Checked(file, kind.value, digest_of([file])) for file in found)

    def look_into(self, directory: Path) -> None:
        """Check the files in ``directory``, and the parts of a whole tree that are in it."""
        files, parts = yaml_files(directory), [directory / name for name in TREE if (directory / name).is_dir()]
        if not files and not parts:
            allowed = "a directory of packs, rules or cases"
            self.problems.append(Problem(str(directory), 0, "", "no YAML files", allowed))
        before = len(self.checked)
        self.look(files)
        kinds = {one.what for one in self.checked[before:]}
        if len(self.checked) == before + len(files) > before and len(kinds) == 1 and Kind.CONFIGURATION not in kinds:
            what = "license packs" if Kind.PACK in kinds else kinds.pop()
            self.checked[before:] = [Checked(directory, what, digest_of([directory]))]
        for part in parts:
            self.look_into(part)

    def _check(self, kind: Kind, files: Sequence[Path]) -> None:
        if kind is Kind.CONFIGURATION:
            for file in files:
                self._configuration(file)
        elif kind is Kind.PACK:
            self._packs(files)
        elif kind is Kind.RULES:
            self._rule_files(files)
        elif kind is Kind.KEYS:
            self._key_files(files)
        else:
            self._cases_given += files

    def _configuration(self, file: Path) -> None:
        try:
            config = read_config(file, {}).value
            self._cases([Path(name) for name in config.tests], [shipped_licenses(), *map(Path, config.policies)])
            loaded = load(file, today=self._today, environment=self._environment, rules=self._rules)
        except PolicyError as error:
            self.problems += error.problems
            return
        noon = datetime.combine(self._today, time(12), UTC).timestamp()
        self.problems += self._self_test.problems(loaded, noon)
        self._candidate(loaded)
        self.cautions += loaded.cautions
        self.checked.append(Checked(file, Kind.CONFIGURATION.value, loaded.snapshot.hash))

    def _candidate(self, loaded: Loaded) -> None:
        """The candidate has to be a policy too; one that cannot be loaded is compared with by nobody."""
        if loaded.config.candidate is None:
            return
        path = Path(loaded.config.candidate)
        if not path.is_file():
            found = f"'{loaded.document.data['candidate']}' is no file"
            self.problems.append(loaded.document.problem(("candidate",), found, "another configuration"))
            return
        try:
            load_candidate(path, today=self._today, rules=self._rules)
        except PolicyError as error:
            self.problems += error.problems

    def look_at_cases(self) -> None:
        """Read the case files that were given, when every pack that they may be about is known."""
        if not self._cases_given:
            return
        try:
            own = own_packs(configuration(None, self._environment))
        except PolicyError:  # said where it is checked itself
            own = ()
        given = {file.resolve(): file for file in (*yaml_files(shipped_licenses()), *self._packs_given)}
        self._cases(self._cases_given, [*given.values(), *own])

    def _packs(self, files: Sequence[Path]) -> None:
        """Packs are read with those beside them and those that ship, because lineage goes from one to another."""
        self._packs_given += files
        given = {file.resolve() for file in files}
        beside = [file for parent in _parents(files) for file in yaml_files(parent) if file.resolve() not in given]
        packs = [file for file in beside if kind_of(file) in {Kind.PACK, None}]
        others = {file.resolve(): file for file in (*yaml_files(shipped_licenses()), *packs)}
        read = read_packs([*(file for path, file in others.items() if path not in given), *files])
        known = self._items
        self._items = None if read.problems or known is None else known | read.items
        names = {str(file) for file in files}
        self.problems += (problem for problem in read.problems if problem.file in names)
        for id_, document in read.documents.items():
            if document.file in names:
                self.cautions += unconfirmed(read.licenses[id_], document)

    def _rule_files(self, files: Sequence[Path]) -> None:
        given = {file.resolve() for file in files}
        others = [file for file in yaml_files(shipped_rules()) if file.resolve() not in given]
        read = read_rules([*others, *files], today=self._today, items=self._items)
        names = {str(file) for file in files}
        self.problems += (problem for problem in read.problems if problem.file in names)
        self.problems += ruletest.problems(read, names)
        self.cautions += (caution for caution in read.cautions if caution.file in names)

    def _key_files(self, files: Iterable[Path]) -> None:
        for file in files:
            try:
                self.problems += read_keys(file).problems
            except PolicyError as error:
                self.problems += error.problems

    def _cases(self, paths: Iterable[Path], packs: Sequence[Path]) -> None:
        licenses = read_packs(packs).licenses
        for path in paths:
            for file in yaml_files(path) if path.is_dir() else [path]:
                try:
                    read_cases(file, licenses)
                except PolicyError as error:
                    self.problems += error.problems


def _by_kind(kinds: Mapping[Path, Kind | None]) -> Iterator[tuple[Kind, list[Path]]]:
    """The files of each kind; one that cannot be told is taken for what most files beside it are."""
    counted = Counter(kind for kind in kinds.values() if kind is not None)
    usual = counted.most_common(1)[0][0] if counted else Kind.CONFIGURATION
    for kind in Kind:
        found = [file for file, own in kinds.items() if (own or usual) is kind]
        if found:
            yield kind, found


def _parents(files: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(file.parent for file in files))
