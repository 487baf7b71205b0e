"""A measured step costs the same whatever its loss: it neither diverges nor needs a rate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.workloads.edge import make_plan, measure_round_memory
from bench.workloads.steps import STEP_METHODS, bind_step
from zo_core.loss.passes import counting_passes

STEPS = 20


class Scaled(nn.Module):
    """Multiplies the scores of a linear layer."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.linear, self.factor = nn.Linear(64, 10), factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.factor


def deep() -> nn.Module:
    """Make a network without norm layers whose scores grow from layer to layer."""
    layers = [nn.Linear(64, 64) for _ in range(6)]
    for layer in layers:
        layer.weight.data.mul_(20)
    return nn.Sequential(*layers, nn.Linear(64, 10))


def steep() -> nn.Module:
    return Scaled(1e9)


# The first two ended in a GridError (the run is diverging), the last in a NonFiniteLossError.
DIVERGING = {"steep": steep, "deep": deep, "not finite": lambda: Scaled(float("inf"))}


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 64, generator=generator), torch.arange(8)


@pytest.mark.parametrize("method", [*STEP_METHODS, "zo-by-1", "backprop-accumulated"])
@pytest.mark.parametrize("model", DIVERGING)
def test_a_step_is_measured_on_any_model(model: str, method: str) -> None:
    torch.manual_seed(0)
    step = bind_step(DIVERGING[model](), *data(), method, micro_batch=8)
    for _ in range(STEPS):
        step()


@pytest.mark.parametrize("model", DIVERGING)
def test_a_steady_step_takes_the_passes_of_any_other_and_moves_the_weights(model: str) -> None:
    torch.manual_seed(0)
    module = DIVERGING[model]()
    before = [parameter.detach().clone() for parameter in module.parameters()]
    step = bind_step(module, *data(), "zo", micro_batch=4)
    with counting_passes() as passes:
        step()
    assert (passes.forward_items, passes.backward_items) == (2 * 8, 0)
    assert all((a != b).any() for a, b in zip(before, module.parameters(), strict=True))


def test_a_clients_round_is_measured_on_a_model_that_diverges() -> None:
    plan = make_plan(f"{__name__}:steep@64", "torch", (8, 4, 3))
    assert (measure_round_memory(plan).region.peak_bytes.value or 0) > 0
