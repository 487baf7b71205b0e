"""Statistics of static batch norm, collected for evaluation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def collect_statistics_(module: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set each BatchNorm's running statistics to their mean over batches, all of one weight.

    A network without BatchNorm is left alone and the batches are not read.

    Args:
        module: its weights do not change.
        batches: inputs, (items, ...) each.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's cumulative average
    module.train()
    with torch.no_grad():
        for inputs in batches:
            module(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
