"""Shards that a data set itself names, a client for each item, in the place of a Dirichlet draw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zo_core.data.partition_stream import Use
from zo_core.philox import Purpose, random_permutation

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnPartition:
    """Indices into the training split, by client slot; shards may differ in size."""

    train: tuple[Indices, ...]  # (items of the client's training shard,) each
    holdout: tuple[Indices, ...]

    @property
    def clients(self) -> int:
        """Number of clients."""
        return len(self.train)


def own_partition(
    ids: Indices, *, clients: int, holdout_share: float, run_seed: int
) -> OwnPartition:
    """Give each client its own items, and hold out a random part of them.

    Args:
        ids: (items,), who holds each training item, 0 .. clients - 1.
        clients: the config's number, which must be the data's.
        holdout_share: share of each shard that is held out, rounded down to items, in [0, 1).
        run_seed: the run's seed; which items are held out follows from it.

    Raises:
        ValueError: the data set names another number of clients.
    """
    count = int(ids.max()) + 1
    if clients != count:
        raise ValueError(
            f"clients must be {count}, the number of clients that the data set names, got "
            f"{clients}: add --clients {count}"
        )
    orders = [_order(np.flatnonzero(ids == slot), slot, run_seed) for slot in range(count)]
    held = [math.floor(len(order) * holdout_share) for order in orders]
    return OwnPartition(
        train=tuple(order[n:] for order, n in zip(orders, held, strict=True)),
        holdout=tuple(order[:n] for order, n in zip(orders, held, strict=True)),
    )


def _order(items: Indices, slot: int, run_seed: int) -> Indices:
    order = random_permutation(run_seed, Purpose.PARTITION, len(items), a=slot, b=Use.HOLDOUT)
    return items[order]
