"""What a license says about using outputs for a purpose: the table a lawyer can read, as code.

The verdict judges the stated purpose, not the truth of the statement; a lie is then a recorded one.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from guard.licensing.license import License, OutputRule, Status
from guard.licensing.lineage import Target
from guard.licensing.llm import otherwise
from guard.licensing.obligations import Obligation, training_obligations
from guard.licensing.purpose import EVALUATE, SERVE, UNKNOWN, Purpose


class Verdict(IntEnum):
    """From free to forbidden; the larger one wins in a stack."""

    ALLOW = 0
    ALLOW_WITH_OBLIGATIONS = 1
    UNDETERMINED = 2
    DENY = 3

    def __str__(self) -> str:
        return self.name.lower()


class OutputVerdict(NamedTuple):
    """A verdict with the license and clause that give it, and what is owed if it is followed."""

    kind: Verdict
    license: str | None
    clause: str
    obligations: tuple[Obligation, ...] = ()
    reason: str = ""


def output_use_verdict(license_: License, purpose: Purpose, target: Target | None) -> OutputVerdict:
    """Return what ``license_`` says about using outputs for ``purpose``.

    ``target`` is the resolved ``purpose.target``; None when its lineage is unknown. An unknown purpose is judged as
    training a model of unknown lineage, because nothing excludes that.
    """
    rule, use = license_.output_use.rule, license_.output_use
    if rule is OutputRule.PURPOSE_LIMITED:
        return _limited(license_, purpose)
    if purpose.kind in {SERVE, EVALUATE}:
        return _result(license_, Verdict.ALLOW, "the answers train no model")
    if rule.forbids_training:
        return _training_restricted(license_, purpose, target)
    if rule is OutputRule.CHAIN:
        return _result(license_, Verdict.UNDETERMINED, "several licenses stack here; each has to be looked at")
    if rule is OutputRule.UNDETERMINED:
        return _result(license_, Verdict.UNDETERMINED, use.detail or "no text that was read settles it")
    if rule is OutputRule.NAME_PREFIX_MATERIALS_ONLY and _in_family(license_, target) is False:
        return _result(
            license_, Verdict.ALLOW, "the naming duty is for models made with the materials, not with outputs"
        )
    owed = training_obligations([license_])
    if owed or rule is not OutputRule.UNRESTRICTED:
        return _result(license_, Verdict.ALLOW_WITH_OBLIGATIONS, use.detail or "training is allowed with duties", owed)
    return _result(license_, Verdict.ALLOW, use.detail or "the license has no rule on outputs")


def stack_verdict(licenses: Sequence[License], purpose: Purpose, target: Target | None) -> OutputVerdict:
    """Return the strictest verdict of a stack; the obligations of all its licenses add up unless it is forbidden.

    An empty stack (license undetermined) is undetermined for every purpose.
    """
    if not licenses:
        return OutputVerdict(Verdict.UNDETERMINED, None, "", (), "the model's license is not known")
    verdicts = [output_use_verdict(license_, purpose, target) for license_ in licenses]
    strictest = max(verdicts, key=lambda verdict: verdict.kind)
    if strictest.kind is Verdict.DENY:
        return strictest
    owed = dict.fromkeys(obligation for verdict in verdicts for obligation in verdict.obligations)
    return strictest._replace(obligations=tuple(owed))


def unstated_verdict(licenses: Sequence[License]) -> OutputVerdict | None:
    """Return the verdict of a stack on outputs whose purpose nobody states, or None where the purpose changes nothing.

    So a purpose has to be known not only where a license forbids training (Llama 2) or limits what outputs are for
    (LLaMA 1), but also where it asks for something of whoever trains (Llama 3.1, Gemma): what is owed for a bulk of
    answers cannot be told of a purpose that was never stated.
    """
    found = stack_verdict(licenses, Purpose(UNKNOWN), None)
    return None if found.kind is Verdict.ALLOW else found


def _training_restricted(license_: License, purpose: Purpose, target: Target | None) -> OutputVerdict:
    use, family = license_.output_use, _in_family(license_, target)
    if family and use.status in {Status.EXCERPT, Status.UNCONFIRMED}:
        return _result(license_, Verdict.UNDETERMINED, f"the exception was not read in full: {use.exception}")
    if family:
        owed = training_obligations([license_])
        kind = Verdict.ALLOW_WITH_OBLIGATIONS if owed else Verdict.ALLOW
        return _result(license_, kind, f"excepted: {use.exception}", owed)
    if family is None:
        what = f"the lineage of {purpose.target}" if purpose.target else "the purpose"
        declare = "; its family, version or license id (llama, llama-2) in place of its name would tell it"
        return _result(license_, Verdict.UNDETERMINED, f"{what} is not known; outputs may not improve {use.scope}, "
                       f"except {use.exception}{declare if purpose.target else ''}")  # fmt: skip
    if use.rule is OutputRule.NO_TRAINING_OTHER_LLM and (other := otherwise(purpose.target or "")):
        return _result(license_, Verdict.UNDETERMINED, f"outputs may not improve {use.scope}; it is open whether "
                       f"{purpose.target}, {other}, is one")  # fmt: skip
    return _result(license_, Verdict.DENY, f"outputs may not improve {use.scope}, except {use.exception}")


def _limited(license_: License, purpose: Purpose) -> OutputVerdict:
    detail = license_.output_use.detail
    owed = training_obligations([license_])
    if purpose.kind == EVALUATE:
        return _result(license_, Verdict.ALLOW_WITH_OBLIGATIONS, detail, owed)
    return _result(license_, Verdict.UNDETERMINED, f"depends on a purpose Guard cannot see: {detail}", owed)


def _in_family(license_: License, target: Target | None) -> bool | None:
    """True, False, or None where the name does not tell. Llama 2 excepts Llama 2 only; Hunyuan every Hunyuan."""
    if target is None:
        return None
    if license_.version in target.versions:
        return True
    if license_.family not in target.families:
        return False
    if license_.version == license_.family:
        return True
    return False if target.versions else None


def _result(license_: License, kind: Verdict, reason: str, obligations: tuple[Obligation, ...] = ()) -> OutputVerdict:
    if license_.output_use.status is Status.UNCONFIRMED and kind is not Verdict.ALLOW:
        reason += " (the clause is unconfirmed)"
    return OutputVerdict(kind, license_.id, license_.output_use.clause, obligations, reason)
