"""The self-test: what a new policy has to show before a request begins with it.

Rules find what they were written for and nothing in harmless text; a harmless request is served under every model, or
refused for a reason that the policy states; what models are under resolves; and the operator's own cases pass.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from guard.exchange.refusal import Code
from guard.exchange.snapshot import ModelPolicy, Snapshot
from guard.policy.document import Location, PolicyError, Problem, show
from guard.policy.load import Loaded
from guard.policy.rehearsal.cases import Bench, RunRules, case_files, decided, read_cases
from guard.policy.rehearsal.hypothetical import PROMPT, Request
from guard.policy.rehearsal.rehearse import rehearse
from guard.policy.ruletest import failures, read, spoken
from guard.screening.normalize import fold
from guard.screening.rules import Rule, Where
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source

HARMLESS = (
    PROMPT,
    "Please rewrite this in a friendlier tone: we are sorry that the parcel came late, and thank you for waiting.",
    "Write a function that sorts a list of invoices by date, and a short test for it.",
)
"""Text that no rule has any business with."""
STATED = frozenset({Code.LICENSE_TERMS, Code.TERRITORY, Code.IDENTITY_REQUIRED, Code.USAGE_THRESHOLD, Code.OUTPUT_USE})
"""Refusals that say of a policy that it works: it states why it does not serve just anybody."""
UNHEARD_OF = "a-model-that-nobody-listed"


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found out about one set of rules."""

    mute: tuple[str, ...]
    """Ids of the rules that do not find an example of their own."""
    alarmed: Mapping[str, str]
    """By category, the rule that finds something in harmless text."""
    failed: tuple[str, ...] = ()
    """Tests beside rules that fail, in words."""


class SelfTest:
    """Tests one policy after the other; what does not change from one to the next is tested once.

    A set of rules that is in service is never scanned with here: it belongs to the thread that serves.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._probed: list[tuple[RuleSet, Probed]] = []
        self._bench_rules: tuple[RuleSet, RunRules] | None = None

    def problems(self, loaded: Loaded, now: float, *, cases: bool = True) -> list[Problem]:
        """Return why ``loaded`` must not come into force at ``now`` (epoch seconds); empty if it may.

        Without ``cases`` the operator's own are left out.
        """
        found = [*self._rules(loaded), *_unresolved(loaded), *_unserved(loaded, now)]
        if cases and loaded.config.tests:
            found += self._cases(loaded, now)
        return found

    def _rules(self, loaded: Loaded) -> Iterator[Problem]:
        before, self._probed = self._probed, []
        for tenant, view in _views(loaded.snapshot):
            probed = next((known for rules, known in before if rules is view.rules), None)
            if probed is None:
                probed = next((known for rules, known in self._probed if rules is view.rules), None) or probe(
                    view.rules
                )
            self._probed.append((view.rules, probed))
            at: Location = ("screening", "rules") if tenant is None else ("tenants", tenant, "rules")
            for rule in probed.mute:
                yield loaded.document.problem(at, f"rule {rule} does not find an example of its own", "rules that work")
            for failure in probed.failed:
                yield loaded.document.problem(at, failure, "rules that pass their own tests")
            for name, model in _served(view).items():
                for category in sorted(model.blocking & probed.alarmed.keys()):
                    found = (
                        f"rule {probed.alarmed[category]} finds harmless text, which {name} would refuse ({category})"
                    )
                    yield loaded.document.problem(at, found, "rules that leave harmless text alone")

    def _cases(self, loaded: Loaded, now: float) -> Iterator[Problem]:
        rules = loaded.snapshot.rules
        if self._bench_rules is None or self._bench_rules[0] is not rules:
            self._bench_rules = rules, RunRules()
        packs = [Path(name) for name in loaded.config.policies]
        bench = Bench(self._environment, now, self._bench_rules[1], packs)
        for named in map(Path, loaded.config.tests):
            try:
                files = case_files([named])
            except PolicyError as error:
                yield from error.problems
                continue
            for path in files:
                try:
                    read = read_cases(path, loaded.snapshot.packs)
                    bench.prepare(read)
                    for result in bench.run(read):
                        if not result.passed:
                            said = f"{'; '.join(result.failures)}; {decided(result.rehearsal)}"
                            yield Problem(str(path), result.line, result.case.name, said, "what the case expects")
                except PolicyError as error:
                    yield from error.problems


def probe(rules: RuleSet) -> Probed:
    """Return whether ``rules``, which nobody else may be using, find what they should and nothing else."""
    alarmed = {
        finding.category: finding.rule
        for text in HARMLESS
        for finding in (*rules.scan([Segment(Source.USER, text)]), *spoken(rules, text))
    }
    mute = [rule.id for rule in rules.rules if (text := example(rule)) is not None and not _finds(rules, rule, text)]
    failed = tuple(f"{failure.found}: {failure.rule}.{show(failure.at)}" for failure in failures(rules))
    return Probed(tuple(mute), alarmed, failed)


def example(rule: Rule) -> str | None:
    """Return a text that ``rule`` holds in, or None where none could be made of its own words."""
    most = max((len(context.literals) for context in rule.requires), default=1)
    for anchor in rule.anchors:
        for number in range(min(most, 8)):
            before, after = [anchor.text], list[str]()
            for context in sorted(rule.requires, key=lambda context: context.within):
                literal = context.literals[number % len(context.literals)].text
                if context.where is Where.BEFORE:
                    before.insert(0, literal)
                else:
                    after.append(literal)
            text = fold(" ".join([*before, *after]))
            start = text.find(anchor.text, sum(len(part) + 1 for part in before[:-1]))
            if start >= 0 and anchor.bounded(text, start) and rule.holds(text, start, start + len(anchor.text)):
                return text
    return None


def _finds(rules: RuleSet, rule: Rule, text: str) -> bool:
    return all(any(finding.rule == rule.id for finding in findings) for _, findings in read(rules, rule, text))


def _views(snapshot: Snapshot) -> Iterator[tuple[str | None, Snapshot]]:
    """The snapshot as everybody sees it, and as every tenant does."""
    yield None, snapshot
    for tenant in snapshot.tenants.ordered if snapshot.tenants is not None else ():
        yield tenant.name, tenant.view(snapshot)


def _served(snapshot: Snapshot) -> dict[str, ModelPolicy]:
    served = dict(snapshot.models)
    if snapshot.allow_unknown_models and snapshot.default_model is not None:
        served[UNHEARD_OF] = snapshot.default_model
    return served


def _unresolved(loaded: Loaded) -> Iterator[Problem]:
    """What a model is under names licenses that are there, and limits that somebody can be below."""
    packs = loaded.snapshot.packs
    for _, view in _views(loaded.snapshot):
        for name, model in _served(view).items():
            cited = {ruling.license for ruling in model.rulings.values()} | {limit.license for limit in model.limits}
            for license_ in sorted(filter(None, cited - packs.keys())):
                yield loaded.document.problem(("models", name), f"something of '{license_}', which is no pack")
            for limit in model.limits:
                if limit.allowed < 1:
                    found = f"limit {limit.id} of {limit.license} allows nobody at all"
                    yield loaded.document.problem(("models", name), found, "at least one user")


def _unserved(loaded: Loaded, now: float) -> Iterator[Problem]:
    """Every model answers a harmless request. The rules, which had their own test, are left out of it."""
    bare = replace(loaded.snapshot, rules=RuleSet(()), tenants=None)
    for name in _served(loaded.snapshot):
        at: Location = ("models", name)
        try:
            rehearsal = rehearse(bare, Request(at=now, model=name))
        except Exception as error:  # noqa: BLE001 - whatever it is, a request would meet it too
            yield loaded.document.problem(
                at, f"a harmless request fails: {type(error).__name__}", "a policy that works"
            )
            continue
        refusal = rehearsal.refusal
        if refusal is not None and refusal.code not in STATED:
            found = f"a harmless request is refused by {rehearsal.decided_by.step}: {refusal.code.value}"
            yield loaded.document.problem(at, found, "a model that somebody can use")
