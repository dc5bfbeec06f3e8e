r"""Arguments of a tool call: JSON, whose strings are screened as their reader will read them.

``\u0072`` is an r to whoever calls the tool, and the n of ``\n`` is no letter. What is masked stays JSON: a
replacement is written inside its string, a number that is masked becomes a string, and no bracket or quote is lost.
"""

import json
import re
from bisect import bisect_left, bisect_right

from guard.screening.findings import Finding
from guard.screening.stream.channel import ChannelScreen
from guard.screening.stream.masks import Masks
from guard.screening.stream.scored import ScoredScreen

_INSIDE = re.compile(r'[^"\\]+')
_OUTSIDE = re.compile(r'[^"]+')
_SCALAR = re.compile(r'[^\s{}\[\],:"]+')
_HEX = "[0-9a-fA-F]"
_HIGH, _LOW = f"[dD][89abAB]{_HEX}{{2}}", f"[dD][c-fC-F]{_HEX}{{2}}"
_ESCAPE = re.compile(rf'\\(?:u{_HIGH}\\u{_LOW}|u{_HEX}{{4}}|["\\/bfnrt])')
_PARTIAL = re.compile(
    rf"\\(?:u{_HEX}{{0,3}})?|\\u{_HIGH}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?",
)
"""An escape that is not complete yet, or half of a character that needs two."""


class ArgumentScreen:
    """The screen of one growing text of JSON, with the contract of ``ChannelScreen``: offsets are those of the text as
    it is written. What is no JSON is read as it stands.
    """

    __slots__ = (
        "_at", "_in_string", "_made", "_masks", "_quotes", "_raw", "_rest", "_scalar", "_scalars", "_screen",
        "_settled", "seen",
    )  # fmt: skip

    def __init__(self, screen: ChannelScreen | ScoredScreen) -> None:
        """``screen`` reads what the strings say, and everything else as it is written."""
        self.seen = 0
        """Characters fed so far."""
        self._screen = screen
        self._rest = ""
        """The beginning of an escape."""
        self._in_string = False
        self._made = 0
        """Characters that ``screen`` was fed."""
        self._at = [0]
        self._raw = [0]
        """From the character ``_at[i]`` of the screen on, characters stand one for one from ``_raw[i]`` on."""
        self._quotes: list[int] = []
        """Where strings begin and end."""
        self._scalars: list[tuple[int, int]] = []
        """Where what is neither string nor bracket stands."""
        self._scalar: int | None = None
        """Where the one that has not ended yet begins."""
        self._masks = Masks()
        self._settled = 0

    @property
    def blocked(self) -> Finding | None:
        """The first finding that blocks."""
        finding = self._screen.blocked
        return None if finding is None else self._placed(finding)

    @property
    def findings(self) -> list[Finding]:
        """Every finding so far."""
        return [self._placed(finding) for finding in self._screen.findings]

    @property
    def cleared(self) -> int:
        """Characters that may be released. Where something may be masked, a number leaves as a whole."""
        cleared = self._written(self._screen.cleared)
        if self._screen.may_mask:
            if self._scalar is not None and cleared > self._scalar:
                return self._scalar
            last = bisect_right(self._scalars, cleared, key=lambda scalar: scalar[0]) - 1
            if last >= 0 and cleared < self._scalars[last][1]:
                return self._scalars[last][0]
        return cleared

    @property
    def masks(self) -> Masks:
        """What is replaced in the text as it is written, complete up to ``cleared``."""
        spans = self._screen.masks.spans
        for span in spans[max(0, self._settled - 1) :]:
            self._mask(self._written(span.start), self._written(span.end), span.replacement)
        self._settled = len(spans)
        return self._masks

    def feed(self, text: str) -> None:
        """Screen ``text`` as the continuation of what was fed before."""
        said = self._read(text)
        if said:
            self._screen.feed(said)

    def _read(self, text: str) -> str:
        """Return what ``text`` says that has not been said before."""
        start = self.seen - len(self._rest)
        self.seen += len(text)
        data, self._rest = self._rest + text, ""
        at, said, made = 0, list[str](), self._made
        while at < len(data):
            run = (_INSIDE if self._in_string else _OUTSIDE).match(data, at)
            if run is not None:
                said.append(run[0])
                made += len(run[0])
                if not self._in_string:
                    self._outside(run[0], start + at)
                at = run.end()
            elif data[at] == '"':
                self._end_scalar(start + at)
                self._quotes.append(start + at)
                self._in_string = not self._in_string
                said.append('"')
                made += 1
                at += 1
            elif _PARTIAL.fullmatch(data, at):
                self._rest = data[at:]
                break
            else:
                escape = _ESCAPE.match(data, at)
                length = 1 if escape is None else escape.end() - at
                character = "\\" if escape is None else _meant(escape[0])
                said.append(character)
                if length > 1:
                    self._place(made, start + at, length)
                made += 1
                at += length
        self._made = made
        return "".join(said)

    def finish(self) -> None:
        """Screen the end of the text: ``cleared`` reaches ``seen`` unless it is blocked."""
        if self._rest:
            self._screen.feed(self._rest)
            self._made += len(self._rest)
            self._rest = ""
        self._end_scalar(self.seen)
        self._screen.finish()

    def whole(self, text: str) -> None:
        """Screen ``text`` as all there is: what ``feed`` and ``finish`` do, in one go; only a fresh screen can."""
        said = self._read(text) + self._rest
        self._made += len(self._rest)
        self._rest = ""
        self._end_scalar(self.seen)
        self._screen.whole(said)

    def _place(self, made: int, written: int, length: int) -> None:
        """Note that the screen's character ``made`` is written in ``length`` characters."""
        self._at += [made, made + 1]
        self._raw += [written, written + length]

    def _written(self, made: int) -> int:
        """Return where the screen's character ``made`` is written."""
        last = bisect_right(self._at, made) - 1
        return self._raw[last] + made - self._at[last]

    def _placed(self, finding: Finding) -> Finding:
        return finding._replace(start=self._written(finding.start), end=self._written(finding.end))

    def _outside(self, run: str, start: int) -> None:
        """Note the scalars in ``run``, which stands outside strings."""
        if self._scalar is not None and _SCALAR.match(run) is None:
            self._end_scalar(start)
        for scalar in _SCALAR.finditer(run):
            if self._scalar is None:
                self._scalar = start + scalar.start()
            if scalar.end() < len(run):
                self._end_scalar(start + scalar.end())

    def _end_scalar(self, end: int) -> None:
        if self._scalar is not None:
            self._scalars.append((self._scalar, end))
            self._scalar = None

    def _mask(self, start: int, end: int, replacement: str) -> None:
        """Mask what is written from ``start`` to ``end``, but for quotes and brackets."""
        quotes, place = self._quotes, start
        inside, outside = json.dumps(replacement)[1:-1], json.dumps(replacement)
        while place < end:
            before = bisect_right(quotes, place)
            if before and quotes[before - 1] == place:
                place += 1
                continue
            stop = min(end, quotes[before]) if before < len(quotes) else end
            if before % 2:
                self._masks.add("", place, stop, inside)
                inside, outside = "", '""'
            else:
                for low, high in self._scalars_in(place, stop):
                    self._masks.add("", low, high, outside)
                    inside, outside = "", '""'
            place = stop

    def _scalars_in(self, start: int, end: int) -> list[tuple[int, int]]:
        first = bisect_right(self._scalars, start, key=lambda scalar: scalar[1])
        last = bisect_left(self._scalars, end, key=lambda scalar: scalar[0])
        return self._scalars[first:last]


def _meant(escape: str) -> str:
    """Return the character that ``escape`` stands for; half of one is none."""
    character: str = json.loads(f'"{escape}"')
    return "\ufffd" if "\ud800" <= character <= "\udfff" else character
