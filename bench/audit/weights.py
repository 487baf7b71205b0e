"""Copies of tensors by name, and exact comparisons between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

Weights = Mapping[str, torch.Tensor]
_ROUNDINGS = 8.0  # spacings that adding, subtracting and adding again may cost


def trainable(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the floating-point parameters that require a gradient, a tied one once."""
    named = module.named_parameters()
    return {name: p for name, p in named if p.requires_grad and p.is_floating_point()}


def untrained(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return all other parameters and the buffers."""
    ours = trainable(module)
    rest = {name: p for name, p in module.named_parameters() if name not in ours}
    return {**rest, **dict(module.named_buffers())}


def located(module: nn.Module, names: Iterable[str]) -> dict[str, tuple[nn.Module, str]]:
    """Map each tensor's name to the submodule that owns it and the attribute there."""
    found = {}
    for name in names:
        path, _, attribute = name.rpartition(".")
        found[name] = (module.get_submodule(path), attribute)
    return found


def read(module: nn.Module, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Return what stands in the tensors' places now, whether or not it requires a gradient."""
    places = located(module, names)
    return {name: getattr(owner, attribute) for name, (owner, attribute) in places.items()}


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


def distance(first: Weights, second: Weights) -> float:
    """Return the Euclidean distance over all tensors."""
    squares = (float((second[n].double() - first[n].double()).square().sum()) for n in first)
    return math.sqrt(sum(squares))


def within_rounding(start: Weights, point: Weights, points: Iterable[Weights]) -> bool:
    """Whether rounding on the way over some points explains all that differs from the start."""
    reach = {name: value.abs() for name, value in start.items()}
    for other in points:
        reach = {name: torch.maximum(reach[name], other[name].abs()) for name in start}
    return all(
        bool(((point[n].double() - s.double()).abs() <= _ROUNDINGS * spacing(r, r.dtype)).all())
        for (n, s), r in zip(start.items(), reach.values(), strict=True)
    )


@contextmanager
def holding(module: nn.Module, weights: Weights) -> Iterator[None]:
    """Put weights into a module inside the context; its own return after it, to the bit."""
    parameters = read(module, weights)
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
