"""A data set as the clients hold it: one tensor, each client a contiguous slice of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from zo_core.data.dataset import Dataset, Split
from zo_core.data.own_partition import OwnPartition
from zo_core.data.partition import Partition


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FederatedData:
    """All clients' data; build it with :func:`federate`.

    Do not write into a split that it returns: shards are views.
    """

    name: str  # the data set's
    num_classes: int
    test: Split  # the server's, held by no client
    partition: Partition | OwnPartition  # indices into the data set's training split
    items: Split  # client after client, each its training shard, then its hold-out
    samples: tuple[int, ...]  # training items of each client
    held_out: tuple[int, ...]  # items of each client's hold-out
    starts: tuple[int, ...]  # where each client's items begin

    @property
    def clients(self) -> int:
        """Number of clients."""
        return self.partition.clients

    def client(self, slot: int) -> Split:
        """Return a client's training shard: a view, or a scaled copy of bytes."""
        start = self._start(slot)
        return self.items.slice(start, start + self.samples[slot]).scaled()

    def holdout(self, slots: Iterable[int]) -> Split:
        """Copy the pooled hold-outs of a group of clients, in slot order."""
        chosen = [np.empty(0, dtype=np.int64)]
        for slot in sorted(slots):
            start = self._start(slot) + self.samples[slot]
            chosen.append(np.arange(start, start + self.held_out[slot], dtype=np.int64))
        return self.items.select(np.concatenate(chosen)).scaled()

    def _start(self, slot: int) -> int:
        if not 0 <= slot < self.clients:
            raise ValueError(f"slot must be in [0, {self.clients}), got {slot}")
        return self.starts[slot]


def federate(dataset: Dataset, partition: Partition | OwnPartition) -> FederatedData:
    """Give a data set's training split to clients.

    The split is copied once, into the clients' order; drop the data set afterwards to free it.

    Args:
        dataset: the data set that the partition was made for.
        partition: who holds which of its training items.
    """
    parts = list(zip(partition.train, partition.holdout, strict=True))
    order = np.concatenate([indices for part in parts for indices in part])
    sizes = np.array([len(train) + len(holdout) for train, holdout in parts])
    return FederatedData(
        name=dataset.name,
        num_classes=dataset.num_classes,
        test=dataset.test,
        partition=partition,
        items=dataset.train.select(order),
        samples=tuple(len(train) for train, _ in parts),
        held_out=tuple(len(holdout) for _, holdout in parts),
        starts=tuple((np.cumsum(sizes) - sizes).tolist()),
    )
