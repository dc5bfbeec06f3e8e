"""A neural model of a few hundred bytes: every word has its logits, and a text has the largest of its words."""

import json
from hashlib import sha256

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from guard.screening.neural.calibration import HEADS

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *["how", "do", "i", "make", "a", "bomb", "cake", "tea", "spy", "salt", "please", "the"],
    "cafe",
]
CALM = -6.0


def weights(folder, logits, *, heads=HEADS, mix=None, thresholds=None, max_tokens=16, **changes):
    """Write a model to ``folder`` under which each word of ``logits`` has the logits of some heads; others are calm."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    table = np.full((len(WORDS), len(heads)), CALM, np.float32)
    for word, by_head in logits.items():
        for head, logit in by_head.items():
            table[WORDS.index(word), heads.index(head)] = logit
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("ReduceMax", ["rows"], ["worst"], axes=[1], keepdims=0),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["mask"], ["any"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["worst", "any"], ["logits"]),
        ],
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(heads)])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    octets = model.SerializeToString()
    onnx.checker.check_model(model)
    (folder / "model.onnx").write_bytes(octets)
    document = {
        "format": 1,
        "heads": list(HEADS),
        "max_tokens": max_tokens,
        "digest": sha256(octets).hexdigest(),
        "mix": mix or {"neural": 1, "learned": 0, "bias": 0},
        "thresholds": thresholds or {"flag": 0.5, "block": 0.9},
        **changes,
    }
    (folder / "neural.json").write_text(json.dumps(document))
    return folder
