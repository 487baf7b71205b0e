"""Who holds which data: equal shards with Dirichlet label skew, a hold-out for each client.

Every client gets floor(n / K) items.  Its label distribution is its own draw from Dirichlet(alpha),
as in Hsu, Qi, Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification", 2019, arXiv 1909.06335.  Its labels are drawn one by one from that distribution,
renormalised over the labels that are left.  Clients are served in slot order, so the last slots
follow their draws least; resources are assigned at random, so this favours neither group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zo_core.data.dirichlet import dirichlet_shares
from zo_core.data.partition_stream import Use, client_words, to_uniform
from zo_core.philox import Purpose, random_permutation

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Partition:
    """Indices into the training split, by client slot; every item of it stands in one place."""

    train: Indices  # (clients, items of a training shard)
    holdout: Indices  # (clients, items of a hold-out)
    dropped: Indices  # (items,), fewer than clients: the remainder of equal shards
    label_counts: Indices  # (clients, classes), training shard and hold-out together

    @property
    def clients(self) -> int:
        """Number of clients."""
        return len(self.train)


def dirichlet_partition(
    labels: Indices,
    *,
    clients: int,
    alpha: float,
    holdout_share: float = 0.1,
    run_seed: int,
) -> Partition:
    """Split a training set over clients.

    Args:
        labels: (items,), class numbers from 0.
        clients: number of clients K, in [1, items].
        alpha: Dirichlet concentration, > 0; the paper's is 0.1.
        holdout_share: share of each shard that is held out, rounded down to items, in [0, 1).
        run_seed: the run's seed, in [0, 2^64).

    Returns:
        The partition.

    Raises:
        ValueError: an argument is out of its range.

    >>> shards = dirichlet_partition(np.arange(100) % 4, clients=3, alpha=0.1, run_seed=7)
    >>> shards.train.shape, shards.holdout.shape, shards.dropped.shape
    ((3, 30), (3, 3), (1,))
    """
    _check(len(labels), clients, alpha, holdout_share)
    size = len(labels) // clients
    left = np.bincount(labels)
    drawn = _draw_all_labels(left, clients=clients, size=size, alpha=alpha, run_seed=run_seed)
    items, dropped = _hand_out(labels, drawn, run_seed)
    items = np.take_along_axis(items, _holdout_order(run_seed, clients, size), axis=1)
    held = math.floor(size * holdout_share)
    return Partition(
        train=items[:, held:],
        holdout=items[:, :held],
        dropped=dropped,
        label_counts=np.stack([np.bincount(row, minlength=len(left)) for row in drawn]),
    )


def draw_labels(
    shares: npt.NDArray[np.float64], left: Indices, uniforms: npt.NDArray[np.float64]
) -> Indices:
    """Draw labels one by one without emptying any class below zero.

    The i-th label is the one in whose part of the cumulative shares uniform i falls, the shares
    being set to 0 where no item is left.  Where no share is left either, an item is drawn uniformly
    from all that are left.  As long as no class runs out the shares stay what they are, so labels
    are drawn in runs: the cost is that of one search a label, plus one pass a class that runs out.

    Args:
        shares: (classes,), the client's label distribution.
        left: (classes,), items left in each class; not changed.
        uniforms: (labels to draw,), strictly between 0 and 1; no more than there are items left.

    Returns:
        int64 array, a label for each uniform.
    """
    left, drawn = left.copy(), [np.empty(0, dtype=np.int64)]
    while len(uniforms):
        weights = np.where(left > 0, shares, 0.0)
        run = len(uniforms)
        if not weights.any():
            weights, run = left.astype(np.float64), 1
        cumulative = np.cumsum(weights)
        labels = np.searchsorted(cumulative, uniforms[:run] * cumulative[-1], side="right")
        labels = labels[: _until_one_is_empty(labels, left)]
        left -= np.bincount(labels, minlength=len(left))
        drawn.append(labels)
        uniforms = uniforms[len(labels) :]
    return np.concatenate(drawn)


def _until_one_is_empty(labels: Indices, left: Indices) -> int:
    """How many of the labels can be taken up to and including the first that empties its class."""
    counts = np.bincount(labels, minlength=len(left))
    emptied = np.flatnonzero((counts > 0) & (counts >= left))
    ends = [np.flatnonzero(labels == label)[left[label] - 1] + 1 for label in emptied]
    return int(min(ends, default=len(labels)))


def _draw_all_labels(
    left: Indices, *, clients: int, size: int, alpha: float, run_seed: int
) -> Indices:
    """Draw every client's labels in slot order; (clients, size)."""
    shares = dirichlet_shares(run_seed, clients=clients, classes=len(left), alpha=alpha)
    uniforms = to_uniform(client_words(run_seed, clients, size, Use.LABELS))
    drawn = np.empty((clients, size), dtype=np.int64)
    for client in range(clients):
        drawn[client] = draw_labels(shares[client], left, uniforms[client])
        left = left - np.bincount(drawn[client], minlength=len(left))
    return drawn


def _hand_out(labels: Indices, drawn: Indices, run_seed: int) -> tuple[Indices, Indices]:
    """Turn drawn labels into items: each class is a queue in random order; the rest is dropped."""
    items, dropped = np.empty(drawn.size, dtype=np.int64), []
    for label in range(int(labels.max()) + 1):
        queue = np.flatnonzero(labels == label)
        order = random_permutation(
            run_seed, Purpose.PARTITION, len(queue), a=label, b=Use.ITEM_ORDER
        )
        places = np.flatnonzero(drawn.reshape(-1) == label)
        items[places] = queue[order[: len(places)]]
        dropped.append(queue[order[len(places) :]])
    return items.reshape(drawn.shape), np.sort(np.concatenate(dropped))


def _holdout_order(run_seed: int, clients: int, size: int) -> Indices:
    """A random order of each client's items: the last labels drawn are what others left over."""
    words = client_words(run_seed, clients, 2 * size, Use.HOLDOUT).astype(np.uint64)
    keys = words[:, 0::2] | words[:, 1::2] << np.uint64(32)
    return np.argsort(keys, axis=1, kind="stable")


def _check(items: int, clients: int, alpha: float, holdout_share: float) -> None:
    if clients < 1:
        raise ValueError(f"clients must be >= 1, got {clients}")
    if clients > items:
        raise ValueError(
            f"clients must be at most the number of training samples, {items}, got {clients}"
        )
    if not 0.0 < alpha < math.inf:
        raise ValueError(f"alpha must be > 0 and finite, got {alpha}; 1e6 is as good as uniform")
    if not 0.0 <= holdout_share < 1.0:
        raise ValueError(f"holdout_share must be in [0, 1), got {holdout_share}")
