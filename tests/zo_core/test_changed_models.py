"""A model that changes under a held reference is noticed before a step, or the step reaches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zo_core import ZOSGD, Grid, apply_updates_, digest, loss_differences, parameters, snap_
from zo_core.loss.module_loss import mean_loss
from zo_core.models import build_model
from zo_core.replica import Replica
from zo_core.weight_grid import check_grid

X = torch.linspace(-2, 2, 48).sin().reshape(8, 6)
Y = torch.arange(8) % 3


def model() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def assign_state(module: nn.Module) -> None:
    module.load_state_dict({k: v.clone() for k, v in module.state_dict().items()}, assign=True)


def replace_layer(module: nn.Module) -> None:
    module[2] = nn.Linear(5, 3)  # type: ignore[index]


def replace_parameter(module: nn.Module) -> None:
    module[0].weight = nn.Parameter(torch.zeros(5, 6))  # type: ignore[index]


def add_layer(module: nn.Module) -> None:
    module.append(nn.Linear(3, 3))  # type: ignore[operator]


def replace_memory(module: nn.Module) -> None:
    module[2].bias.data = torch.zeros(3)  # type: ignore[index]


CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "double": lambda module: module.double(),
    "bfloat16": lambda module: module.bfloat16(),
    "state assigned": assign_state,
    "layer replaced": replace_layer,
    "parameter replaced": replace_parameter,
    "layer added": add_layer,
    "memory replaced": replace_memory,
    "layer frozen": lambda module: module[0].requires_grad_(False),  # type: ignore[index]
}


@pytest.mark.parametrize("on_grid", [True, False])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_optimizer_of_a_changed_model_says_so(
    change: Callable[[nn.Module], object], on_grid: bool
) -> None:
    module = model()
    grid = snap_(module) if on_grid else None
    optimizer = ZOSGD(module, lr=0.1, epsilon=1e-3, run_seed=1, grid=grid)
    optimizer.step(partial(mean_loss, module, X, Y))
    change(module)
    with pytest.raises(ValueError, match=r"has changed since.*zo_core\.parameters again"):
        optimizer.step(partial(mean_loss, module, X.double(), Y))
    assert optimizer.steps_taken == 1


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_replica_of_a_changed_model_says_so(change: Callable[[nn.Module], object]) -> None:
    replica = Replica(model())
    change(replica.module)
    for act in (replica.digest, replica.values, replica.trained_state):
        with pytest.raises(ValueError, match="has changed since"):
            act()


def test_what_changes_values_alone_is_followed() -> None:
    module = model()
    optimizer = ZOSGD(module, lr=0.1, epsilon=1e-3, run_seed=1)
    module.load_state_dict(model().state_dict())
    module.train()
    module.float()  # of what is float32 already
    before = module[0].weight.detach().clone()
    updates = optimizer.step(partial(mean_loss, module, X, Y))
    assert updates[0][1] != 0.0
    assert not torch.equal(module[0].weight, before)


def test_tensors_of_a_list_whose_memory_is_replaced_are_noticed() -> None:
    module = model()
    optimizer = ZOSGD(module.parameters(), lr=0.1, epsilon=1e-3, run_seed=1)
    module.double()
    with pytest.raises(ValueError, match="parameter '0' has changed since"):
        optimizer.step(partial(mean_loss, module, X.double(), Y))


def other_count() -> tuple[Any, Grid]:
    return model(), snap_(nn.Linear(3, 2))


def other_weights() -> tuple[Any, Grid]:
    """As many tensors, which are not on this grid."""
    return [np.array([0.3, 0.7], np.float32)], Grid(np.array([-20]))


def other_dtype() -> tuple[Any, Grid]:
    module = model()
    grid = snap_(module)
    return module.bfloat16(), grid


@pytest.mark.parametrize("given", [other_count, other_weights, other_dtype])
def test_a_grid_of_another_model_is_refused(given: Callable[[], tuple[Any, Grid]]) -> None:
    params, grid = given()
    before = digest(params)
    with pytest.raises(ValueError, match="the grid that snap_ returned for this model"):
        loss_differences(lambda: 0.0, params, [1], epsilon=0.01, grid=grid)
    with pytest.raises(ValueError, match="the grid that snap_ returned for this model"):
        apply_updates_(params, [(1, 0.5)], 0.1, epsilon=0.01, grid=grid)
    assert digest(params) == before


@pytest.mark.parametrize(
    "view",
    [
        torch.zeros(1).expand(5),
        torch.zeros(3, 1).expand(3, 4),
        torch.zeros(8).as_strided((4, 3), (1, 1)),
        np.lib.stride_tricks.as_strided(np.zeros(8, np.float32), (4, 3), (4, 4)),
    ],
)
def test_a_view_whose_elements_coincide_is_refused(view: Any) -> None:
    with pytest.raises(ValueError, match="several elements at one place in memory"):
        parameters([view])


def test_looking_costs_less_than_a_hundredth_of_a_step_of_the_small_cnn() -> None:
    module = build_model("cnn", num_classes=10, in_channels=1, image_size=8, run_seed=0)
    x, y = torch.randn(32, 1, 8, 8), torch.arange(32) % 10
    grid = snap_(module)
    numbered = parameters(module)
    optimizer = ZOSGD(module, lr=1e-3, epsilon=1e-3, run_seed=0, directions=3, grid=grid)

    def look() -> None:
        for _ in range(10):
            parameters(numbered)
            check_grid(numbered, grid)  # before the losses
            check_grid(numbered, grid)  # and before the update

    looks = step = float("inf")
    for _ in range(20):
        looks = min(looks, _seconds(look) / 10)
        step = min(step, _seconds(lambda: optimizer.step(partial(mean_loss, module, x, y))))
    assert looks < 0.01 * step


def _seconds(act: Callable[[], object]) -> float:
    started = time.process_time()  # what else runs on the machine does not count
    act()
    return time.process_time() - started
