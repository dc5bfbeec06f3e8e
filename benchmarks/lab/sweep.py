"""A question that is asked at several sizes: one figure by system and size, in rounds."""

from lab.figures import Figures
from lab.question import amount, cell, label, table


def sweep(stand, given, result, sizes, asked, measures, unit):
    """Ask ``asked(system, size)``, which returns a value for each of ``measures``, of every system at every size.

    Figures are kept as "SYSTEM at SIZE". ``measures`` maps the name of a figure to what a table calls it.
    """
    figures = Figures()
    for system in stand.turns(given.rounds):
        figures.round = stand.round
        for size in sizes:
            for measured, value in zip(measures, asked(system, size), strict=True):
                figures.add(f"{system.name} at {size}", measured, value)
    content = result.content
    content["figures"] = figures.summary()
    content["settings"] |= {"sizes": list(sizes), "unit": unit, "rounds": given.rounds}
    print(f"\n{content['question']}\n")
    for measured, called in measures.items():
        rows = [
            [label(name), *(amount(figures.median(f"{name} at {size}", measured)) for size in sizes)]
            for name in stand.systems
        ]
        print(table(rows, [called, *(f"{size:,} {unit}" for size in sizes)]), end="\n\n")
    return figures


__all__ = ["cell", "sweep"]
