"""Logistic regression over sparse rows, a head per column: whole batches, a fixed number of steps, no randomness.

The same rows give the same bits wherever doubles are IEEE 754: everything is sums, products, quotients and roots, which
the standard fixes to the last bit, in an order of their own. No BLAS, whose order depends on processor and threads: the
products are scipy's loops over sparse rows, one after another. No exponential of a library's, which differ in the last
bit: ``sigmoid`` makes its own. A compiler may still fuse a product and a sum where it was told that every processor can
(not on x86-64, whose wheels are for all): that moves a weight by some 1e-13, and the table has steps of about 1e-2, so
one entry in four million changes with a chance of about 1e-4; what is kept in full is rounded to eight digits.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Array = NDArray[np.float64]
Tell = Callable[[int, int], None]
"""Hears how far it is: steps done, of how many."""

STEPS = 120
RATE = 0.1
_MOMENT, _SQUARE, _TINY = 0.9, 0.99, 1e-7
_LOG_2 = 0.6931471805599453
_AT_A_TIME = 2048
"""Texts whose probabilities are worked out together: they stay in the processor's cache."""


def fit(
    rows: csr_matrix, targets: Array, shares: Array, positive: Array, decay: float, tell: Tell | None = None
) -> tuple[Array, Array]:
    """Return the weights (features by heads) and biases (heads) of the regularized optimum, nearly (Adam, 2015).

    ``targets`` are probabilities, texts by heads; ``shares`` what each text counts in the loss; ``positive`` is what a
    true target counts more than a false one, by head; ``decay`` the L2 penalty.
    """
    features, heads = rows.shape[1], targets.shape[1]
    used = np.flatnonzero(np.bincount(rows.indices, minlength=features))
    rows = rows[:, used]
    turned = rows.T.tocsr()
    table, bias = np.zeros((len(used), heads)), np.full(heads, -2.0)
    learned = [(table, np.zeros_like(table), np.zeros_like(table)), (bias, np.zeros(heads), np.zeros(heads))]
    share = (shares / shares.sum())[:, np.newaxis]
    rising, true = (1 + (positive - 1) * targets) * share, positive * targets * share
    moment_left = square_left = 1.0
    for step in range(1, STEPS + 1):
        logits = rows @ table + bias
        slope = np.empty_like(logits)
        for begin in range(0, len(logits), _AT_A_TIME):
            some = slice(begin, begin + _AT_A_TIME)
            slope[some] = sigmoid(logits[some]) * rising[some] - true[some]
        moment_left, square_left = moment_left * _MOMENT, square_left * _SQUARE
        rate = RATE * min(1.0, (STEPS - step + 1) / (STEPS * 0.5)) * np.sqrt(1 - square_left) / (1 - moment_left)
        gradients = (turned @ slope + decay * table, slope.sum(axis=0))
        for state, gradient in zip(learned, gradients, strict=True):
            _move(*state, gradient, rate)
        if tell is not None:
            tell(step, STEPS)
    whole = np.zeros((features, heads))
    whole[used] = table
    return whole, bias


def _move(value: Array, moment: Array, square: Array, gradient: Array, rate: float) -> None:
    """Take one step of Adam, in place."""
    moment *= _MOMENT
    moment += (1 - _MOMENT) * gradient
    square *= _SQUARE
    square += (1 - _SQUARE) * gradient * gradient
    value -= rate * moment / (np.sqrt(square) + _TINY)


def sigmoid(logits: Array) -> Array:
    """Return the probabilities of ``logits``, to eleven digits, and the same bits on every machine."""
    bounded = np.clip(-logits, -40.0, 40.0)
    powers = np.rint(bounded * (1 / _LOG_2))
    rest = bounded - powers * _LOG_2
    series = np.ones_like(rest)
    for order in range(10, 0, -1):
        series *= rest
        series *= 1 / order
        series += 1
    probabilities: Array = 1 / (1 + np.ldexp(series, powers.astype(np.int32)))
    return probabilities


def quantized(table: Array) -> tuple[bytes, tuple[float, ...]]:
    """Return the table in signed bytes, row by row, and what one unit is worth, by head.

    One weight in ten thousand is clipped: few are so large, and they would make every other step coarser.
    """
    scales = [shortened(scale) for scale in np.maximum(np.quantile(np.abs(table), 0.9999, axis=0), 1e-9) / 127]
    return np.clip(np.rint(table / np.array(scales)), -127, 127).astype(np.int8).tobytes(), tuple(scales)


def shortened(number: float) -> float:
    """Return ``number`` rounded to eight digits."""
    return float(f"{number:.8g}")
