"""Draw a direction (Rademacher, Gaussian, sphere) from a 64-bit seed, alike on every machine.

The standard is ``zo-stream/1``. This module is the readable reference, NumPy only.  The fast
kernels (C, Triton, torch ops) are checked against it to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from zo_core.philox import BLOCKS_AT_ONCE, MASK32, Words, check_range, philox4x32, split_seed

STREAM_VERSION: Final = "zo-stream/1"
BLOCK: Final = 128  # Rademacher elements from one Philox call: four words of 32 sign bits
GAUSSIAN_QUANTUM: Final = 2.0**-16  # a Gaussian or sphere element is an integer times this


def rademacher(seed: int, tensor_index: int, n: int, start: int = 0) -> npt.NDArray[np.int8]:
    """Draw elements ``start .. start + n`` of a Rademacher direction for one tensor.

    Args:
        seed: the direction's seed, in [0, 2^64).
        tensor_index: the tensor's number in the model's order, in [0, 2^32).
        n: number of elements, row-major.
        start: first element.

    Returns:
        int8 array of shape (n,), +1 where the stream's bit is 0 and -1 where it is 1.

    Raises:
        ValueError: an argument is out of its range.

    >>> rademacher(seed=1, tensor_index=0, n=8).tolist()
    [1, 1, 1, 1, -1, -1, -1, 1]
    """
    first, skip = divmod(check_range("start", start, 63), BLOCK)
    last = (start + check_range("n", n, 63) + BLOCK - 1) // BLOCK
    words = np.stack(_block_words(seed, tensor_index, first, last, kind=0), axis=-1)
    bits = np.unpackbits(words.astype("<u4").view(np.uint8).reshape(-1), bitorder="little")
    return np.int8(1) - np.int8(2) * bits[skip : skip + n].astype(np.int8)


def gaussian(seed: int, tensor_index: int, n: int, start: int = 0) -> npt.NDArray[np.float64]:
    """Draw elements of a standard normal direction, rounded to multiples of 2^-16 (Box-Muller).

    Arguments, range and errors are those of :func:`rademacher`; the result is float64.
    """
    integers = gaussian_integers(seed, tensor_index, n, start)
    return np.multiply(integers, GAUSSIAN_QUANTUM, dtype=np.float64)


def gaussian_integers(
    seed: int, tensor_index: int, n: int, start: int = 0
) -> npt.NDArray[np.int64]:
    """Draw the integers m of which the Gaussian direction is ``m * 2^-16``."""
    first, skip = divmod(check_range("start", start, 63), 4)
    last = (start + check_range("n", n, 63) + 3) // 4
    m = np.empty((last - first, 4), dtype=np.int64)
    for at in range(first, last, BLOCKS_AT_ONCE):
        words = _block_words(seed, tensor_index, at, min(at + BLOCKS_AT_ONCE, last), kind=1)
        m[at - first :][: len(words[0])] = box_muller(words).reshape(-1, 4)
    return m.reshape(-1)[skip : skip + n]


def box_muller(words: Sequence[Words]) -> npt.NDArray[np.int64]:
    """Turn blocks of four words into four Gaussian integers each, in the blocks' order."""
    uniforms = [(word + 0.5) * 2.0**-32 for word in words]
    z = np.empty((len(words[0]), 4))
    for pair in (0, 2):
        radius = np.sqrt(-2.0 * np.log(uniforms[pair]))
        angle = 2.0 * np.pi * uniforms[pair + 1]
        z[:, pair], z[:, pair + 1] = radius * np.cos(angle), radius * np.sin(angle)
    return np.rint(z.reshape(-1) * 2.0**16).astype(np.int64)


def sphere_factor(seed: int, sizes: Sequence[int], chunk: int = 1 << 14) -> float:
    """Compute sqrt(d) / |m|, which carries the Gaussian integers onto the sphere of norm sqrt(d).

    Args:
        seed: the direction's seed.
        sizes: number of elements of every tensor of the model, in stream order.
        chunk: elements drawn at a time; the sum is of integers, so it changes no bit.
    """
    square = 0
    for index, size in enumerate(sizes):
        for start in range(0, size, chunk):
            m = gaussian_integers(seed, index, min(chunk, size - start), start)
            square += int(np.dot(m, m))
    return math.sqrt(sum(sizes)) / math.sqrt(square)


def sphere(
    seed: int, tensor_index: int, n: int, start: int = 0, *, factor: float
) -> npt.NDArray[np.float64]:
    """Draw elements of a direction on the sphere of norm sqrt(d) (FedZO), multiples of 2^-16.

    ``factor`` is :func:`sphere_factor` of the same seed over the whole model.
    """
    return onto_sphere(gaussian_integers(seed, tensor_index, n, start), factor)


def onto_sphere(m: npt.NDArray[np.int64], factor: float) -> npt.NDArray[np.float64]:
    """Scale Gaussian integers by :func:`sphere_factor`, rounded to multiples of 2^-16."""
    on_sphere = np.rint(m.astype(np.float64) * (factor * 2.0**16))
    return np.multiply(on_sphere, GAUSSIAN_QUANTUM, dtype=np.float64)


def _block_words(
    seed: int, tensor_index: int, first: int, last: int, *, kind: int
) -> tuple[Words, Words, Words, Words]:
    """Philox words of blocks first .. last of one tensor; kind 0 for signs, 1 for Gaussians."""
    blocks = np.arange(first, last, dtype=np.uint64)
    tensor = check_range("tensor_index", tensor_index, 32)
    counter = (blocks & np.uint64(MASK32), blocks >> np.uint64(32), tensor, kind)
    return philox4x32(counter, split_seed(seed))
