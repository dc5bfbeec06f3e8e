"""What the licenses of an output say about training a given model on it."""

from collections.abc import Callable, Mapping

from guard.licensing.license import License
from guard.licensing.lineage import resolve_target
from guard.licensing.purpose import TRAIN, Purpose
from guard.licensing.verdict import OutputVerdict, Verdict, stack_verdict

Judge = Callable[[tuple[str, ...]], OutputVerdict]
"""Gives the verdict on a stack of licenses, by their ids, for one use."""


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
