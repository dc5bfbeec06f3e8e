"""The tables of the model card: what the tiers do on rows that nothing was learned from."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from guard.screening.categories import CATEGORIES, HAZARDS
from guard.screening.findings import Action, Finding
from guard.screening.learned.learned import Learned
from guard.screening.learned.reading import sigmoid
from guard.screening.learned.weights import SHIPPED, Weights
from guard.screening.neural.model import NeuralModel
from guard.screening.neural.screen import RULE, NeuralScreen
from guard.screening.neural.windows import windows
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source
from guard.screening.train.corpus import BENIGN, Row

FEW = 20
"""Of so many rows a share says something."""
CLAIMED, SPARED = 0.5, 0.15
"""A language is claimed where at least so many harmful prompts are flagged, and at most so many harmless ones."""


class Judged(NamedTuple):
    """What the tiers say of one row."""

    row: Row
    risk: float
    """That it is a hazard, 0..1."""
    hazard: Action
    """The most that may be done about it as a hazard: OFF, FLAG or BLOCK."""
    categories: frozenset[str]
    """Hazards that were named."""
    d1: Action


class Tiers(NamedTuple):
    """Some tiers together, by name, and what they said."""

    name: str
    judged: Sequence[Judged]


Table = list[str]


def card(
    rows: Sequence[Row], weights: Weights, rules: RuleSet, neural: NeuralModel | None, tell: Callable[[str], None]
) -> str:
    """Return the tables as Markdown: on rows of the splits dev and check, for tiers 1 and 2, and with ``neural`` too.

    Harmful means labeled with a hazard; every category is taken to block. ``tell`` hears which tiers are asked next.
    """
    learned = Learned(weights)
    kept = [row for row in rows if row.split in {"dev", "check"}]
    tell("tiers 1 and 2")
    scores = {rule.id: rule.score for rule in rules.rules}
    found = [_rules(rules, scores, row) for row in kept]
    asked = [Tiers("1+2", [_judge(row, own, *_learned(learned, row)) for row, own in zip(kept, found, strict=True)])]
    if neural is not None:
        tell("tiers 1 and 2n")
        screen = NeuralScreen(neural, learned.logits)
        said = [_judge(row, own, *_neural(neural, screen, learned, row)) for row, own in zip(kept, found, strict=True)]
        asked.append(Tiers("1+2n", said))
    dev = [Tiers(tiers.name, [one for one in tiers.judged if one.row.split == "dev"]) for tiers in asked]
    prompts = [Tiers(tiers.name, [one for one in tiers.judged if one.row.role == "prompt"]) for tiers in dev]
    parts = [
        _facts(weights, neural),
        ["### Long harmless prompts that no threshold was fixed on", "", *_harmless(asked)],
        ["### By source", "", *_by(dev, lambda row: row.source)],
        ["### Prompts by language", "", *_by(prompts, lambda row: row.lang, claims=True)],
        ["### Prompts and answers", "", *_by(dev, lambda row: row.role)],
        ["### By hazard", "", *_by_hazard(dev)],
        ["### Training-data production (D1)", "", *_training_data(dev)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def auprc(risks: Sequence[float], truths: Sequence[bool]) -> float:
    """Return the average precision (area under precision over recall); rows of one risk are taken together."""
    order = np.argsort(-np.array(risks), kind="stable")
    sorted_risks, true = np.array(risks)[order], np.array(truths, dtype=float)[order]
    last = np.append(sorted_risks[1:] != sorted_risks[:-1], True)
    hits, seen = np.cumsum(true)[last], np.flatnonzero(last) + 1
    return float(np.sum(np.diff(hits, prepend=0.0) * hits / seen) / hits[-1])


def _judge(row: Row, found: Iterable[Finding], risk: float, more: Iterable[Finding]) -> Judged:
    findings = [finding for finding in (*found, *more) if finding.most >= Action.FLAG]
    hazards = [finding for finding in findings if finding.category in HAZARDS]
    return Judged(
        row,
        max([risk, *(finding.score or 0.0 for finding in hazards)]),
        max([finding.most for finding in hazards], default=Action.OFF),
        frozenset(finding.category for finding in hazards),
        max([finding.most for finding in findings if finding.category == "D1"], default=Action.OFF),
    )


def _segment(row: Row) -> Segment:
    return Segment(Source.USER if row.role == "prompt" else Source.OUTPUT, row.text)


def _rules(rules: RuleSet, scores: Mapping[str, float], row: Row) -> list[Finding]:
    """What tier 1 finds, each with its rule's score."""
    if row.role == "prompt":
        found = rules.scan([_segment(row)])
    else:
        channel = rules.open(Source.OUTPUT, frozenset(CATEGORIES))
        channel.feed(row.text)
        channel.finish()
        found = list(channel.findings)
    return [finding._replace(score=scores[finding.rule]) for finding in found]


def _learned(learned: Learned, row: Row) -> tuple[float, list[Finding]]:
    risk, findings = learned.scan([_segment(row)])
    return risk, findings


def _neural(model: NeuralModel, screen: NeuralScreen, learned: Learned, row: Row) -> tuple[float, list[Finding]]:
    segment = _segment(row)
    chosen, _ = windows([segment], model.tokens, model.calibration.max_tokens, lambda text: learned.logits(text)[0])
    read = [screen.risks(window) for window in chosen]
    findings = [
        Finding(RULE + sign.category, sign.category, 0, 0, segment.source, most=Action(sign.most), score=sign.risk)
        for risks in read
        for sign in model.calibration.signs(risks)
    ]
    return max((risks[0] for risks in read), default=0.0), findings


def _facts(weights: Weights, neural: NeuralModel | None) -> Table:
    lines = [
        f"Corpus: `{weights.corpus}`",
        "",
        f"Tier 2: `{sha256(weights.content()).hexdigest()}`",
        "",
        "| | flag from risk | block from risk | size |",
        "|---|---|---|---|",
    ]
    levels = [
        ("tier 2, all hazards", *map(sigmoid, astuple(weights.unsafe)), f"{SHIPPED.stat().st_size / 1e6:.2f} MB"),
        ("tier 2, D1", *map(sigmoid, astuple(weights.d1)), "in the same file"),
    ]
    if neural is not None:
        calibration = (neural.folder / "neural.json").read_bytes()
        lines[4:4] = [f"Tier 2n: `{sha256(calibration).hexdigest()}`", ""]
        size = sum(path.stat().st_size for path in neural.folder.iterdir() if path.is_file())
        levels += [
            ("tier 2n, all hazards", *neural.calibration.levels[0], f"{size / 1e6:.2f} MB"),
            ("tier 2n, D1", *neural.calibration.levels[-1], "in the same file"),
        ]
    return lines + [f"| {name} | {flag:.3f} | {block:.3f} | {place} |" for name, flag, block, place in levels]


def _share(judged: Sequence[Judged], of: Callable[[Judged], Action]) -> str:
    if not judged:
        return ""
    flag, block = (sum(of(one) >= least for one in judged) / len(judged) for least in (Action.FLAG, Action.BLOCK))
    return f"{flag:.3f} / {block:.3f}"


def _hazard(one: Judged) -> Action:
    return one.hazard


def _d1(one: Judged) -> Action:
    return one.d1


def _harmful(judged: Iterable[Judged]) -> list[Judged]:
    return [one for one in judged if HAZARDS.intersection(one.row.labels)]


def _benign(judged: Iterable[Judged]) -> list[Judged]:
    return [one for one in judged if one.row.labels == (BENIGN,)]


def _harmless(asked: Sequence[Tiers]) -> Table:
    lines = ["| tiers | rows | flagged / blocked as hazard | as D1 |", "|---|---|---|---|"]
    for tiers in asked:
        check = [one for one in tiers.judged if one.row.split == "check"]
        lines.append(f"| {tiers.name} | {len(check)} | {_share(check, _hazard)} | {_share(check, _d1)} |")
    return lines


def _by(asked: Sequence[Tiers], key_of: Callable[[Row], str], *, claims: bool = False) -> Table:
    """One line for each key; keys of few rows are one line at the end."""
    counts = Counter(key_of(one.row) for one in asked[0].judged)
    shown = sorted(key for key, count in counts.items() if count >= FEW)
    names = [tiers.name for tiers in asked]
    head = ["", "harmful rows", *(f"{name}: flagged / blocked" for name in names)]
    head += ["benign rows", *(f"{name}: flagged / blocked" for name in names), *(f"{name}: AUPRC" for name in names)]
    head += [f"{name}: claimed" for name in names] * claims
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for key in [*shown, "fewer rows", "all"]:
        chosen = [
            [
                one
                for one in tiers.judged
                if key in {"all", found if (found := key_of(one.row)) in shown else "fewer rows"}
            ]
            for tiers in asked
        ]
        if not chosen[0]:
            continue
        harmful, benign = [_harmful(judged) for judged in chosen], [_benign(judged) for judged in chosen]
        cells = [key, str(len(harmful[0])), *(_share(judged, _hazard) for judged in harmful)]
        cells += [str(len(benign[0])), *(_share(judged, _hazard) for judged in benign)]
        cells += [_area(bad, good) for bad, good in zip(harmful, benign, strict=True)]
        if claims:
            cells += [_claim(key, *both) for both in zip(harmful, benign, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _area(harmful: Sequence[Judged], benign: Sequence[Judged]) -> str:
    if not harmful or not benign:
        return ""
    both = [*harmful, *benign]
    return f"{auprc([one.risk for one in both], [True] * len(harmful) + [False] * len(benign)):.3f}"


def _claim(key: str, harmful: Sequence[Judged], benign: Sequence[Judged]) -> str:
    if key == "all":
        return ""
    bad, good = (sum(one.hazard >= Action.FLAG for one in judged) for judged in (harmful, benign))
    enough = min(len(harmful), len(benign)) >= FEW
    return "yes" if enough and bad >= CLAIMED * len(harmful) and good <= SPARED * len(benign) else "no"


def _by_hazard(asked: Sequence[Tiers]) -> Table:
    names = [tiers.name for tiers in asked]
    head = ["hazard", "rows", *(f"{name}: flagged / blocked" for name in names), *(f"{name}: named" for name in names)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for code in [code for code in CATEGORIES if code in HAZARDS]:
        chosen = [[one for one in tiers.judged if code in one.row.labels] for tiers in asked]
        cells = [f"{code} {CATEGORIES[code]}", str(len(chosen[0])), *(_share(judged, _hazard) for judged in chosen)]
        cells += [
            f"{sum(code in one.categories for one in judged) / len(judged):.3f}" if judged else "" for judged in chosen
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _training_data(asked: Sequence[Tiers]) -> Table:
    lines = [
        "| tiers | asks | flagged / blocked | look-alikes | flagged / blocked | other benign | flagged / blocked |",
        "|---|---|---|---|---|---|---|",
    ]
    for tiers in asked:
        true = [one for one in tiers.judged if "D1" in one.row.labels]
        sources = {one.row.source for one in true}
        benign = _benign(tiers.judged)
        near = [one for one in benign if one.row.source in sources and one.row.source.startswith("authored-d1")]
        far = [one for one in benign if one not in near]
        cells = [f"{len(some)} | {_share(some, _d1)}" for some in (true, near, far)]
        lines.append(f"| {tiers.name} | {' | '.join(cells)} |")
    return lines
