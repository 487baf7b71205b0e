"""The closed forms give the paper's numbers to the digit, and its listing is re-derived."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zo_core import cost_model
from zo_core.cost_model import ActivationCounts

MB = 1e6
P = 11_173_962
LEAF = cost_model.resnet18_activations()
LISTED = cost_model.resnet18_listed_activations()


def in_mb(size_bytes: int) -> float:
    return round(size_bytes / MB, 1)


def test_resnet18_has_the_papers_parameters() -> None:
    assert cost_model.resnet18_parameters() == P
    assert cost_model.resnet18_parameters(num_classes=1000) == 11_681_832


def test_resnet18_has_the_papers_outputs() -> None:
    assert LEAF.total == 1_228_810
    assert LEAF.largest == 64 * 32 * 32
    assert ActivationCounts(total=1_728_512 + 5_120, largest=64 * 32 * 32) == LISTED


def test_the_papers_table_1_comes_out_to_the_digit() -> None:
    assert in_mb(cost_model.mem_full(P, LISTED, 64)) == 533.2
    assert in_mb(cost_model.FLOAT_BYTES * 2 * P) == 89.4  # eq. 5 without its activations
    assert in_mb(cost_model.comm_full(P)) == 44.7
    assert in_mb(cost_model.mem_full(P, LEAF, 64)) == 404.0


def test_the_papers_link_costs_three_seeds_ten_clients() -> None:
    assert cost_model.comm_zo_up(3) == 12
    assert cost_model.comm_zo_down(3, 10) == 120


# batch, ZO by eq. 5, ZO with one copy, backprop by leaf rows, backprop by the paper's count: MB
TABLE = [
    (1, 89.7, 45.0, 94.3, 96.3),
    (8, 91.5, 46.8, 128.7, 144.9),
    (32, 97.8, 53.1, 246.7, 311.3),
    (64, 106.2, 61.5, 404.0, 533.2),
    (225, 148.4, 103.7, 1195.3, 1649.7),
    (450, 207.4, 162.7, 2301.2, 3209.9),
    (900, 325.3, 280.6, 4513.1, 6330.5),
    (1000, 351.5, 306.8, 5004.6, 7023.9),
]


@pytest.mark.parametrize(("batch", "zo", "zo_one_copy", "leaf", "listed"), TABLE)
def test_memory_at_each_batch_size(
    batch: int, zo: float, zo_one_copy: float, leaf: float, listed: float
) -> None:
    assert in_mb(cost_model.mem_zero(P, LEAF, batch)) == zo
    assert in_mb(cost_model.mem_zero(P, LEAF, batch, copies=1)) == zo_one_copy
    assert in_mb(cost_model.mem_full(P, LEAF, batch)) == leaf
    assert in_mb(cost_model.mem_full(P, LISTED, batch)) == listed


# --- the listing that 533.2 comes from -----------------------------------------------------------


class Block(nn.Module):
    """A basic block as it is usually written, its shortcut a Sequential that may be empty."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(2, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(2, outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.append(nn.GroupNorm(2, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class UsualResNet18(nn.Module):
    """The CIFAR ResNet18 with layer1 .. layer4, as in figure 8 of the paper."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.norm1 = nn.GroupNorm(2, 64)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
        self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))
        self.linear = nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


def test_the_papers_count_is_a_torchinfo_listing_with_its_containers() -> None:
    """Every row down to depth 3, containers too, gives 1,728,512 floats and the classifier's 10
    outputs; the paper's symbols put its 512 * 10 weights in the place of the latter.
    """
    import torchinfo

    summary = torchinfo.summary(UsualResNet18(), (1, 3, 32, 32), depth=3, verbose=0, device="cpu")
    rows = [row for row in summary.summary_list if 1 <= row.depth <= 3]
    by_name = [(row.class_name, math.prod(row.output_size[1:])) for row in rows]
    assert summary.total_params == P
    assert by_name[-1] == ("Linear", 10)
    assert sum(floats for _, floats in by_name[:-1]) == 1_728_512
    assert LISTED.total == 1_728_512 + 512 * 10


def test_leaf_outputs_are_those_of_the_layers_that_hold_parameters() -> None:
    outputs = []

    def note(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        outputs.append(output[0].numel())

    model = UsualResNet18()
    for module in model.modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(note)
    with torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    assert (sum(outputs), max(outputs)) == (LEAF.total, LEAF.largest)
