"""How accurate a model is: over the test split, and over what each group of clients held out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.data import FederatedData, Split
from zo_core.loss.module_loss import correct_items


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Shares of items whose largest output is at their label; None where there are no items."""

    test: float
    high: float | None  # over the pooled hold-outs of high-resource clients
    low: float | None  # over those of low-resource clients
    worst_decile: float | None  # mean over the tenth of the clients that fare worst


class Evaluator:
    """The items that a run is evaluated on, gathered once.

    Args:
        data: all clients' data.
        high: slots of the high-resource clients; all others count as low.
    """

    def __init__(self, data: FederatedData, high: tuple[int, ...]) -> None:
        self._test = data.test
        self._held_out = data.holdout(range(data.clients))
        self._is_high = np.isin(np.arange(data.clients), high)

    def guessing(self) -> float | None:
        """Return the accuracy over all hold-outs that guessing stays below; None without any."""
        return guessing_bound(self._held_out.y.cpu().numpy()) if len(self._held_out) else None

    def measure(self, module: Any) -> Accuracy:
        """Measure a module as it stands."""
        test = self._hits(module, self._test).mean()
        if len(self._held_out) == 0:
            return Accuracy(test=float(test), high=None, low=None, worst_decile=None)
        # hold-outs are of one size, so a pooled share is a mean over clients
        own = self._hits(module, self._held_out).reshape(len(self._is_high), -1).mean(axis=1)
        return Accuracy(
            test=float(test),
            high=_mean(own[self._is_high]),
            low=_mean(own[~self._is_high]),
            worst_decile=worst_decile(own),
        )

    def _hits(self, module: Any, split: Split) -> npt.NDArray[np.float64]:
        hits: npt.NDArray[np.float64] = correct_items(module, split.x, split.y).double().numpy()
        return hits


def guessing_bound(labels: npt.NDArray[np.int64]) -> float:
    """Compute the accuracy above which a model knows more than the labels' shares.

    It is p + 3 sqrt(p (1 - p) / n) for the share p of the most frequent of n labels: what the best
    constant answer gets, and three standard errors.

    >>> round(guessing_bound(np.repeat(np.arange(10), 90)), 3)
    0.13
    """
    n = labels.size
    p = float(np.unique(labels, return_counts=True)[1].max()) / n
    return p + 3.0 * math.sqrt(p * (1.0 - p) / n)


def worst_decile(accuracies: npt.NDArray[np.float64]) -> float:
    """Compute the mean accuracy of the tenth of the clients that fare worst, at least of one.

    Args:
        accuracies: share of its own hold-out that each client's items get right, (clients,).

    >>> worst_decile(np.array([0.5, 0.25, *[1.0] * 18]))
    0.375
    """
    count = -(-len(accuracies) // 10)
    return float(np.sort(accuracies)[:count].mean())


def _mean(accuracies: npt.NDArray[np.float64]) -> float | None:
    return float(accuracies.mean()) if len(accuracies) else None
