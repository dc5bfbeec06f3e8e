"""What follows for a given use: what the licenses of an output say, and whom an output may be held against."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from guard.licensing.license import License
from guard.licensing.lineage import resolve_target, same_model
from guard.licensing.purpose import TRAIN, Purpose
from guard.licensing.verdict import OutputVerdict, Verdict, stack_verdict

Judge = Callable[[tuple[str, ...]], OutputVerdict]
"""Gives the verdict on a stack of licenses, by their ids, for one use."""
Related = Callable[[str, str, tuple[str, ...]], bool]
"""Tells whether the model that a record names as its author is another one of the family of an output's model.

Of the latter it is given the served name and the ids of the licenses.
"""


class Use(NamedTuple):
    """What a data set is to be used for, and by whom."""

    judge: Judge
    related: Related = lambda _author, _model, _licenses: False
    tenant: str | None = None
    """The tenant who exports the data set, if outputs of others are to be weighed less."""


def judge_of(target: str, licenses: Mapping[str, License]) -> Judge:
    """Return the judge for training ``target`` by the clauses in ``licenses``.

    A stack with a license that is not among them is never better than undetermined.
    """
    purpose, lineage = Purpose(TRAIN, target), resolve_target(target, licenses)

    def judge(ids: tuple[str, ...]) -> OutputVerdict:
        known = [licenses[id_] for id_ in ids if id_ in licenses]
        unknown = [id_ for id_ in ids if id_ not in licenses]
        ruling = stack_verdict(known, purpose, lineage)
        if unknown and ruling.kind is not Verdict.DENY:
            reason = f"no pack for the license {', '.join(unknown)}"
            return OutputVerdict(Verdict.UNDETERMINED, unknown[0], "", ruling.obligations, reason)
        return ruling

    return judge


def related_by(licenses: Mapping[str, License]) -> Related:
    """Return what tells by the lineage in ``licenses`` whether two models are different ones of one family.

    Models derived from one another share phrasing. A name under which a model is served may stand for any model; where
    it does not tell which, no two are different.
    """

    def related(author: str, model: str, ids: tuple[str, ...]) -> bool:
        named = resolve_target(author, licenses)
        if named is None or resolve_target(model, licenses) is None or same_model(author, model):
            return False
        return any(licenses[id_].family in named.families for id_ in ids if id_ in licenses)

    return related
