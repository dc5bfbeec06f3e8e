"""Screen the answer as it grows: nothing is cleared before every blocking rule has passed it (invariant 1)."""

from collections.abc import Iterable
from typing import Protocol

from guard.exchange.exchange import Exchange
from guard.exchange.refusal import Refusal
from guard.exchange.screen_prompt import aup_refusal, unavailable
from guard.exchange.snapshot import Mode, ModelPolicy
from guard.provenance.receipt import receipt_id
from guard.screening.findings import Action, Finding
from guard.screening.segments import Direction, Source
from guard.screening.stream.arguments import ArgumentScreen
from guard.screening.stream.masks import Masks


class Screen(Protocol):
    """What screens one channel (``guard.screening.stream``)."""

    seen: int

    @property
    def cleared(self) -> int:
        """Characters that may be released."""

    @property
    def blocked(self) -> Finding | None:
        """The finding that ended the text."""

    @property
    def findings(self) -> list[Finding]:
        """Every finding so far."""

    @property
    def masks(self) -> Masks:
        """What is replaced, complete up to ``cleared``."""

    def feed(self, text: str) -> None:
        """Screen ``text`` on."""

    def finish(self) -> None:
        """The text ends here."""

    def whole(self, text: str) -> None:
        """Do what ``feed`` of ``text`` and ``finish`` do, in one go; on a fresh screen only."""


Channel = tuple[int, str]
"""A choice and the name of one of its growing texts (wire.dialect.Channel is one)."""

MOST_KEPT = 1_000_000
"""Characters of one answer that are kept for a candidate policy."""


class OutputScreen:
    """One answer's screens, one per channel, opened as channels appear."""

    __slots__ = ("_blocked", "_blocking", "_exchange", "_receipts", "_screens", "masked", "reference")

    def __init__(self, exchange: Exchange) -> None:
        model = exchange.model
        enforced = exchange.snapshot.mode is Mode.ENFORCE and model is not None
        self._exchange = exchange
        self._blocking = exchange.snapshot.holding(model) if enforced and model is not None else frozenset()
        self._screens: dict[Channel, Screen] = {}
        self.masked: set[int] = set()
        """Choices in which something is masked."""
        self._blocked: dict[int, Refusal] = {}
        self.reference = exchange.head.reference
        self._receipts = exchange.services.provenance is not None and model is not None

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
        if screen.masks.spans:
            self.masked.add(channel[0])
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
        if screen.masks.spans:
            self.masked.add(channel[0])
        if screen.blocked is not None and channel[0] not in self._blocked:
            self._block(channel, screen)

    def whole(self, channel: Channel, text: str) -> None:
        """Screen ``text`` as all that there is of ``channel``: what ``feed`` and ``finish`` do, in one go."""
        if channel not in self._screens:
            screen = self._open(channel)
            try:
                screen.whole(text)
            except Exception:  # noqa: BLE001 - what broke is told, and what becomes of it decided, by the road below
                del self._screens[channel]
            else:
                if screen.masks.spans:
                    self.masked.add(channel[0])
                if screen.blocked is not None and channel[0] not in self._blocked:
                    self._block(channel, screen)
                return
        self.feed(channel, text)
        self.finish(channel)

    def cleared(self, channel: Channel) -> int:
        """Return how many characters of ``channel`` may be released."""
        screen = self._screens.get(channel)
        return 0 if screen is None else screen.cleared

    def touched(self, channel: Channel, start: int, end: int) -> bool:
        """Return whether anything of the cleared characters ``start`` to ``end`` of ``channel`` is masked."""
        screen = self._screens.get(channel)
        return screen is not None and screen.masks.touch(start, end)

    def released(self, channel: Channel, text: str, start: int) -> str:
        """Return what leaves of ``text``, a cleared piece of ``channel`` that begins at ``start``."""
        screen = self._screens.get(channel)
        return text if screen is None else screen.masks.apply(text, start)

    def blocked(self, choice: int) -> Refusal | None:
        """Return the refusal that ended ``choice``, if any."""
        return self._blocked.get(choice)

    def receipt(self, choice: int) -> str | None:
        """Return the id of the receipt that ``choice`` will have, None if answers get none."""
        return receipt_id(self.reference, choice) if self._receipts else None

    def close(self) -> None:
        """Note every finding of the answer on the exchange, with its ruling."""
        model = self._exchange.model
        if model is None:
            return
        for screen in self._screens.values():
            if findings := screen.findings:
                note_output(self._exchange, model, self._blocking, findings)

    def _open(self, channel: Channel) -> Screen:
        name = channel[1]
        source = Source.OUTPUT
        if name.startswith("reasoning"):
            source = Source.REASONING
        elif name.startswith("tool"):
            source = Source.TOOL_ARGUMENTS
        snapshot, score, most = self._exchange.snapshot, None, Action.OFF
        if snapshot.learned is not None and snapshot.learned.outputs is not Action.OFF:
            most = snapshot.learned.outputs
            score = snapshot.learned.model.open(source, blocks=most is Action.BLOCK and bool(self._blocking))
        opened = snapshot.rules.open(source, self._blocking, score, most)
        is_json = source is Source.TOOL_ARGUMENTS and ".arguments" in name
        screen: Screen = ArgumentScreen(opened) if is_json else opened
        self._screens[channel] = screen
        return screen

    def _block(self, channel: Channel, screen: Screen) -> None:
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
        in_force = bool(blocking) and exchange.snapshot.enforced(model, finding)
        if ruling.action is Action.BLOCK and not in_force:
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

    def whole(self, channel: Channel, text: str) -> None:
        """Screen ``text`` as all that there is of ``channel``."""
        self.feed(channel, text)
        self.finish(channel)


class _Unscreened:
    """Clears everything: flag rules fail open, and the exchange says not_evaluated."""

    def __init__(self, broken: Screen) -> None:
        self.seen = self.cleared = broken.seen
        self.blocked = None
        self.findings = list(broken.findings)
        self.masks = broken.masks

    def feed(self, text: str) -> None:
        """Clear ``text``."""
        self.seen += len(text)
        self.cleared = self.seen

    def finish(self) -> None:
        """Nothing is left to clear."""

    def whole(self, text: str) -> None:
        """Clear ``text``."""
        self.feed(text)
