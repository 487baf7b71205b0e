"""Which parameters are the same storage."""

from __future__ import annotations

import torch
from torch import nn


def overlapping(module: nn.Module) -> list[list[str]]:
    """Group the names of trainable parameters that are one object or overlap in memory."""
    named = [
        (name, p)
        for name, p in module.named_parameters(remove_duplicate=False)
        if p.requires_grad and p.numel()
    ]
    named.sort(key=lambda entry: _range(entry[1]))
    groups: list[list[str]] = []
    end = -1
    for name, parameter in named:
        start, stop = _range(parameter)
        if groups and start < end:
            groups[-1].append(name)
        else:
            groups.append([name])
        end = max(end, stop)
    return [group for group in groups if len(group) > 1]


def _range(parameter: torch.Tensor) -> tuple[int, int]:
    """Return the first address of a parameter and the one after its last."""
    start = parameter.data_ptr()
    last = sum((n - 1) * s for n, s in zip(parameter.shape, parameter.stride(), strict=True))
    return start, start + (last + 1) * parameter.element_size()
