"""The network: token numbers in, one logit a head out. int8 ONNX on the CPU."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from guard.screening.neural.calibration import HEADS, Calibration, read_calibration
from guard.screening.neural.tokens import Tokens

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

WEIGHTS = Path(__file__).parent / "weights"
FILES = ("model.onnx", "vocab.txt", "neural.json")
PACKAGES = ("onnxruntime", "tokenizers")
_UNFUSED = ("SkipLayerNormFusion",)
"""Sum and layer normalization in one step take longer than the two do: a tenth of the whole (onnxruntime 1.31)."""


class NeuralUnavailable(Exception):
    """The model cannot be used here; ``found`` says why and ``remedy`` what helps."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found}; {remedy}")
        self.found = found
        self.remedy = remedy


def unavailable(folder: Path = WEIGHTS) -> NeuralUnavailable | None:
    """Return why the model cannot be used, None if it seems that it can: packages and files are there, none is read."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        return NeuralUnavailable(f"{missing[0]} is not installed", "pip install '.[neural]' in a clone")
    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        return NeuralUnavailable(f"no {absent[0]} in {folder}", "an installation that brings the weights")
    return None


class NeuralModel:
    """The model with its vocabulary and calibration; immutable. ``logits`` may run in several threads at once."""

    def __init__(self, folder: Path, calibration: Calibration, tokens: Tokens, session: "InferenceSession") -> None:
        self.folder = folder
        self.calibration = calibration
        self.tokens = tokens
        self._session = session

    @classmethod
    def load(cls, folder: Path = WEIGHTS) -> "NeuralModel":
        """Return the model in ``folder``. Raises NeuralUnavailable if it is not there or not what it says it is."""
        why = unavailable(folder)
        if why is not None:
            raise why
        # Late: 15 MB of code and 100 ms that only whoever uses the model pays for.
        import onnxruntime  # noqa: PLC0415 - see above

        remedy = "the files of one release"
        try:
            calibration = read_calibration(folder / "neural.json")
            octets = (folder / "model.onnx").read_bytes()
            if sha256(octets).hexdigest() != calibration.digest:
                raise NeuralUnavailable(f"{folder / 'model.onnx'} is not the file that neural.json describes", remedy)
            tokens = Tokens(folder / "vocab.txt")
            options = onnxruntime.SessionOptions()
            # One thread a window: several windows run side by side, and the event loop keeps a core.
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(
                octets, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(_UNFUSED)
            )
        except (OSError, ValueError) as error:
            raise NeuralUnavailable(str(error), remedy) from error
        except Exception as error:
            if isinstance(error, NeuralUnavailable):
                raise
            raise NeuralUnavailable(f"{folder / 'model.onnx'}: {error}", remedy) from error
        model = cls(folder, calibration, tokens, session)
        model.logits([tokens.begin, tokens.end])
        return model

    def logits(self, ids: Sequence[int]) -> list[float]:
        """Return one logit a head for one window of token numbers. The interpreter is free meanwhile."""
        import numpy as np  # noqa: PLC0415 - onnxruntime brings it; without the extra it is not installed

        window = np.asarray([ids], dtype=np.int64)
        [[found]] = self._session.run(["logits"], {"input_ids": window, "attention_mask": np.ones_like(window)})
        if found.shape != (len(HEADS),):
            raise NeuralUnavailable(f"{self.folder / 'model.onnx'} has {found.shape} heads", f"{len(HEADS)} heads")
        logits: list[float] = found.tolist()
        return logits


@lru_cache(maxsize=2)
def loaded(folder: Path = WEIGHTS) -> NeuralModel:
    """Return the model in ``folder``, read once a process. Raises NeuralUnavailable."""
    return NeuralModel.load(folder)
