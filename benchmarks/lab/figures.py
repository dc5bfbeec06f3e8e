"""Values by system and measure, one a round; medians, spreads, and ratios within a round."""

import statistics


def spread(values):
    """Return the median of ``values``, the lowest and the highest, and all of them in the order they were taken."""
    return {
        "median": _short(statistics.median(values)),
        "low": _short(min(values)),
        "high": _short(max(values)),
        "values": [_short(value) for value in values],
    }


def _short(value):
    """Round to five digits, so that a file can be read."""
    return float(f"{value:.5g}")


class Figures:
    """What was found, by system and measure; a system need not take part in every round."""

    def __init__(self, order=()):
        self.rounds = {system: {} for system in order}
        self.round = 0

    def add(self, system, measure, value, round=None):  # noqa: A002 - the field's own word
        """Note ``value`` of this round."""
        self.rounds.setdefault(system, {}).setdefault(measure, {})[self.round if round is None else round] = value

    def median(self, system, measure):
        """Return the median over the rounds."""
        return statistics.median(self.rounds[system][measure].values())

    def has(self, system, measure):
        """Return whether there is any value."""
        return bool(self.rounds.get(system, {}).get(measure))

    def pairs(self, system, other, measure, of=None):
        """Return (value of ``system``, value of ``other``) of every round in which both took part."""
        mine = self.rounds.get(system, {}).get(measure, {})
        theirs = self.rounds.get(other, {}).get(of or measure, {})
        return [(mine[number], theirs[number]) for number in sorted(mine) if number in theirs]

    def ratio(self, system, other, measure, of=None):
        """Return the spread of ``system`` / ``other``, each within a round."""
        return spread([mine / theirs for mine, theirs in self.pairs(system, other, measure, of)])

    def difference(self, system, other, measure, of=None):
        """Return the spread of ``system`` - ``other``, each within a round."""
        return spread([mine - theirs for mine, theirs in self.pairs(system, other, measure, of)])

    def summary(self):
        """Return everything as a result file holds it: {system: {measure: spread}}."""
        return {
            system: {measure: spread(list(values.values())) for measure, values in measures.items()}
            for system, measures in self.rounds.items()
        }
