"""A dense step on the grid as integers, for what no list of seeds can say: ``w += d 2^e``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.grid import MAX_K_IN_ROUND, Grid, GridError, widen_
from zo_core.parameters import Parameters, as_numpy_if_possible

Increment = npt.NDArray[np.int32]  # (P,), in stream order


def to_increment(params: Parameters, change: npt.NDArray[np.float64], grid: Grid) -> Increment:
    """Round a change of the weights to their grid, d = rne(change 2^-e).

    Args:
        params: the weights, for their sizes alone.
        change: (P,), in stream order.
        grid: the weights' exponents.

    Raises:
        GridError: |d| > 2^24, or a change that is not finite.
    """
    quanta = np.repeat(np.ldexp(1.0, grid.exponents), params.sizes)
    steps = np.rint(change / quanta)
    if not (np.abs(steps) <= MAX_K_IN_ROUND).all():
        raise GridError(
            "the mean of the clients' weights is more than 2^24 quanta away, or not finite; "
            "no weight has changed (lower client_lr: the run is diverging)"
        )
    increment: Increment = steps.astype(np.int32)
    return increment


def add_increment_(params: Parameters, increment: Increment, grid: Grid) -> tuple[str, ...]:
    """Add integers to weights on the grid in place and widen what outgrew it (rule 9).

    Returns:
        Names of the tensors widened.

    Raises:
        ValueError: the increment is of another model.
        GridError: a weight would leave the grid; no weight has changed.
    """
    if increment.size != params.num_elements:
        raise ValueError(
            f"an increment must have the model's {params.num_elements} weights, "
            f"got {increment.size}; both sides must build the same model"
        )
    largest: list[int] = []
    for index, (weights, change) in enumerate(_tensors(params, increment, grid)):
        reached = float(abs(weights + change).max()) if params.sizes[index] else 0.0
        largest.append(int(math.ldexp(reached, -int(grid.exponents[index]))))
        if largest[-1] > MAX_K_IN_ROUND:
            raise GridError(
                f"parameter {params.names[index]!r} would reach |k| = {largest[-1]} > 2^24 by the "
                "capable clients' mean; no weight has changed (the run is diverging)"
            )
    for weights, change in _tensors(params, increment, grid):
        weights += change
    return tuple(widen_(params, grid, largest))


def _tensors(params: Parameters, increment: Increment, grid: Grid) -> Iterator[tuple[Any, Any]]:
    """Pairs of a tensor's weights and its change d 2^e, both where the weights lie."""
    start = 0
    for array, size, e in zip(params.arrays, params.sizes, grid.exponents.tolist(), strict=True):
        change = np.ldexp(increment[start : start + size].astype(np.float32), e)
        weights = as_numpy_if_possible(array)
        shaped = change.reshape(weights.shape)
        start += size
        yield weights, shaped if isinstance(weights, np.ndarray) else _to_device(shaped, weights)


def _to_device(change: npt.NDArray[np.float32], weights: Any) -> Any:
    import torch

    return torch.from_numpy(change).to(weights.device)
