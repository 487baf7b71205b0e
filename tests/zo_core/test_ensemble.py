"""Simple ensembling: three clients by hand, and one network that is the mean of its members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zo_core.algorithms.baselines.ensemble import Ensemble
from zo_core.method import RoundContext
from zo_core.models import build_model
from zo_core.payloads.core import SubModel
from zo_core.replica import Replica

pytestmark = pytest.mark.usefixtures("one_torch_thread")
CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1, 2), samples=(8, 8, 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen(Ensemble):
    """Slots 0 and 1 train the first member, slot 2 the second."""

    def member(self, slot: int, round_index: int) -> int:
        return int(slot == 2)


def fields() -> dict[str, Any]:
    chosen: dict[str, Any] = {"client_lr": 0.1, "server_lr": 1.0, "local_epochs": 1, "high": ()}
    return {**chosen, "batch_size": 4, "run_seed": 1, "members": 2, "low_width": 0.5}


def update(slot: int, *tensors: list[Any]) -> SubModel:
    values = np.concatenate([np.array(t, np.float32).reshape(-1) for t in tensors])
    return SubModel(run_id=9, round_index=4, slot=slot, labels=np.empty(0, np.bool_), values=values)


def test_three_clients_by_hand() -> None:
    """A (4, 1), B (4, 4), C (1, 4): units 0 and 1 of each layer are the first member's."""
    module = nn.Sequential(
        *(nn.Linear(1, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 1))
    )
    for parameter in module.parameters():
        nn.init.constant_(parameter, 10.0)
    replica = Replica(module)
    updates = [
        update(0, [1, 2], [[1, 2], [3, 4]], [1, 2], [3]),
        update(1, [3, 4], [[3, 4], [5, 6]], [3, 4], [6]),
        update(2, [7, 8], [[5, 6], [7, 8]], [9, 10], [0]),
    ]
    Chosen(**fields()).server_result(replica, updates, CONTEXT)
    a, b, c, bias = replica.params.arrays
    assert a.tolist() == [[2], [3], [7], [8]]
    assert b.tolist() == [[2, 3, 0, 0], [4, 5, 0, 0], [0, 0, 5, 6], [0, 0, 7, 8]]
    assert c.tolist() == [[2, 3, 9, 10]]
    assert bias.tolist() == [3]


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_the_network_predicts_the_mean_of_its_members(model: str) -> None:
    module = build_model(model, in_channels=1, image_size=8, run_seed=3)
    replica, method = Replica(module), Chosen(**fields())
    weights = replica.values()
    replica.load_(method.stepped(replica, weights, weights.astype(np.float64)))
    members = [method.sub_network(replica, slot, 4) for slot in (0, 2)]
    x = torch.randn(3, 1, 8, 8)
    mean = torch.stack([member(x) for member in members]).mean(dim=0)
    assert torch.allclose(module(x), mean, atol=1e-3)


def test_each_round_a_client_draws_its_member() -> None:
    drawn = [Ensemble(**fields()).member(slot, r) for slot in range(20) for r in range(20)]
    assert 150 < sum(drawn) < 250
