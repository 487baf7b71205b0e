"""How many parameters a model has."""

from __future__ import annotations

from torch import nn

from zo_core.shared_memory import first_names


def count_parameters(module: nn.Module) -> int:
    """Count the trainable parameters' elements, those of a tied parameter once.

    Raises:
        ValueError: parameters share memory without being tied.

    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    named = {n: p for n, p in module.named_parameters() if p.requires_grad}
    firsts = first_names(named, named)
    return sum(p.numel() for n, p in named.items() if firsts[n] == n)
