"""FedDrop: three clients by hand, and a part of the units is a network of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zo_core.algorithms.baselines.feddrop import FedDrop, Units, layers_of
from zo_core.method import ClientData, RoundContext
from zo_core.models import build_model
from zo_core.payloads.core import DenseWeights, Payload, SubModel
from zo_core.replica import Replica

pytestmark = pytest.mark.usefixtures("one_torch_thread")
CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=4, cohort=(0, 1, 2), samples=(8, 8, 8))
KEPT = {0: [0, 1, 2, 3], 1: [1, 3], 2: [0, 1]}  # of four units


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen(FedDrop):
    """Units by hand in place of drawn ones."""

    def kept_blocks(self, blocks: int, slot: int, round_index: int) -> Units:
        return np.array(KEPT[slot])


def fields(**changes: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"client_lr": 0.1, "server_lr": 1.0, "local_epochs": 1, "high": (0,)}
    return {**chosen, "batch_size": 4, "run_seed": 1, **changes}


def two_layers() -> Replica:
    """A (4, 2) and B (2, 4) with a bias (2,); 10 everywhere."""
    module = nn.Sequential(nn.Linear(2, 4, bias=False), nn.Linear(4, 2))
    for parameter in module.parameters():
        nn.init.constant_(parameter, 10.0)
    return Replica(module)


def update(slot: int, *tensors: list[Any]) -> SubModel:
    values = np.concatenate([np.array(t, np.float32).reshape(-1) for t in tensors])
    return SubModel(run_id=9, round_index=4, slot=slot, labels=np.empty(0, np.bool_), values=values)


def test_three_clients_by_hand() -> None:
    """Unit 1 has three trainers, 0 and 3 two, 2 only the whole network's."""
    replica = two_layers()
    whole = update(0, [[1, 2], [3, 4], [5, 6], [7, 8]], [[1, 2, 3, 4], [5, 6, 7, 8]], [3, 6])
    odd = update(1, [[6, 7], [9, 10]], [[11, 12], [13, 14]], [6, 9])
    first = update(2, [[3, 6], [0, 1]], [[5, 20], [7, 32]], [9, 0])
    Chosen(**fields()).server_result(replica, [whole, odd, first], CONTEXT)
    a, b, bias = replica.params.arrays
    assert a.tolist() == [[2, 4], [3, 4], [5, 6], [8, 9]]
    assert b.tolist() == [[3, 11, 3, 8], [6, 17, 7, 11]]
    assert bias.tolist() == [6, 5]


def test_a_client_sends_and_is_sent_its_part_only() -> None:
    replica, method = two_layers(), Chosen(**fields())
    x, y = torch.randn(4, 2), torch.zeros(4, dtype=torch.int64)
    sent = method.client_update(replica, ClientData(slot=1, x=x, y=y), CONTEXT)
    assert isinstance(sent, SubModel)
    assert sent.values.size == 2 * 2 + 2 * 2 + 2
    result, _ = method.server_result(replica, [sent], CONTEXT)
    message = method.message_for(replica, result, 1)
    assert isinstance(message, DenseWeights)
    assert message.values.tolist() == sent.values.tolist()
    assert len(message.encode()) == message.num_bytes == 32 + 4 * 10
    assert Payload.decode(sent.encode()) == sent


def test_a_sub_network_computes_what_dropout_of_the_whole_one_does() -> None:
    replica, method = two_layers(), Chosen(**fields())
    for parameter in replica.module.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(5, 2)
    mask = torch.tensor([0.0, 2.0, 0.0, 2.0])  # units 1 and 3, over the share kept
    first, last = replica.module
    expected = last(first(x) * mask)
    assert torch.allclose(method.sub_network(replica, 1, 4)(x), expected, atol=1e-6)


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_groups_and_residual_sums_stay_whole(model: str) -> None:
    """GIVEN zeros for all weights into and out of the units that are dropped, the whole network
    computes what the part does, but for the scaling of inputs, which norms take away.
    """
    module = build_model(model, in_channels=1, image_size=8, run_seed=3)
    replica, method = Replica(module), FedDrop(**fields(high=()))
    part = method.sub_network(replica, 1, 4)
    kept = np.zeros(replica.params.num_elements, np.float32)
    for _, places in method.held(replica, 1, 4):
        kept[places.reshape(-1)] = 1.0
    share = sum(p.numel() for p in part.parameters()) / kept.size
    assert kept.mean() == pytest.approx(share)
    replica.load_(replica.values() * kept)
    x, bias = torch.randn(3, 1, 8, 8), layers_of(module)[-1].bias
    assert torch.allclose(part(x) - bias, 2 * (module(x) - bias), atol=2e-3)


def test_every_round_draws_other_units_and_every_client_too() -> None:
    method = FedDrop(**fields(high=()))
    drawn = {tuple(method.kept_blocks(64, slot, r)) for slot in range(3) for r in range(3)}
    assert len(drawn) == 9
    assert {len(each) for each in drawn} == {32}
