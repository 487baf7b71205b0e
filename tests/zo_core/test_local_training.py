"""Losses by forwards alone, in micro-batches, and first-order local training."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from zo_core.first_order.sgd import local_sgd_, sgd_step_
from zo_core.loss.module_loss import correct_items, evaluating, mean_loss, micro_batches
from zo_core.models import build_model
from zo_core.philox import Purpose, random_permutations

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def batch(items: int = 37) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(items, 1, 8, 8, generator=generator)
    return x, torch.randint(0, 10, (items,), generator=generator)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("micro_batch", [1, 5, 36, 37, 1000])
def test_a_micro_batched_loss_is_the_whole_batchs(norm: str, micro_batch: int) -> None:
    model, (x, y) = build_model("cnn", in_channels=1, image_size=8, norm=norm, run_seed=1), batch()
    whole = mean_loss(model, x, y)
    assert mean_loss(model, x, y, micro_batch=micro_batch) == pytest.approx(whole, rel=1e-6)
    with torch.no_grad(), evaluating(model):
        logits = model(x).double()
    truth = [
        math.log(math.fsum(row.exp().tolist())) - float(row[label])
        for row, label in zip(logits, y, strict=True)
    ]
    assert whole == pytest.approx(math.fsum(truth) / len(y), rel=1e-6)


def test_the_sum_is_in_float64() -> None:
    """Ten thousand items of 2^-24 on top of one of 1: float32 would lose them all, one by one."""
    x = torch.full((10_001, 1), 2.0**-24)
    x[0] = 1.0
    found = mean_loss(
        nn.Identity(), x, torch.zeros(10_001), micro_batch=1, criterion=lambda out, _y: out[:, 0]
    )
    assert found * 10_001 == pytest.approx(1 + 10_000 * 2.0**-24, rel=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_a_loss_touches_no_running_statistic_and_no_mode(training: bool) -> None:
    model = build_model("cnn", in_channels=1, image_size=8, norm="batch", run_seed=1)
    model.train(training)
    before = [t.clone() for t in model.state_dict().values()]
    x, y = batch()
    mean_loss(model, x, y)
    correct_items(model, x, y)
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))
    assert all(m.training == training for m in model.modules())


def test_evaluation_mode_ends_with_an_exception_too_and_keeps_each_modules_own_mode() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Dropout()))
    model[0].eval()  # frozen by its owner, in a model that trains

    def fail() -> None:
        with evaluating(model):
            assert not any(m.training for m in model.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [m.training for m in model.modules()] == [True, False, True, True]
    model.eval()
    model[0].train()  # forgotten there
    with evaluating(model):
        assert not any(m.training for m in model.modules())
    assert [m.training for m in model.modules()] == [False, True, False, False]


def test_correct_items_are_counted() -> None:
    outputs = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    y = torch.tensor([1, 1, 1])
    assert correct_items(nn.Identity(), outputs, y, micro_batch=2).sum() == 2


@pytest.mark.parametrize("size", [0, -1])
def test_a_micro_batch_below_one_is_an_error(size: int) -> None:
    with pytest.raises(ValueError, match=f"micro_batch must be >= 1 or None, got {size}"):
        mean_loss(nn.Identity(), *batch(), micro_batch=size)


def test_no_items_are_an_error_with_a_way_out() -> None:
    with pytest.raises(ValueError, match="no items does not exist; give every client data"):
        mean_loss(nn.Identity(), *batch(0))


def test_micro_batches_are_views_in_order() -> None:
    x, y = batch()
    parts = list(micro_batches(x, y, 10))
    assert [len(part) for part, _ in parts] == [10, 10, 10, 7]
    assert torch.equal(torch.cat([part for part, _ in parts]), x)
    assert torch.equal(torch.cat([labels for _, labels in parts]), y)
    assert parts[1][0].data_ptr() == x[10:].data_ptr()


def test_an_sgd_step_is_torchs() -> None:
    x, y = batch()
    ours, theirs = (build_model("cnn", in_channels=1, image_size=8, run_seed=1) for _ in range(2))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.3)
    for _ in range(3):
        sgd_step_(ours, x, y, lr=0.3)
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(x), y).backward()
        optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6)
        assert p.grad is None


def test_local_sgd_walks_the_streams_permutations_in_training_mode() -> None:
    seen: list[list[float]] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert self.training
            seen.append(x[:, 0].tolist())
            return x * self.w

    x = torch.arange(7.0)[:, None]
    where = {"run_seed": 3, "round_index": 4, "client_id": 5}
    local_sgd_(
        *(Spy().eval(), x, torch.zeros(7)),
        lr=0.1,
        epochs=2,
        batch_size=3,
        criterion=lambda out, _y: out[:, 0],
        **where,
    )
    orders = random_permutations(3, Purpose.SHUFFLE, 7, rows=2, a=4, b=5).tolist()
    assert [len(items) for items in seen] == [3, 3, 1, 3, 3, 1]
    assert [int(i) for items in seen for i in items] == orders[0] + orders[1]
