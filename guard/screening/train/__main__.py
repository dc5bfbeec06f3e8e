"""Make the shipped models again.

    python -m guard.screening.train DATA [--out weights.bin]      tier 2, bit for bit the shipped file
    python -m guard.screening.train DATA --neural DIRECTORY       tier 2n, and DATA/teacher.jsonl.gz, which tier 2 reads
    python -m guard.screening.train DATA --calibrate DIRECTORY    neural.json of tier 2n, once tier 2 is trained

DATA is a folder like data/screening. The first needs the extra ``train``, the second ``train-neural``. It says on
standard error how far it is. Exit status: 0 done, 64 bad usage, 65 bad data, 78 a package is missing.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NoReturn

from guard.screening.learned.weights import SHIPPED
from guard.screening.train import corpus

EX_USAGE, EX_DATA, EX_CONFIG = 64, 65, 78
_EVERY = 5.0
"""Seconds between two lines of progress."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


class _Progress:
    """Says how far a training is, every few seconds and at the end."""

    def __init__(self) -> None:
        self._started = self._said = time.monotonic()

    def __call__(self, step: int, steps: int, loss: float | None = None) -> None:
        now = time.monotonic()
        if now - self._said < _EVERY and step < steps:
            return
        self._said = now
        left = (now - self._started) / step * (steps - step)
        quality = "" if loss is None else f", loss {loss:.3f}"
        print(f"step {step} of {steps}{quality}, {left:.0f} s left", file=sys.stderr, flush=True)


def main() -> int:
    """Run the command line; return its exit status."""
    parser = _Parser("python -m guard.screening.train", description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with *.jsonl and *.jsonl.gz")
    parser.add_argument("--out", type=Path, default=Path("weights.bin"), help="file for the weights of tier 2")
    parser.add_argument("--neural", type=Path, metavar="DIRECTORY", help="train tier 2n into it instead")
    parser.add_argument("--calibrate", type=Path, metavar="DIRECTORY", help="calibrate tier 2n with the shipped tier 2")
    asked = parser.parse_args()
    try:
        rows = corpus.read(asked.data)
        corpus.wanted(rows, asked.data)
        print(f"{len(rows)} rows", file=sys.stderr, flush=True)
        if asked.calibrate is not None:
            _calibrate(rows, asked.calibrate)
        elif asked.neural is None:
            _linear(rows, asked.data / corpus.TEACHER, asked.out)
        else:
            _neural(rows, asked.data / corpus.TEACHER, asked.neural)
    except corpus.BadData as error:
        print(error, file=sys.stderr)
        return EX_DATA
    except ModuleNotFoundError as error:
        extra = "train" if asked.neural is asked.calibrate is None else "train-neural"
        print(f"{error.name} is not installed: pip install '.[{extra}]' in a clone", file=sys.stderr)
        return EX_CONFIG
    return 0


def _linear(rows: list[corpus.Row], teacher: Path, out: Path) -> None:
    from guard.screening.train import linear, teach  # noqa: PLC0415 - only now is it known which packages are needed

    said = teach.read(teacher) if teacher.exists() else {}
    linear.train(rows, said, _Progress()).write(out)
    same = SHIPPED.exists() and out.read_bytes() == SHIPPED.read_bytes()
    print(f"{out}: {'the same bytes as' if same else 'other bytes than'} the shipped weights")


def _neural(rows: list[corpus.Row], teacher: Path, folder: Path) -> None:
    from guard.screening.train import teach  # noqa: PLC0415 - as above
    from guard.screening.train.export import export  # noqa: PLC0415
    from guard.screening.train.finetune import finetune  # noqa: PLC0415

    model = finetune(rows, _Progress())
    export(model, folder)
    texts = teach.taught(rows)
    print(f"asking about {len(texts)} texts", file=sys.stderr, flush=True)
    teach.write(teacher, texts, teach.ask(model, texts))


def _calibrate(rows: list[corpus.Row], folder: Path) -> None:
    from guard.screening.learned.learned import default  # noqa: PLC0415 - as above
    from guard.screening.train.calibrate import calibrate, neutral  # noqa: PLC0415

    calibrate(rows, neutral(folder), default(), folder, _Progress())


if __name__ == "__main__":
    sys.exit(main())
