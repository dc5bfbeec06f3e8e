"""What does each tier of screening cost, on one core, against its goal?

CPU microseconds a KB (1024 bytes of UTF-8) over real benign prompts (data/screening/calibration.jsonl.gz), ASCII and
the others apart, and over the paragraphs below in other scripts; medians over interleaved rounds. Prompts with program
code look as if something were hidden in them, which is then looked for; those without a sign of that are measured by
themselves too. Streamed tokens are pieces of four characters. The neural tier is measured where it is installed.

    python benchmarks/screening_tiers.py [--rounds 7] [--rows 1000] [--json]      (a table, or JSON)
"""

import argparse
import gzip
import json
import platform
import statistics
import time
from functools import partial
from pathlib import Path

from guard.policy.locations import shipped_rules
from guard.policy.rules import load_rules
from guard.screening.learned.learned import Learned
from guard.screening.learned.twin import Twin
from guard.screening.learned.weights import SHIPPED, Weights, shipped
from guard.screening.neural.model import loaded, unavailable
from guard.screening.neural.screen import NeuralScreen
from guard.screening.normalize import fold
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source
from guard.screening.signs import signs

DATA = Path(__file__).parent.parent / "data" / "screening" / "calibration.jsonl.gz"
TOKEN = 4
"""Characters."""
OTHERS = (
    """Le comité s'est réuni mardi pour parler du budget de la bibliothèque de l'école. Où sont passées les trois choix
    qui étaient à l'étude, combien coûte chacune d'elles, et laquelle les parents ont-ils préférée ? """,
    """Комитет собрался во вторник, чтобы обсудить бюджет школьной библиотеки на будущий год. Какие три варианта были
    предложены, сколько стоит каждый из них и какой из них выбрали родители? """,
    "委员会星期二开会讨论了学校图书馆明年的预算。当时提出了哪三种方案、每种方案要花多少钱、家长们更喜欢哪一种。请用三句话概括一下。",
)


class Texts:
    """Texts of one kind, as prompts."""

    def __init__(self, texts):
        self.texts = texts
        self.folded = [fold(text) for text in texts]
        self.prompts = [[Segment(Source.USER, text)] for text in texts]
        self.size = sum(len(text.encode()) for text in texts) / 1024
        self.tokens = [[text[at : at + TOKEN] for at in range(0, len(text), TOKEN)] for text in texts]
        self.count = sum(map(len, self.tokens))


def spent(work, given):
    """Return CPU seconds of this thread for ``work`` on each of ``given``."""
    began = time.thread_time()
    for one in given:
        work(one)
    return time.thread_time() - began


def stream(opened, pieces):
    """Feed ``pieces`` to what ``opened`` returns."""
    screen = opened()
    for piece in pieces:
        screen.feed(piece)
    screen.finish()


def measure(ascii_texts, other_texts, paragraphs, rounds):
    """Return (what, unit, goal or None, figures by round)."""
    rules = RuleSet(load_rules([shipped_rules()])[0])
    weights = shipped()
    compiled, twin = Learned(weights), Learned(weights, Twin(weights.table))
    blocking = frozenset(rule.category for rule in rules.rules)
    straight = Texts([text for text in ascii_texts.texts if not signs(text)])
    few = Texts(ascii_texts.texts[: max(len(ascii_texts.texts) // 8, 20)])
    rows = [
        ("normalization, ASCII", fold, ascii_texts, "texts", None),
        ("normalization, other", fold, other_texts, "texts", None),
        ("normalization, other scripts", fold, paragraphs, "texts", None),
        ("tier 1 with normalization, ASCII", rules.scan, ascii_texts, "prompts", 20),
        ("tier 1, ASCII, no sign of a disguise", rules.scan, straight, "prompts", 20),
        ("tier 1 with normalization, other", rules.scan, other_texts, "prompts", 50),
        ("tier 1 with normalization, other scripts", rules.scan, paragraphs, "prompts", 50),
        ("tier 2 compiled, folded text", compiled.read, ascii_texts, "folded", 25),
        ("tier 2 compiled, as asked", compiled.scan, ascii_texts, "prompts", 25),
        ("tier 2 compiled, no sign of a disguise", compiled.scan, straight, "prompts", 25),
        ("tier 2 compiled, as asked, other scripts", compiled.scan, paragraphs, "prompts", 25),
        ("tier 2 twin, folded text", twin.read, few, "folded", 250),
        ("tier 2 twin, as asked", twin.scan, few, "prompts", 250),
    ]  # fmt: skip
    streams = [
        ("tier 1, a streamed token", lambda: rules.open(Source.OUTPUT, blocking), None),
        ("tier 2 compiled, a streamed token", lambda: compiled.open(Source.OUTPUT, blocks=False), 1.5),
        ("tier 2 compiled, a streamed token, blocking", lambda: compiled.open(Source.OUTPUT, blocks=True), None),
        (
            "tiers 1 and 2, a streamed token",
            lambda: rules.open(Source.OUTPUT, blocking, compiled.open(Source.OUTPUT, blocks=False)),
            None,
        ),
    ]
    figures = {name: [] for name, *_ in (*rows, *streams)}
    for _ in range(rounds):
        for name, work, texts, what, _goal in rows:
            figures[name].append(spent(work, getattr(texts, what)) / texts.size * 1e6)
        for name, opened, _goal in streams:
            figures[name].append(spent(partial(stream, opened), few.tokens) / few.count * 1e6)
    found = [(name, "us/KB", goal, figures[name]) for name, *_, goal in rows]
    found += [(name, "us", goal, figures[name]) for name, _, goal in streams]
    loads = [spent(lambda _one: Learned(Weights.read()), [0]) * 1e3 for _ in range(rounds)]
    found.append(("tier 2, load", "ms", 50, loads))
    found.append(("tier 2, weights", "MB", 5, [SHIPPED.stat().st_size / 1e6]))
    if unavailable() is None:
        screen = NeuralScreen(loaded(), compiled.logits)
        kilobyte = Texts([(text * 1024)[:1024] for text in ascii_texts.texts[:20] if text])
        each = [spent(screen.scan, kilobyte.prompts) / kilobyte.size * 1e3 for _ in range(max(rounds // 2, 1))]
        found.append(("tier 2n, prompts of 1 KB", "ms/KB", 15, each))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=1000, help="how many of the prompts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    every = [json.loads(row)["text"] for row in gzip.decompress(DATA.read_bytes()).splitlines()]
    plain = Texts([text for text in every if text.isascii()][: options.rows])
    other = Texts([text for text in every if not text.isascii()][: options.rows])
    found = measure(plain, other, Texts([(text * 12)[:1000] for text in OTHERS]), options.rounds)
    if options.json:
        rows = {name: {"unit": unit, "goal": goal, "measured": sorted(each)} for name, unit, goal, each in found}
        print(json.dumps({"machine": platform.machine(), "python": platform.python_version(), "rows": rows}, indent=1))
        return
    print(
        f"Python {platform.python_version()}, {platform.machine()}; {plain.size:.0f} and {other.size:.0f} KB of prompts"
    )
    print(f"{'':46}{'goal':>8}{'measured':>10}   [least - most]")
    for name, unit, goal, each in found:
        median = statistics.median(each)
        missed = "   missed" if goal is not None and median > goal else ""
        print(f"{name:46}{goal or '':>8}{median:>10.2f} {unit:6} [{min(each):.2f} - {max(each):.2f}]{missed}")
    if unavailable() is not None:
        print(f"tier 2n is not measured: {unavailable()}")


if __name__ == "__main__":
    main()
