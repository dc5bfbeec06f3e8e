"""Screen the answer as it grows: nothing is cleared before every blocking rule has passed it (invariant 1)."""

from collections.abc import Iterable

from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Refusal
from guard.exchange.screen_prompt import aup_refusal, unavailable
from guard.exchange.snapshot import Mode, ModelPolicy
from guard.screening.findings import Action, Finding
from guard.screening.holdback import ChannelScreen
from guard.screening.segments import Direction, Source

Channel = tuple[int, str]
"""A choice and the name of one of its growing texts (wire.dialect.Channel is one)."""

MOST_KEPT = 1_000_000
"""Characters of one answer that are kept for a candidate policy."""


class OutputScreen:
    """One answer's screens, one per channel, opened as channels appear."""

    __slots__ = ("_blocked", "_blocking", "_exchange", "_screens", "reference")

    def __init__(self, exchange: Exchange) -> None:
        model = exchange.model
        enforced = exchange.snapshot.mode is Mode.ENFORCE and model is not None
        self._exchange = exchange
        self._blocking = model.blocking if enforced and model is not None else frozenset()
        self._screens: dict[Channel, ChannelScreen] = {}
        self._blocked: dict[int, Refusal] = {}
        self.reference = exchange.head.reference

    def feed(self, channel: Channel, text: str) -> None:
        """Screen ``text`` as the continuation of ``channel``."""
        screen = self._screens.get(channel)
        if screen is None:
            screen = self._open(channel)
        try:
            screen.feed(text)
        except Exception as error:  # noqa: BLE001 - a skipped check is never a pass (invariant 6)
            self._failed(channel, error)
            return
        if screen.blocked is not None and channel[0] not in self._blocked:
            self._block(channel, screen)

    def finish(self, channel: Channel) -> None:
        """``channel`` gets no more text."""
        screen = self._screens.get(channel)
        if screen is None:
            return
        try:
            screen.finish()
        except Exception as error:  # noqa: BLE001 - as in feed
            self._failed(channel, error)
            return
        if screen.blocked is not None and channel[0] not in self._blocked:
            self._block(channel, screen)

    def cleared(self, channel: Channel) -> int:
        """Return how many characters of ``channel`` may be released."""
        screen = self._screens.get(channel)
        return 0 if screen is None else screen.cleared

    def blocked(self, choice: int) -> Refusal | None:
        """Return the refusal that ended ``choice``, if any."""
        return self._blocked.get(choice)

    def close(self) -> None:
        """Note every finding of the answer on the exchange, with its ruling."""
        model = self._exchange.model
        if model is None:
            return
        for screen in self._screens.values():
            note_output(self._exchange, model, self._blocking, screen.findings)

    def _open(self, channel: Channel) -> ChannelScreen:
        name = channel[1]
        source = Source.OUTPUT
        if name.startswith("reasoning"):
            source = Source.REASONING
        elif name.startswith("tool"):
            source = Source.TOOL_ARGUMENTS
        screen = self._exchange.snapshot.rules.open(source, self._blocking)
        self._screens[channel] = screen
        return screen

    def _block(self, channel: Channel, screen: ChannelScreen) -> None:
        finding, model = screen.blocked, self._exchange.model
        assert finding is not None
        assert model is not None
        ruling = self._exchange.snapshot.ruling(model, finding)
        assert ruling is not None
        refusal = aup_refusal(finding, ruling).referenced(self.reference)
        self._blocked[channel[0]] = refusal
        if self._exchange.refused is None:
            self._exchange.refused = refusal

    def _failed(self, channel: Channel, error: BaseException) -> None:
        self._exchange.services.on_failure("screening.output", error)
        self._exchange.not_evaluated.append("error")
        if self._blocking:
            # What the screen had cleared stays cleared; nothing after it will be.
            refusal = unavailable().referenced(self.reference)
            self._blocked.setdefault(channel[0], refusal)
            self._exchange.refused = self._exchange.refused or refusal
        else:
            self._screens[channel] = _Unscreened(self._screens[channel])


def note_output(exchange: Exchange, model: ModelPolicy, blocking: frozenset[str], findings: Iterable[Finding]) -> None:
    """Note ``findings`` of an answer with their rulings, and those in shadow that would have ended it."""
    for finding in findings:
        ruling = exchange.snapshot.ruling(model, finding)
        if ruling is None or ruling.action is Action.OFF:
            exchange.unruled.append((Direction.OUTPUT, finding))
            continue
        exchange.findings.append((Direction.OUTPUT, finding, ruling))
        if ruling.action is Action.BLOCK and (
            finding.category not in blocking or finding.rule in exchange.snapshot.shadowed_rules
        ):
            exchange.shadowed.append(aup_refusal(finding, ruling).referenced(exchange.head.reference))


class KeptOutputScreen(OutputScreen):
    """Keeps what it screens on the exchange, for a candidate policy to read once the answer is finished.

    Of an answer with more than MOST_KEPT characters nothing is kept: ``exchange.answer`` is None again.
    """

    __slots__ = ("_room",)

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._room = MOST_KEPT
        exchange.answer = []

    def feed(self, channel: Channel, text: str) -> None:
        """Screen ``text`` as the continuation of ``channel``."""
        exchange = self._exchange
        if exchange.answer is not None:
            self._room -= len(text)
            if self._room < 0:
                exchange.answer = None
            else:
                exchange.answer.append((channel, text))
        super().feed(channel, text)

    def finish(self, channel: Channel) -> None:
        """``channel`` gets no more text."""
        if self._exchange.answer is not None:
            self._exchange.answer.append((channel, None))
        super().finish(channel)


class _Unscreened(ChannelScreen):
    """Clears everything: flag rules fail open, and the exchange says not_evaluated."""

    def __init__(self, broken: ChannelScreen) -> None:
        self.seen = self.cleared = broken.seen
        self.blocked = None
        self.findings = list(broken.findings)

    def feed(self, text: str) -> None:
        """Clear ``text``."""
        self.seen += len(text)
        self.cleared = self.seen

    def finish(self) -> None:
        """Nothing is left to clear."""
