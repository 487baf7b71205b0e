"""A data set as the clients hold it: one tensor, each client a contiguous slice of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from zo_core.data.dataset import Dataset, Split
from zo_core.data.partition import Partition


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FederatedData:
    """All clients' data; build it with :func:`federate`.

    Do not write into a split that it returns: shards are views.
    """

    name: str  # the data set's
    num_classes: int
    test: Split  # the server's, held by no client
    partition: Partition  # indices into the data set's training split
    items: Split  # client after client, each its training shard, then its hold-out

    @property
    def clients(self) -> int:
        """Number of clients."""
        return self.partition.clients

    @property
    def shard_size(self) -> int:
        """Training items of each client."""
        return int(self.partition.train.shape[1])

    def client(self, slot: int) -> Split:
        """Return a client's training shard: a view, or a scaled copy of bytes."""
        start = self._start(slot)
        return self.items.slice(start, start + self.shard_size).scaled()

    def holdout(self, slots: Iterable[int]) -> Split:
        """Copy the pooled hold-outs of a group of clients, in slot order."""
        starts = np.array([self._start(slot) for slot in sorted(slots)], dtype=np.int64)
        own = np.arange(self.shard_size, len(self.items) // self.clients)
        return self.items.select((starts[:, None] + own).reshape(-1)).scaled()

    def _start(self, slot: int) -> int:
        if not 0 <= slot < self.clients:
            raise ValueError(f"slot must be in [0, {self.clients}), got {slot}")
        return slot * (len(self.items) // self.clients)


def federate(dataset: Dataset, partition: Partition) -> FederatedData:
    """Give a data set's training split to clients.

    The split is copied once, into the clients' order; drop the data set afterwards to free it.

    Args:
        dataset: the data set that the partition was made for.
        partition: who holds which of its training items.
    """
    order = np.concatenate([partition.train, partition.holdout], axis=1).reshape(-1)
    return FederatedData(
        name=dataset.name,
        num_classes=dataset.num_classes,
        test=dataset.test,
        partition=partition,
        items=dataset.train.select(order),
    )
