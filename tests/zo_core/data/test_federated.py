"""Clients' shards are slices of one tensor, and hold exactly what the partition says."""

from __future__ import annotations

import pytest
import torch

from zo_core.data import FederatedData, dirichlet_partition, federate, synthetic_blobs


@pytest.fixture
def parts() -> tuple[torch.Tensor, torch.Tensor, FederatedData]:
    data = synthetic_blobs(train_items=503, test_items=20)
    shards = dirichlet_partition(data.train.y.numpy(), clients=7, alpha=0.1, run_seed=1)
    return data.train.x, data.train.y, federate(data, shards)


def test_each_client_has_its_own_items(
    parts: tuple[torch.Tensor, torch.Tensor, FederatedData],
) -> None:
    x, y, held = parts
    for slot in range(held.clients):
        own = torch.from_numpy(held.partition.train[slot])
        assert torch.equal(held.client(slot).x, x[own])
        assert torch.equal(held.client(slot).y, y[own])


def test_a_shard_is_a_contiguous_view(
    parts: tuple[torch.Tensor, torch.Tensor, FederatedData],
) -> None:
    held = parts[2]
    shard = held.client(3)
    assert shard.x.is_contiguous()
    assert shard.x.untyped_storage().data_ptr() == held.items.x.untyped_storage().data_ptr()


def test_holdouts_are_pooled_in_slot_order(
    parts: tuple[torch.Tensor, torch.Tensor, FederatedData],
) -> None:
    x, y, held = parts
    pooled = held.holdout({5, 2})
    own = torch.from_numpy(held.partition.holdout[[2, 5]].reshape(-1))
    assert len(pooled) == 2 * 7  # floor(0.1 * floor(503 / 7)) each
    assert torch.equal(pooled.x, x[own])
    assert torch.equal(pooled.y, y[own])
    assert len(held.holdout(())) == 0


@pytest.mark.parametrize("slot", [-1, 7])
def test_a_slot_that_does_not_exist_is_an_error(
    parts: tuple[torch.Tensor, torch.Tensor, FederatedData], slot: int
) -> None:
    with pytest.raises(ValueError, match=rf"slot must be in \[0, 7\), got {slot}"):
        parts[2].client(slot)
