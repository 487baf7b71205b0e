"""A convolutional network of about 6,000 parameters, small enough for ZO training in minutes."""

from __future__ import annotations

import math
from typing import Final

from torch import nn

from zo_core.models.config import ModelConfig

GROUPS: Final = 4  # more groups would see a few pixels each: digits' last map has 2x2 pixels
POOLED_SIZE: Final = 2


def small_cnn(config: ModelConfig) -> nn.Module:
    """Build the small CNN: two strided convolutions with norms, a pool to 2x2, one linear layer.

    It takes images of any size: 6,138 parameters for one channel and 10 classes.
    """
    first, second = config.channels(16), config.channels(32)
    layers = [
        nn.Conv2d(config.in_channels, first, 3, stride=2, padding=1, bias=False),
        config.norm_layer(16, groups=GROUPS),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, second, 3, stride=2, padding=1, bias=False),
        config.norm_layer(32, groups=GROUPS),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(second * POOLED_SIZE**2, config.num_classes),
    ]
    if math.ceil(config.image_size / 4) != POOLED_SIZE:  # a pool that does nothing costs a tenth
        layers.insert(-2, nn.AdaptiveAvgPool2d(POOLED_SIZE))
    return nn.Sequential(*layers)
