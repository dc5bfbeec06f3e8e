"""Checks of finished answers: an unstreamed one waits for those that hold. All others note what they find, later."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from guard.exchange.assess import AnswerAssessor, Unassessed
from guard.exchange.exchange import Exchange
from guard.exchange.late import record_late
from guard.exchange.record import ServedChoice
from guard.exchange.refusal import Refusal
from guard.exchange.screen_output import note_output
from guard.exchange.screen_prompt import aup_refusal, unavailable
from guard.exchange.snapshot import Mode
from guard.exchange.trace import step
from guard.screening.findings import Action
from guard.screening.segments import Segment, Source
from guard.transports.beside import LateChecks, wants


class FinishedChecks:
    """The checks of one exchange's answers, each choice by itself."""

    __slots__ = ("_exchange", "_holding", "_late", "_noting")

    def __init__(self, exchange: Exchange, late: LateChecks) -> None:
        self._exchange = exchange
        self._late = late
        model = exchange.model
        refusable = exchange.snapshot.mode is Mode.ENFORCE and model is not None and bool(model.blocking)
        wanted = [assessor for assessor in exchange.services.answer_assessors if wants(assessor, exchange)]
        self._holding = [assessor for assessor in wanted if refusable and assessor.holds]
        self._noting = [assessor for assessor in wanted if assessor not in self._holding]

    async def verdict(self, served: Sequence[ServedChoice]) -> Refusal | None:
        """Return the refusal of the checks that hold a whole answer, which is about to leave; they are done then."""
        holding, self._holding = self._holding, []
        checks = [_checked(one, self._exchange, answer) for one in holding for answer in _answers(served)]
        refusals = await asyncio.gather(*checks)
        return next((refusal for refusal in refusals if refusal is not None), None)

    def later(self, served: Sequence[ServedChoice]) -> None:
        """Let the other checks of what has left run on; call it before the exchange is recorded."""
        for assessor in (*self._holding, *self._noting):
            for answer in _answers(served):
                task = asyncio.ensure_future(_noted(assessor, self._exchange, answer))
                if not self._late.keep(task):
                    task.cancel()
                    self._exchange.not_evaluated.append("late_overload")


def _answers(served: Sequence[ServedChoice]) -> Iterable[Segment]:
    for choice in served:
        text = "\n\n".join(choice.texts)
        if text:
            yield Segment(Source.OUTPUT, text, f"choices[{choice.choice}]")


async def _noted(assessor: AnswerAssessor, exchange: Exchange, answer: Segment) -> None:
    side = replace(exchange, refused=None, shadowed=[], findings=[], unruled=[], not_evaluated=[])
    try:
        await _checked(assessor, side, answer, most=Action.FLAG)
    except asyncio.CancelledError:
        side.not_evaluated.append("stopped")
        record_late(side)
        raise
    record_late(side)


async def _checked(
    assessor: AnswerAssessor, exchange: Exchange, answer: Segment, most: Action = Action.BLOCK
) -> Refusal | None:
    """Note what ``assessor`` finds in ``answer``, of which at most ``most`` is done; return what that refuses."""
    model, gap = exchange.model, False
    assert model is not None, "an exchange that was answered was admitted"
    try:
        with step(exchange.trace, "ask_judge"):
            findings = list(await assessor.assess_answer(exchange.texts, answer))
    except Unassessed as error:
        exchange.not_evaluated.append(error.reason)
        findings, gap = list(error.findings), True
    except Exception as error:  # noqa: BLE001 - whatever broke, a skipped check is never a pass (invariant 6)
        exchange.services.on_failure("screening.finished", error)
        exchange.not_evaluated.append("error")
        findings, gap = [], True
    blocking = model.blocking if exchange.snapshot.mode is Mode.ENFORCE and most is Action.BLOCK else frozenset()
    findings = [finding._replace(most=min(finding.most, most)) for finding in findings]
    note_output(exchange, model, blocking, findings)
    if not blocking:
        return None
    for finding in findings:
        ruling = exchange.snapshot.ruling(model, finding)
        enforced = finding.category in blocking and finding.rule not in exchange.snapshot.shadowed_rules
        if enforced and ruling is not None and ruling.action is Action.BLOCK:
            return exchange.refuse(aup_refusal(finding, ruling))
    return exchange.refuse(unavailable()) if gap and assessor.required else None
