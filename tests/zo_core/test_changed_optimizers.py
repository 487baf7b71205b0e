"""torch's ZOSGD over a model that changes: the change is followed, or named before a step."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from zo_core import loss_differences, parameters, snap_
from zo_core.kernels import force_kernel
from zo_core.torch import ZOSGD

X = torch.linspace(-2, 2, 48).sin().reshape(8, 6)
Y = torch.arange(8) % 3
LEFT = "is not part of its model any more"
GROUPS = "trainable parameters of param_groups have changed"


def net() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def loss_of(model: nn.Module) -> torch.Tensor:
    return nn.functional.cross_entropy(model(X).float(), Y)


def assign_state(model: nn.Module, _: ZOSGD) -> None:
    model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, assign=True)


def replace_layer(model: nn.Module, _: ZOSGD) -> None:
    model[2] = nn.Linear(5, 3)  # type: ignore[index]


def replace_parameter(model: nn.Module, _: ZOSGD) -> None:
    model[0].weight = nn.Parameter(torch.zeros(5, 6))  # type: ignore[index]


def tie_weights(model: nn.Module, _: ZOSGD) -> None:
    model[2].bias = nn.Parameter(model[0].bias[:3].detach())  # type: ignore[index]


def normalise_weights(model: nn.Module, _: ZOSGD) -> None:
    parametrizations.weight_norm(model[0])  # type: ignore[index]


def add_to_group(_: nn.Module, optimizer: ZOSGD) -> None:
    optimizer.param_groups[0]["params"].append(nn.Parameter(torch.zeros(3)))


def replace_group(_: nn.Module, optimizer: ZOSGD) -> None:
    optimizer.param_groups[0]["params"] = list(net().parameters())


def thaw(model: nn.Module, _: ZOSGD) -> None:
    model[0].bias.requires_grad_(True)  # type: ignore[index]


@pytest.mark.parametrize("grid", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (assign_state, LEFT),
        (replace_layer, LEFT),
        (replace_parameter, LEFT),
        (tie_weights, LEFT),
        (normalise_weights, LEFT),
        (add_to_group, GROUPS),
        (replace_group, GROUPS),
        (thaw, GROUPS),
    ],
)
def test_a_model_that_training_would_not_reach_is_named(
    change: Callable[[nn.Module, ZOSGD], None], words: str, grid: bool
) -> None:
    model = net()
    model[0].bias.requires_grad_(False)
    optimizer = ZOSGD(model.parameters(), lr=0.01, run_seed=1, grid=grid)
    optimizer.step(lambda: loss_of(model))
    change(model, optimizer)
    with pytest.raises(ValueError, match=words):
        optimizer.step(lambda: loss_of(model))


def test_a_parametrization_that_keeps_the_parameter_is_followed() -> None:
    class Doubled(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return 2 * weight

    model = net()
    optimizer = ZOSGD(model.parameters(), lr=0.01, run_seed=1)
    optimizer.step(lambda: loss_of(model))
    nn.utils.parametrize.register_parametrization(model[0], "weight", Doubled())
    before = model[0].weight.clone()
    optimizer.step(lambda: loss_of(model))
    assert not torch.equal(model[0].weight, before)


def test_tensors_of_no_module_are_trained() -> None:
    weight = nn.Parameter(torch.ones(4))
    optimizer = ZOSGD([weight], lr=0.01, run_seed=1)
    for _ in range(2):
        optimizer.step(lambda: weight.square().sum())
    assert not torch.equal(weight, torch.ones(4))


@pytest.mark.parametrize("grid", [True, False])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_of_model_and_optimizer_takes_the_steps_of_the_original(
    copied: Callable[[tuple[nn.Module, ZOSGD]], tuple[nn.Module, ZOSGD]], grid: bool
) -> None:
    model = net()
    optimizer = ZOSGD(model.named_parameters(), lr=0.01, run_seed=1, grid=grid)
    optimizer.step(lambda: loss_of(model))
    twin, its_optimizer = copied((model, optimizer))
    for module, own in ((model, optimizer), (twin, its_optimizer)):
        own.step(lambda module=module: loss_of(module))
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_loss_that_no_direction_changes_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, other = net(), net()
    optimizer = ZOSGD(model.parameters(), lr=0.01, run_seed=1)
    with caplog.at_level(logging.WARNING, logger="zo_core"):
        for _ in range(3):
            optimizer.step(lambda: loss_of(other))
    assert sum("trains nothing" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("kernel", ["numpy", "torch"])
@pytest.mark.parametrize("on_grid", [True, False])
def test_autocast_around_a_whole_step_sees_each_pass(kernel: str, on_grid: bool) -> None:
    """GIVEN an autocast context that keeps converted weights from forward to forward."""
    model = net()
    grid = snap_(model) if on_grid else None
    weights = parameters([model[0].weight, model[2].weight])

    def loss() -> float:
        with torch.no_grad():
            return float(loss_of(model))

    def apart() -> float:
        with torch.autocast("cpu", torch.bfloat16):
            return loss()

    options = {"epsilon": 0.0625, "grid": None if grid is None else _of(grid, [0, 2])}
    with force_kernel(kernel):
        expected = loss_differences(apart, weights, [1, 2], **options)
        with torch.autocast("cpu", torch.bfloat16):
            found = loss_differences(loss, weights, [1, 2], **options)
    assert found.tolist() == expected.tolist()
    assert all(found)


def _of(grid, tensors):
    from zo_core import Grid

    return Grid(grid.exponents[tensors])
