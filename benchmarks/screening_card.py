"""What do the screening tiers find in rows that nothing was learned from, and what do they hit by mistake?

Prints the tables of docs/model-card.md; with ``--write`` puts them there, and the sources into the notice beside the
weights. The data must be that of the shipped weights, otherwise the exit status is 1.

    python benchmarks/screening_card.py [--data data/screening] [--write]
"""

import argparse
import sys
from pathlib import Path

from guard.policy.locations import shipped_rules
from guard.policy.rules import load_rules
from guard.screening.learned.weights import SHIPPED, shipped
from guard.screening.neural.model import loaded, unavailable
from guard.screening.ruleset import RuleSet
from guard.screening.train import attribution, corpus, teach
from guard.screening.train.card import card

ROOT = Path(__file__).resolve().parent.parent
CARD = ROOT / "docs" / "model-card.md"
NOTICE = SHIPPED.with_name("ATTRIBUTION.md")


def between(path, name, text):
    """Replace what stands in ``path`` between the marks of that name."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    head, found, rest = path.read_text(encoding="utf-8").partition(begin)
    assert found, f"{path} has no {begin}"
    path.write_text(f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "screening")
    parser.add_argument("--write", action="store_true", help="put the tables into the documentation")
    arguments = parser.parse_args()
    rows = corpus.read(arguments.data)
    teacher = arguments.data / corpus.TEACHER
    found = corpus.digest(rows, teach.read(teacher) if teacher.exists() else {})
    if found != shipped().corpus:
        print(f"{arguments.data} is not what the weights were trained on: {found}", file=sys.stderr)
        return 1
    neural = loaded() if unavailable() is None else None
    rules = RuleSet(load_rules([shipped_rules()])[0])
    tables = card(rows, shipped(), rules, neural, lambda what: print(f"asking {what} ...", file=sys.stderr))
    sources = attribution.sources(rows)
    if arguments.write:
        between(CARD, "card", tables)
        between(CARD, "sources", sources)
        between(NOTICE, "sources", attribution.notices(rows))
    else:
        print(tables, sources, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
