"""Counting a model changes nothing of it, and sees what its modules do by functions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bench.cases.bench_formulas import _listings, _resnet18_rows, _vit_rows
from bench.workloads.layer_counts import count_by_torchinfo, count_layers
from zo_core.cost_model import resnet18_activations

TOKENS, WIDTH = 12, 16


class Functional(nn.Module):
    """A linear layer called as a function on each of some tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight)


def frozen_norm() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU())
    model[1].eval()
    return model.train()  # the norm layer thaws, and is frozen again


def partly_frozen() -> nn.Module:
    model = frozen_norm()
    model[1].eval()
    return model


def evaluated_with_a_training_part() -> nn.Module:
    model = frozen_norm().eval()
    model[1].train()
    return model


@pytest.mark.parametrize("make", [frozen_norm, partly_frozen, evaluated_with_a_training_part])
@pytest.mark.parametrize("by", ["dispatcher", "torchinfo"])
def test_a_count_leaves_modes_and_buffers_as_they_were(
    make: Callable[[], nn.Module], by: str
) -> None:
    model = make()
    modes = [part.training for part in model.modules()]
    buffers = [buffer.clone() for buffer in model.buffers()]

    if by == "torchinfo":
        count_by_torchinfo(model, (3, 8, 8))
    else:
        count_layers(model, torch.randn(1, 3, 8, 8))

    assert [part.training for part in model.modules()] == modes
    assert all(map(torch.equal, buffers, model.buffers()))
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize(
    ("model", "outputs", "mult_adds"),
    [
        (nn.Linear(WIDTH, 2 * WIDTH), 2 * TOKENS * WIDTH, 2 * TOKENS * WIDTH**2),
        (Functional(), 2 * TOKENS * WIDTH, 2 * TOKENS * WIDTH**2),
        (nn.Sequential(nn.Linear(WIDTH, 4), nn.GELU()), 4 * TOKENS, 4 * TOKENS * WIDTH),
    ],
)
def test_tokens_and_functional_calls_count(model: nn.Module, outputs: int, mult_adds: int) -> None:
    counts = count_layers(model, torch.randn(1, TOKENS, WIDTH))
    assert (sum(counts.outputs), counts.mult_adds) == (outputs, mult_adds)


def test_attention_counts() -> None:
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, batch_first=True)
    counts = count_layers(layer, torch.randn(1, TOKENS, WIDTH))
    products = TOKENS * WIDTH * (3 * WIDTH + WIDTH + 2 * 32) + 2 * TOKENS**2 * WIDTH
    assert counts.mult_adds == products
    # in and out projections, both norms, the two linear layers
    assert sum(counts.outputs) == TOKENS * (3 * WIDTH + WIDTH + 2 * WIDTH + 32 + WIDTH)


def test_on_the_papers_model_both_counts_are_the_closed_form() -> None:
    outputs = {each.quantity: each for each in _listings("resnet18")}[
        "layer outputs, floats per item"
    ]
    assert outputs.torchinfo == outputs.counted == resnet18_activations().total


def test_where_torchinfo_leaves_tokens_out_the_difference_is_shown() -> None:
    vit = {each.quantity: each for each in _listings("vit")}
    assert vit["multiply-adds per item"].torchinfo < 0.02 * vit["multiply-adds per item"].counted
    assert vit["parameters"].torchinfo == vit["parameters"].counted == 18_979_338


def test_a_counts_source_is_where_the_expected_figure_comes_from() -> None:
    sources = [row.source for row in (*_resnet18_rows(), *_vit_rows())]
    closed_form = "closed form of the architecture, zo_core.cost_model"
    assert sources == [
        "the paper, figure 8",
        closed_form,
        closed_form,
        "the paper, figure 8",
        "the paper, figure 9",
    ]
