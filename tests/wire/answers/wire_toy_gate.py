"""A gate small enough to be believed: it blocks exact words, masks others, and holds back what may still become one."""

from guard.exchange.refusal import Code, Refusal
from guard.wire.dialect import Channel

MASK = "[masked]"


class ToyGate:
    reference = "ref-1"

    def __init__(self, *words: str, masks: tuple[str, ...] = (), receipts: bool = False) -> None:
        self.words = words
        self.receipts = receipts
        self.masks = masks
        self.texts: dict[Channel, str] = {}
        self.clear: dict[Channel, int] = {}
        self.finished: set[Channel] = set()
        self.hit: dict[int, Refusal] = {}
        self.masked: set[int] = set()
        self.spans: dict[Channel, list[tuple[int, int]]] = {}

    def feed(self, channel: Channel, text: str) -> None:
        assert channel not in self.finished, f"{channel} was fed after its end"
        assert text, "nothing to screen"
        for character in text:
            self._one(channel, character)

    def _one(self, channel: Channel, character: str) -> None:
        seen = self.texts.get(channel, "") + character
        self.texts[channel] = seen
        if channel.choice in self.hit:
            return
        if any(seen.endswith(word) for word in self.words):
            self.hit[channel.choice] = Refusal(403, Code.AUP, "no", "llama-3.1", "2.b", "S9", self.reference)
            return
        for word in self.masks:
            if seen.endswith(word):
                self.masked.add(channel.choice)
                self.spans.setdefault(channel, []).append((len(seen) - len(word), len(seen)))
        known = (*self.words, *self.masks)
        live = max((n for word in known for n in range(1, len(word)) if seen.endswith(word[:n])), default=0)
        self.clear[channel] = len(seen) - live

    def finish(self, channel: Channel) -> None:
        assert channel not in self.finished
        self.finished.add(channel)
        if channel.choice not in self.hit:
            self.clear[channel] = len(self.texts.get(channel, ""))

    def whole(self, channel: Channel, text: str) -> None:
        assert channel not in self.texts, f"{channel} was heard before"
        self.feed(channel, text)
        self.finish(channel)

    def cleared(self, channel: Channel) -> int:
        return self.clear.get(channel, 0)

    def touched(self, channel: Channel, start: int, end: int) -> bool:
        return any(low < end and start < high for low, high in self.spans.get(channel, ()))

    def released(self, channel: Channel, text: str, start: int) -> str:
        if not text:
            return ""
        assert start + len(text) <= self.cleared(channel), "only what is cleared leaves"
        assert self.texts[channel][start : start + len(text)] == text
        out = []
        for at, character in enumerate(text, start):
            inside = [low for low, high in self.spans.get(channel, ()) if low <= at < high]
            if not inside:
                out.append(character)
            elif at in inside:
                out.append(MASK)
        return "".join(out)

    def blocked(self, choice: int) -> Refusal | None:
        return self.hit.get(choice)

    def receipt(self, choice: int) -> str | None:
        return f"r-{self.reference}-{choice}" if self.receipts else None
