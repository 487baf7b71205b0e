"""How good a model is: over the test split, and over what each group of clients held out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.data import FederatedData, Split
from zo_core.loss.items import targets_of
from zo_core.loss.module_loss import Criterion, correct_items, cross_entropy, mean_loss
from zo_core.loss.sequences import sequence_scores

_MICRO_BATCH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Shares of items whose largest output is at their label; None where there are no items.

    Of sequences: the mean share of an answer's tokens that have the largest score.  None where
    targets are numbers.
    """

    test: float | None
    high: float | None  # over the pooled hold-outs of high-resource clients
    low: float | None  # over those of low-resource clients
    worst_decile: float | None  # mean over the tenth of the clients that fare worst
    # finite ones: nats per answer token of sequences; of others, where the loss is the user's own
    test_loss: float | None
    holdout_loss: float | None  # likewise, over all clients' pooled hold-outs


class Evaluator:
    """The items that a run is evaluated on, gathered once.

    Args:
        data: all clients' data.
        high: slots of the high-resource clients; all others count as low.
        criterion: the loss that training descends.
    """

    def __init__(
        self, data: FederatedData, high: tuple[int, ...], criterion: Criterion = cross_entropy
    ) -> None:
        self._test = data.test
        self._held_out = data.holdout(range(data.clients))
        self._owner = np.repeat(np.arange(data.clients), data.held_out)  # of each item
        self._is_high = np.isin(np.arange(data.clients), high)
        self._targets = targets_of(data.test.y)
        self._criterion = criterion

    def chance_level(self) -> float | None:
        """Return the accuracy over all hold-outs that guessing stays below.

        None without hold-outs, and for other targets than a class per item.
        """
        if self._targets != "classes" or len(self._held_out) == 0:
            return None
        return chance_level(self._held_out.y.cpu().numpy())

    def measure(self, module: Any) -> Accuracy:
        """Measure a module as it stands."""
        hits, test_loss = self._scores(module, self._test)
        held_out, holdout_loss = self._scores(module, self._held_out)
        is_high = self._is_high[self._owner] if len(held_out) else np.empty(0, np.bool_)
        own = [held_out[self._owner == slot] for slot in np.unique(self._owner) if len(held_out)]
        return Accuracy(
            test=_mean(hits),
            high=_mean(held_out[is_high]),
            low=_mean(held_out[~is_high]),
            worst_decile=worst_decile(np.array([part.mean() for part in own])) if own else None,
            test_loss=test_loss,
            holdout_loss=holdout_loss,
        )

    def _scores(self, module: Any, split: Split) -> tuple[npt.NDArray[np.float64], float | None]:
        """Score each item, and all of them by their mean loss; no scores where there are none."""
        if len(split) == 0:
            return np.empty(0), None
        if self._targets == "tokens":
            shares, loss = sequence_scores(module, split.x, split.y)
            return shares.numpy(), loss if math.isfinite(loss) else None
        hits = np.empty(0)
        if self._targets == "classes":
            hits = correct_items(module, split.x, split.y).double().numpy()
        return hits, self._own_loss(module, split)

    def _own_loss(self, module: Any, split: Split) -> float | None:
        """Return the mean loss where it says more than an accuracy."""
        if self._criterion is cross_entropy:
            return None
        loss = mean_loss(
            module, split.x, split.y, micro_batch=_MICRO_BATCH, criterion=self._criterion
        )
        return loss if math.isfinite(loss) else None


def chance_level(labels: npt.NDArray[np.int64]) -> float:
    """Compute the accuracy above which a model knows more than the labels' shares.

    It is p + 3 sqrt(p (1 - p) / n) for the share p of the most frequent of n labels: what the best
    constant answer gets, and three standard errors.

    >>> round(chance_level(np.repeat(np.arange(10), 90)), 3)
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
