"""How many parameters a model has."""

from __future__ import annotations

from torch import nn


def count_parameters(module: nn.Module) -> int:
    """Count the trainable parameters' elements, a tied parameter once.

    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
