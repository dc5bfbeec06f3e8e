"""Transcripts of streams: what the upstream says, what must leave, and what the official clients make of it.

    dialect: chat            which module of guard.wire.answers
    choices: 2               how many answers were asked for (1)
    document: {...}          the request body's fields that matter ({})
    blocks: BAD WORSE        the words that the toy gate blocks (none)
    masks: SECRET            the words that it masks (none)

    >> data: {...}           one line of an upstream event; the event ends after its `data:` line or comment
    >| data: {"ha            bytes in the middle of which the upstream stops
    << data: {...}           one line of what must leave after the `>>` before it, and before the next `>>`
    >> <end>                 the upstream's body ends
    >> <broken>              the connection to the upstream breaks
    == {...}                 what the official client has understood when the stream is over

Other lines are prose.
"""

import json
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from wire_toy_gate import ToyGate

from guard.exchange.inquiry import Inquiry
from guard.wire.dialect import AnswerStream, GarbledAnswer

FOLDER = Path(__file__).parents[2] / "transcripts"


@dataclass
class Step:
    said: bytes
    """What the upstream says; ``<end>`` and ``<broken>`` stand for themselves."""
    left: bytes = b""


@dataclass
class Transcript:
    name: str
    dialect: str = ""
    choices: int = 1
    document: dict[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    steps: list[Step] = field(default_factory=list)
    understood: Any = None

    @property
    def module(self) -> ModuleType:
        return import_module(f"guard.wire.answers.{self.dialect}")

    @property
    def left(self) -> bytes:
        return b"".join(step.left for step in self.steps)

    def open(self) -> AnswerStream:
        inquiry = Inquiry(self.dialect, self.document, "tiny", stream=True, choices=self.choices)
        return self.module.open_stream(inquiry, ToyGate(*self.words, masks=self.masks))


def read(path: Path) -> Transcript:
    transcript = Transcript(path.stem)
    for line in path.read_text(encoding="utf-8").splitlines():
        mark, _, rest = line.partition(" ")
        if mark in {">>", "<<"}:
            text = rest.encode() + (b"\n\n" if rest.startswith(("data:", ":")) else b"\n")
            if rest in {"<end>", "<broken>"}:
                text = rest.encode()
            steps = transcript.steps
            if mark == "<<":
                steps[-1].left += text
            elif text[:1] != b"<" and steps and not steps[-1].left and not steps[-1].said.endswith((b"\n\n", b">")):
                steps[-1].said += text
            else:
                steps.append(Step(text))
        elif mark == ">|":
            transcript.steps.append(Step(rest.encode()))
        elif mark == "==":
            transcript.understood = json.loads(rest)
        elif mark == "dialect:":
            transcript.dialect = rest
        elif mark == "choices:":
            transcript.choices = int(rest)
        elif mark == "document:":
            transcript.document = json.loads(rest)
        elif mark == "blocks:":
            transcript.words = tuple(rest.split())
        elif mark == "masks:":
            transcript.masks = tuple(rest.split())
    return transcript


def say(stream: AnswerStream, said: bytes) -> bytes:
    """Do what the transport does with what the upstream says."""
    if said == b"<end>":
        return b"" if stream.closed else stream.finish()
    if said == b"<broken>":
        return stream.abort()
    try:
        return stream.feed(said)
    except GarbledAnswer:
        return stream.abort()


def play(transcript: Transcript, size: int | None = None) -> bytes:
    """Play the whole upstream side, in chunks of ``size`` bytes whatever its events; return all that left."""
    said = b"".join(step.said for step in transcript.steps if not step.said.startswith(b"<"))
    stream, out = transcript.open(), []
    for start in range(0, len(said), size or len(said) or 1):
        out.append(say(stream, said[start : start + (size or len(said))]))
    out += [say(stream, step.said) for step in transcript.steps if step.said.startswith(b"<")]
    return b"".join(out)


def write(transcript: Transcript, prose: str) -> str:
    """Return the transcript as text, with what leaves now: for recording a new one, to be read before it is kept."""
    stream = transcript.open()
    lines = [prose, "", f"dialect: {transcript.dialect}"]
    if transcript.choices != 1:
        lines.append(f"choices: {transcript.choices}")
    if transcript.document:
        lines.append(f"document: {json.dumps(transcript.document)}")
    if transcript.words:
        lines.append(f"blocks: {' '.join(transcript.words)}")
    if transcript.masks:
        lines.append(f"masks: {' '.join(transcript.masks)}")
    lines.append("")
    for step in transcript.steps:
        mark = ">>" if step.said.endswith((b"\n", b">")) else ">|"
        lines += [f"{mark} {line}" for line in step.said.decode().splitlines() if line]
        lines += [f"<< {line}" for line in say(stream, step.said).decode().splitlines() if line]
    return "\n".join(lines) + "\n"
