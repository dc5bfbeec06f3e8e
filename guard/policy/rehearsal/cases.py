"""Cases: requests with the answers a policy must give, read from YAML and rehearsed.

A case that fails says where it stands, what was expected, what was found, and which step decided.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from guard.exchange.snapshot import Snapshot
from guard.licensing.items import AUP_ITEMS
from guard.licensing.license import License
from guard.policy.document import Caution, Document, Location, PolicyError, Problem, nearest, read
from guard.policy.load import RuleCache, load
from guard.policy.locations import shipped_policies, yaml_files
from guard.policy.rehearsal.case import Case, CaseFile
from guard.policy.rehearsal.hypothetical import Caller, Request, settings_for
from guard.policy.rehearsal.misplaced import placed, told
from guard.policy.rehearsal.rehearse import Rehearsal, rehearse
from guard.policy.rules import load_rules
from guard.policy.snapshot import user_thresholds
from guard.policy.validation import validate
from guard.screening.ruleset import RuleSet

SERVED = "served-model"
"""The served name of a model whose case file names none."""


@dataclass(frozen=True, slots=True)
class Cases:
    """One case file that is sound."""

    path: Path
    content: CaseFile
    document: Document

    def line(self, index: int) -> int:
        """Return the line at which a case begins."""
        return self.document.line(("cases", index))


@dataclass(frozen=True, slots=True)
class Result:
    """How one case went."""

    path: Path
    line: int
    case: Case
    rehearsal: Rehearsal
    failures: tuple[str, ...]
    """``verdict: expected deny, found allow``, one for every difference; empty if it passed."""

    @property
    def passed(self) -> bool:
        """True if everything that was expected was found."""
        return not self.failures

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}: {self.case.name}"
        return place if self.passed else f"{place}: {'; '.join(self.failures)}; {decided(self.rehearsal)}"


_RunKey = tuple[tuple[Path, ...], int, frozenset[str], frozenset[str] | None]


class RunRules(RuleCache):
    """The rules of one run of cases: compiled once, and once more for each day on which an exception has expired."""

    def __init__(self) -> None:
        super().__init__()
        self._expiries: dict[tuple[Path, ...], list[date]] = {}
        self._compiled: dict[_RunKey, tuple[RuleSet, tuple[Caution, ...]]] = {}

    def compiled(
        self,
        files: Sequence[Path],
        today: date,
        shadowed: frozenset[str] = frozenset(),
        items: frozenset[str] | None = AUP_ITEMS,
    ) -> tuple[RuleSet, tuple[Caution, ...]]:
        """Return the rules in ``files`` as of ``today`` and their warnings. Raises PolicyError."""
        named = tuple(files)
        if named not in self._expiries:
            rules, _ = load_rules(files, today=date.min, items=items)
            self._expiries[named] = sorted(item.expires for rule in rules for item in rule.exceptions)
        key = named, bisect_left(self._expiries[named], today), shadowed, items
        if key not in self._compiled:
            rules, notes = load_rules(files, today=today, items=items)
            self._compiled[key] = RuleSet(rules, shadowed), tuple(notes)
        return self._compiled[key]


_UNSCORED = {"screening": {"learned": {"prompts": "off", "outputs": "off"}, "neural": {"scope": "off"}}}
"""Cases of a license say what the license and the rules mean, whatever a model makes of their words."""


class Bench:
    """Runs cases: policies are loaded as a gateway loads them, each once for all cases that share it.

    ``packs`` are those of one's own that the licenses of case files may be in, as ``policies`` names them.
    """

    def __init__(
        self, environment: Mapping[str, str], now: float, rules: RunRules | None = None, packs: Sequence[Path] = ()
    ) -> None:
        self._environment, self._now = environment, now
        self._rules = rules or RunRules()
        self._packs = list(map(str, packs))
        self._snapshots: dict[tuple[str, str, date], tuple[Snapshot, str | None]] = {}

    def prepare(self, cases: Cases) -> None:
        """Load the policy of every case. Raises PolicyError with every problem of all of them."""
        problems: list[Problem] = []
        for index in range(len(cases.content.cases)):
            try:
                self._policy(cases, index)
            except PolicyError as error:
                problems += error.problems
        if problems:
            raise PolicyError(list(dict.fromkeys(problems)))

    def run(self, cases: Cases) -> Iterator[Result]:
        """Yield the result of every case in order. Raises PolicyError as ``prepare``."""
        for index, case in enumerate(cases.content.cases):
            snapshot, model = self._policy(cases, index)
            rehearsal = rehearse(snapshot, _request(case, model, self._at(case)))
            yield Result(cases.path, cases.line(index), case, rehearsal, tuple(_differences(case, rehearsal)))

    def _at(self, case: Case) -> float:
        return self._now if case.at is None else case.at.timestamp()

    def _policy(self, cases: Cases, index: int) -> tuple[Snapshot, str | None]:
        content, case = cases.content, cases.content.cases[index]
        day = datetime.fromtimestamp(self._at(case), UTC).date()
        caller = _caller(case)
        stated = [content.license, content.model, case.settings, caller.country is None, caller.source]
        key = str(cases.path) if content.config else "", json.dumps(stated, sort_keys=True, default=str), day
        if key not in self._snapshots:
            self._snapshots[key] = self._load(cases, index, day)
        return self._snapshots[key]

    def _load(self, cases: Cases, index: int, day: date) -> tuple[Snapshot, str | None]:
        content, case = cases.content, cases.content.cases[index]
        if content.config is not None:
            path = cases.path.parent / content.config
            return load(path, today=day, environment=self._environment, rules=self._rules).snapshot, content.model
        model = content.model or SERVED
        overrides = _merged(settings_for(content.license or (), model, _caller(case)), _UNSCORED)
        overrides = _merged(overrides, case.settings)
        if self._packs:
            overrides.setdefault("policies", self._packs)
        try:
            loaded = load(None, overrides, today=day, environment=self._environment, rules=self._rules)
        except PolicyError as error:
            raise PolicyError([placed(problem, cases.document, index) for problem in error.problems]) from None
        return loaded.snapshot, model


def read_cases(path: Path, packs: Mapping[str, License]) -> Cases:
    """Return the cases in the file ``path``. Raises PolicyError with every problem of the file."""
    document = read(path)
    try:
        content = validate(document, CaseFile)
    except PolicyError as error:
        raise PolicyError([told(problem) for problem in error.problems]) from None
    problems = list(_problems(path, content, document, packs))
    if problems:
        raise PolicyError(problems)
    return Cases(path, content, document)


def case_files(paths: Iterable[Path]) -> list[Path]:
    """Return the case files in ``paths``, in order; a directory stands for its YAML files. Raises PolicyError."""
    found: list[Path] = []
    for path in paths:
        files = yaml_files(path) if path.is_dir() else [path]
        if not files:
            raise PolicyError([Problem(str(path), 0, "", "no YAML files", "a directory of case files")])
        found += files
    return list(dict.fromkeys(found))


def shipped_cases() -> Path:
    """Return the directory of the cases that ship with Guard: a file for every license."""
    return shipped_policies() / "tests"


def decided(rehearsal: Rehearsal) -> str:
    """Return which step decided, and by what: ``decided by entitle: output_use, llama-2 1.b.v``."""
    outcome = rehearsal.decided_by
    refusals = [outcome.refusal] if outcome.refusal is not None else outcome.shadowed
    said = [", ".join(part for part in (refusal.code.value, refusal.license, refusal.clause, refusal.category) if part)
            for refusal in refusals]  # fmt: skip
    said += [f"rule {finding.rule}, {ruling.action.name.lower()}" for _, finding, ruling in outcome.findings]
    said += [f"not evaluated: {reason}" for reason in outcome.not_evaluated]
    return f"decided by {outcome.step}: {'; '.join(said)}" if said else f"nothing refused it up to {outcome.step}"


def _problems(path: Path, content: CaseFile, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    listed = isinstance(document.data.get("license"), list)
    for position, id_ in enumerate(content.license or ()):
        if id_ not in packs:
            at: Location = ("license", position) if listed else ("license",)
            yield document.problem(at, f"unknown license '{id_}'", "the id of a pack", near=nearest(id_, packs))
    if content.config is not None and not (path.parent / content.config).is_file():
        yield document.problem(("config",), f"'{content.config}' is no file", "a guard.yaml, relative to this file")
    if not content.cases:
        yield document.problem(("cases",), "no case", "at least one")
    names: dict[str, int] = {}
    for index, case in enumerate(content.cases):
        if case.name in names:
            found = f"'{case.name}' is the name of the case in line {names[case.name]} too"
            yield document.problem(("cases", index, "name"), found, "a name of its own")
        names.setdefault(case.name, document.line(("cases", index)))
        expected = case.expect.threshold
        known = [item.id for id_ in content.license or () if id_ in packs for item in user_thresholds(packs[id_])]
        if content.license is not None and expected is not None and expected.id not in {*known, "operator"}:
            at = ("cases", index, "expect", "threshold", "id")
            found = f"no threshold on active users is called '{expected.id}'"
            yield document.problem(at, found, ", ".join([*known, "operator"]), near=nearest(expected.id, known))
        if case.settings and content.config is not None:
            yield document.problem(("cases", index, "settings"), "settings beside config", "settings with license")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid upon it, mapping by mapping."""
    both = {
        name: _merged(value, over[name])
        for name, value in base.items()
        if isinstance(value, Mapping) and isinstance(over.get(name), Mapping)
    }
    return {**base, **over, **both}


def _caller(case: Case) -> Caller:
    who = case.identity
    return Caller(who.user, who.source, who.tenant, who.purpose, who.country, who.claims)


def _request(case: Case, model: str | None, at: float) -> Request:
    sent = case.request
    return Request(
        at=at,
        method=sent.method,
        path=sent.path,
        headers=tuple(sent.headers.items()),
        model=model,
        text=sent.text,
        body=sent.body,
        caller=_caller(case),
        users=case.users,
        known=case.known,
        answer=case.answer,
    )


def _differences(case: Case, rehearsal: Rehearsal) -> Iterator[str]:
    """Yield what was expected and not found."""
    expect = case.expect
    if rehearsal.verdict is not expect.verdict:
        yield f"verdict: expected {expect.verdict}, found {rehearsal.verdict}"
    yield from _citations(case, rehearsal)
    for text in expect.obligations:
        if not any(text in owed for owed in rehearsal.obligations):
            yield f"obligations: expected one with '{text}', found {list(rehearsal.obligations) or 'none'}"
    if expect.threshold is not None:
        states = [state for limit, state in rehearsal.thresholds if limit.id == expect.threshold.id]
        if expect.threshold.state not in states:
            found = ", ".join(states) or f"no such threshold among {[limit.id for limit, _ in rehearsal.thresholds]}"
            yield f"threshold {expect.threshold.id}: expected {expect.threshold.state}, found {found}"


def _citations(case: Case, rehearsal: Rehearsal) -> Iterator[str]:
    """Yield what differs from the refusal, or, where nothing was refused, from the nearest thing that was said."""
    names = ("code", "license", "clause", "category")
    wanted = {name: value for name in names if (value := getattr(case.expect, name)) is not None}
    if not wanted:
        return
    if rehearsal.refusal is not None:
        said: list[Mapping[str, Any]] = [{name: getattr(rehearsal.refusal, name) for name in names}]
    else:
        said = [{name: getattr(refusal, name) for name in names}
                for outcome in rehearsal.outcomes for refusal in outcome.shadowed]  # fmt: skip
        said += [{"code": "aup", "license": ruling.license, "clause": ruling.clause, "category": finding.category}
                 for outcome in rehearsal.outcomes for _, finding, ruling in outcome.findings]  # fmt: skip
    if not said:
        yield f"{', '.join(f'{name} {value}' for name, value in wanted.items())}: nothing was refused or found"
        return
    differing = ([name for name in wanted if one[name] != wanted[name]] for one in said)
    best, one = min(zip(differing, said, strict=True), key=lambda pair: len(pair[0]))
    for name in best:
        yield f"{name}: expected {wanted[name]}, found {one[name] or 'none'}"
