"""One second moment for the whole model, from a round's scalars: the step length no longer depends
on the size of the gradient, so one rate serves more models.

MEAZO (arXiv 2605.03869) keeps one number for Adam's second moment; FZOO (Dang et al., arXiv
2506.09034) divides by the deviation of a client's losses.
"""

from __future__ import annotations

import math

import numpy as np

from zo_core.payloads.fields import Floats

DELTA = 1e-8  # added to the root


def clipped(scalars: Floats, quantile: float) -> Floats:
    """Limit scalars to a quantile of their magnitudes: the order statistic ceil(q n).

    Args:
        scalars: dL of all participants of a round.
        quantile: q in (0, 1).

    >>> clipped(np.float32([1.0, -4.0, 2.0, 3.0]), 0.5).tolist()
    [1.0, -2.0, 2.0, 2.0]
    """
    rank = math.ceil(quantile * scalars.size)
    most = np.sort(np.abs(scalars), axis=None)[rank - 1]
    return scalars.clip(-most, most)


def moment_after(moment: float, scalars: Floats, *, rho: float, beta: float) -> float:
    """Return beta v + (1 - beta) mean(g^2), g = dL / (2 rho), rounded once to float32.

    The squares are summed in float64, slot after slot and direction after direction.
    """
    total = 0.0
    for slope in (scalars.reshape(-1).astype(np.float64) / (2.0 * rho)).tolist():
        total += slope * slope
    return float(np.float32(beta * moment + (1.0 - beta) * (total / scalars.size)))


def divisor(moment: float, *, steps: int, beta: float) -> float:
    """Return sqrt(v / (1 - beta^t)) + delta, by which the step is divided."""
    # powers by multiplication: the C library's pow may differ in the last bit
    return math.sqrt(moment / (1.0 - math.prod([beta] * steps))) + DELTA
