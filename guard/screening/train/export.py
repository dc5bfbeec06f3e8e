"""The trained encoder as an int8 ONNX file of 23 MB, and its digest."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from guard.screening.train.corpus import HEADS
from guard.screening.train.encoder import WIDTH, WINDOW, Encoder, base

_MASKED = 10_000.0


class _Plain(nn.Module):
    """The same numbers by plain operators, in a graph that onnxruntime runs faster than the library's own."""

    def __init__(self, model: Encoder) -> None:
        super().__init__()
        embeddings = model.enc.embeddings
        self.layers = model.enc.encoder.layer
        self.head = model.head
        self.word = embeddings.word_embeddings
        self.norm = embeddings.LayerNorm
        # Position and token type are added once, and only the positions that can occur are kept.
        self.place = nn.Parameter(
            embeddings.position_embeddings.weight[:WINDOW].detach()
            + embeddings.token_type_embeddings.weight[0].detach()
        )
        self.heads = model.enc.config.num_attention_heads

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits, texts by heads."""
        texts, length = input_ids.shape[0], input_ids.shape[1]
        states = self.norm(self.word(input_ids) + self.place[:length])
        mask = attention_mask.to(torch.float32)
        bias = (mask - 1.0).unsqueeze(1).unsqueeze(1) * _MASKED
        width = WIDTH // self.heads
        for layer in self.layers:
            one = layer.attention.self
            # One product for the three: its input is quantized once, and a larger product runs faster.
            weight = torch.cat([part.weight for part in (one.query, one.key, one.value)]).detach()
            shift = torch.cat([part.bias for part in (one.query, one.key, one.value)]).detach()
            query, key, value = (
                part.reshape(texts, length, self.heads, width).permute(0, 2, 1, 3)
                for part in (states @ weight.T + shift).split(WIDTH, dim=-1)
            )
            share = torch.softmax(query @ key.transpose(-1, -2) / width**0.5 + bias, dim=-1)
            mixed = (share @ value).permute(0, 2, 1, 3).reshape(texts, length, WIDTH)
            output = layer.attention.output
            states = output.LayerNorm(output.dense(mixed) + states)
            inner = nn.functional.gelu(layer.intermediate.dense(states))
            states = layer.output.LayerNorm(layer.output.dense(inner) + states)
        weights = mask.unsqueeze(-1)
        logits: torch.Tensor = self.head((states * weights).sum(1) / weights.sum(1))
        return logits


def export(model: Encoder, folder: Path) -> None:
    """Write ``model.onnx`` and ``vocab.txt`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    whole, rows = folder / "model.float.onnx", folder / "model.rows.onnx"
    ids = torch.ones(2, 16, dtype=torch.int64)
    axes = {0: "batch", 1: "length"}
    torch.onnx.export(
        _Plain(model).eval(),
        (ids, torch.ones_like(ids)),
        str(whole),
        dynamo=False,
        opset_version=17,
        do_constant_folding=True,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
    )
    graph = onnx.load(str(whole))
    _rows(graph)
    onnx.save(graph, str(rows))
    last = [node.name for node in graph.graph.node if node.op_type == "Gemm" or _ends(graph, node)]
    quantize_dynamic(
        str(rows),
        str(folder / "model.onnx"),
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
        nodes_to_exclude=last,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    for path in (whole, rows):
        path.unlink()
    shutil.copy(base() / "vocab.txt", folder / "vocab.txt")


def _ends(model: Any, node: Any) -> bool:
    """Return whether ``node`` is the product with the heads, which stays in floating point."""
    return node.op_type == "MatMul" and any(
        each.name == node.input[1] and each.dims[-1] == len(HEADS) for each in model.graph.initializer
    )


def _rows(model: Any) -> None:
    """Turn the word embeddings into int8 with one scale a row: half of the file; only gathered rows are scaled."""
    graph = model.graph
    table = max(graph.initializer, key=lambda each: np.prod(each.dims))
    values = numpy_helper.to_array(table)
    scales = (np.abs(values).max(1, keepdims=True) / 127).astype(np.float32)
    scales[scales == 0] = 1
    octets = np.clip(np.rint(values / scales), -127, 127).astype(np.int8)
    gather = next(node for node in graph.node if node.op_type == "Gather" and node.input[0] == table.name)
    at, ids, out = list(graph.node).index(gather), gather.input[1], gather.output[0]
    graph.node.remove(gather)
    graph.initializer.remove(table)
    graph.initializer.extend(
        [numpy_helper.from_array(octets, "words.int8"), numpy_helper.from_array(scales, "words.scale")]
    )
    made = [
        helper.make_node("Gather", ["words.int8", ids], [out + ".q"]),
        helper.make_node("Gather", ["words.scale", ids], [out + ".s"]),
        helper.make_node("Cast", [out + ".q"], [out + ".f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [out + ".f", out + ".s"], [out]),
    ]
    for offset, node in enumerate(made):
        graph.node.insert(at + offset, node)
