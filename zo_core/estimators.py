"""Compute a direction's scalar dL from losses: by central or by one-sided differences.

For each of them dL / (2 rho) is the projected gradient, so callers need not know which one it is.

| estimator | dL of direction z | forwards for S directions |
|---|---|---|
| central | L(w + rho z) - L(w - rho z) | 2 S |
| forward | 2 (L(w + rho z) - L(w)) | S + 1 |
| fzoo | 2 (L(w + rho z) - L(w)) / sigma, sigma the deviation of the S losses L(w + rho z) | S + 1 |

A one-sided difference errs by rho z H z / 2, which a central one does not.  The last is the step of
FZOO (Dang et al., "FZOO: Fast Zeroth-Order Optimizer for Fine-Tuning Large Language Models towards
Adam-Scale Speed", arXiv 2506.09034): a loss of twice the size gives the same step, so its learning
rate has a different size than the others'.  FZOO takes its forwards side by side; here they follow
one another, since side by side they would hold S times the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

LossFn = Callable[[], float]  # the loss at the present weights


class PerturbedPoint(Protocol):
    """Moves the weights between forwards; see :mod:`zo_core.spsa`."""

    def move_to(self, seed: int, offset: float) -> None:
        """Go to w + offset * z(seed)."""

    def forward(self, loss_fn: LossFn) -> float:
        """Compute the loss where the weights are."""


Estimator = Callable[[PerturbedPoint, LossFn, Sequence[int], float], Iterator[float]]


def estimator_named(name: str, *, directions: int) -> Estimator:
    """Return an estimator by name.

    Args:
        name: one of ESTIMATORS.
        directions: S, which it will be given.

    Raises:
        ValueError: the name is unknown, or it needs more directions.
    """
    if name not in _ESTIMATORS:
        raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {name!r}")
    if name == "fzoo" and directions < 2:
        raise ValueError(
            f"directions must be >= 2 for estimator 'fzoo', which takes their deviation, got "
            f"{directions} (or use estimator='forward')"
        )
    return _ESTIMATORS[name]


def _central(
    point: PerturbedPoint, loss_fn: LossFn, seeds: Sequence[int], rho: float
) -> Iterator[float]:
    for seed in seeds:
        point.move_to(seed, rho)
        upper = point.forward(loss_fn)
        point.move_to(seed, -rho)
        yield upper - point.forward(loss_fn)


def _forward(
    point: PerturbedPoint, loss_fn: LossFn, seeds: Sequence[int], rho: float
) -> Iterator[float]:
    start = point.forward(loss_fn)
    for seed in seeds:
        point.move_to(seed, rho)
        yield 2.0 * (point.forward(loss_fn) - start)


def _fzoo(
    point: PerturbedPoint, loss_fn: LossFn, seeds: Sequence[int], rho: float
) -> Iterator[float]:
    differences = list(_forward(point, loss_fn, seeds, rho))
    sigma = float(np.std(differences, ddof=1)) / 2.0  # L(w) is the same in all: it adds nothing
    # where all losses are equal, no direction is better than another
    yield from (difference / sigma if sigma else 0.0 for difference in differences)


_ESTIMATORS: dict[str, Estimator] = {"central": _central, "forward": _forward, "fzoo": _fzoo}
ESTIMATORS = tuple(_ESTIMATORS)
