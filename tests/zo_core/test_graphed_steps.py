"""Steps by graphs: the plain step's bits, one capture per shape, and plain steps where it fails."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tape_graphs import TapeGraphs
from torch import nn

from zo_core.algorithms import train_config
from zo_core.data import synthetic_blobs
from zo_core.federation.simulation import training as simulation
from zo_core.federation.simulation.training import Training
from zo_core.first_order.graphed_steps import MOST_GRAPHS, PLAIN_STEPS, GraphedSteps
from zo_core.first_order.sgd import local_sgd_, sgd_step_
from zo_core.models import build_model

ITEMS, BATCH, EPOCHS = 20, 8, 4  # two whole batches and one of 4 items per epoch


def cnn(norm: str = "group") -> nn.Module:
    return build_model("cnn", num_classes=10, in_channels=1, image_size=8, norm=norm, run_seed=0)


def items(client: int, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(client)
    x = torch.randn(ITEMS, 1, 8, 8, generator=generator)
    return x.to(device), (torch.arange(ITEMS) % 10).to(device)


def train(
    module: nn.Module,
    *,
    client: int = 0,
    lr: float = 0.1,
    data: tuple[torch.Tensor, torch.Tensor] | None = None,
    **changes: Any,
) -> None:
    x, y = data or items(client)
    fields = {"epochs": EPOCHS, "batch_size": BATCH, "run_seed": 1, "round_index": 0}
    local_sgd_(module, x, y, lr=lr, client_id=client, **(fields | changes))


def assert_same_bits(module: nn.Module, other: nn.Module) -> None:
    for name, value in module.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_steps_by_graphs_have_the_plain_steps_bits(norm: str) -> None:
    plain, graphed = cnn(norm), cnn(norm)
    api = TapeGraphs(graphed)
    steps = GraphedSteps(graphed, api)
    for client in range(3):
        train(plain, client=client)
        with steps.active():
            train(graphed, client=client)
        assert_same_bits(plain, graphed)
    # THEN each of the two shapes was captured once for all clients, after its plain steps
    assert api.captured == steps.captures == 2
    assert api.beside == 2 * PLAIN_STEPS
    assert api.replayed == 3 * EPOCHS * 3 - 2 * PLAIN_STEPS
    assert all(parameter.grad is None for parameter in graphed.parameters())


def test_a_rate_or_a_mode_of_its_own_has_a_graph_of_its_own() -> None:
    plain, graphed = cnn(), cnn()
    steps = GraphedSteps(graphed, TapeGraphs(graphed))
    for changes in ({"lr": 0.1}, {"lr": 0.02}, {"lr": 0.1, "training_mode": False}):
        train(plain, batch_size=10, **changes)
        with steps.active():
            train(graphed, batch_size=10, **changes)
    assert_same_bits(plain, graphed)
    assert steps.captures == 3


def test_shapes_beyond_the_bound_stay_plain() -> None:
    plain, graphed = cnn(), cnn()
    steps = GraphedSteps(graphed, TapeGraphs(graphed))
    for batch in (20, 10, 5, 4, 2, 1):
        train(plain, batch_size=batch)
        with steps.active():
            train(graphed, batch_size=batch)
    assert steps.captures == MOST_GRAPHS
    assert_same_bits(plain, graphed)


def test_a_copy_of_the_module_and_other_steps_stay_as_they_are() -> None:
    module = cnn()
    api = TapeGraphs(module)
    taken = []

    def own_step(module: nn.Module, *arguments: Any, **named: Any) -> None:
        taken.append(module)
        sgd_step_(module, *arguments, **named)

    with GraphedSteps(module, api).active():
        train(copy.deepcopy(module))
        train(module, step=own_step)
    assert (api.captured, api.beside) == (0, 0)
    assert len(taken) == EPOCHS * 3


class WithAHostsDecision(nn.Module):
    """A forward that reads a value of the device: no graph can hold it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = cnn()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = 1.0 if float(x.abs().max()) < 1e6 else 0.5
        return torch.as_tensor(self.inner(x)) * scale


def test_where_a_capture_fails_the_steps_are_plain_and_one_line_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain, graphed = WithAHostsDecision(), WithAHostsDecision()
    api = TapeGraphs(graphed)
    steps = GraphedSteps(graphed, api)
    with caplog.at_level(logging.WARNING), steps.active():
        train(graphed)
        train(graphed, client=1)
    train(plain)
    train(plain, client=1)
    assert_same_bits(plain, graphed)
    assert (api.captured, api.replayed) == (0, 0)
    assert [record.name for record in caplog.records] == ["zo_core.first_order"]
    assert "not permitted" in caplog.text
    assert "not permitted" in (steps.failure or "")


def test_an_error_of_the_model_is_not_taken_for_a_failed_capture() -> None:
    module = cnn()
    steps = GraphedSteps(module, TapeGraphs(module))
    with steps.active(), pytest.raises(ValueError, match="scores"):
        train(module, criterion=lambda outputs, y: _raise(ValueError("no scores")))
    assert steps.failure is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device_steps_by_graphs_are_the_plain_ones_and_never_wait() -> None:
    plain, graphed = cnn().cuda(), cnn().cuda()
    steps = GraphedSteps(graphed)
    first, second = items(0, "cuda"), items(1, "cuda")
    train(plain, data=first)
    train(plain, client=1, data=second)
    with steps.active():
        train(graphed, data=first)  # captures
        torch.cuda.set_sync_debug_mode("error")
        try:
            train(graphed, client=1, data=second)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert (steps.captures, steps.failure) == (2, None)
    for a, b in zip(plain.parameters(), graphed.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def _raise(error: Exception) -> torch.Tensor:
    raise error


CONFIG: dict[str, Any] = {
    **{"dataset": "synthetic", "clients": 4, "high_share": 0.5, "warmup_cohort": 2},
    **{"rounds": 4, "pivot": 2, "eval_every": 4, "batch_size": 8},
}


@pytest.mark.parametrize(
    ("algorithm", "captures"), [("zowarmup", True), ("zowarmup-fedadam", True), ("dgc", False)]
)
def test_a_warm_up_by_graphs_is_the_same_run_and_frees_them_at_the_hand_over(
    algorithm: str, captures: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = train_config(algorithm, **CONFIG)
    data = synthetic_blobs(train_items=160, test_items=20)
    plain = Training(config, data).run()
    training = Training(config, data)
    api = TapeGraphs(training.replica.module)
    steps = GraphedSteps(training.replica.module, api)
    training._steps = steps
    record = training.run()
    assert record.digest == plain.digest
    assert (api.captured > 0) == captures
    assert steps.captures == 0  # they were freed, or there were none
    assert training.record.passes_by_method == plain.passes_by_method


def test_graphs_are_made_on_cuda_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Callable[..., Any]] = []
    monkeypatch.setattr(simulation, "GraphedSteps", made.append)
    Training(train_config(**CONFIG), synthetic_blobs(train_items=80, test_items=20))
    assert made == []
