"""What tier 2n says of texts, for tier 2 to learn from: kept in a file, so that tier 2 can be trained without it."""

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guard.screening.train.corpus import HEADS, BadData, Row, lines, training
from guard.screening.train.splice import splices

if TYPE_CHECKING:
    from guard.screening.train.encoder import Encoder

SPLICED = 25_000
LENGTH, BATCH = 128, 32
STEPS = 250
"""Probabilities are kept as whole numbers of 0 to this."""

Teacher = Mapping[str, Sequence[float]]
"""Probabilities by text, in the order of HEADS."""


def taught(rows: Sequence[Row]) -> list[str]:
    """Return the texts that the teacher is asked about: labeled and unlabeled rows, and splices of them."""
    labeled = training(rows)
    unlabeled = [row.text for row in rows if row.split == "unlabelled"]
    spliced = splices([row.text for row in labeled if row.lang == "en"], SPLICED)
    return [row.text for row in labeled] + unlabeled + spliced


def ask(model: "Encoder", texts: Sequence[str]) -> list[list[int]]:
    """Return the model's probabilities for the first LENGTH tokens of each text, in steps of 1 / STEPS, by head."""
    import torch  # noqa: PLC0415 - who only reads what a teacher said needs none of these
    from tokenizers import BertWordPieceTokenizer  # noqa: PLC0415 - as above

    from guard.screening.train.encoder import base, padded  # noqa: PLC0415 - as above

    tokenizer = BertWordPieceTokenizer(str(base() / "vocab.txt"), lowercase=True)
    tokenizer.enable_truncation(LENGTH)
    tokens = [tokenizer.encode(text[:4000]).ids for text in texts]
    order = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
    said: list[list[int]] = [[] for _ in texts]
    with torch.no_grad():
        for begin in range(0, len(order), BATCH):
            batch = order[begin : begin + BATCH]
            found = torch.sigmoid(model(*padded([tokens[index] for index in batch])))
            for index, row in zip(batch, (found * STEPS).round().to(torch.int64).tolist(), strict=True):
                said[index] = row
    return said


def write(path: Path, texts: Iterable[str], said: Iterable[Sequence[int]]) -> None:
    """Write one JSON line a text, the same bytes for the same content."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        for text, steps in zip(texts, said, strict=True):
            out.write(json.dumps([text, *steps], ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def read(path: Path) -> dict[str, list[float]]:
    """Return the probabilities by text. Raises BadData for a file or a line that is none of ``write``'s."""
    said = {}
    for place, found in lines(path):
        match found:
            case [str(text), *steps] if len(steps) == len(HEADS) and all(step in range(STEPS + 1) for step in steps):
                said[text] = [step / STEPS for step in steps]
            case _:
                raise BadData(f"{place}: no line of a teacher; wanted: a text and {len(HEADS)} numbers of 0 to {STEPS}")
    return said
