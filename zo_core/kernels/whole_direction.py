"""A small model's direction, drawn whole: one call for all tensors, for the reference's bits.

Small tensors cost the reference in :mod:`zo_core.directions` mostly calls; a training of a small
model along Gaussian or spherical directions spends most of its time there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zo_core.directions import GAUSSIAN_QUANTUM, box_muller, onto_sphere
from zo_core.philox import philox4x32, split_seed

_MASK32 = np.uint64(0xFFFFFFFF)


def whole_direction(
    distribution: str, seed: int, sizes: Sequence[int]
) -> tuple[npt.NDArray[Any], ...]:
    """Draw a direction's elements, tensor by tensor.

    Args:
        distribution: "gaussian" or "sphere".
        seed: in [0, 2^64).
        sizes: number of elements of every tensor of the model, in stream order.

    Returns:
        float64 arrays of those sizes, as :func:`zo_core.directions.gaussian` and
        :func:`zo_core.directions.sphere` give them.
    """
    integers = _integers(seed, sizes)
    if distribution == "gaussian":
        return tuple(np.multiply(m, GAUSSIAN_QUANTUM, dtype=np.float64) for m in integers)
    square = sum(int(np.dot(m, m)) for m in integers)
    factor = math.sqrt(sum(sizes)) / math.sqrt(square)
    return tuple(onto_sphere(m, factor) for m in integers)


def _integers(seed: int, sizes: Sequence[int]) -> list[npt.NDArray[np.int64]]:
    """Draw the Gaussian integers of every tensor."""
    blocks = [(size + 3) // 4 for size in sizes]
    numbers = np.concatenate([np.arange(n, dtype=np.uint64) for n in blocks])
    tensors = np.repeat(np.arange(len(sizes), dtype=np.uint64), blocks)
    counter = (numbers & _MASK32, numbers >> np.uint64(32), tensors, 1)
    drawn = box_muller(philox4x32(counter, split_seed(seed)))
    ends = np.cumsum(blocks) * 4
    return [
        drawn[end - 4 * n : end - 4 * n + size]
        for end, n, size in zip(ends, blocks, sizes, strict=True)
    ]
