"""ZeroFL: three clients by hand, and what a sparse step computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from zo_core.algorithms.baselines.zerofl import MaskedChange, ZeroFL, keep_largest, sparse_layers
from zo_core.method import ClientData, RoundContext
from zo_core.payloads.core import DenseWeights, Payload
from zo_core.replica import Replica

pytestmark = pytest.mark.usefixtures("one_torch_thread")
CONTEXT = RoundContext(run_seed=1, run_id=9, round_index=0, cohort=(0, 1, 2), samples=(1, 1, 2))


def method(**changes: Any) -> ZeroFL:
    fields: dict[str, Any] = {"client_lr": 0.5, "server_lr": 1.0, "local_epochs": 1}
    fields |= {"batch_size": 4, "sparsity": 0.75, "mask_ratio": 0.25}
    return ZeroFL(**{**fields, **changes})


def send(replica: Replica, slot: int, samples: int, *change: float) -> MaskedChange:
    values = np.array(change, np.float32)
    trained = DenseWeights(run_id=9, round_index=0, slot=slot, samples=samples, values=values)
    sent = method().encoded_(replica, values, trained, CONTEXT)
    assert isinstance(sent, MaskedChange)
    return sent


def test_three_clients_by_hand() -> None:
    """Two of four weights each, of 1, 1, 2 items: (4, 0, 0, -3), (0, 4, 8, 0), (2, 0, 0, 6)."""
    replica = Replica([np.zeros(4, np.float32)])
    updates = [
        send(replica, 0, 1, 4, 1, -2, -3),
        send(replica, 1, 1, 3, 4, 8, -1),
        send(replica, 2, 2, 2, 1, -1, 6),
    ]
    assert [u.values.tolist() for u in updates] == [[4, -3], [4, 8], [2, 6]]
    method().server_result(replica, updates, CONTEXT)
    assert replica.values().tolist() == [2.0, 1.0, 2.0, 2.25]
    assert replica.client_states == {}


def test_bytes_are_a_bit_a_weight_and_what_is_sent() -> None:
    update = send(Replica([np.zeros(99, np.float32)]), 1, 5, *range(99))
    assert len(update.encode()) == update.num_bytes == 36 + 13 + 4 * 50
    assert Payload.decode(update.encode()) == update
    with pytest.raises(ValueError, match="of 3 weights, got 99"):
        method().change_of(Replica([np.zeros(3, np.float32)]), update)


def test_the_largest_are_kept_in_place() -> None:
    values = torch.tensor([[1.0, -4.0], [3.0, 2.0]])
    assert keep_largest(values, 0.5).tolist() == [[0.0, -4.0], [3.0, 0.0]]
    assert keep_largest(values, 0.01).tolist() == [[0.0, -4.0], [0.0, 0.0]]


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv2d(3, 4, 3, stride=2, padding=1)])
def test_a_sparse_layer_by_autograd_of_its_two_halves(layer: nn.Module) -> None:
    """The output and the inputs' gradient are those of the largest weights, the weights' gradient
    that of the largest inputs.
    """
    torch.manual_seed(0)
    x = torch.randn((5, 6) if isinstance(layer, nn.Linear) else (5, 3, 8, 8), requires_grad=True)

    def plain(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        if isinstance(layer, nn.Conv2d):
            return functional.conv2d(x, weight, layer.bias, 2, 1)
        return functional.linear(x, weight, layer.bias)  # type: ignore[arg-type]

    weight: Any = layer.weight
    with sparse_layers(layer, 0.25):
        output = layer(x)
    direction = torch.randn_like(output)
    found = torch.autograd.grad((output * direction).sum(), (x, weight, layer.bias))
    sparse = plain(x, keep_largest(weight.detach(), 0.25))
    (of_x,) = torch.autograd.grad((sparse * direction).sum(), (x,))
    activations = plain(keep_largest(x.detach(), 0.25), weight)
    of_weight, of_bias = torch.autograd.grad((activations * direction).sum(), (weight, layer.bias))
    assert torch.allclose(output, sparse, atol=1e-6)
    for a, b in zip(found, (of_x, of_weight, of_bias), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert "forward" not in vars(layer)


def test_with_everything_kept_a_client_trains_as_fedavg_does() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    data = ClientData(slot=1, x=torch.randn(8, 1, 4, 4), y=torch.tensor([0, 1] * 4))
    ends = []
    for sparsity in (1e-9, 0.9):
        chosen = method(sparsity=sparsity, mask_ratio=0.9)
        replica = Replica(module)
        update = chosen.client_update(replica, data, CONTEXT)
        ends.append(chosen.received(replica, update).values)
    plain = Replica(module)
    from zo_core.algorithms.methods.fedavg import FedAvg

    fedavg = FedAvg(client_lr=0.5, server_lr=1.0, local_epochs=1, batch_size=4)
    expected = fedavg.client_update(plain, data, CONTEXT)
    assert isinstance(expected, DenseWeights)
    assert np.allclose(ends[0], expected.values, atol=1e-5)
    assert not np.allclose(ends[1], expected.values, atol=1e-3)
