"""Residual networks for small images: the paper's ResNet18 and a small one of the same blocks.

The paper's network (Legate, Rish, Belilovsky, "Warming Up for Zeroth-Order Federated Pre-Training
with Low Resource Clients", 2025, arXiv 2509.03503, Figure 8) is the CIFAR variant of He et al.,
"Deep Residual Learning for Image Recognition", 2016, arXiv 1512.03385: 3x3 stem of stride 1, no
max-pool, bias-free convolutions, 1x1 convolution and norm on the shortcuts that change shape.

Memory is what this project measures, so the forward holds no map that it does not need.  In
inference at most three maps of the widest size are alive at once (a block's input, a layer's input
and its output), by four rules: ReLU and the residual sum work in place, where autograd has saved
nothing that they overwrite; each layer is a statement of its own, so that no name keeps the map
before last; the shortcut is computed last; and the network loops over the blocks itself, because a
nested container's caller would hold the stage's input until the stage is done.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from zo_core.models.config import ModelConfig


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with norms, and a shortcut around them."""

    def __init__(
        self, config: ModelConfig, full_inputs: int, full_outputs: int, stride: int
    ) -> None:
        super().__init__()
        inputs, outputs = config.channels(full_inputs), config.channels(full_outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = _norm(config, full_outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = _norm(config, full_outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.append(_norm(config, full_outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, inputs, h, w) to (batch, outputs, h / stride, w / stride)."""
        out = self.conv1(x)
        out = self.norm1(out)
        out = F.relu_(out)
        out = self.conv2(out)
        out = self.norm2(out)
        out += self.shortcut(x)
        return F.relu_(out)


class ResNet(nn.Module):
    """A stem, stages of basic blocks that halve the image from the second on, and a classifier.

    Do not call the stages as modules: see the head of this file.
    """

    def __init__(self, config: ModelConfig, *, stages: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        first_channels = config.channels(stages[0])
        self.conv1 = nn.Conv2d(config.in_channels, first_channels, 3, padding=1, bias=False)
        self.norm1 = _norm(config, stages[0])
        self.stages = nn.ModuleList()
        for stage, outputs in enumerate(stages):
            inputs = stages[max(stage - 1, 0)]
            first = BasicBlock(config, inputs, outputs, stride=1 if stage == 0 else 2)
            rest = (BasicBlock(config, outputs, outputs, stride=1) for _ in range(blocks - 1))
            self.stages.append(nn.Sequential(first, *rest))
        self.linear = nn.Linear(config.channels(stages[-1]), config.num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (batch, in_channels, h, w) to logits (batch, num_classes)."""
        x = self.conv1(x)
        x = self.norm1(x)
        x = F.relu_(x)
        for stage in self.stages:
            for block in cast(nn.Sequential, stage):
                x = block(x)
        x = x.mean(dim=(2, 3))
        return cast(torch.Tensor, self.linear(x))


def resnet18(config: ModelConfig) -> nn.Module:
    """Build the paper's ResNet18: 11,173,962 parameters for RGB images and 10 classes."""
    return ResNet(config, stages=(64, 128, 256, 512), blocks=2)


def small_resnet(config: ModelConfig) -> nn.Module:
    """Build a ResNet of three stages of one block: 78,042 parameters for RGB images, 10 classes."""
    return ResNet(config, stages=(16, 32, 64), blocks=1)


def _norm(config: ModelConfig, full: int) -> nn.Module:
    """Build a norm with min(32, channels / 2) groups at width 1: our choice, the paper's is not
    known.

    Two channels or more in a group keep GroupNorm from being instance norm at small widths.
    """
    return config.norm_layer(full, groups=min(32, full // 2))
