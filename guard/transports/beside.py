"""Checks that run beside the call to the model: nothing of the answer leaves before those that hold have spoken.

They start when the request is forwarded and end by themselves (``guard.exchange.assess``). A block refuses at once and
cuts the server behind off; whatever the server does meanwhile waits in ``GuardedAnswer``. Checks that only note what
they find outlast the answer, if something of it left: their findings reach the metrics and the audit chain later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from guard.exchange.assess import AnswerAssessor, Assessor, Unassessed
from guard.exchange.exchange import Exchange
from guard.exchange.late import record_late
from guard.exchange.refusal import Refusal
from guard.exchange.screen_prompt import judge_prompt, unavailable
from guard.exchange.snapshot import Mode
from guard.exchange.trace import step
from guard.screening.findings import Action
from guard.screening.neural.settling import acquitted
from guard.transports.incoming import Incoming

MOST_LATE = 256
"""Checks of a process that may outlast the answers they are about."""


class LateChecks:
    """The checks of one process that outlast their answers."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, task: "asyncio.Task[None]") -> bool:
        """Let ``task`` run on; False if too many do."""
        if len(self._tasks) >= MOST_LATE:
            return False
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def stop(self) -> None:
        """Cancel what still runs, and return when it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Beside:
    """The checks of one exchange. ``refuse`` sends a refusal to the client and cuts the server behind off."""

    __slots__ = ("_exchange", "_holding", "_late", "_noted", "_noting", "_over", "_refuse", "_verdict")

    def __init__(
        self,
        exchange: Exchange,
        assessors: Sequence[Assessor],
        refuse: Callable[[Refusal], Awaitable[None]],
        late: LateChecks,
    ) -> None:
        """Start ``assessors``, all of which are wanted; the first of them runs when the caller next waits."""
        self._exchange = exchange
        self._refuse = refuse
        self._late = late
        self._over = False
        self._noted: list[Exchange] = []
        model = exchange.model
        # In shadow, and where nothing blocks, no verdict can refuse: waiting for one would be for nothing.
        refusable = exchange.snapshot.mode is Mode.ENFORCE and model is not None and bool(model.blocking)
        self._holding: list[asyncio.Task[Refusal | None]] = []
        self._noting: list[asyncio.Task[None]] = []
        for assessor in assessors:
            if refusable and assessor.holds:
                self._holding.append(asyncio.ensure_future(_assessed(assessor, exchange)))
            else:
                self._noting.append(asyncio.ensure_future(self._note(assessor)))
        self._verdict = asyncio.ensure_future(self._judge()) if self._holding else None

    @property
    def holds(self) -> bool:
        """True if some check holds the answer."""
        return self._verdict is not None

    @property
    def spoken(self) -> bool:
        """True once every check that holds has passed the prompt, or its refusal is out."""
        return self._verdict is None or self._verdict.done()

    async def verdict(self, incoming: Incoming) -> None:
        """Return when they have all ``spoken``, or the client has gone."""
        if self._verdict is None:
            return
        gone = asyncio.ensure_future(incoming.left())
        try:
            await asyncio.wait((self._verdict, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if not incoming.gone:
            await asyncio.shield(self._verdict)

    def close(self, *, answered: bool) -> None:
        """End what holds; what only notes runs on if something of the answer left, and what it noted is noted.

        Call it before the exchange is recorded, and once.
        """
        self._over = True
        for task in (self._verdict, *self._holding):
            if task is not None and not task.cancel() and not task.cancelled():
                task.exception()  # a client that could not be told is nobody's concern
        for note in self._noting:
            if note.done():
                continue
            if not answered:
                note.cancel()
            elif not self._late.keep(note):
                note.cancel()
                self._exchange.not_evaluated.append("late_overload")
        for side in self._noted:
            self._exchange.findings += side.findings
            self._exchange.unruled += side.unruled
            self._exchange.assessed += side.assessed
            self._exchange.settled |= side.settled
            self._exchange.shadowed += side.shadowed
            self._exchange.not_evaluated += side.not_evaluated

    async def _judge(self) -> None:
        """Refuse with the first refusal; the other checks are of no use then."""
        exchange = self._exchange
        for check in asyncio.as_completed(self._holding):
            try:
                refusal = await check
            except Exception as error:  # noqa: BLE001 - a skipped check is never a pass (invariant 6)
                exchange.services.on_failure("screening.beside", error)
                exchange.not_evaluated.append("error")
                refusal = exchange.refuse(unavailable())
            if refusal is not None:
                for task in self._holding:
                    task.cancel()
                await self._refuse(refusal)
                return

    async def _note(self, assessor: Assessor) -> None:
        """Note what ``assessor`` finds on an exchange of its own: the real one may have been recorded meanwhile."""
        side = replace(
            self._exchange, refused=None, shadowed=[], findings=[], unruled=[], not_evaluated=[], assessed=[]
        )
        try:
            await _assessed(assessor, side)
        except asyncio.CancelledError:
            if self._over and self._exchange.answered:
                side.not_evaluated.append("stopped")
                record_late(side)
            raise
        if self._over:
            record_late(side)
        else:
            self._noted.append(side)


def wants(assessor: Assessor | AnswerAssessor, exchange: Exchange) -> bool:
    """Return whether ``exchange`` is to be assessed; where that cannot be told, it is."""
    try:
        return assessor.wanted(exchange)
    except Exception as error:  # noqa: BLE001 - a skipped check is never a pass (invariant 6)
        exchange.services.on_failure("screening.beside", error)
        return True


async def _assessed(assessor: Assessor, exchange: Exchange) -> Refusal | None:
    """Note what ``assessor`` finds in the prompt of ``exchange``; return what that, or its silence, refuses."""
    model = exchange.model
    assert model is not None, "an exchange that is forwarded was admitted"
    try:
        with step(exchange.trace, "screen_neural" if assessor.settles else "ask_judge"):
            findings = await assessor.assess(exchange.texts)
    except Unassessed as error:
        exchange.not_evaluated.append(error.reason)
        findings, gap = list(error.findings), True
    except Exception as error:  # noqa: BLE001 - whatever broke, a skipped check is never a pass (invariant 6)
        exchange.services.on_failure("screening.beside", error)
        exchange.not_evaluated.append("error")
        findings, gap = [], True
    else:
        gap = False
    if assessor.settles:
        exchange.settled = not gap
        findings += exchange.deferred if gap else acquitted(exchange.deferred)
    if not assessor.holds:
        findings = [finding._replace(most=min(finding.most, Action.FLAG)) for finding in findings]
    exchange.assessed += findings
    refusal = judge_prompt(exchange, model, findings)
    if refusal is None and gap and assessor.holds and assessor.required and model.blocking:
        refusal = exchange.refuse(unavailable())
    return refusal
