"""zo_core.torch.ZOSGD: what torch's ecosystem expects of an optimizer, without a gradient."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from zo_core import NonFiniteLossError, UpdateLog, apply_updates_, digest, snap_
from zo_core.torch import ZOSGD

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = (X[:, 0] > 0).long()


def model(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 2))


def loss_of(module: nn.Module) -> Callable[[], torch.Tensor]:
    return lambda: nn.functional.cross_entropy(module(X), Y)


def two_groups(module: Any, first_lr: float, second_lr: float) -> ZOSGD:
    named = list(module.named_parameters())
    groups = [{"params": named[:2], "lr": first_lr}, {"params": named[2:], "lr": second_lr}]
    return ZOSGD(groups, lr=1.0)


def test_defaults_descend() -> None:
    module = model()
    optimizer = ZOSGD(module.parameters(), lr=0.05)
    losses = [optimizer.step(loss_of(module)) for _ in range(150)]
    assert isinstance(losses[0], float)
    assert losses[-1] < 0.7 * losses[0]  # type: ignore[operator]


def test_the_seed_follows_manual_seed() -> None:
    results = []
    for seed in (1, 1, 2):
        module = model()
        torch.manual_seed(seed)
        optimizer = ZOSGD(module.parameters(), lr=0.05)
        optimizer.step(loss_of(module))
        results.append(digest(module))
    assert results[0] == results[1] != results[2]


def test_groups_of_one_rate_step_as_one_group() -> None:
    alone, grouped = model(), model()
    one = ZOSGD(alone.parameters(), lr=0.05)
    two = two_groups(grouped, 0.05, 0.05)
    for _ in range(5):
        one.step(loss_of(alone))
        two.step(loss_of(grouped))
    assert digest(alone) == digest(grouped)


def test_each_group_moves_by_its_own_rate() -> None:
    module = model()
    optimizer = two_groups(module, 0.05, 0.0)
    snap_(module)  # what the first step does
    before = [p.detach().clone() for p in module.parameters()]
    optimizer.step(loss_of(module))
    moved = [not torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True)]
    assert moved == [True, True, False, False]


def test_a_group_without_trainable_parameters_is_left_alone() -> None:
    module = model()
    optimizer = two_groups(module, 0.05, 0.05)
    module[3].requires_grad_(False)
    before = module[3].weight.detach().clone()
    optimizer.step(loss_of(module))
    assert torch.equal(module[3].weight, before)
    assert optimizer.log().header.names == ("0.weight", "0.bias")


def test_tied_tensors_are_one() -> None:
    module = model()
    module[3] = nn.Linear(6, 8)
    module[3].weight = module[0].weight
    tensors = [module[0].weight, module[0].bias, module[3].weight.data, module[3].bias]
    tensors[2] = nn.Parameter(tensors[2])
    optimizer = ZOSGD(tensors, lr=0.05)
    optimizer.step(lambda: module[0](X).square().mean())
    assert optimizer.log().header.names == ("0", "1", "3")


@pytest.mark.parametrize("directions", [1, 3])
def test_a_closure_runs_twice_per_direction_without_gradients(directions: int) -> None:
    module = model()
    optimizer = ZOSGD(module.parameters(), lr=0.05, directions=directions)
    modes = []

    def closure() -> torch.Tensor:
        modes.append(torch.is_grad_enabled())
        return loss_of(module)()

    assert optimizer.step(closure) == pytest.approx(math.log(2), abs=0.3)
    assert modes == [False] * 2 * directions
    assert all(p.grad is None for p in module.parameters())


def test_every_forward_of_a_step_has_the_same_dropout() -> None:
    module = model(dropout=0.5)
    optimizer = ZOSGD(module.parameters(), lr=0.05, directions=2)
    drawn = []

    def closure() -> torch.Tensor:
        drawn.append(torch.rand(3).tolist())
        return loss_of(module)()

    optimizer.step(closure)
    state = torch.get_rng_state()
    assert drawn == [drawn[0]] * 4
    optimizer.step(closure)
    assert drawn[4] != drawn[0]
    assert not torch.equal(state, torch.get_rng_state())


SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=10),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=10, cycle_momentum=False),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (step + 1)),
    "sequential": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, 0.1, total_iters=3), lr_scheduler.ExponentialLR(o, 0.9)],
        milestones=[3],
    ),
}


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
def test_schedulers_set_the_rate_of_each_step(make: Callable[[Any], Any]) -> None:
    module = model()
    optimizer = two_groups(module, 0.04, 0.02)
    scheduler = make(optimizer)
    expected = []
    for _ in range(8):
        expected.append(tuple(scheduler.get_last_lr()))
        optimizer.step(loss_of(module))
        scheduler.step()
    assert [step.rates for step in optimizer.log().steps()] == expected
    assert len(set(expected)) > 1


def test_a_plateau_lowers_the_rate() -> None:
    module = model()
    optimizer = ZOSGD(module.parameters(), lr=0.5)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    for _ in range(3):
        optimizer.step(loss_of(module))
        scheduler.step(1.0)
    assert optimizer.param_groups[0]["lr"] < 0.5


def test_estimates_of_several_batches_are_averaged() -> None:
    module, copy = model(), model()
    optimizer = ZOSGD(module.parameters(), lr=0.1)
    optimizer.zero_grad()
    for part in (slice(0, 16), slice(16, 32)):
        optimizer.estimate(lambda part=part: nn.functional.cross_entropy(module(X[part]), Y[part]))
    assert optimizer.step() is None
    (step,) = optimizer.log().steps()
    assert len(step.updates) == len({seed for seed, _ in step.updates}) == 2
    grid = snap_(copy)
    apply_updates_(copy, step.updates, 0.1, epsilon=1e-3, grid=grid)
    assert digest(copy) == digest(module)


def test_zero_grad_drops_estimates() -> None:
    module = model()
    optimizer = ZOSGD(module.parameters(), lr=0.1)
    optimizer.estimate(loss_of(module))
    optimizer.zero_grad()
    with pytest.raises(ValueError, match="updates is empty"):
        optimizer.step()


def resumed(module: nn.Module, weights: Any, state: Any) -> ZOSGD:
    module.load_state_dict(weights)
    optimizer = ZOSGD(module.named_parameters(), lr=1.0, run_seed=99)
    body = io.BytesIO()
    torch.save(state, body)
    body.seek(0)
    optimizer.load_state_dict(torch.load(body, weights_only=True))
    return optimizer


@pytest.mark.parametrize("grid", [True, False])
def test_a_resumed_run_ends_with_the_same_bits(grid: bool) -> None:
    module, other = model(), model()
    optimizer = ZOSGD(
        module.named_parameters(), lr=0.1, tau=0.5, directions=2, run_seed=7, grid=grid
    )
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    for index in range(10):
        if index == 4:
            weights = {k: v.clone() for k, v in module.state_dict().items()}
            state, rates = optimizer.state_dict(), scheduler.state_dict()
        optimizer.step(loss_of(module))
        scheduler.step()
    second = resumed(other, weights, state)
    schedule = lr_scheduler.ExponentialLR(second, 0.9)
    schedule.load_state_dict(rates)
    second.param_groups[0]["lr"] = schedule.get_last_lr()[0]
    for _ in range(6):
        second.step(loss_of(other))
        schedule.step()
    assert digest(other) == digest(module)
    if grid:
        assert second.log().encode() == optimizer.log().encode()


def test_a_state_before_the_first_step_can_be_loaded() -> None:
    """accelerate does so with each optimizer that it prepares."""
    module = model()
    optimizer = ZOSGD(module.parameters(), lr=0.1)
    before = digest(module)
    optimizer.load_state_dict(optimizer.state_dict())
    assert digest(module) == before
    optimizer.step(loss_of(module))
    assert optimizer.log().num_steps == 1


def test_resuming_with_other_weights_is_refused() -> None:
    module = model()
    optimizer = ZOSGD(module.named_parameters(), lr=0.1)
    optimizer.step(loss_of(module))
    state = optimizer.state_dict()
    optimizer.step(loss_of(module))
    second = resumed(model(), module.state_dict(), state)
    with pytest.raises(ValueError, match="checkpoint of the same step"):
        second.step(loss_of(module))


def test_a_closure_that_calls_backward_is_named_and_changes_nothing() -> None:
    module = model()
    snap_(module)
    before = digest(module)
    optimizer = ZOSGD(module.parameters(), lr=0.1)

    def closure() -> torch.Tensor:
        loss = loss_of(module)()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with pytest.raises(RuntimeError, match=r"remove loss\.backward"):
        optimizer.step(closure)
    assert digest(module) == before


@pytest.mark.parametrize(("loss", "error"), [(float("nan"), NonFiniteLossError), (None, TypeError)])
def test_a_loss_that_is_none_changes_nothing(loss: Any, error: type[Exception]) -> None:
    module = model()
    snap_(module)
    before = digest(module)
    with pytest.raises(error):
        ZOSGD(module.parameters(), lr=0.1).step(lambda: loss)
    assert digest(module) == before


def test_plain_mode_trains_other_dtypes_and_has_no_log() -> None:
    module = model().double()
    optimizer = ZOSGD(module.parameters(), lr=0.05, grid=False)
    losses = [
        optimizer.step(lambda: nn.functional.cross_entropy(module(X.double()), Y))
        for _ in range(100)
    ]
    assert losses[-1] < losses[0]  # type: ignore[operator]
    with pytest.raises(ValueError, match="plain mode has no log"):
        optimizer.log()
    with pytest.raises(ValueError, match="float32"):
        ZOSGD(module.parameters(), lr=0.05).step(lambda: 0.0)


def test_what_cannot_be_is_refused() -> None:
    module = model()
    for wrong in ({"epsilon": 0.0}, {"tau": -1.0}, {"directions": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ZOSGD(module.parameters(), lr=0.1, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weight_decay"):
        ZOSGD([{"params": list(module.parameters()), "weight_decay": 0.1}], lr=0.1)
    optimizer = ZOSGD(module.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="before the first step"):
        optimizer.log()
    with pytest.raises(ValueError, match="must be one of zo_core"):
        optimizer.load_state_dict(torch.optim.SGD(module.parameters(), lr=0.1).state_dict())
    optimizer.step(loss_of(module))
    with pytest.raises(ValueError, match="after the first step"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})


def test_a_rate_below_the_grids_resolution_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    module = model()
    optimizer = ZOSGD(module.parameters(), lr=1e-12)
    for _ in range(12):
        optimizer.step(loss_of(module))
    assert [record.name for record in caplog.records] == ["zo_core.zosgd"]


def test_the_end_of_a_schedule_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    module = model()
    optimizer = ZOSGD(module.parameters(), lr=0.05)
    scheduler = lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=9)
    for _ in range(12):
        optimizer.step(loss_of(module))
        scheduler.step()
    assert caplog.records == []


class LightningLoop:
    """What Lightning does in manual optimisation: its wrapper passes the closure through."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def step(self, closure: Callable[[], Any], **options: Any) -> Any:
        return self._optimizer.step(closure=closure, **options)


def test_a_loop_in_lightnings_manner_trains() -> None:
    module = model(dropout=0.1)
    module.train()
    optimizer = ZOSGD(module.parameters(), lr=0.05)
    scheduler = lr_scheduler.StepLR(optimizer, 50)
    wrapped = LightningLoop(optimizer)
    losses = []
    for _ in range(150):
        losses.append(wrapped.step(closure=loss_of(module)))
        optimizer.zero_grad()
        scheduler.step()
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    assert isinstance(optimizer.log(), UpdateLog)
