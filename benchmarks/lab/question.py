"""The command line that every question has, and how its answer is printed and kept."""

import argparse
import math
import os
import sys
from pathlib import Path

from lab.results import Result
from lab.stand import Stand
from lab.systems import LABELS, NAMES

INTERRUPTED = 130
"""As shells count the end by SIGINT: 128 and its number."""


def options(document, systems=(), *, rounds=6, more=None, argv=None):
    """Return the parsed command line of a question whose docstring is ``document``; ``more`` adds to the parser.

    Ends with 2 for what cannot be asked so, before anything is measured. Ctrl-C is one line from here on.
    """
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here, not to benchmarks/results/")
    parser.add_argument("--quick", action="store_true", help="a look: short turns, two rounds, and nothing is kept")
    parser.add_argument("--rounds", type=at_least_one, default=rounds, help=f"default {rounds}")
    if systems:
        parser.add_argument(
            "--systems", nargs="+", choices=NAMES, default=list(systems), metavar="NAME",
            help=f"default: {' '.join(systems)}; of {' '.join(NAMES)}",
        )  # fmt: skip
    if more:
        more(parser)
    given = parser.parse_args(argv)
    if given.json:
        folder = given.json.parent
        if not folder.is_dir() or given.json.is_dir() or not os.access(folder, os.W_OK):
            parser.error(f"--json {given.json}: allowed: a file in a directory that is there and can be written")
    end_by_a_line()
    if given.quick:
        given.rounds = min(given.rounds, 2)
    return given


def at_least_one(text):
    """Return the whole number of an option, 1 or more. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a whole number, 1 or more")
    return int(text)


def more_than_nothing(text):
    """Return the number of an option, above 0. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a number above 0")
    return number


def end_by_a_line(said="interrupted; nothing is kept"):
    """Let Ctrl-C end this process with 130 and a line, once what it started is stopped."""

    def hook(kind, error, traceback):
        if not issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, traceback)
            return
        print(f"\n{said}", file=sys.stderr)
        sys.exit(INTERRUPTED)

    sys.excepthook = hook


def keep(result, given):
    """Write a result where it belongs and say where; after a quick look only where a file was named."""
    if given.json or not given.quick:
        print(f"written: {result.write(given.json)}", file=sys.stderr)


def note_systems(result, stand):
    """Note versions, and who could not take part."""
    result.content["versions"] |= {each.name: each.version() for each in stand.systems.values() if each.version()}
    result.content["absent"] = stand.absent


def ask(name, document, given, measure, *, stand=None, pace_us=None):
    """Ask one question by ``measure(stand, given, result)``, on ``stand`` or one of its own; return what was found."""
    result = Result(name, document.strip().splitlines()[0])
    if stand is None:
        with Stand(given.systems, **({"pace_us": pace_us} if pace_us else {})) as own:
            note_systems(result, own)
            measure(own, given, result)
    else:
        note_systems(result, stand)
        measure(stand, given, result)
    keep(result, given)
    return result.content


def table(rows, head):
    """Return ``rows`` as text in columns below ``head``; the first is left, the others right."""
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def amount(value):
    """Return a figure as it is read best: three digits, thousands parted."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(spread):
    """Return "median [low - high]" of a spread, or a dash."""
    if not spread:
        return "-"
    return f"{amount(spread['median'])} [{amount(spread['low'])} - {amount(spread['high'])}]"


def label(system):
    """Return what a system is called in a table."""
    return LABELS.get(system, system)
