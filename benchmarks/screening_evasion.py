"""How much of what is found in plain text is still found in disguise, and what is found where nothing is hidden?

The prompts are those of tests/screening/rows that the shipped rules find, each in every disguise of
tests/screening/screening_disguises.py; recall is the share of them in which the same category is found.

    python benchmarks/screening_evasion.py [--markdown] [--missed DISGUISE]
"""

import argparse
import sys
from pathlib import Path

from guard.policy.locations import shipped_rules
from guard.policy.rules import load_rules
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "screening"))
from screening_disguises import DISGUISES, HARMLESS, PLAIN


def categories(tier, text):
    """Return the categories that ``tier``, a function of segments, finds in a prompt."""
    return {finding.category for finding in tier([Segment(Source.USER, text)])}


def recalls(tier):
    """Return how many prompts are found plainly, and the share of those found, by disguise."""
    plain = {text: categories(tier, text) for text in PLAIN}
    found = [text for text, here in plain.items() if here]
    return len(found), {
        name: sum(bool(plain[text] & categories(tier, disguise(text))) for text in found) / max(len(found), 1)
        for name, disguise in DISGUISES.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/coverage.md holds it")
    parser.add_argument("--missed", metavar="DISGUISE", help="print the prompts that are not found in this disguise")
    arguments = parser.parse_args()
    rules = RuleSet(load_rules([shipped_rules()])[0])
    if arguments.missed:
        for text in PLAIN:
            if not categories(rules.scan, text) & categories(rules.scan, DISGUISES[arguments.missed](text)):
                print(text)
        return
    number, table = recalls(rules.scan)
    if arguments.markdown:
        print("| disguise | rules |\n|---|---|")
        for name, recall in table.items():
            print(f"| {name} | {recall:.2f} |")
        return
    print(f"{number} prompts of {len(PLAIN)} are found plainly; recall kept:")
    for name, recall in table.items():
        print(f"{name:32} {recall:.2f}")
    alarms = [text for text in HARMLESS if categories(rules.scan, text)]
    print(f"{len(alarms)} of {len(HARMLESS)} harmless texts that look disguised are hit")
    for text in alarms:
        print("   ", text[:100])


if __name__ == "__main__":
    main()
