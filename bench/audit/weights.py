"""Copies of tensors by name, and exact comparisons between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

Weights = Mapping[str, torch.Tensor]


def trainable(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the floating-point parameters that require a gradient, a tied one once."""
    named = module.named_parameters()
    return {name: p for name, p in named if p.requires_grad and p.is_floating_point()}


def untrained(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return all other parameters and the buffers."""
    ours = trainable(module)
    rest = {name: p for name, p in module.named_parameters() if name not in ours}
    return {**rest, **dict(module.named_buffers())}


def copy(tensors: Weights) -> dict[str, torch.Tensor]:
    """Return contiguous copies."""
    form = torch.contiguous_format
    return {name: t.detach().clone(memory_format=form) for name, t in tensors.items()}


def differing(first: torch.Tensor, second: torch.Tensor) -> int:
    """Count the elements whose bits differ."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return max(first.numel(), second.numel())
    a, b = (t.contiguous().reshape(-1).view(torch.uint8) for t in (first, second))
    return int((a != b).reshape(-1, first.element_size()).any(dim=1).sum())


def changed(before: Weights, after: Weights) -> tuple[str, ...]:
    """Return the names whose bits differ, those that came or went included."""
    gone = sorted(before.keys() ^ after.keys())
    both = [name for name in before if name in after]
    return (*gone, *(name for name in both if differing(before[name], after[name])))


def spacing(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the distance between neighbouring floating-point numbers at each value.

    >>> spacing(torch.tensor([1.0, 0.75]), torch.bfloat16).tolist()
    [0.0078125, 0.00390625]
    """
    info = torch.finfo(dtype)
    _, exponent = torch.frexp(values.double().abs().clamp_min(info.tiny))
    return torch.ldexp(torch.full_like(exponent, info.eps, dtype=torch.float64), exponent - 1)


def rms(values: torch.Tensor) -> float:
    """Return the root mean square."""
    return float(values.double().square().mean().sqrt()) if values.numel() else 0.0


@contextmanager
def holding(module: nn.Module, weights: Weights) -> Iterator[None]:
    """Put weights into a module inside the context; its own return after it, to the bit."""
    parameters = trainable(module)
    own = copy(parameters)
    try:
        _write(parameters, weights)
        yield
    finally:
        _write(parameters, own)


def _write(parameters: Weights, weights: Weights) -> None:
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)
