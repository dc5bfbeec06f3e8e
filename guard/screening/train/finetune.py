"""Tier 2n: the encoder fine-tuned on the labeled rows. Some twenty minutes on two cores."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from tokenizers import BertWordPieceTokenizer
from torch.nn.functional import binary_cross_entropy_with_logits

from guard.screening.train.corpus import HEADS, Row, training
from guard.screening.train.encoder import Encoder, base, padded

BATCH, WARM_UP = 32, 40


class Stage(NamedTuple):
    """One run over the rows, with a learning rate that falls to nothing."""

    epochs: int
    rate: float
    head_rate: float
    length: int
    """Tokens of a text that are learned from at a time; of a long harmless one another stretch each time."""
    later: bool
    """True: with the rows that were written or gathered later."""


STAGES = Stage(2, 1.2e-4, 2e-3, 96, later=False), Stage(1, 8e-5, 1e-3, 80, later=True)
"""The weights that ship were made like this: rows that came later were learned in a run of their own."""
_LATER = re.compile(r"authored-(?:en-|multi-|d1-more|outputs)|asks\.txt|.* \S*\d\S*: ")
"""The last names a package, its version and a file in it."""
SOFT = 0.02
"""Targets are this far from 0 and 1: labels are one annotator's."""
POSITIVE = (1.3, *(4.0 for _ in HEADS[1:]))
CODES = 1.2
"""What the heads of single categories count against the one for all hazards."""
SEED = 1
_BEGIN, _END = 101, 102

Tell = Callable[[int, int, float], None]
"""Hears how far it is: steps done, of how many, and the loss."""


def finetune(rows: Sequence[Row], tell: Tell) -> Encoder:
    """Return the encoder trained on ``rows``; ``tell`` hears of every step: its number, of how many, and the loss."""
    model = Encoder()
    for frozen in model.enc.embeddings.parameters():
        frozen.requires_grad = False
    whole = training(rows)
    first = [row for row in whole if not _LATER.match(row.source)]
    chosen = [whole if stage.later else first for stage in STAGES]
    counts = [stage.epochs * (len(some) // BATCH) for stage, some in zip(STAGES, chosen, strict=True)]
    done = 0
    for stage, some, steps in zip(STAGES, chosen, counts, strict=True):
        for step, loss in _run(model, some, stage, steps):
            tell(done + step, sum(counts), loss)
        done += steps
    model.eval()
    return model


def _run(model: Encoder, rows: Sequence[Row], stage: Stage, steps: int) -> Iterator[tuple[int, float]]:
    """Train ``model`` for so many ``steps``; yield the number and the loss of each."""
    torch.manual_seed(SEED)
    chance = random.Random(SEED)  # noqa: S311 - to be repeated, not to be secret
    chosen = list(rows)
    chance.shuffle(chosen)
    tokenizer = BertWordPieceTokenizer(str(base() / "vocab.txt"), lowercase=True)
    tokens = [tokenizer.encode(row.text[:8000], add_special_tokens=False).ids for row in chosen]
    targets = torch.tensor([row.targets for row in chosen]) * (1 - 2 * SOFT) + SOFT
    learning = [value for value in model.enc.parameters() if value.requires_grad]
    groups = [{"params": learning, "lr": stage.rate}, {"params": model.head.parameters(), "lr": stage.head_rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    slope = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARM_UP, max(0.0, (steps - step) / max(1, steps - WARM_UP)))
    )
    positive = torch.tensor(POSITIVE)
    batches = _batches(tokens, stage.length, chance)
    model.train()
    for step in range(steps):
        batch = next(batches)
        ids, mask = padded([_stretch(tokens[index], chosen[index], stage.length, chance) for index in batch])
        losses = binary_cross_entropy_with_logits(
            model(ids, mask), targets[batch], pos_weight=positive, reduction="none"
        )
        loss = losses[:, 0].mean() + CODES * losses[:, 1:].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        slope.step()
        yield step + 1, loss.item()


def _stretch(tokens: list[int], row: Row, length: int, chance: random.Random) -> list[int]:
    most = length - 2
    spare = len(tokens) - most
    begin = chance.randrange(spare + 1) if spare > 0 and row.labels == ("benign",) else 0
    return [_BEGIN, *tokens[begin : begin + most], _END]


def _batches(tokens: Sequence[Sequence[int]], length: int, chance: random.Random) -> Iterator[list[int]]:
    """Yield batches of texts of like length, for ever."""
    while True:
        order = list(range(len(tokens)))
        chance.shuffle(order)
        for begin in range(0, len(order), 50 * BATCH):
            pool = sorted(order[begin : begin + 50 * BATCH], key=lambda index: min(length, len(tokens[index])))
            batches = [pool[at : at + BATCH] for at in range(0, len(pool), BATCH)]
            chance.shuffle(batches)
            yield from batches
