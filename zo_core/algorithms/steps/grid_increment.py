"""A dense step on the grid as integers, for what no list of seeds can say: ``w += d 2^e``."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.kernels.resumable_pass import (
    NO_STATS,
    Chunk,
    Journal,
    ReplayStats,
    chunks_of,
)
from zo_core.parameters import Parameters, size_of
from zo_core.weight_grid import MAX_K_IN_ROUND, Grid, GridError, widen_from_

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


class IncrementPass:
    """Adds integers to weights on the grid in place and widens what outgrew it (rule 9).

    Calling it again finishes what an interrupt cut.

    Raises:
        ValueError: the increment is of another model.
    """

    def __init__(self, params: Parameters, increment: Increment, grid: Grid) -> None:
        if increment.size != params.num_elements:
            raise ValueError(
                f"an increment must have the model's {params.num_elements} weights, "
                f"got {increment.size}; both sides must build the same model"
            )
        self._params, self._increment, self._grid = params, increment, grid
        self._before = grid.exponents.copy()
        self._first = [0, *accumulate(params.sizes)]  # position of each tensor in the increment
        self._look, self._write = Journal(), Journal()

    def error(self) -> GridError | None:
        """Return why the pass must not be made; looks at the weights when first called."""
        for name, largest in zip(self._params.names, self._largest(), strict=True):
            if largest > MAX_K_IN_ROUND:
                return GridError(
                    f"parameter {name!r} would reach |k| = {largest} > 2^24 by the capable "
                    "clients' mean; no weight has changed (the run is diverging)"
                )
        return None

    def __call__(self) -> tuple[str, ...]:
        """Add the increment; return the names of the tensors widened."""
        largest = self._largest()
        self._write.rewrite(self._params.spans, self._moved)
        return tuple(widen_from_(self._params, self._grid, self._before, largest))

    def _moved(self, chunk: Chunk) -> tuple[Any, ReplayStats]:
        return chunk.part + self._change(chunk), NO_STATS

    def _largest(self) -> list[int]:
        """Return the largest |k| that each tensor will have; never looks at changed weights."""
        return self._look.once(self._largest_now)

    def _largest_now(self) -> list[int]:
        largest = [0] * len(self._before)
        for chunk in chunks_of(self._params.spans):
            e = int(self._before[chunk.tensor_index])
            reached = math.ldexp(float(abs(chunk.part + self._change(chunk)).max()), -e)
            largest[chunk.tensor_index] = max(largest[chunk.tensor_index], int(reached))
        return largest

    def _change(self, chunk: Chunk) -> Any:
        """Return a chunk's change d 2^e, where its weights lie."""
        start = self._first[chunk.tensor_index] + chunk.start
        integers = self._increment[start : start + size_of(chunk.part)]
        e = self._before[chunk.tensor_index]
        change = np.ldexp(integers.astype(np.float32), e).reshape(chunk.part.shape)
        return change if isinstance(chunk.part, np.ndarray) else _to_device(change, chunk.part)


def _to_device(change: npt.NDArray[np.float32], weights: Any) -> Any:
    import torch

    return torch.from_numpy(change).to(weights.device)
