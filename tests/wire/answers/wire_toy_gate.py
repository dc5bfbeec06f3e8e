"""A gate small enough to be believed: it blocks exact words, and holds back what may still become one."""

from guard.exchange.refusal import Code, Refusal
from guard.wire.dialect import Channel


class ToyGate:
    reference = "ref-1"

    def __init__(self, *words: str) -> None:
        self.words = words
        self.texts: dict[Channel, str] = {}
        self.clear: dict[Channel, int] = {}
        self.finished: set[Channel] = set()
        self.hit: dict[int, Refusal] = {}

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
        live = max((n for word in self.words for n in range(1, len(word)) if seen.endswith(word[:n])), default=0)
        self.clear[channel] = len(seen) - live

    def finish(self, channel: Channel) -> None:
        assert channel not in self.finished
        self.finished.add(channel)
        if channel.choice not in self.hit:
            self.clear[channel] = len(self.texts.get(channel, ""))

    def cleared(self, channel: Channel) -> int:
        return self.clear.get(channel, 0)

    def blocked(self, choice: int) -> Refusal | None:
        return self.hit.get(choice)
